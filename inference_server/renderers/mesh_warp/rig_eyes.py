"""Displacement fields of lids, brows and the cheeks under the eyes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import spread
from inference_server.portrait.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT_LOWER,
    EYE_LEFT_RIM,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_RIM,
    EYE_RIGHT_UPPER,
    FACE_OVAL,
    LID_LEFT_LOWER,
    LID_LEFT_UPPER,
    LID_RIGHT_LOWER,
    LID_RIGHT_UPPER,
    N_MESH,
    N_SKIN,
    NOSE,
)

from .rig_mouth import LIPS, OVAL_UPPER

Array = npt.NDArray[np.float64]

BLINK_AT = 0.92  # of the way from the upper to the lower lid: where they meet
_Row = tuple[int, ...]
_EYES: tuple[tuple[str, _Row, _Row, _Row, _Row, _Row], ...] = (
    ("Right", EYE_RIGHT_UPPER, EYE_RIGHT_LOWER, LID_RIGHT_UPPER, LID_RIGHT_LOWER, BROW_RIGHT),
    ("Left", EYE_LEFT_UPPER, EYE_LEFT_LOWER, LID_LEFT_UPPER, LID_LEFT_LOWER, BROW_LEFT),
)
_STILL = NOSE + (10, 151, 9, 50, 280, 205, 425, 127, 356, 234, 454, 101, 330) + FACE_OVAL
_UNDER_EYES = {"Right": (50, 101, 205, 118, 119, 120), "Left": (280, 330, 425, 347, 348, 349)}


def _through(values: dict[int, Array]) -> Array:
    """(478, 3) smooth field through (3,) values at skin points."""
    field = np.zeros((N_MESH, 3))
    field[:N_SKIN] = spread(tuple(values)) @ np.array(list(values.values()))
    return field


def eye_shapes(canonical: Array) -> dict[str, Array]:
    """Fields (478, 3) at weight 1 of blinking, squinting, widening and raising the cheeks."""
    shapes: dict[str, Array] = {}
    for side, upper, lower, ring_upper, ring_lower, brow in _EYES:
        blink: dict[int, Array] = {}
        squint: dict[int, Array] = {}
        wide: dict[int, Array] = {}
        for u, low, ring_u, ring_l in zip(upper, lower, ring_upper, ring_lower, strict=True):
            if u == low:
                for values in (blink, squint, wide):
                    values[u] = np.zeros(3)
                    values.setdefault(ring_u, np.zeros(3))
                    values.setdefault(ring_l, np.zeros(3))
                continue
            gap = canonical[low] - canonical[u]
            meet = canonical[u] + BLINK_AT * gap
            meet[2] = min(canonical[u, 2], canonical[low, 2]) - 0.008  # over the eyeball
            blink[u] = meet - canonical[u]
            blink[low] = meet - canonical[low]
            blink[ring_u] = 0.5 * blink[u] * [1, 1, 0]
            blink[ring_l] = 0.5 * blink[low]
            squint[u], squint[low] = 0.10 * gap, -0.28 * gap
            squint[ring_u], squint[ring_l] = 0.05 * gap, -0.22 * gap
            wide[u], wide[low] = -0.30 * gap, 0.06 * gap
            wide[ring_u], wide[ring_l] = -0.10 * gap, 0.03 * gap
        for point in brow:
            blink.setdefault(point, np.array([0, 0.006, 0]))
            squint.setdefault(point, np.zeros(3))
            wide.setdefault(point, np.array([0, -0.008, 0]))
        for values in (blink, squint, wide):
            for point in _STILL:
                values.setdefault(point, np.zeros(3))
        shapes["eyeBlink" + side] = _through(blink)
        shapes["eyeSquint" + side] = _through(squint)
        shapes["eyeWide" + side] = _through(wide)
        shapes["cheekSquint" + side] = _cheek(side, lower, ring_lower)
    return shapes


def _cheek(side: str, lower: _Row, ring_lower: _Row) -> Array:
    """The cheek pushed up under one eye."""
    values: dict[int, Array] = {point: np.array([0, -0.020, -0.010]) for point in _UNDER_EYES[side]}
    values |= {point: np.array([0, -0.010, 0]) for point in ring_lower[1:-1]}
    values |= {point: np.array([0, -0.006, 0]) for point in lower[1:-1]}
    rest = NOSE + LIPS + FACE_OVAL + EYE_RIGHT_RIM + EYE_LEFT_RIM + BROW_RIGHT + BROW_LEFT
    for point in rest:
        values.setdefault(point, np.zeros(3))
    return _through(values)


def brow_shapes(canonical: Array) -> dict[str, Array]:
    """Fields (478, 3) at weight 1 of the brows."""
    brows = BROW_RIGHT + BROW_LEFT
    x = canonical[list(brows), 0]
    off_centre = np.abs(x)
    t = np.clip((0.26 - off_centre) / 0.16, 0, 1)
    inner = t * t * (3 - 2 * t)
    left = (x > 0).astype(np.float64)
    lift = np.array([0, -0.055, 0])
    down = np.stack(
        [
            -0.028 * np.sign(x) * np.exp(-((off_centre / 0.22) ** 2)),
            0.026 * np.exp(-((off_centre / 0.25) ** 2)),
            np.full(len(x), -0.004),
        ],
        axis=1,
    )
    fixed = EYE_RIGHT_RIM + EYE_LEFT_RIM + OVAL_UPPER + (6, 195, 197, 50, 280, 205, 425)

    def field(values: Array) -> Array:
        return _through(_with_zeros(brows, values, fixed))

    return {
        "browInnerUp": field(inner[:, None] * lift),
        "browOuterUpLeft": field((left * (1 - inner))[:, None] * lift),
        "browOuterUpRight": field(((1 - left) * (1 - inner))[:, None] * lift),
        "browDownLeft": field(left[:, None] * down),
        "browDownRight": field((1 - left)[:, None] * down),
    }


def _with_zeros(points: Sequence[int], values: Array, fixed: Sequence[int]) -> dict[int, Array]:
    given = dict(zip(points, values, strict=True))
    return given | {point: np.zeros(3) for point in fixed if point not in given}
