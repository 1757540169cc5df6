"""Pen and brush: black masses for the darks, tapered contours, strands cut out of the black.

Lines come from contours.py, masses are an adaptive threshold of tone (masses.py). All lengths are
px of a 512 px crop unless said otherwise. Constants were tuned by eye on photographs, paintings,
cartoons and drawings, at 512 and 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from . import contours, masses, strokes, tones
from .contours import Nib
from .line_filters import Field, blur, resized
from .settings import number

_PAPER = (252.0, 251.0, 248.0)  # RGB
_BLACK = (14.0, 14.0, 17.0)  # RGB

_LINE = Nib(fade=0.25, full=1.0, length=7.5, radius=1.4)
_CARVE = Nib(fade=0.6, full=2.0, length=8.0, radius=1.2)  # strands cut out of the black


class Ink:
    """Drawing in black ink; see registry.Style."""

    name = "ink"
    version = "1"
    reach = contours.REACH

    def tuning(
        self,
        image: npt.NDArray[np.uint8],
        scale: float,
        face: tuple[float, float, float, float] | None = None,
    ) -> Mapping[str, Any]:
        """What counts as black and as a line in this picture, measured on the face.

        Returns:
            tone_black, tone_skin, full_line: see contours.measured;
            ink_dark: levelled tone below which all is black (see masses.py).
        """
        measured, tone = contours.measured(image, scale, face)
        detail = scale * tones.factor(scale, contours.MOST_DETAIL)
        return {**measured, "ink_dark": masses.dark_tone(tone, detail)}

    def grain(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> None:
        """Ink is even: nothing but the drawing is to be seen."""

    def apply(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """Redraw an (H, W, 3) uint8 RGB picture; `seed` has no part in it.

        Raises:
            SpecInvalid: `line_weight` is not a number in its range.
        """
        weight = number(params, "line_weight")
        if "ink_dark" not in params:
            params = {**params, **self.tuning(image, scale)}
        factor = tones.factor(scale, contours.MOST_DETAIL)
        detail = scale * factor
        full = float(params["full_line"])
        picture = tones.analysed(image, factor)
        picture = tones.levelled(picture, params["tone_black"], params["tone_skin"])
        tone = blur(tones.mixed(picture, tones.TONE_WEIGHTS), masses.FINE * detail)
        lines, flowing = contours.find(picture, tone, detail, full)

        excess = masses.lightness(tone, flowing, detail, params["ink_dark"])
        # drawn at the larger size of analysis and frame
        canvas = (max(len(picture), len(image)), max(picture.shape[1], image.shape[1]))
        cover = masses.cover(excess, detail, canvas)
        pen = (scale if scale > 1 else scale**0.75) * max(factor, 1)  # small frames: bolder lines
        strands = np.where(excess < 0, -lines.response, np.float32(0))
        found = strokes.trace(strands, lines.tx, lines.ty, _CARVE.fade * full)
        light = np.zeros_like(cover)
        contours.draw(light, found, _CARVE, full, detail, pen)
        cover = np.minimum(cover, 1 - light)
        found = strokes.trace(lines.response, lines.tx, lines.ty, _LINE.fade * full)
        contours.draw(cover, found, _LINE, full, detail, pen * weight)
        cover = masses.without_specks(cover, scale * max(factor, 1))
        return _printed(resized(cover, image.shape[:2], cv2.INTER_AREA))


def _printed(cover: Field) -> npt.NDArray[np.uint8]:
    """Coverage 0..1 -> (H, W, 3) uint8 RGB."""
    steps = np.arange(256)[:, None] / 255
    table = np.array(_PAPER) + steps * (np.array(_BLACK) - np.array(_PAPER))
    return np.round(table).astype(np.uint8)[(cover * 255 + np.float32(0.5)).astype(np.uint8)]
