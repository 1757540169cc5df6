"""Pen and brush: black masses for the darks, tapered contours, strands cut out of the black.

Lines are ridges of a flow-based difference of Gaussians of log luminance, joined into strokes and
drawn as capsules, so that they stay crisp at any frame size. Masses are an adaptive threshold of
tone (masses.py). All lengths are px of a 512 px crop unless said otherwise. Constants were tuned
by eye on photographs, paintings, cartoons and drawings, at 512 and 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.errors import SpecInvalid
from inference_server.protocol import PARAMS

from . import masses, strokes
from .line_filters import (
    Field,
    blur,
    dog_across,
    resized,
    shrunk_half,
    smooth_along,
    smoothstep,
    tangents,
)

_PAPER = (252.0, 251.0, 248.0)  # RGB
_BLACK = (14.0, 14.0, 17.0)  # RGB
_LINE_WEIGHTS = (0.2, 0.65, 0.15)  # of RGB: green shows lips and lids best
_TONE_WEIGHTS = (0.5, 0.4, 0.1)  # of RGB: red keeps skin, freckles and lips white

_MIN_DETAIL, _MAX_DETAIL = 1.0, 1.5  # analysis works at this many px per px of a 512 px crop
_LOG_FLOOR = 0.11  # added before the logarithm: hides the noise of deep shadows
_GRAIN = 0.9  # blur before lines are looked for
_SIGMA = 1.0  # of the fine lines, beyond that blur
_TENSOR_SIGMA = 2.4  # of the structure tensor
_FLOW_SIGMA = 3.2  # smoothing along a line
_COARSE_SIGMA = 2.6  # of soft contours: jaws and noses without an edge
_COARSE_GAIN, _COLOUR_GAIN = 1.85, 1.1  # of soft contours in luminance and in colour

_CONTRAST_SHARE = 95  # percentile of the response in the face that decides what counts as a line
_CONTRAST_GAIN, _MIN_HIGH, _MAX_HIGH = 1.15, 0.018, 0.05  # log units
_SEED = 0.45  # a stroke must somewhere be this strong, full = 1
_THINNEST = 0.2  # width at the faintest end of a stroke over that of a full line

_LINE_WEIGHT = next(param for param in PARAMS if param.name == "line_weight")


@dataclass(frozen=True, slots=True)
class _Nib:
    """How the response along a ridge becomes a pen line; responses over that of a full line."""

    fade: float  # response where a line ends
    full: float  # response where it reaches its full width
    length: float  # shortest full line that is drawn; weaker ones must be longer
    radius: float  # half of the full width


_LINE = _Nib(fade=0.25, full=1.0, length=7.5, radius=1.4)
_CARVE = _Nib(fade=0.6, full=2.0, length=8.0, radius=1.2)  # strands cut out of the black


class Ink:
    """Drawing in black ink; see registry.Style."""

    name = "ink"
    version = "1"

    def tuning(
        self,
        image: npt.NDArray[np.uint8],
        scale: float,
        face: tuple[float, float, float, float] | None = None,
    ) -> Mapping[str, Any]:
        """What counts as black and as a line in this picture, measured on the face.

        Returns:
            ink_black, ink_skin: tones of black and of lit skin, 0..1;
            ink_dark: levelled tone below which all is black (see masses.py);
            ink_line: response of a full line, log units.
        """
        factor = _factor(scale)
        detail = scale * factor
        picture = _analysed(image, factor)
        inside = _oval(picture.shape[:2], _scaled_box(image, factor, face))
        tone = blur(_mixed(picture, _TONE_WEIGHTS), masses.SOFT * detail)
        black, skin = masses.levels(tone, inside)
        tone = (tone - np.float32(black)) / np.float32(skin - black)
        lines = _line_picture(_levelled(picture, black, skin), detail)
        tx, ty = tangents(_TENSOR_SIGMA * detail, lines)
        response = dog_across(lines, tx, ty, _SIGMA * detail)
        contrast = np.percentile(response[inside], _CONTRAST_SHARE)
        return {
            "ink_black": black,
            "ink_skin": skin,
            "ink_dark": masses.dark_tone(tone, detail),
            "ink_line": float(np.clip(_CONTRAST_GAIN * contrast, _MIN_HIGH, _MAX_HIGH)),
        }

    def apply(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """Redraw an (H, W, 3) uint8 RGB picture; `seed` has no part in it.

        Raises:
            SpecInvalid: `line_weight` is not a number in its range.
        """
        weight = _line_weight(params)
        if "ink_skin" not in params:
            params = {**params, **self.tuning(image, scale)}
        factor = _factor(scale)
        detail = scale * factor
        full = float(params["ink_line"])
        picture = _levelled(_analysed(image, factor), params["ink_black"], params["ink_skin"])
        lines = _line_picture(picture, detail)
        tx, ty = tangents(_TENSOR_SIGMA * detail, lines)
        response = dog_across(lines, tx, ty, _SIGMA * detail)
        tone = blur(_mixed(picture, _TONE_WEIGHTS), masses.FINE * detail)
        response, flowing = smooth_along(_FLOW_SIGMA * detail, tx, ty, response, tone)
        response = _with_soft_contours(response, lines, picture, detail, full)

        excess = masses.lightness(tone, flowing, detail, params["ink_dark"])
        # drawn at the larger size of analysis and frame
        canvas = (max(len(picture), len(image)), max(picture.shape[1], image.shape[1]))
        cover = masses.cover(excess, detail, canvas)
        pen = (scale if scale > 1 else scale**0.75) * max(factor, 1)  # small frames: bolder lines
        strands = np.where(excess < 0, -response, np.float32(0))
        found = strokes.trace(strands, tx, ty, _CARVE.fade * full)
        light = np.zeros_like(cover)
        _draw(light, found, _CARVE, full, detail, pen)
        cover = np.minimum(cover, 1 - light)
        found = strokes.trace(response, tx, ty, _LINE.fade * full)
        _draw(cover, found, _LINE, full, detail, pen * weight)
        cover = masses.without_specks(cover, scale * max(factor, 1))
        return _printed(resized(cover, image.shape[:2], cv2.INTER_AREA))


def _line_weight(params: Mapping[str, Any]) -> float:
    value = params.get("line_weight", _LINE_WEIGHT.default)
    low, high = _LINE_WEIGHT.minimum, _LINE_WEIGHT.maximum
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise SpecInvalid(f"line_weight is {value!r}.", f"Give a number from {low:g} to {high:g}.")
    return float(value)


def _factor(scale: float) -> float:
    """Px of the analysis per px of the frame: lines are found at one size and drawn at another."""
    return min(max(scale, _MIN_DETAIL), _MAX_DETAIL) / scale


def _analysed(image: npt.NDArray[np.uint8], factor: float) -> Field:
    """(h, w, 3) float32 0..1, `factor` times as large."""
    if factor != 1:
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        resampled = cv2.resize(image, (width, height), interpolation=method)
        return resampled.astype(np.float32) * np.float32(1 / 255)
    return image.astype(np.float32) * np.float32(1 / 255)


def _levelled(picture: Field, black: float, skin: float) -> Field:
    """`picture` with black at 0 and the tone of lit skin at 1; highlights end at 2."""
    return np.clip((picture - np.float32(black)) / np.float32(skin - black), 0, 2)


def _mixed(picture: Field, weights: tuple[float, float, float]) -> Field:
    mixed = cv2.transform(picture, np.array([weights], np.float32))
    return np.asarray(mixed, np.float32).reshape(picture.shape[:2])


def _line_picture(picture: Field, detail: float) -> Field:
    """Log luminance, softened so that grain and cracks do not draw lines."""
    luminance = blur(_mixed(picture, _LINE_WEIGHTS), _GRAIN * detail)
    return np.log(luminance + np.float32(_LOG_FLOOR))


def _scaled_box(
    image: npt.NDArray[np.uint8],
    factor: float,
    face: tuple[float, float, float, float] | None,
) -> npt.NDArray[np.float64]:
    """Box of the face in analysis px; where crop_face would put it when it is not known."""
    if face is None:
        height, width = image.shape[:2]
        side = min(height, width)
        x, y = width / 2, height / 2 - 0.04 * side
        face = (x - 0.2 * side, y - 0.22 * side, x + 0.2 * side, y + 0.22 * side)
    return (np.array(face, np.float64) + 0.5) * factor - 0.5


def _oval(shape: tuple[int, ...], box: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The inner face; everything when nothing of it lies in the picture."""
    x0, y0, x1, y1 = box
    y, x = np.ogrid[: shape[0], : shape[1]]
    across = (x - (x0 + x1) / 2) / max((x1 - x0) / 2, 1)
    down = (y - (y0 + y1) / 2) / max((y1 - y0) / 2, 1)
    inside = across**2 + down**2 < 0.8
    return inside if inside.any() else np.ones(shape, np.bool_)


def _with_soft_contours(
    response: Field, lines: Field, picture: Field, detail: float, full: float
) -> Field:
    """Add contours that have no sharp edge or that only colour shows, where no fine line runs.

    They are found at half size. Colour counts as log(green + blue) - log(red), so that skin and
    lips carry the line where they meet a background of the same luminance.
    """
    half = shrunk_half(lines)
    red, green, blue = cv2.split(shrunk_half(picture))
    floor = np.float32(0.2)  # hides chroma noise of deep shadows
    colour = np.log(np.float32(0.5) * (green + blue) + floor) - np.log(red + floor)
    tx, ty = tangents(_TENSOR_SIGMA / 2 * 1.6 * detail, half, colour)
    soft, sigma = 0.6 * detail, _COARSE_SIGMA / 2 * detail
    contour = _COARSE_GAIN * dog_across(blur(half, soft), tx, ty, sigma)
    tint = _COLOUR_GAIN * dog_across(blur(colour, soft), tx, ty, sigma)
    (contour,) = smooth_along(_FLOW_SIGMA * detail, tx, ty, np.maximum(contour, tint))
    # no echo beside a fine line: the coarse response reaches about 7 px
    side = 2 * round(4 * detail) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near = blur(np.asarray(cv2.dilate(shrunk_half(np.abs(response)), disc), np.float32), detail)
    contour *= 1 - smoothstep(near, 0.3 * full, 0.7 * full)
    contour = resized(contour, response.shape)
    return np.where(contour > 0, np.maximum(response, contour), response)


def _draw(
    cover: Field, found: strokes.Strokes, nib: _Nib, full: float, detail: float, pen: float
) -> None:
    """Draw the strokes that are long and strong enough into `cover`.

    Args:
        cover: coverage 0..1, changed in place.
        found: strokes in analysis px.
        nib: how response becomes width.
        full: response of a full line, log units.
        detail: analysis px per px of a 512 px crop.
        pen: px of `cover` per px of a 512 px crop, for widths.
    """
    strength = (found.height / np.float32(full) - nib.fade) / (nib.full - nib.fade)
    length = strokes.total(found, np.minimum(strength, 1.5))
    keep = smoothstep(length, nib.length * detail, 1.1 * nib.length * detail)
    keep *= smoothstep(strokes.highest(found, strength), _SEED, 1.1 * _SEED)
    width = _THINNEST + (1 - _THINNEST) * np.sqrt(np.clip(strength, 0, 1))
    width *= keep[found.stroke]
    width = strokes.smoothed(width[:, None].astype(np.float32), found.joints, 6)[:, 0]
    points = strokes.smoothed(found.points, found.joints, 8)
    zoom = (np.array(cover.shape[::-1]) / found.shape[::-1]).astype(np.float32)
    points = (points + np.float32(0.5)) * zoom - np.float32(0.5)
    strokes.draw(cover, points, width * np.float32(nib.radius * pen), found.joints)


def _printed(cover: Field) -> npt.NDArray[np.uint8]:
    """Coverage 0..1 -> (H, W, 3) uint8 RGB."""
    steps = np.arange(256)[:, None] / 255
    table = np.array(_PAPER) + steps * (np.array(_BLACK) - np.array(_PAPER))
    return np.round(table).astype(np.uint8)[(cover * 255 + np.float32(0.5)).astype(np.uint8)]
