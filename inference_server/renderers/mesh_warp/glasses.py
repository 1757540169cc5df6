"""Glasses: found by their bridge, and kept rigid while the face around them moves."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    IRIS_LEFT,
    IRIS_RIGHT,
    N_MESH,
)

from .palette import LUMA

Array = npt.NDArray[np.float64]
Lenses = Literal["none", "clear", "dark"]

_UNIT = 160  # px per face width in which the bridge is looked for
_EYES = 32  # px: row of the eyes
_BRIDGE = (slice(_EYES - 16, _EYES + 14), 0, 8)  # rows, centre from the nose, half width; px
_RIMS = ((slice(_EYES + 16, _EYES + 44), -30, 16), (slice(_EYES + 16, _EYES + 44), 30, 16))
_STROKE = 3  # px: half the thickness of what counts as a stroke
WORN = 7.5  # bridge times fainter rim; 74 faces: 9 with glasses 8.6 up, others but 2 up to 6.6
_DARK = 0.3  # of the skin's brightness: a lens that hides the eye


def lenses(image: npt.NDArray[np.uint8], fit: Fit, wish: str) -> Lenses:
    """What a face wears; `wish` is one of Lenses, or "auto": look at the (h, w, 3) picture."""
    if wish == "auto":
        view = _frontal(image, fit)
        ridge, skin = _ridge(view)
        strokes = [_stroke(ridge, *place) / skin for place in (_BRIDGE, *_RIMS)]
        if strokes[0] * min(strokes[1:]) < WORN:
            return "none"
        wish = "dark" if _hidden(view) else "clear"
    return "dark" if wish == "dark" else "clear" if wish == "clear" else "none"


def looseness(canonical: Array, worn: Lenses) -> Array:
    """(478,) how much of its expression each point of a face (478, 3) shows with these glasses.

    Skin that a frame can lie on moves with the skull alone: from below the brows to the cheeks.
    Lids move inside of the lens.
    """
    loose = np.ones(N_MESH)
    if worn == "none":
        return loose
    eyes = canonical[[IRIS_RIGHT[0], IRIS_LEFT[0]], :2]
    height = canonical[:, 1] - eyes[:, 1].mean()
    above = 0.6 * _smoothstep(-height, 0.08, 0.17)
    below = _smoothstep(height, 0.20, 0.32)
    loose = np.maximum(above, below)
    if worn == "clear":
        rims = (EYE_RIGHT_RIM, EYE_LEFT_RIM)
        for rim in rims:
            contour = canonical[list(rim), :2].astype(np.float32).reshape(-1, 1, 2)
            away = [
                -cv2.pointPolygonTest(contour, (float(x), float(y)), True)
                for x, y in canonical[:, :2]
            ]
            loose = np.maximum(loose, 1 - _smoothstep(np.array(away), 0.005, 0.06))
    return loose


def _smoothstep(x: Array, low: float, high: float) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth


def _frontal(image: npt.NDArray[np.uint8], fit: Fit) -> npt.NDArray[np.float32]:
    """Brightness of the face around the eyes, seen from the front: (0.5, 0.84) face widths."""
    level = float(fit.canonical[[IRIS_RIGHT[0], IRIS_LEFT[0]], 1].mean())
    x, y = np.meshgrid(
        np.linspace(-0.42, 0.42, int(0.84 * _UNIT)),
        np.linspace(level - 0.2, level + 0.3, int(0.5 * _UNIT)),
    )
    z = float(fit.canonical[168, 2]) + 0.9 * x**2
    at = fit.to_picture(np.stack([x, y, z], -1)).astype(np.float32)
    seen = cv2.remap(image, at[..., 0], at[..., 1], cv2.INTER_LINEAR)
    bright = seen.astype(np.float32) @ LUMA.astype(np.float32)
    return cv2.GaussianBlur(bright, (0, 0), 0.8)


def _ridge(view: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """How much lighter a row is than those around it, and how much of that is texture of skin."""
    ridge = np.zeros_like(view)
    around = view[: -2 * _STROKE] + view[2 * _STROKE :]
    ridge[_STROKE:-_STROKE] = view[_STROKE:-_STROKE] - 0.5 * around
    middle = view.shape[1] // 2
    nose = ridge[_BRIDGE[0].start :, middle - 30 : middle + 30]
    return ridge, 1 + float(np.median(np.abs(nose)))


def _stroke(ridge: npt.NDArray[np.float32], rows: slice, centre: int, half_width: int) -> float:
    """Strength of the best light or dark stroke that crosses a place from left to right."""
    left = ridge.shape[1] // 2 + centre - half_width
    best = 0.0
    for signed in (ridge, -ridge):
        part = signed[rows, left : left + 2 * half_width + 1]
        reached = part[:, 0]
        for column in range(1, part.shape[1]):
            padded = np.pad(reached, 1, constant_values=-1e9)
            before = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
            reached = part[:, column] + before
        best = max(best, float(reached.max()) / part.shape[1])
    return best


def _hidden(view: npt.NDArray[np.float32]) -> bool:
    """Whether both eyes lie behind something evenly dark."""
    eyes = slice(int(0.3 * view.shape[0]), int(0.5 * view.shape[0]))
    width = view.shape[1]
    sides = [view[eyes, int(c * width) - 14 : int(c * width) + 14] for c in (0.27, 0.73)]
    skin = float(np.median(view[_RIMS[0][0].start + 12 :]))
    return all(float(np.percentile(side, 85)) < _DARK * skin for side in sides)
