"""Lines of the mouth: between shut lips where the picture shows it open, and of drawn lips."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .polygons import box_around
from .raster import compiled

Array = npt.NDArray[np.float64]

HALF_WIDTH = 0.0075  # face widths: of the line in the middle of the mouth
FADE_FROM_PX, FADE_TO_PX = 1.2, 4.0  # of a 512 px crop: gaps over which the lips part
UNDER_LIP = 0.5  # strength of the line when the lips are apart: the shade of the upper one


def draw(
    canvas: npt.NDArray[np.uint8],
    corner: tuple[int, int],
    rim: Array,
    colour: Array,
    scale: float,
    unit: float,
    flat: bool,
) -> None:
    """Paint the seam into `canvas` (h, w, 4), in place, and its rest under the upper lip.

    Args:
        corner: x, y of the canvas in the picture.
        rim: (2k, 2) px of the picture: inner lip line now, upper row, then lower row back.
        colour: (3,) of the lips' shadow.
        scale: px per face width.
        unit: px per pixel of a 512 px crop.
        flat: a line of ink, without any shade around it.
    """
    half = len(rim) // 2
    upper, lower = rim[: half + 1], np.concatenate([rim[half:], rim[:1]])[::-1]
    apart = np.linalg.norm(lower - upper, axis=1)
    gap = apart / unit
    # from where the lips part on, the line stays with the upper one
    widest = HALF_WIDTH * scale
    middle = (
        upper + (lower - upper) * np.minimum(0.5, 0.5 * widest / np.maximum(apart, 1e-6))[:, None]
    )
    along = np.linspace(-1, 1, half + 1)
    shut = np.clip((FADE_TO_PX - gap) / (FADE_TO_PX - FADE_FROM_PX), 0, 1)
    strength = (1.0 if flat else UNDER_LIP) * (1 - shut) + shut
    strength *= 0.45 + 0.55 * np.clip(2.5 * (1 - np.abs(along)), 0, 1)
    width = np.maximum(widest * (0.40 + 0.60 * np.sqrt(np.clip(1 - along**2, 0, 1))), 0.55)
    reach = 3 * float(width.max()) + 2
    x0, y0, x1, y1 = box_around(middle - corner, reach, canvas.shape)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.float32)
    _stroke(mask, middle - corner - [x0, y0], width, strength, flat)
    if flat:
        mask = cv2.GaussianBlur(mask, (3, 3), 0.5)
    view = canvas[y0:y1, x0:x1, :3]
    share = mask[..., None]
    view[:] = (view * (1 - share) + colour.astype(np.float32) * share + 0.5).astype(np.uint8)


def outline(
    view: npt.NDArray[np.uint8], line: Array, strength: float, thickness: float, colour: Array
) -> None:
    """A line of ink (k, 2) px, `thickness` px, along the lower lip: paper ends there; in place."""
    ink = np.zeros(view.shape[:2], np.uint8)
    points = np.round(line * 16).astype(np.int32)
    cv2.polylines(ink, [points], False, 255, max(1, round(thickness)), cv2.LINE_AA, 4)
    amount = (ink.astype(np.float32) * np.float32(strength / 255))[..., None]
    view[..., :3] = (view[..., :3] * (1 - amount) + colour * amount + 0.5).astype(np.uint8)


@compiled
def _stroke(mask, points, width, strength, flat):  # type: ignore[no-untyped-def]
    """Coverage of a line of varying width: a ridge, or for ink a band with firm edges."""
    rows, columns = mask.shape
    for k in range(len(points) - 1):
        ax, ay = points[k, 0], points[k, 1]
        bx, by = points[k + 1, 0] - ax, points[k + 1, 1] - ay
        length = bx * bx + by * by + 1e-9
        reach = 3 * max(width[k], width[k + 1]) + 1
        left, right = min(ax, ax + bx) - reach, max(ax, ax + bx) + reach
        top, bottom = min(ay, ay + by) - reach, max(ay, ay + by) + reach
        for i in range(max(0, int(top)), min(rows, int(bottom) + 1)):
            for j in range(max(0, int(left)), min(columns, int(right) + 1)):
                t = ((j - ax) * bx + (i - ay) * by) / length
                t = min(max(t, 0.0), 1.0)
                x, y = j - ax - t * bx, i - ay - t * by
                w = width[k] + t * (width[k + 1] - width[k])
                s = strength[k] + t * (strength[k + 1] - strength[k])
                distance = np.sqrt(x * x + y * y) / w
                if flat:
                    cover = min(max((1.0 - distance) * w + 0.5, 0.0), 1.0)
                else:
                    cover = 0.82 * np.exp(-0.5 * (distance * 1.5) ** 2)
                    # the lower lip lies in a little shade
                    if y > 0:
                        cover = max(cover, 0.30 * np.exp(-0.5 * (distance * 0.75) ** 2))
                mask[i, j] = max(mask[i, j], s * cover)
