"""How each ARKit weight moves the face: displacement fields on one portrait, and the jaw.

All lengths are face widths on the canonical axes (x right of the picture, y down, z away). The
person's left is x > 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES
from inference_server.portrait.topology import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_MIDDLE_LOWER,
    LIP_MIDDLE_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    LIP_WET_LOWER,
    LIP_WET_UPPER,
    N_MESH,
)

from .rig_eyes import brow_shapes, eye_shapes
from .rig_mouth import MouthFrame, closing, jaw_weights, mouth_shapes

Array = npt.NDArray[np.float64]

SKIN = "skin"  # in Motion.native: (N, 478, 3) canonical face widths that no ARKit shape tells
JAW_DEG = 21.0  # rotation that opens most mouths FULL_OPENING wide
FULL_OPENING = 0.165  # face widths between the inner lips at jawOpen 1; a loud "ah"
JAW_HINGE = (0.06, -0.06)  # y, z
JAW_NARROWING = 0.10  # of the half width of the mouth, at the corners, at jawOpen 1
JAW_SIDEWAYS = 0.05
JAW_FORWARD = 0.04
BLINK_EASE = 0.28
# a gap between the lips is closed mostly by the lower lip; rows further out follow less
_UPPER_ROWS = (LIP_INNER_UPPER, LIP_WET_UPPER, LIP_MIDDLE_UPPER, LIP_OUTER_UPPER)
_LOWER_ROWS = (LIP_INNER_LOWER, LIP_WET_LOWER, LIP_MIDDLE_LOWER, LIP_OUTER_LOWER)
_UPPER_SHARE = 0.3 * np.array([1.0, 0.9, 0.75, 0.55])[:, None, None]
_LOWER_SHARE = 0.7 * np.array([1.0, 0.9, 0.8, 0.65])[:, None, None]
_UPPER = np.array([row[1:-1] for row in _UPPER_ROWS])  # (4, 9), corners left out
_LOWER = np.array([row[1:-1] for row in _LOWER_ROWS])
_LID_PAIRS = np.array(
    [
        EYE_RIGHT_UPPER[1:-1] + EYE_LEFT_UPPER[1:-1],
        EYE_RIGHT_LOWER[1:-1] + EYE_LEFT_LOWER[1:-1],
    ]
)
_JAW_OPEN, _MOUTH_CLOSE = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]
_BLINK = (ARKIT_INDEX["eyeBlinkRight"], ARKIT_INDEX["eyeBlinkLeft"])


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """The expressions of one face."""

    canonical: Array  # (478, 3) the face as pictured, without its pose
    mouth: MouthFrame
    close: Array  # (478, 3) brings the lips together where the picture shows them apart
    basis: Array  # (52, 478 * 3) displacement at weight 1; rows as ARKIT_NAMES
    jaw_weights: Array  # (478,) 1 turns with the jaw, 0 stays with the skull
    full_gap: Array  # (9, 3) what jawOpen 1 puts between the inner lips
    jaw_gain: float  # of JAW_DEG at jawOpen 1: every mouth opens equally wide

    def expression(
        self, weights: npt.NDArray[np.floating], lids: Array, skin: Array | float = 0.0
    ) -> Array:
        """Displacement (478, 3) of a frame.

        Args:
            weights: (52,) a row of Motion.expression.
            lids: (2,) added to eyeBlinkRight and eyeBlinkLeft because the lids follow the gaze.
            skin: (478, 3) a row of SKIN, added to what the weights do.
        """
        amounts = np.asarray(weights, np.float64).copy()
        jaw, closed = float(amounts[_JAW_OPEN]), float(amounts[_MOUTH_CLOSE])
        for column, lid in zip(_BLINK, lids, strict=True):
            shut = float(np.clip(amounts[column] + lid, -0.25, 1.0))
            # at 0.5 the upper lid covers half of the eye, though the lower one comes up as well
            amounts[column] = shut * (1 + BLINK_EASE * (1 - shut)) if shut > 0 else shut
        used = np.flatnonzero(amounts)
        # not a matrix product: BLAS would start threads for it, and may add in another order
        blended = (amounts[used, None] * self.basis[used]).sum(0)
        moved = self.close + blended.reshape(N_MESH, 3)
        gap_at_rest = self._gap(moved)
        if jaw:
            moved += self._open_jaw(self.canonical + moved, jaw)
        moved += skin
        # mouthClose takes back what the jaw has opened, and no more than the lips' meeting
        undone = (self._gap(moved) - gap_at_rest) * (min(1.0, closed / jaw) if jaw else 0.0)
        undone += max(0.0, closed - jaw) * self.full_gap
        self._meet(moved, undone)
        self._meet(moved, np.minimum(self._gap(moved), 0) * np.array([0.0, 1.0, 0.0]))
        self._part_lids(moved)
        return moved

    def _gap(self, moved: Array) -> Array:
        """(9, 3) from the upper to the lower inner lip line, without the corners."""
        now = self.canonical + moved
        return now[_LOWER[0]] - now[_UPPER[0]]

    def _open_jaw(self, points: Array, amount: float) -> Array:
        """Displacement of points (478, 3) by the turning jaw."""
        moved = turn_jaw(points, amount * self.jaw_gain * self.jaw_weights) - points
        across = np.clip((points[:, 0] - self.mouth.centre) / self.mouth.half_width, -1.3, 1.3)
        near = np.exp(-(((points[:, 1] - self.mouth.seam) / 0.16) ** 2))
        near *= np.exp(-((np.abs(across) / 1.2) ** 4))
        moved[:, 0] -= JAW_NARROWING * amount * across * self.mouth.half_width * near
        return moved

    def _meet(self, moved: Array, gap: Array) -> None:
        """Take (9, 3) out of the gap between the lips, in place."""
        moved[_UPPER] += _UPPER_SHARE * gap
        moved[_LOWER] -= _LOWER_SHARE * gap

    def _part_lids(self, moved: Array) -> None:
        """Keep the upper lids from crossing the lower ones, in place."""
        upper, lower = _LID_PAIRS
        gap = (self.canonical + moved)[lower, 1] - (self.canonical + moved)[upper, 1]
        moved[upper, 1] += np.minimum(gap, 0)


def turn_jaw(points: Array, amount: Array | float) -> Array:
    """Points (n, 3) turned about the jaw's hinge by `amount` times JAW_DEG."""
    hinge_y, hinge_z = JAW_HINGE
    angle = np.radians(JAW_DEG) * amount
    cosine, sine = np.cos(angle), np.sin(angle)
    y, z = points[:, 1] - hinge_y, points[:, 2] - hinge_z
    turned = points.copy()
    turned[:, 1] = cosine * y - sine * z + hinge_y
    turned[:, 2] = sine * y + cosine * z + hinge_z
    return turned


def build(canonical: Array, view: Array) -> Rig:
    """The rig of a face (478, 3) in canonical axes.

    `view` (2, 3) projects canonical axes to the picture: a full opening is measured as it is seen.
    """
    mouth = MouthFrame.of(canonical)
    weights = jaw_weights()
    shapes = mouth_shapes(canonical, mouth) | eye_shapes(canonical) | brow_shapes(canonical)
    shapes["jawForward"] = weights[:, None] * [0.0, 0.006, -JAW_FORWARD]
    shapes["jawLeft"] = weights[:, None] * [JAW_SIDEWAYS, 0.0, 0.0]
    shapes["jawRight"] = weights[:, None] * [-JAW_SIDEWAYS, 0.0, 0.0]
    basis = np.zeros((len(ARKIT_NAMES), N_MESH * 3))
    for name, field in shapes.items():
        basis[ARKIT_INDEX[name]] = field.ravel()
    close = closing(canonical)
    rig = Rig(canonical, mouth, close, basis, weights, np.zeros((len(_UPPER[0]), 3)), 1.0)
    for _ in range(2):  # nearly linear: the second step only polishes
        opened = close + rig._open_jaw(canonical + close, 1.0)
        gap = rig._gap(opened) - rig._gap(close)
        gain = float(np.clip(rig.jaw_gain * FULL_OPENING / np.linalg.norm(view @ gap[4]), 0.7, 1.6))
        rig = replace(rig, full_gap=gap, jaw_gain=gain)
    return rig
