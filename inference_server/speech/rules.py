"""Speech to motion by rules: no trained mouth model, any language, always available."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, Speech
from inference_server.registry import Heed, SpokenMotion, unheeded

from . import blocks, head
from .bands import band_levels
from .face import Amounts, Habits, complete
from .frames import Frames
from .mouth import Mouth, mouth
from .stops import closures
from .voice import STEPS_PER_S, speaking

Steps = npt.NDArray[np.float64]  # (M, ...), every 10 ms

_CLOSING_PER_S = 10.0  # jawOpen per second on the way into and out of a closure
_LIPS_CLOSE = 0.25  # share of a closure that the lips make; the jaw makes the rest
_NO_WORDS = "Words move the mouth only when Mouth is Neural; rules listen to the sound alone."


class Rules:
    """Motion source that listens to loudness, spectrum and voice activity only."""

    version = "1"

    def motion(
        self,
        speech: Speech,
        fps: Fraction,
        n_frames: int,
        seed: int,
        params: Mapping[str, Any],
        heed: Heed = unheeded,
    ) -> SpokenMotion:
        """Motion of `n_frames` frames; frame i shows the sound at i / fps seconds.

        The random part (head, blinks, gaze) belongs to moments of the sound: a longer range or
        another frame rate shows the same sway. Frames beyond the sound are silent.

        Args:
            speech: the sound.
            fps: frames per second, exact.
            n_frames: N.
            seed: of the random part.
            params: those of face.Amounts.
        """
        amounts = Amounts.of(params)
        at = Frames(fps, n_frames, speech.before_s)
        spoken, swell, levels = blocks.joined(
            _heard(block) for block in blocks.blocks(speech, heed)
        )
        beyond = at.missing_steps(len(spoken))
        spoken, swell = (np.pad(values, (0, beyond)) for values in (spoken, swell))
        levels = np.pad(levels, ((0, beyond), (0, 0)))
        shape = mouth(levels, blocks.audible(speech, spoken))
        opening = mouth(levels, spoken).opening
        origin_s = speech.start_s - speech.before_s
        gaps = closures(levels, spoken)
        expression = np.zeros((n_frames, 52))
        _set_mouth(expression, shape, gaps, at, amounts.lips)
        motion = complete(
            expression, opening, spoken, swell, origin_s, at, seed, amounts, Habits(), {}
        )
        warnings = (_NO_WORDS,) if params.get("words") else ()
        return SpokenMotion(motion, at(shape.active) == 0, at.windows(gaps), warnings)


def _heard(block: blocks.Block) -> tuple[npt.NDArray[Any], ...]:
    """Of one block: where somebody speaks, how the head sways with it, levels of bands."""
    spoken = speaking(block.samples)
    rows = spoken, head.swell(block.samples, spoken), band_levels(block.samples, spoken)
    return tuple(block.own(values, STEPS_PER_S) for values in rows)


def _set(expression: Steps, values: Steps, *names: str) -> None:
    for name in names:
        expression[:, ARKIT_INDEX[name]] = values


def _set_mouth(
    expression: Steps, shape: Mouth, gaps: list[tuple[float, float]], at: Frames, amount: float
) -> None:
    """Write the mouth into the ARKit weights; closures keep their depth at any amount."""
    most = _held_shut(len(shape.opening), gaps)
    closed_by_lips = at(_LIPS_CLOSE * np.maximum(0, shape.opening - most)) * amount
    opening = at(np.minimum(shape.opening, most)) * amount
    shut = at(np.clip(1 - most / 0.3, 0, 1))
    parting = at(shape.parting) * (1 - shut) * amount
    width, rounding = at(shape.width) * amount, at(shape.rounding) * amount
    _set(expression, opening + closed_by_lips, "jawOpen")
    _set(expression, closed_by_lips, "mouthClose")
    _set(expression, parting, "mouthLowerDownLeft", "mouthLowerDownRight")
    _set(expression, parting * 0.5, "mouthUpperUpLeft", "mouthUpperUpRight")
    _set(expression, np.maximum(0, width), "mouthStretchLeft", "mouthStretchRight")
    _set(expression, rounding * 0.6, "mouthFunnel")
    _set(expression, np.maximum(rounding * 0.8, -width), "mouthPucker")
    _set(expression, shut * at(shape.active) * 0.3 * amount, "mouthPressLeft", "mouthPressRight")


def _held_shut(n_steps: int, gaps: list[tuple[float, float]]) -> Steps:
    """The widest opening that closures allow, (M,): a V around the middle of each gap."""
    most = np.full(n_steps, 2.0)
    reach = round(STEPS_PER_S / _CLOSING_PER_S)
    for begin_s, end_s in gaps:
        begin, end = round(begin_s * STEPS_PER_S), round(end_s * STEPS_PER_S)
        steps = np.arange(max(0, begin - reach), min(n_steps, end + reach + 1))
        away_s = np.maximum(0, np.maximum(begin - steps, steps - end)) / STEPS_PER_S
        most[steps] = np.minimum(most[steps], away_s * _CLOSING_PER_S)
    return most
