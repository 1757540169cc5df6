"""Paper: its tooth, and other seeded fields that lie still under a picture."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .line_filters import Field, blur


def noise(shape: tuple[int, ...], sigma: float, seed: int) -> Field:
    """(H, W) smooth noise of mean 0 and deviation 1; `sigma` px is the size of its grains.

    The same for all shapes that are multiples of one another, but for what lies between: coarse
    noise is made small and enlarged.
    """
    shrink = max(1.0, sigma / 2)
    small = tuple(max(2, round(side / shrink)) for side in shape[:2])
    field = np.random.default_rng(seed).standard_normal(small, np.float32)
    if sigma / shrink > 0.3:
        field = blur(field, sigma / shrink)
    field = (field - field.mean()) / max(float(field.std()), 1e-6)
    if small != tuple(shape[:2]):
        size = (shape[1], shape[0])
        field = cv2.resize(field.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(field, np.float32)


def tooth(shape: tuple[int, ...], scale: float, seed: int) -> Field:
    """(H, W) height of a sheet of drawing paper, mean 0, deviation about 1."""
    fine, felt = noise(shape, 0.75 * scale, seed), noise(shape, 1.9 * scale, seed + 1)
    return np.float32(0.9) * fine + np.float32(0.35) * felt


def coded(*fields: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Fields -1..1 as channels of a grain; values beyond are clipped."""
    scaled = np.stack(fields, axis=2) * np.float32(127) + np.float32(128.5)
    return np.clip(scaled, 1, 255).astype(np.uint8)


def decoded(grain: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> list[Field]:
    """The fields -1..1 of a grain, (H, W) each, resampled to `shape`."""
    if grain.shape[:2] != tuple(shape[:2]):
        method = cv2.INTER_AREA if grain.shape[0] > shape[0] else cv2.INTER_LINEAR
        grain = cv2.resize(grain, (shape[1], shape[0]), interpolation=method)
    return [(grain[..., k].astype(np.float32) - 128) * np.float32(1 / 127) for k in range(3)]
