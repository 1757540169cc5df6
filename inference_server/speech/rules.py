"""Speech to motion by rules: no trained mouth model, any language, always available."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, Motion, Speech
from inference_server.motion.channels import with_look
from inference_server.protocol import PARAMS
from inference_server.registry import SpokenMotion

from . import blinks, brows, gaze, head
from .bands import band_levels
from .mouth import Mouth, mouth
from .stops import closures
from .voice import STEPS_PER_S, speaking

Steps = npt.NDArray[np.float64]  # (M, ...), every 10 ms

_CLOSING_PER_S = 10.0  # jawOpen per second on the way into and out of a closure
_LIPS_CLOSE = 0.25  # share of a closure that the lips make; the jaw makes the rest
_AMOUNTS = {param.name: float(param.default) for param in PARAMS if param.name.endswith("_amount")}


class Rules:
    """Motion source that listens to loudness, spectrum and voice activity only."""

    version = "1"

    def motion(
        self, speech: Speech, fps: Fraction, n_frames: int, seed: int, params: Mapping[str, Any]
    ) -> SpokenMotion:
        """Motion of `n_frames` frames; frame i shows the sound at i / fps seconds.

        The random part (head, blinks, gaze) belongs to moments of the sound: a longer range or
        another frame rate shows the same sway. Frames beyond the sound are silent.

        Args:
            speech: the sound.
            fps: frames per second, exact.
            n_frames: N.
            seed: of the random part.
            params: lip_amount, head_amount and eye_amount, as in protocol.PARAMS.
        """
        lips, turn, eyes = (float(params.get(name, _AMOUNTS[name])) for name in _AMOUNTS)
        spoken = speaking(speech.samples)
        levels = band_levels(speech.samples, spoken)
        beyond = max(0, math.ceil(n_frames / fps * STEPS_PER_S) - len(spoken)) + 1
        spoken, levels = np.pad(spoken, (0, beyond)), np.pad(levels, ((0, beyond), (0, 0)))
        shape = mouth(levels, spoken)
        gaps = closures(levels, spoken)
        angles = head.sway(spoken, speech.start_s, seed) * turn
        look = gaze.fixations(len(spoken), speech.start_s, seed) * eyes
        look = gaze.holding_on(look, angles * min(1.0, eyes))

        at = _Frames(fps, n_frames)
        expression = np.zeros((n_frames, 52))
        _set_mouth(expression, shape, gaps, at, lips)
        raised = at(brows.lift(shape)) * eyes
        _set(expression, raised, "browInnerUp", "browOuterUpLeft", "browOuterUpRight")
        shut = blinks.lids(spoken, speech.start_s, fps, n_frames, seed, eyes)
        _set(expression, shut, "eyeBlinkLeft", "eyeBlinkRight")
        gaze_deg = at(look).astype(np.float32)
        motion = Motion(
            fps=fps,
            expression=with_look(np.clip(expression, 0, 1).astype(np.float32), gaze_deg),
            head=np.pad(at(angles), ((0, 0), (0, 3))).astype(np.float32),
            gaze=gaze_deg,
        )
        return SpokenMotion(motion, at(shape.active) == 0, at.windows(gaps))


class _Frames:
    """Takes curves that have a value every 10 ms to the frames of a shot."""

    def __init__(self, fps: Fraction, n_frames: int) -> None:
        self.times_s = np.arange(n_frames) * fps.denominator / fps.numerator
        self.last = n_frames - 1

    def __call__(self, curve: Steps) -> Steps:
        """The curve at each frame, (N, ...)."""
        at = np.clip(self.times_s * STEPS_PER_S, 0, len(curve) - 1)
        below = np.minimum(at.astype(int), max(0, len(curve) - 2))
        share = (at - below).reshape(-1, *[1] * (curve.ndim - 1))
        above = np.minimum(below + 1, len(curve) - 1)
        return curve[below] * (1 - share) + curve[above] * share

    def windows(self, spans_s: list[tuple[float, float]]) -> tuple[tuple[int, int], ...]:
        """Spans of time as [first, last] frames, each at least the nearest frame."""
        found = []
        for begin_s, end_s in spans_s:
            inside = np.flatnonzero((self.times_s >= begin_s) & (self.times_s <= end_s))
            nearest = int(np.abs(self.times_s - (begin_s + end_s) / 2).argmin())
            if len(inside):
                found.append((int(inside[0]), int(inside[-1])))
            elif begin_s <= self.times_s[-1]:
                found.append((nearest, nearest))
        return tuple(found)


def _set(expression: Steps, values: Steps, *names: str) -> None:
    for name in names:
        expression[:, ARKIT_INDEX[name]] = values


def _set_mouth(
    expression: Steps, shape: Mouth, gaps: list[tuple[float, float]], at: _Frames, amount: float
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
