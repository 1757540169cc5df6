"""Displacement fields of the lips, cheeks and nose, and the weights of the jaw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import spread
from inference_server.portrait.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LID_LEFT_LOWER,
    LID_LEFT_UPPER,
    LID_RIGHT_LOWER,
    LID_RIGHT_UPPER,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_MIDDLE_LOWER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    LIP_WET_LOWER,
    N_MESH,
    N_SKIN,
    NOSE,
)

Array = npt.NDArray[np.float64]

NEUTRAL_WIDTH = 0.585  # of a mouth at rest, outer eye corners 1 apart; 33 tracked speakers
CLOSED_GAP = 0.003  # face widths: lips snapped to one seam lie this close

WINGS = (98, 327, 129, 358, 64, 294, 48, 278)  # of the nose
EYES = tuple(
    sorted({
        *EYE_RIGHT_RIM, *EYE_LEFT_RIM, *LID_RIGHT_UPPER, *LID_RIGHT_LOWER, *LID_LEFT_UPPER,
        *LID_LEFT_LOWER,
    })
)  # fmt: skip
BROWS = BROW_RIGHT + BROW_LEFT
OVAL_UPPER = (10, 338, 297, 332, 284, 251, 389, 356, 454, 234, 127, 162, 21, 54, 103, 67, 109)
OVAL_LOWER = tuple(point for point in FACE_OVAL if point not in OVAL_UPPER)
CHEEKS = (205, 425, 50, 280)
PUFF = (187, 411, 207, 427)  # cheeks beside the mouth
CHIN = (152, 199, 200)
CORNERS = (61, 291, 78, 308)
LIPS = tuple(sorted({*LIP_INNER_UPPER, *LIP_INNER_LOWER, *LIP_OUTER_UPPER, *LIP_OUTER_LOWER}))
_UPPER = {*LIP_INNER_UPPER[1:-1], *LIP_OUTER_UPPER[1:-1]}
_LOWER = {*LIP_INNER_LOWER[1:-1], *LIP_OUTER_LOWER[1:-1]}
_INNER = {*LIP_INNER_UPPER, *LIP_INNER_LOWER}
_HANDLES = LIPS + CHEEKS + PUFF + CHIN + WINGS


@dataclass(frozen=True, slots=True)
class MouthFrame:
    """Where the mouth is."""

    centre: float  # x
    half_width: float  # of the outer corners
    seam: float  # y in the middle
    gap: float  # between the inner lips as pictured
    neutral_half_width: float  # without the smile of the picture
    raised: float  # how far the picture's corners are above the shut lips; < 0: below

    @staticmethod
    def of(canonical: Array) -> MouthFrame:
        """Measured on a face (478, 3) in canonical axes."""
        half_width = float(canonical[291, 0] - canonical[61, 0]) / 2
        eyes = float(np.linalg.norm(canonical[263] - canonical[33]))
        gap = max(0.0, float(canonical[14, 1] - canonical[13, 1]))
        shut = float(canonical[13, 1]) + 0.25 * gap  # see `closing`
        raised = shut - float(canonical[[61, 291], 1].mean())
        return MouthFrame(
            centre=float(canonical[[78, 308], 0].mean()),
            half_width=half_width,
            seam=float(canonical[[13, 14], 1].mean()),
            gap=gap,
            neutral_half_width=min(half_width, NEUTRAL_WIDTH / 2 * eyes),
            raised=float(np.clip(raised, -0.02, 0.10)),
        )


@lru_cache(maxsize=1)
def jaw_weights() -> Array:
    """(478,) how far each point turns with the jaw."""
    still = NOSE + EYES + OVAL_UPPER + BROWS + (205, 425, 50, 280, 101, 330)
    weights = dict.fromkeys(still + (164, 167, 393, 165, 391), 0.0)
    weights |= dict.fromkeys(LIP_INNER_UPPER[1:-1] + LIP_OUTER_UPPER[1:-1], 0.0)
    for row in (LIP_INNER_LOWER, LIP_OUTER_LOWER, LIP_MIDDLE_LOWER, LIP_WET_LOWER):
        for k, point in enumerate(row):
            rise = np.sin(np.pi / 2 * min(1.0, min(k, 10 - k) / 4.2)) ** 0.8
            weights[point] = 0.42 + 0.58 * rise
    for points, weight in (
        ((185, 409), 0.20), ((191, 415), 0.22), ((40, 270), 0.08), ((80, 310), 0.09),
        ((39, 269, 81, 311), 0.02),
        ((152, 148, 377, 176, 400, 199, 175, 200, 18, 201, 421, 208, 428, 171, 396, 83, 313), 1.0),
        ((149, 378), 0.98), ((150, 379), 0.95), ((136, 365), 0.9), ((172, 397), 0.75),
        ((58, 288), 0.5), ((132, 361), 0.22), ((93, 323), 0.05),
    ):  # fmt: skip
        weights |= dict.fromkeys(points, weight)
    field = np.zeros(N_MESH)
    field[:N_SKIN] = np.clip(spread(tuple(weights)) @ np.array(list(weights.values())), 0, 1.05)
    field.setflags(write=False)
    return field


def _field(handles: Sequence[int], values: Array, fixed: Sequence[int]) -> Array:
    """(478, 3) smooth field through `values` (k, 3) at the handles and 0 at the fixed points."""
    others = tuple(dict.fromkeys(point for point in fixed if point not in handles))
    field = np.zeros((N_MESH, 3))
    field[:N_SKIN] = spread((*handles, *others))[:, : len(handles)] @ values
    return field


class _Lips:
    """The handles of the mouth with their places, and shorthands for giving them values."""

    def __init__(self, canonical: Array, frame: MouthFrame) -> None:
        index = np.array(_HANDLES)
        self.x = np.clip((canonical[index, 0] - frame.centre) / frame.half_width, -1.15, 1.15)
        self.bell = np.clip(1 - self.x**2, 0, 1)
        self.corner_ness = np.abs(self.x)
        self.upper = self._among(_UPPER)
        self.lower = self._among(_LOWER)
        self.inner = self._among(_INNER)
        self.outward: Array = self.lower.astype(float) - self.upper  # y away from the seam
        self.lip = self._among(LIPS)
        self.corner = self._among(CORNERS)
        self.side = np.sign(canonical[index, 0])
        t = np.clip((canonical[index, 0] - frame.centre) / frame.half_width / 0.6 + 0.5, 0, 1)
        self.left = t * t * (3 - 2 * t)
        upper = max(0.02, float(canonical[13, 1] - canonical[0, 1]))
        lower = max(0.02, float(canonical[17, 1] - canonical[14, 1]))
        self.thickness = np.where(self.upper, upper, np.where(self.lower, lower, 0.0))

    def _among(self, points: set[int] | Sequence[int]) -> npt.NDArray[np.bool_]:
        return np.isin(_HANDLES, list(points))

    def values(
        self,
        x: Array | float = 0.0,
        y: Array | float = 0.0,
        z: Array | float = 0.0,
        **others: tuple[float, float, float],
    ) -> Array:
        """(k, 3): x, y, z at the lips; at other groups of handles the given triple.

        The x of a triple points outwards on both sides of the face.
        """
        array = np.zeros((len(_HANDLES), 3))
        for axis, component in enumerate((x, y, z)):
            array[:, axis] = np.where(self.lip, component, 0.0)
        for group, triple in others.items():
            at = self._among(_GROUPS[group])
            array[at] = np.array(triple)
            array[at, 0] *= self.side[at]
        return array


_GROUPS: Mapping[str, Sequence[int]] = {
    "cheeks": CHEEKS, "low_cheeks": CHEEKS[:2], "puff": PUFF, "chin": CHIN, "chin_skin": CHIN[1:],
    "wings": WINGS,
}  # fmt: skip


def mouth_shapes(canonical: Array, frame: MouthFrame) -> dict[str, Array]:
    """Fields (478, 3) at weight 1 of every ARKit name that moves mouth, cheeks or nose."""
    lips = _Lips(canonical, frame)
    fixed = NOSE + EYES + OVAL_UPPER + OVAL_LOWER + BROWS
    # handles that a shape does not name must follow or hold: lips and nose hold, cheeks follow
    shapes: dict[str, Array] = {}
    for name, values in (_both_sides(lips) | _middle(lips, frame)).items():
        moving = np.abs(values).sum(1) > 0
        keep = moving | lips.lip | lips._among(WINGS)
        handles = tuple(np.array(_HANDLES)[keep].tolist())
        shapes[name] = _field(handles, values[keep], fixed)
    return shapes


def _both_sides(lips: _Lips) -> dict[str, Array]:
    """Handle values of the shapes that come as Left and Right."""
    x, far, bell = lips.x, lips.corner_ness, lips.bell
    stretch = x * np.sqrt(far)
    outer = ~lips.inner
    pairs = {
        "mouthSmile": lips.values(
            0.05 * x * far, -0.055 * far**2.2 + 0.006 * (1 - far), 0.025 * x**2,
            cheeks=(0.012, -0.022, -0.012),
        ),
        "mouthFrown": lips.values(0.0, 0.045 * far**2.2, 0.01 * x**2),
        "mouthDimple": lips.values(0.03 * x * far**1.5, -0.008 * far**2, 0.03 * far),
        "mouthStretch": lips.values(
            0.055 * stretch, -0.006 * lips.outward * bell + 0.006 * far**2, 0.02 * far,
            low_cheeks=(0.012, 0.0, 0.0),
        ),
        "mouthPress": lips.values(
            0.0, -0.42 * lips.outward * lips.thickness * bell**0.6 * outer, 0.012
        ),
        "mouthUpperUp": lips.values(
            0.0, -0.045 * bell**0.7 * lips.upper - 0.012 * lips.corner, -0.004 * lips.upper
        ),
        "mouthLowerDown": lips.values(
            0.0, 0.045 * bell**0.7 * lips.lower + 0.010 * lips.corner, -0.004 * lips.lower,
            chin=(0.0, 0.008, 0.0),
        ),
        "noseSneer": lips.values(
            0.0, -0.014 * bell**0.5 * lips.upper * outer, 0.0, wings=(0.006, -0.020, -0.004),
            low_cheeks=(0.0, -0.012, -0.006),
        ),
    }  # fmt: skip
    shapes = {}
    for name, values in pairs.items():
        shapes[name + "Left"] = values * lips.left[:, None]
        shapes[name + "Right"] = values * (1 - lips.left)[:, None]
    return shapes


def _middle(lips: _Lips, frame: MouthFrame) -> dict[str, Array]:
    """Handle values of the shapes that have no side."""
    x, bell, thick = lips.x, lips.bell, lips.thickness
    inwards = -x * np.sqrt(lips.corner_ness)
    narrow = frame.neutral_half_width * inwards
    # round lips do not smile: corners come in and level, whatever the picture shows
    unsmile = (frame.half_width - frame.neutral_half_width) * inwards
    level = frame.raised * x**2
    outer = ~lips.inner
    # rounding alone never parts the lips: the jaw does, so that a closed mouth can be round
    pout = np.where(lips.inner, 0.0, -np.where(lips.upper, 0.10, 0.16) * thick * bell)
    sideways = 0.045 - 0.01 * lips.corner_ness
    left = lips.values(sideways, 0.0, 0.006 * lips.corner_ness)
    for group, amount in ((CHEEKS[:2], 0.018), (PUFF, 0.022), (CHIN[1:], 0.012)):
        left[lips._among(group), 0] = amount
    return {
        "mouthPucker": lips.values(
            0.44 * narrow + 0.6 * unsmile, pout * lips.outward + 0.6 * level,
            -0.05 * (0.6 + 0.4 * bell),
            low_cheeks=(0.0, 0.0, -0.01),
        ),
        "mouthFunnel": lips.values(
            0.12 * narrow + 0.5 * unsmile,
            np.where(lips.inner, 0.0, 0.012) * lips.outward * bell + 0.5 * level,
            -0.045 * (0.6 + 0.4 * bell), low_cheeks=(0.0, 0.004, 0.0), chin=(0.0, 0.010, 0.0),
        ),
        "mouthRollUpper": lips.values(
            0.0, 0.45 * thick * lips.upper * outer * bell**0.5, 0.02 * lips.upper
        ),
        "mouthRollLower": lips.values(
            0.0, -0.45 * thick * lips.lower * outer * bell**0.5, 0.02 * lips.lower
        ),
        "mouthShrugUpper": lips.values(
            0.0, -0.020 * bell * lips.upper * outer, -0.012 * lips.upper
        ),
        "mouthShrugLower": lips.values(
            0.0, -np.where(lips.upper, 0.018, np.where(lips.inner, 0.018, 0.030)) * bell,
            -0.010 * lips.lower, chin_skin=(0.0, -0.030, -0.008),
        ),
        "mouthLeft": left,
        "mouthRight": left * [-1, 1, 1],
        "cheekPuff": lips.values(
            0.0, -0.12 * lips.outward * thick * outer, -0.012, low_cheeks=(0.020, 0.0, -0.045),
            puff=(0.030, 0.0, -0.055),
        ),
        "tongueOut": lips.values(
            0.0, 0.030 * bell**0.7 * lips.lower - 0.006 * bell * lips.upper, 0.0,
            chin=(0.0, 0.012, 0.0),
        ),
    }  # fmt: skip


def closing(canonical: Array) -> Array:
    """(478, 3) the field that brings the pictured lips together, chin included."""
    soft = LIPS + CHIN
    values = np.zeros((len(soft), 3))
    index = {point: k for k, point in enumerate(soft)}
    rows = zip(LIP_INNER_UPPER, LIP_INNER_LOWER, LIP_OUTER_UPPER, LIP_OUTER_LOWER, strict=True)
    for upper, lower, outer_upper, outer_lower in list(rows)[1:-1]:
        gap = canonical[lower] - canonical[upper]
        gap *= [0.0, 1.0, 1.0] if gap[1] > CLOSED_GAP else 0.0
        values[index[upper]] = 0.25 * gap
        values[index[lower]] = -0.75 * gap
        values[index[outer_upper]] = 0.20 * gap
        values[index[outer_lower]] = -0.70 * gap
    gap = canonical[14] - canonical[13]
    for point in CHIN:
        values[index[point], 1] = -0.55 * max(0.0, gap[1] - CLOSED_GAP)
    # the chin must be free to rise: only the upper part of the oval holds
    return _field(soft, values, NOSE + EYES + OVAL_UPPER + (93, 323, 132, 361) + BROWS)
