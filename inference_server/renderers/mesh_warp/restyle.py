"""Drawn portraits: everything is drawn once and warped; what appears anew is drawn per frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Look
from inference_server.registry import STYLES, Style, load

from .plates import Plates, Stage, figure_plates
from .polygons import box_around, coverage

Image = npt.NDArray[np.uint8]

REACH = 28  # px of a 512 px crop: how far a style looks around a pixel


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """A style tuned to one portrait."""

    style: Style
    scale: float  # px per pixel of a 512 px crop
    seed: int
    params: Mapping[str, Any]

    def redraw(self, image: Image) -> Image:
        """An (h, w, 3) picture, or part of it, in this medium."""
        return self.style.apply(np.ascontiguousarray(image), self.scale, self.seed, self.params)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A place that must be drawn anew in one frame."""

    outline: npt.NDArray[np.float64]  # (k, 2) px of the square
    margin: float  # px around the outline that is drawn anew in full, and again to fade out
    amount: float  # 0..1


def medium(scene: Stage, look: Look) -> Medium | None:
    """The medium that a look asks for; None when the picture stays as it is."""
    if look.style == "photo":
        return None
    style: Style = load(STYLES, look.style)
    scale = look.size / 512
    corner = np.array(scene.corner)
    low, high = scene.mesh[:, :2].min(0) + corner, scene.mesh[:, :2].max(0) + corner
    face = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    tuned = style.tuning(scene.frame, scale, face)
    return Medium(style, scale, look.seed, {**look.params, **tuned})


def styled_plates(
    scene: Stage, figure: Image, clean: Image, drawing: Medium, opaque: bool
) -> tuple[Plates, Image]:
    """The plates in a medium, and the whole frame at rest in it, (H, W, 3).

    `figure` is the scene's wide picture without what the mouth shows, `clean` the square (h, w, 3)
    without the figure.
    """
    background = drawing.redraw(clean)
    if scene.frame.shape[:2] == scene.shape:
        wide = drawing.redraw(figure)
        height, width = scene.shape
        frame = wide[scene.pad : scene.pad + height, scene.pad : scene.pad + width]
    else:
        pad, (x0, y0) = scene.pad, scene.corner
        height, width = scene.shape
        closed = scene.frame.copy()
        closed[y0 : y0 + height, x0 : x0 + width] = figure[pad : pad + height, pad : pad + width]
        frame = drawing.redraw(closed)
        bordered = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
        height, width = scene.wide.shape[:2]
        wide = bordered[y0 : y0 + height, x0 : x0 + width]
    return figure_plates(scene, wide, background, opaque, crisp=True), frame


def blend(
    canvas: Image, photo: Image, corner: tuple[int, int], patch: Patch, drawing: Medium
) -> None:
    """Draw a patch of the photo anew and blend it into the drawn canvas, in place.

    Args:
        canvas: (h, w, 4) the whole square, drawn; only colours change.
        photo: (a, b, 4) part of the same frame, not drawn.
        corner: x, y of that part in the square.
    """
    drawn = drawing.redraw(photo[..., :3])
    x0, y0, x1, y1 = box_around(patch.outline - corner, 2 * patch.margin + 2, photo.shape)
    mask = coverage(patch.outline - corner - [x0, y0], (y1 - y0, x1 - x0))
    reach = max(1, int(patch.margin)) * 2 + 1
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.4 * patch.margin))
    mask = (mask * np.float32(patch.amount))[..., None]
    view = canvas[corner[1] + y0 : corner[1] + y1, corner[0] + x0 : corner[0] + x1, :3]
    view[:] = (view * (1 - mask) + drawn[y0:y1, x0:x1] * mask + 0.5).astype(np.uint8)
