"""Cartoon: flat clear shapes of few colours, with confident outlines.

A picture is smoothed by the anisotropic Kuwahara filter until only shapes are left, and each pixel
takes the nearest colour of a palette that was measured on the whole picture. Outlines come from
contours.py. All lengths are px of a 512 px crop. Constants were tuned by eye on photographs,
paintings, cartoons and drawings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inference_server.datatypes import Sitter

from . import contours, palettes, reference, strokes, tones
from .contours import Lines, Nib
from .kuwahara import kuwahara
from .line_filters import Field, Image, blur, flow, resized, shrunk_half, smoothstep
from .settings import complete, number

_TENSOR_SIGMA, _WIDE_SIGMA, _WIDE_SHARE = 2.4, 7.0, 0.2  # of the flow
_RADIUS = 3.2  # of the Kuwahara filter
_ROUND = 1.2  # blur after it: shapes get round corners
_CALM, _BUSY = 5.0, (0.012, 0.035)  # blur of what is calm; contrast, 0..1, of what is not
_INK = (0.10, 0.075, 0.085)  # RGB
_OWN_COLOUR = 0.3  # how much of the colour around it a line keeps
_SHAPES = 0.6  # how much outlines are those of the shapes
_LINE = Nib(fade=0.34, full=1.0, length=11.0, radius=1.5)


class Cartoon:
    """Flat colours and outlines; see registry.Style."""

    name = "cartoon"
    version = "3"
    reach = 12  # the filter needs no more; outlines agree but for their faintest ends
    shaded = False
    lined = True
    regional = False

    def tuning(
        self,
        image: Image,
        scale: float,
        who: Sitter | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """See contours.measured; `colours`: those of the picture, see palettes.counted."""
        measured, _ = contours.measured(image, scale, None if who is None else who.box)
        factor = 1 / scale  # measured at 512 px
        picture = tones.analysed(image, factor)
        inside = tones.oval(
            picture.shape[:2], tones.scaled_box(image, factor, None if who is None else who.box)
        )
        _, smooth = _flat(picture, 1.0, 1.0)
        colours = palettes.counted(smooth, inside)
        lent = reference.chosen(params)
        moved = None if lent is None else reference.moves(colours, lent)
        return {**measured, "colours": colours, "moves": moved}

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> None:  # fmt: skip
        """Flat colour has none."""

    def develop(self, plate: Image, scale: float, params: Mapping[str, Any]) -> Image:
        """A plate is what is seen."""
        return plate

    def plate(self, image: Image, scale: float, seed: int, params: Mapping[str, Any]) -> Image:
        """Redraw an (H, W, 3) uint8 RGB picture; `seed` has no part in it.

        Raises:
            SpecInvalid: a setting is not a number in its range.
        """
        params = complete(self, image, scale, seed, params)
        weight, amount = number(params, "line_weight"), number(params, "detail")
        size = round(number(params, "palette_size"))
        factor = tones.factor(scale, contours.MOST_DETAIL)
        detail = scale * factor
        picture = tones.analysed(image, factor)
        shapes, smooth = _flat(picture, detail, amount)
        palette, seen = palettes.reduced(params["colours"], size), None
        if params.get("moves") is not None:
            seen = reference.moved(palette, params["moves"])
        canvas = (max(len(picture), len(image)), max(picture.shape[1], image.shape[1]))
        flat = palettes.nearest(resized(smooth, canvas, cv2.INTER_CUBIC), palette, seen)

        full = float(params["full_line"]) / amount**0.5
        # half of the picture: outlines of shapes, and of lids and lips that are no shapes
        model = np.float32(_SHAPES) * shapes + np.float32(1 - _SHAPES) * picture
        model = tones.levelled(model, params["tone_black"], params["tone_skin"])
        lines, _ = contours.find(model, model[..., 1], detail, full)
        pen = (scale if scale > 1 else scale**0.75) * max(factor, 1)
        drawn = Lines.none(canvas)
        found = strokes.trace(lines.response, lines.tx, lines.ty, _LINE.fade * full)
        contours.draw(drawn, found, _LINE, full, detail, pen * weight)
        return _inked(flat, drawn.cover, image.shape[:2])


def _flat(picture: Field, detail: float, amount: float) -> tuple[Field, Field]:
    """The picture in shapes, and in shapes with round corners; (h, w, 3) both."""
    grey = blur(tones.mixed(picture, tones.LINE_WEIGHTS), 0.7 * detail)
    tx, ty, anisotropy = flow(_TENSOR_SIGMA * detail, _WIDE_SIGMA * detail, _WIDE_SHARE, grey)
    shapes = kuwahara(picture, tx, ty, anisotropy, _RADIUS * detail / amount**0.7)
    soft = _ROUND * detail / amount**0.5
    smooth = cv2.GaussianBlur(shapes, (0, 0), soft, borderType=cv2.BORDER_REFLECT_101)
    # where next to nothing happens there is one shape
    half = shrunk_half(shapes)
    calm = cv2.GaussianBlur(half, (0, 0), _CALM * detail / 2, borderType=cv2.BORDER_REFLECT_101)
    off = blur(np.abs(half - calm).max(axis=2), _CALM / 3 * detail)
    busy = resized(smoothstep(off, *(v / amount for v in _BUSY)), grey.shape)[..., None]
    calm = resized(np.asarray(calm, np.float32), shapes.shape)
    return shapes, np.asarray(calm + busy * (smooth - calm), np.float32)


def _inked(flat: Field, line: Field, shape: tuple[int, ...]) -> Image:
    """Colours under lines that are a dark shade of them: (H, W, 3) uint8."""
    ink = np.array(_INK, np.float32) + np.float32(_OWN_COLOUR) * flat * flat
    colours = flat + line[..., None] * (np.minimum(ink, flat) - flat)
    colours = resized(colours.astype(np.float32), shape, cv2.INTER_AREA)
    return (np.clip(colours, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
