"""Finds the iris as the circle across which lightness rises most.

Daugman, "How iris recognition works" (2004), equation 1, on the parts of the circle that the lids
leave free.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_RADII = np.linspace(0.75, 1.6, 28)  # of the mesh's iris radius
_SHIFTS_X = np.linspace(-0.25, 0.25, 7)  # of that radius
_SHIFTS_Y = np.linspace(-0.2, 0.2, 5)
# left and right of the iris; above and below lie the lids
_ANGLES = np.radians(np.concatenate([np.arange(-50, 51, 10), np.arange(130, 231, 10)]))
_DAMPING = 6  # free places added to the divisor: a few lucky ones must not win
_PRICE = 0.10  # of a way from the mesh's circle, in parts of the best rise
_LEAST_RISE = 0.35  # CIE L per step of radius


def fit_iris(lightness: npt.NDArray[np.float32], ring: Array, iris: Array) -> Array:
    """Move and scale an iris onto the picture's.

    Args:
        lightness: (h, w) CIE L.
        ring: (K, 2) px, the lid rims.
        iris: (5, 2) px, centre and four rim points.

    Returns:
        (5, 2) px; unchanged when no circle stands out.
    """
    centre = iris[0]
    radius = float(np.linalg.norm(iris[1:] - centre, axis=1).mean())
    width = float(np.ptp(ring[:, 0]))
    if radius < 1.5:
        return iris
    soft = cv2.GaussianBlur(lightness, (0, 0), max(0.6, 0.015 * width))
    opening = np.zeros(lightness.shape, np.uint8)
    cv2.fillPoly(opening, [np.rint(ring).astype(np.int32)], (255,))
    visible = cv2.erode(opening, np.ones((3, 3), np.uint8))
    spokes = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    shifts = np.stack(np.meshgrid(_SHIFTS_X, _SHIFTS_Y, indexing="ij"), axis=-1).reshape(-1, 2)
    centres = centre + radius * shifts
    places = centres[:, None, None] + spokes[:, None] * (_RADII * radius)[:, None]
    x, y = places[..., 0].astype(np.float32), places[..., 1].astype(np.float32)
    flat = (-1, len(_RADII))  # OpenCV's maps have two axes
    tone = cv2.remap(soft, x.reshape(flat), y.reshape(flat), cv2.INTER_LINEAR).reshape(x.shape)
    free = cv2.remap(visible, x.reshape(flat), y.reshape(flat), cv2.INTER_NEAREST) > 0
    free = free.reshape(x.shape)
    rise = (np.gradient(tone, axis=2) * free).sum(1) / (free.sum(1) + _DAMPING)
    best = rise.argmax(1)
    peak = rise.max(1)
    away = np.abs(shifts).sum(1) + 0.5 * np.abs(_RADII[best] - 1)
    value = peak - _PRICE * peak * away
    winner = int(value.argmax())
    if value[winner] <= _LEAST_RISE:
        return iris
    return (iris - centre) * _RADII[best[winner]] + centres[winner]
