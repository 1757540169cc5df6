"""Outlines as coverage masks, and boxes around them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_SHIFT = 4  # bits of sub-pixel precision that OpenCV's polygon filler gets


def coverage(outline: npt.NDArray[np.floating], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """(h, w) 0..1: how much of each pixel lies inside the outline (k, 2) px, anti-aliased."""
    mask = np.zeros(shape[:2], np.uint8)
    points = np.round(np.asarray(outline) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, cv2.LINE_AA, _SHIFT)
    return mask.astype(np.float32) / np.float32(255)


def box_around(
    points: npt.NDArray[np.floating], margin: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the pixels around points (k, 2), clipped to an (h, w, ...) picture."""
    low = np.floor(points.min(0) - margin).astype(int)
    high = np.ceil(points.max(0) + margin).astype(int) + 1
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, [shape[1], shape[0]])
    return int(x0), int(y0), max(int(x1), int(x0)), max(int(y1), int(y0))
