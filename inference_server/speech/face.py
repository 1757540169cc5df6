"""The rest of the face: head, eyes, brows and blinks, for every motion source.

Prosody does not say how a head moves (the study of lip sync tested it), so all of this is drawn
from fitted random processes that belong to moments of the sound: a longer range or another frame
rate shows the same sway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, Motion
from inference_server.motion.channels import with_look
from inference_server.motion.lids import lids
from inference_server.protocol import PARAMS

from . import blinks, brows, gaze, head
from .frames import Frames

Curve = npt.NDArray[np.float64]

_DEFAULTS = {param.name: param.default for param in PARAMS}


@dataclass(frozen=True, slots=True)
class Amounts:
    """What the artist sets, as in protocol.PARAMS."""

    lips: float
    head: float
    eyes: float
    nods: float
    blinks: float

    @staticmethod
    def of(params: Mapping[str, Any]) -> Amounts:
        """Read from a shot's params; "still" leaves only lips and blinks."""
        lips, turn, eyes, nods = (
            float(params.get(name, _DEFAULTS[name]))
            for name in ("lip_amount", "head_amount", "eye_amount", "nod_amount")
        )
        if params.get("still", _DEFAULTS["still"]):
            return Amounts(lips, 0.0, 0.0, 0.0, eyes)
        return Amounts(lips, turn, eyes, nods, eyes)


@dataclass(frozen=True, slots=True)
class Habits:
    """How one person moves; the defaults are those of people in general."""

    sway_deg: tuple[float, float, float] = head.STD_DEG  # yaw, pitch, roll
    sway_speed: tuple[float, float, float] = head.SPEED  # rad/s
    blinks_per_minute: float = blinks.PER_MINUTE


def complete(
    expression: Curve,
    opening: Curve,
    speaking: npt.NDArray[np.bool_],
    swell: Curve,
    start_s: float,
    at: Frames,
    seed: int,
    amounts: Amounts,
    habits: Habits,
    native: Mapping[str, npt.NDArray[np.float32]],
) -> Motion:
    """A motion with everything but the mouth, which `expression` holds already.

    Args:
        expression: (N, 52) ARKit weights; written to.
        opening: (M,) of the mouth, every 10 ms, about 0..1: where it opens wide, syllables stress.
        speaking: (M,) from voice.speaking.
        swell: (M,) from head.swell.
        start_s: where the stretch begins in the sound.
        at: the frames of the shot.
        seed: of the shot.
        amounts: of each movement.
        habits: of the person.
        native: passed on.
    """
    angles = head.sway(speaking, start_s, seed, habits.sway_deg, habits.sway_speed, swell)
    angles = angles * amounts.head
    stress = brows.stress(opening)
    angles = angles + head.nods(stress) * amounts.nods
    look = gaze.fixations(len(speaking), start_s, seed) * amounts.eyes
    look = gaze.holding_on(look, angles * min(1.0, amounts.eyes))
    raised = at(brows.lift(stress)) * amounts.eyes
    _set(expression, raised, "browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    often = amounts.blinks * habits.blinks_per_minute / blinks.PER_MINUTE
    moments = blinks.frames(speaking, start_s, at, seed, often)
    _set(expression, lids(moments, at.fps, len(expression)), "eyeBlinkLeft", "eyeBlinkRight")
    gaze_deg = at(look).astype(np.float32)
    return Motion(
        fps=at.fps,
        expression=with_look(np.clip(expression, 0, 1).astype(np.float32), gaze_deg),
        head=np.pad(at(angles), ((0, 0), (0, 3))).astype(np.float32),
        gaze=gaze_deg,
        native=native,
    )


def _set(expression: Curve, values: Curve, *names: str) -> None:
    for name in names:
        expression[:, ARKIT_INDEX[name]] = values
