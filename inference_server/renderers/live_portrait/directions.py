"""What our motion means for LivePortrait's implicit keypoints.

Lids and lips go through the retargeting networks, whose ratios are our channels: a lid ratio of
the source times eye_open, and the lip ratio that lip_open asks for. The other channels move single
keypoints. Which ones, and how far, are the offsets of the editing page of the released code
(KwaiVGI/LivePortrait, MIT): found there by hand, in units of the 256 px crop's half. Signs are
those of the crop: x right, y down. No official weights were at hand to look at them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from .crop import Ratios
from .keypoints import Array, Pose, place, rotation

LIP_OPEN_FACES = 0.164  # face widths between the lips at lip_open 1, as mesh_warp opens them

_SMILE_AT, _PUCKER_AT, _BROW_AT = 1.3, 15.0, 15.0  # of the page's sliders at a channel of 1
_CAMERA_FACES = 5.0  # face widths to the camera, as in mesh_warp
_PER_DEGREE = 0.5  # of its gaze slider
# keypoint, axis, offset for a slider of 1
_SMILE = (
    (20, 1, -0.01), (14, 1, -0.02), (17, 1, 0.0065), (17, 2, 0.003), (13, 1, -0.00275),
    (16, 1, -0.00275), (3, 1, -0.0035), (7, 1, -0.0035),
)  # fmt: skip
_PURSE = ((14, 1, 0.001), (3, 1, -0.0005), (7, 1, -0.0005), (17, 2, -0.0005))
_GRIN = ((20, 2, -0.001), (20, 1, -0.001), (14, 1, -0.001))
_BROW_UP = ((1, 1, 0.001), (2, 1, -0.001))
_BROW_DOWN = ((1, 0, 0.001), (2, 0, -0.001), (1, 1, -0.0003), (2, 1, 0.0003))
_LOOK_RIGHT = ((11, 0, 0.0007), (15, 0, 0.001))
_LOOK_LEFT = ((11, 0, -0.001), (15, 0, -0.0007))
_LOOK_UP = ((11, 1, -0.001), (15, 1, -0.001))

Offsets = tuple[tuple[int, int, float], ...]


def lip_ratio(lip_open: float, face_width: float, mouth_width: float) -> float:
    """The opening of the lips against the width of the mouth, as the lip network is told it."""
    return lip_open * LIP_OPEN_FACES * face_width / mouth_width


def lid_ratios(source: Ratios, eye_open_r: float, eye_open_l: float) -> tuple[float, float]:
    """Targets for the eyes on the left (the person's right) and on the right of the picture."""
    return source.left_eye * eye_open_r, source.right_eye * eye_open_l


def expression(channels: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """(21, 3) what smile, width, rounding, brows and gaze add to an expression."""
    added = np.zeros((21, 3))
    smile, brow = channels["smile"], channels["brow"]
    _add(added, _SMILE, _SMILE_AT * smile)
    _add(added, _PURSE, _PUCKER_AT * channels["lip_round"])
    _add(added, _GRIN, _PUCKER_AT * channels["lip_width"])
    _add(added, _BROW_UP if brow > 0 else _BROW_DOWN, _BROW_AT * abs(brow))
    x, y = _PER_DEGREE * channels["gaze_x"], _PER_DEGREE * channels["gaze_y"]
    _add(added, _LOOK_RIGHT if x > 0 else _LOOK_LEFT, abs(x))
    _add(added, _LOOK_UP, y)
    return added


def posed(
    source: Pose, angles: tuple[float, float, float], head: Array, added: Array, unit: float
) -> Array:
    """(K, 3) keypoints of the source with a turned head and an added expression.

    Args:
        source: of the portrait.
        angles: its pitch, yaw and roll in degrees; there pitch > 0 looks down and yaw > 0 turns
            the nose to the left of the picture.
        head: (6,) one row of Motion.head.
        added: (K, 3).
        unit: a face width in units of the crop.
    """
    yaw, pitch, roll, x, y, z = (float(value) for value in head)
    turn = rotation(angles[0] - pitch, angles[1] - yaw, angles[2] + roll)
    shift = source.translation + np.array([x * unit, y * unit, 0])
    nearer = source.scale / (1 - np.clip(z, -1.5, 1.5) / _CAMERA_FACES)
    return place(source.keypoints, float(nearer), turn, source.expression + added, shift)


def _add(expression: npt.NDArray[np.float64], offsets: Offsets, amount: float) -> None:
    for point, axis, offset in offsets:
        expression[point, axis] += amount * offset
