"""The geometry of one frame: what a motion makes of a prepared portrait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, Motion
from inference_server.motion.body import BODY
from inference_server.motion.boil import drawing_of

from . import rig
from .eyes import lid_motion
from .mouth import Jaw
from .pose import Pose, pose_of
from .prepared import Prepared
from .rig import Rig

Array = npt.NDArray[np.float64]

_OF_EYES = np.array([name.startswith("eye") for name in ARKIT_NAMES])
_LOOK_X_DEG, _LOOK_Y_DEG = 30.0, 25.0  # what an eyeLook weight of 1 means


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The geometry of one frame."""

    pose: Pose
    gaze: tuple[Array, Array]  # (2,) deg of the right and left eye
    blinks: tuple[float, float]
    jaw: Jaw
    coarse: Array  # (n, 3) px of the square
    refined: Array  # (m, 3)
    drawing: int  # which of the drawings, when they boil


def shape_of(prepared: Prepared, motion: Motion, frame: int) -> Shape:
    """The geometry of one frame of a motion."""
    weights = motion.expression[frame]
    hidden = prepared.worn == "dark"
    if hidden:
        weights = np.where(_OF_EYES, 0, weights)

    def weight(name: str) -> float:
        return float(weights[ARKIT_INDEX[name]])

    gaze = (np.zeros(2), np.zeros(2)) if hidden else _gaze(motion.gaze[frame], weight)
    lids = np.array([lid_motion(float(one[1])) for one in gaze])
    pose = pose_of(motion.head[frame], prepared.fit, prepared.limits)
    blinks = weight("eyeBlinkRight") + lids[0], weight("eyeBlinkLeft") + lids[1]
    skin = motion.native[rig.SKIN][frame] if rig.SKIN in motion.native else 0.0
    moved = prepared.rig.expression(weights, lids, skin) * prepared.loose[:, None]
    body = motion.native[BODY][frame] if BODY in motion.native else np.zeros(3)
    coarse, refined = prepared.head.deform(moved, pose, body, prepared.fit)
    return Shape(
        pose=pose,
        gaze=gaze,
        blinks=blinks,
        jaw=Jaw(
            opening=weight("jawOpen") * prepared.rig.jaw_gain,
            sideways=weight("jawLeft") - weight("jawRight"),
            forward=weight("jawForward"),
            tongue=weight("tongueOut"),
            rounding=_rounding(prepared.rig, moved, weight("jawOpen")),
        ),
        coarse=coarse,
        refined=refined,
        drawing=drawing_of(motion, frame),
    )


def _rounding(face_rig: Rig, moved: Array, jaw: float) -> float:
    """How round the lips are, 0..1, from how narrow the mouth has become."""
    corners = (face_rig.canonical + moved)[[61, 291], 0]
    half_width = 0.5 * float(corners[1] - corners[0])
    # against the mouth at rest; a falling jaw alone narrows it as well
    narrowed = 1 - half_width / face_rig.mouth.half_width - rig.JAW_NARROWING * jaw
    return float(np.clip((narrowed - 0.05) / 0.34, 0, 1))


def _gaze(gaze: npt.NDArray[np.float32], weight: Callable[[str], float]) -> tuple[Array, Array]:
    """Where the right and the left eye look, deg: Motion.gaze, else the eyeLook weights."""
    if gaze.any():
        both = gaze.astype(np.float64)
        return both, both
    right = [
        _LOOK_X_DEG * (weight("eyeLookInRight") - weight("eyeLookOutRight")),
        _LOOK_Y_DEG * (weight("eyeLookUpRight") - weight("eyeLookDownRight")),
    ]
    left = [
        _LOOK_X_DEG * (weight("eyeLookOutLeft") - weight("eyeLookInLeft")),
        _LOOK_Y_DEG * (weight("eyeLookUpLeft") - weight("eyeLookDownLeft")),
    ]
    return np.array(right), np.array(left)
