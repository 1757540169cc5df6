"""Contours: where a hand would draw lines, and the lines themselves.

Lines are ridges of a flow-based difference of Gaussians of log luminance, joined into strokes and
drawn as capsules, so that they stay crisp at any frame size. All lengths are px of a 512 px crop
unless said otherwise. Constants were tuned by eye on photographs, paintings, cartoons and
drawings, at 512 and 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from . import strokes, tones
from .line_filters import (
    Field,
    Image,
    blur,
    dog_across,
    resized,
    shrunk_half,
    smooth_along,
    smoothstep,
    tangents,
)
from .tones import LINE_WEIGHTS, mixed

MOST_DETAIL = 1.5  # contours are looked for at no more px than this per px of a 512 px crop
REACH = 12  # as far around a pixel they depend on the picture; further away less than 1 % of px

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
_UNSEEN = 0.3  # responses below this share of a full line's have no neighbourhood
_CODED_PX = 8.0  # px of a 512 px crop: distances and widths up to this fit a byte
_MARGIN_PX = 3.0  # px of the drawing around a line that know of it
_OUTLINE_SIGMA, _OUTLINE_LEAST = 1.5, 40.0  # over the radius: smoothing; shortest outline
_OUTLINE_ROOM, _OUTLINE_INK = 7.0, 0.5  # over the radius: no outline so near to ink, 0..1
_OUTLINE_GAP, _OUTLINE_RUN = 16.0, 40.0  # over the radius: closed gaps, shortest piece
_THINNEST = 0.2  # width at the faintest end of a stroke over that of a full line


@dataclass(frozen=True, slots=True)
class Nib:
    """How the response along a ridge becomes a pen line; responses over that of a full line."""

    fade: float  # response where a line ends
    full: float  # response where it reaches its full width
    length: float  # shortest full line that is drawn; weaker ones must be longer
    radius: float  # half of the full width


def measured(
    image: npt.NDArray[np.uint8], scale: float, face: tones.Box | None
) -> tuple[Mapping[str, Any], Field]:
    """What `find` must know about the whole picture, and its levelled tone in analysis px.

    Returns:
        tuned: True, see settings.complete;
        tone_black, tone_skin: tones of black and of lit skin, 0..1;
        full_line: response of a full line, log units.
    """
    factor = tones.factor(scale, MOST_DETAIL)
    detail = scale * factor
    picture = tones.analysed(image, factor)
    inside = tones.oval(picture.shape[:2], tones.scaled_box(image, factor, face))
    tone = blur(mixed(picture, tones.TONE_WEIGHTS), tones.SOFT * detail)
    black, skin = tones.levels(tone, inside)
    tone = (tone - np.float32(black)) / np.float32(skin - black)
    lines = _line_picture(tones.levelled(picture, black, skin), detail)
    tx, ty = tangents(_TENSOR_SIGMA * detail, lines)
    response = dog_across(lines, tx, ty, _SIGMA * detail)
    contrast = np.percentile(response[inside], _CONTRAST_SHARE)
    full = float(np.clip(_CONTRAST_GAIN * contrast, _MIN_HIGH, _MAX_HIGH))
    return {"tuned": True, "tone_black": black, "tone_skin": skin, "full_line": full}, tone


@dataclass(frozen=True, slots=True, eq=False)
class Contours:
    """Where lines may run; all (h, w)."""

    response: Field  # > 0 on dark lines, < 0 on bright ones, log units
    tx: Field  # unit tangents
    ty: Field


def find(picture: Field, tone: Field, detail: float, full: float) -> tuple[Contours, Field]:
    """Contours of a levelled picture (h, w, 3), and `tone` (h, w) smoothed along them.

    `full` is the response of a full line.
    """
    lines = _line_picture(picture, detail)
    tx, ty = tangents(_TENSOR_SIGMA * detail, lines)
    response = dog_across(lines, tx, ty, _SIGMA * detail)
    # where nothing is to be seen nothing needs to flow
    side = 2 * round(_FLOW_SIGMA * detail) + 1
    seen = cv2.dilate(np.abs(response), np.ones((side, side), np.uint8)) > _UNSEEN * full
    response, flowing = smooth_along(
        _FLOW_SIGMA * detail, tx, ty, response, tone, where=np.asarray(seen)
    )
    response = _with_soft_contours(response, lines, picture, detail, full)
    return Contours(response, tx, ty), flowing


def _line_picture(picture: Field, detail: float) -> Field:
    """Log luminance, softened so that grain and cracks do not draw lines."""
    luminance = blur(mixed(picture, LINE_WEIGHTS), _GRAIN * detail)
    return np.log(luminance + np.float32(_LOG_FLOOR))


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


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines as distances: they keep their width when they are stretched."""

    distance: Field  # (H, W) px to the middle of the line whose edge is nearest
    width: Field  # (H, W) half the width of that line, px

    @staticmethod
    def none(shape: tuple[int, ...]) -> Lines:
        """A sheet without lines."""
        return Lines(np.full(shape[:2], 1e3, np.float32), np.zeros(shape[:2], np.float32))

    @property
    def cover(self) -> Field:
        """Coverage of the paper, 0..1."""
        return strokes.inked(self.distance, self.width)

    def softened(self, edge: float) -> Field:
        """Coverage 0..1 with edges that are `edge` px wide."""
        return np.clip(0.5 + (self.width - self.distance) / np.float32(edge), 0, 1)

    def coded(self, pen: float) -> tuple[Image, Image]:
        """Both as bytes; `pen` is px per px of a 512 px crop. See `printed`."""
        unit = np.float32(1 / (_CODED_PX * pen))
        nearness = 255 - 255 * self.distance * unit
        width = 255 * self.width * unit
        return tuple(np.clip(field + 0.5, 0, 255).astype(np.uint8) for field in (nearness, width))  # type: ignore[return-value]


def printed(plate: Image, pen: float, edge: float, most: float, colours: Field) -> Image:
    """The picture (H, W, 3) of a plate of shade and coded lines.

    Args:
        plate: (H, W, 3); may have been moved and interpolated.
        pen: px per px of a 512 px crop.
        edge: px that edges of the shade are wide on the plate.
        most: cover of a line, 0..1.
        colours: (2, 3) RGB 0..255 of no cover and of full cover.
    """
    steps = np.arange(256)[:, None] / 255
    table = np.round(colours[0] + steps * (colours[1] - colours[0])).astype(np.uint8)
    unit = np.float32(_CODED_PX * pen / 255)
    return np.asarray(strokes.printed(plate, table, unit, np.float32(edge), np.float32(most)))


def draw(
    lines: Lines, found: strokes.Strokes, nib: Nib, full: float, detail: float, pen: float
) -> None:
    """Draw the strokes that are long and strong enough.

    Args:
        lines: changed in place.
        found: strokes in analysis px.
        nib: how response becomes width.
        full: response of a full line, log units.
        detail: analysis px per px of a 512 px crop.
        pen: px of `lines` per px of a 512 px crop, for widths.
    """
    strength = (found.height / np.float32(full) - nib.fade) / (nib.full - nib.fade)
    length = strokes.total(found, np.minimum(strength, 1.5))
    keep = smoothstep(length, nib.length * detail, 1.1 * nib.length * detail)
    keep *= smoothstep(strokes.highest(found, strength), _SEED, 1.1 * _SEED)
    width = _THINNEST + (1 - _THINNEST) * np.sqrt(np.clip(strength, 0, 1))
    width *= keep[found.stroke]
    width = strokes.smoothed(width[:, None].astype(np.float32), found.joints, 6)[:, 0]
    points = strokes.smoothed(found.points, found.joints, 8)
    shape = lines.distance.shape
    zoom = (np.array(shape[::-1]) / found.shape[::-1]).astype(np.float32)
    points = (points + np.float32(0.5)) * zoom - np.float32(0.5)
    width = width * np.float32(nib.radius * pen)
    strokes.lay(lines.distance, lines.width, points, width, found.joints, _MARGIN_PX)


def draw_outline(lines: Lines, figure: Field, inked: Field, radius: float) -> None:
    """Draw the line around a figure where nothing else is drawn.

    Args:
        lines: changed in place.
        figure: (H, W) > 0 inside of it.
        inked: (H, W) 0..1 what is drawn.
        radius: half the width of the line, px of `lines`.
    """
    if not (figure > 0).any() or (figure > 0).all():
        return
    inside = blur(figure, _OUTLINE_SIGMA * radius)
    found, _ = cv2.findContours((inside > 0).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    height, width = figure.shape
    reach = 2 * round(_OUTLINE_ROOM * radius) + 1
    near = cv2.dilate(inked, np.ones((reach, reach), np.uint8)) > _OUTLINE_INK
    for chain in found:
        points = chain[:, 0].astype(np.float32)
        n = len(points)
        if n < _OUTLINE_LEAST * radius:
            continue
        joints = np.stack([np.arange(n), np.roll(np.arange(n), -1)], axis=1).astype(np.int32)
        x, y = points.T
        border = (x < 2) | (y < 2) | (x > width - 3) | (y > height - 3)
        free = _in_runs(~near[chain[:, 0, 1], chain[:, 0, 0]], radius) & ~border
        points = strokes.smoothed(points, joints, 8)
        joints = joints[free[joints[:, 0]] & free[joints[:, 1]]]
        wide = np.full(n, radius, np.float32)
        strokes.lay(lines.distance, lines.width, points, wide, joints, _MARGIN_PX)


def _in_runs(free: npt.NDArray[np.bool_], radius: float) -> npt.NDArray[np.bool_]:
    """Places (n,) along a closed line, without short gaps and then without short pieces."""
    gap, run = (np.ones((1, 2 * round(v * radius / 2) + 1), np.uint8)
                for v in (_OUTLINE_GAP, _OUTLINE_RUN))  # fmt: skip
    row = np.tile(free.view(np.uint8), 3)[None]
    row = cv2.morphologyEx(row, cv2.MORPH_CLOSE, gap)
    row = cv2.morphologyEx(row, cv2.MORPH_OPEN, run)
    return np.asarray(row[0, len(free) : 2 * len(free)] > 0)
