"""Where a strip's picture lies in the sequencer's preview.

View space of the preview: (0, 0) is the centre of the scene's picture, one unit is one of its
pixels, y goes up. Everything is a 3x3 matrix for (x, y, 1), so that metas, flips and turns compose.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]  # (3, 3)


def is_quiet(context: Any) -> bool:
    """True while nothing plays: then there is time to draw over the picture."""
    return context.screen is None or not context.screen.is_animation_playing


def frame_to_view(strip: Any, size: tuple[int, int]) -> Matrix:
    """From pixels of a strip's picture (origin top left, y down) to view space.

    Args:
        strip: an image strip; the metas around it count too.
        size: (w, h) px of the picture; a proxy is shown at the size of its original.
    """
    render = strip.id_data.render
    width, height = size
    matrix = _placed(strip, size) @ np.array(
        [[1.0, 0.0, -width / 2], [0.0, -1.0, height / 2], [0.0, 0.0, 1.0]]
    )
    meta = strip.parent_meta()
    while meta is not None:
        matrix = _placed(meta, (render.resolution_x, render.resolution_y)) @ matrix
        meta = meta.parent_meta()
    aspect = render.pixel_aspect_x / render.pixel_aspect_y
    return np.diag([aspect, 1.0, 1.0]) @ matrix


def view_to_region(region: Any) -> Matrix:
    """From view space to pixels of a region."""
    view = region.view2d
    far = 100_000.0  # Blender answers in whole pixels
    x0, y0 = view.view_to_region(0.0, 0.0, clip=False)
    x1, y1 = view.view_to_region(far, far, clip=False)
    return np.array([[(x1 - x0) / far, 0.0, x0], [0.0, (y1 - y0) / far, y0], [0.0, 0.0, 1.0]])


def apply(matrix: Matrix, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points (..., 2) through a matrix."""
    flat = np.asarray(points, np.float64)
    return flat @ matrix[:2, :2].T + matrix[:2, 2]


def four_by_four(matrix: Matrix) -> list[list[float]]:
    """As `gpu.matrix` takes it."""
    (a, b, x), (c, d, y), _ = matrix.tolist()
    return [[a, b, 0.0, x], [c, d, 0.0, y], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def _placed(strip: Any, size: tuple[int, int]) -> Matrix:
    """Offset, scale and rotation about the strip's origin, then its flips."""
    transform = strip.transform
    x, y = (transform.origin[0] - 0.5) * size[0], (transform.origin[1] - 0.5) * size[1]
    cos, sin = math.cos(transform.rotation), math.sin(transform.rotation)
    turned = np.array([[cos, -sin], [sin, cos]]) @ np.diag([transform.scale_x, transform.scale_y])
    matrix = np.eye(3)
    matrix[:2, :2] = turned
    matrix[:2, 2] = np.array([transform.offset_x + x, transform.offset_y + y]) - turned @ (x, y)
    mirrored = [-1.0 if strip.use_flip_x else 1.0, -1.0 if strip.use_flip_y else 1.0, 1.0]
    return np.diag(mirrored) @ matrix
