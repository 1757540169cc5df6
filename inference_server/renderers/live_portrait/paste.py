"""Putting a drawn crop back into its picture (S3 section 5)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_BORDER = 16  # px of 512 over which the crop fades


def border_mask(size: int = 512) -> npt.NDArray[np.uint8]:
    """(size, size) 255 inside, falling to 0 over the outer pixels of the crop."""
    at = np.arange(size)
    outside = np.maximum(np.maximum(_BORDER - at, at - (size - _BORDER)), 0).astype(np.float64)
    distance = np.hypot(outside[:, None], outside[None])
    return np.floor(255 * np.clip(1 - distance / _BORDER, 0, 1)).astype(np.uint8)


def paste_back(
    crop: npt.NDArray[np.uint8],
    picture: npt.NDArray[np.uint8],
    to_picture: npt.NDArray[np.float64],
) -> npt.NDArray[np.uint8]:
    """The picture with the crop in it.

    Args:
        crop: (S, S, 3).
        picture: (H, W, 3).
        to_picture: (2, 3) affine, crop px -> picture px.

    Returns:
        (H, W, 3); bytes outside the mask are those of `picture`.
    """
    size = picture.shape[1], picture.shape[0]
    mask = cv2.warpAffine(border_mask(len(crop)), to_picture, size).astype(np.float32) / 255
    warped = cv2.warpAffine(crop, to_picture, size)
    share = mask[..., None]
    return np.clip(share * warped + (1 - share) * picture, 0, 255).astype(np.uint8)


def to_bytes(pictures: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """(B, 3, H, W) 0..1 of the generator -> (B, H, W, 3) 0..255, cut off rather than rounded."""
    return (np.clip(pictures, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
