"""Squares cut out of a picture at any scale.

Coordinates here and in every mesh: whole numbers are the centres of pixels, as in OpenCV's warps.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MARGIN = 2  # px around the part that is read, so that its edge does not show
_SHRINK_BELOW = 0.7  # a warp reads 4 x 4 pixels: shrink by averaging before it skips some


def square_affine(centre: Array, side: float, size: int) -> Array:
    """(2, 3) from px of a (size, size) square to px of the picture it is cut from."""
    scale = side / size
    corner = centre - side / 2
    return np.array([[scale, 0.0, corner[0]], [0.0, scale, corner[1]]])


def square(
    image: npt.NDArray[np.uint8],
    centre: Array,
    side: float,
    size: int,
    border: int = cv2.BORDER_CONSTANT,
    kernel: int = cv2.INTER_LINEAR,
) -> npt.NDArray[np.uint8]:
    """Cut the square of `side` px around `centre` out of a picture.

    Args:
        image: (H, W, C) uint8.
        centre: (2,) x, y in px.
        side: px of the picture.
        size: px of the result.
        border: OpenCV's name for what lies beyond the picture; black by default.
        kernel: OpenCV's name for the interpolation; smaller squares are averaged first.

    Returns:
        (size, size, C); pixel p shows `square_affine(...)` of p.
    """
    limit = np.array(image.shape[1::-1])
    corner = centre - side / 2
    low = np.clip(np.floor(corner).astype(int) - _MARGIN, 0, limit)
    high = np.clip(np.ceil(corner + side).astype(int) + _MARGIN, 0, limit)
    if (low >= high).any():
        return np.zeros((size, size, image.shape[2]), np.uint8)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    scale = size / side
    shrink = np.ones(2)
    if scale < _SHRINK_BELOW:
        extent = high - low
        smaller = np.maximum(1, np.rint(extent * scale)).astype(int)
        shrink = smaller / extent
        resized = cv2.resize(part, smaller.tolist(), interpolation=cv2.INTER_AREA)
        part = resized.astype(np.uint8).reshape(smaller[1], smaller[0], image.shape[2])
    start = (corner - low + 0.5) * shrink - 0.5
    step = shrink / scale
    to_part = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])
    return cv2.warpAffine(
        part, to_part, (size, size), flags=kernel | cv2.WARP_INVERSE_MAP, borderMode=border
    ).astype(np.uint8, copy=False)


def square_rgba(
    rgba: npt.NDArray[np.uint8], centre: Array, side: float, size: int, border: int
) -> npt.NDArray[np.uint8]:
    """`square` of a straight-alpha picture (H, W, 4): hidden colours do not bleed into visible."""
    kernel = cv2.INTER_CUBIC if size > side else cv2.INTER_LINEAR
    cut = square(rgba, centre, side, size, border, kernel)
    if cut[..., 3].min() == 255:
        return cut
    alpha = rgba[..., 3:].astype(np.uint16)
    weighted = ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
    visible = square(weighted, centre, side, size, border, kernel).astype(np.float32)
    coverage = np.maximum(cut[..., 3:].astype(np.float32), 1) / 255
    straight = np.clip(np.rint(visible / coverage), 0, 255).astype(np.uint8)
    colour = np.where(cut[..., 3:] > 0, straight, cut[..., :3])
    return np.concatenate([colour, cut[..., 3:]], axis=2)


def opaque(rgba: npt.NDArray[np.uint8], backdrop: int = 224) -> npt.NDArray[np.uint8]:
    """(H, W, 3) RGB over a grey backdrop; light, because drawings are dark on nothing."""
    colour = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB).astype(np.uint8, copy=False)
    if rgba[..., 3].min() == 255:
        return colour
    alpha = rgba[..., 3:].astype(np.uint16)
    over = colour * alpha + np.uint16(backdrop) * (255 - alpha)
    return ((over + 127) // 255).astype(np.uint8)


def quarter_turns(mesh: Array) -> int:
    """Counter-clockwise quarter turns, 0..3, that bring a face (478, 3) nearest to upright."""
    x, y = mesh[152, :2] - mesh[10, :2]  # brow to chin
    return round(float(np.arctan2(-x, y)) / (np.pi / 2)) % 4


def turned_back(mesh: Array, turns: int, width: int, height: int) -> Array:
    """A mesh in px of np.rot90(picture, turns), in px of the picture (height x width)."""
    x, y = mesh[:, 0], mesh[:, 1]
    back = mesh.copy()
    if turns == 1:
        back[:, 0], back[:, 1] = width - 1 - y, x
    elif turns == 2:
        back[:, 0], back[:, 1] = width - 1 - x, height - 1 - y
    elif turns == 3:
        back[:, 0], back[:, 1] = y, height - 1 - x
    return back
