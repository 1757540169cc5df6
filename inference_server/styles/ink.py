"""Pen and brush: black masses for the darks, tapered contours, strands cut out of the black.

Lines come from contours.py, masses are a threshold of tone (masses.py) that differs from region to
region (regions.py): skin stays white, hair fills with black, what is behind the figure steps back.
Lines are kept as distances until they are printed, so that they hold their width when the picture
moves. All lengths are px of a 512 px crop unless said otherwise. Constants were tuned by eye on
photographs, paintings, cartoons and drawings, at 512 and 1024.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inference_server.datatypes import Sitter

from . import contours, masses, paper, regions, strokes, tones
from .contours import Lines, Nib
from .line_filters import Field, Image, blur, resized, smoothstep
from .settings import colour, complete, number

_LINE = Nib(fade=0.25, full=1.0, length=7.5, radius=1.4)
_CARVE = Nib(fade=0.6, full=2.0, length=8.0, radius=1.2)  # strands cut out of the black
_EDGE = 2.0  # px: how wide edges of masses are before they are printed
_SKIN_DARK, _FEATURE_DARK = 0.55, 0.85  # thresholds of tone over those of cloth
_HAIR_LIGHT, _HAIR_MOST = 0.6, 0.66  # lighter hair stays lines; the highest threshold
_HAIR_SHARE, _HAIR_GAIN = 80, 1.9  # percentile of hair that is filled, or this times its median
_SKIN_LINE, _FEATURE_LINE, _CONTOUR_LINE, _HAIR_LINE = 0.7, 1.1, 1.35, 0.9  # gains of lines
_FILLED = (0.5, 1.0)  # how much of the background is drawn when its darks start to fill
_ECHO = 8.0  # beside black at the figure's edge no lines are drawn as far as this
_OUTLINE = 1.0  # radius of the line around a figure


class Ink:
    """Drawing in black ink; see registry.Style."""

    name = "ink"
    version = "3"
    reach = contours.REACH
    shaded = False
    lined = True
    regional = True

    def tuning(
        self,
        image: Image,
        scale: float,
        who: Sitter | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """What counts as black and as a line in this picture, measured on the face.

        Returns:
            tone_black, tone_skin, full_line: see contours.measured;
            ink_dark: levelled tone below which all is black (see masses.py);
            hair_dark: the same in hair.
        """
        measured, tone = contours.measured(image, scale, None if who is None else who.box)
        detail = scale * tones.factor(scale, contours.MOST_DETAIL)
        dark = masses.dark_tone(tone, detail)
        hair = resized(regions.found(image, who).crown, tone.shape) > 0.6
        hair_dark = dark
        if hair.mean() > 0.002 and np.median(tone[hair]) < _HAIR_LIGHT:
            usual, light = np.percentile(tone[hair], (50, _HAIR_SHARE))
            hair_dark = float(np.clip(max(light, _HAIR_GAIN * usual), dark, _HAIR_MOST))
        return {**measured, "ink_dark": dark, "hair_dark": hair_dark}

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> Image:  # fmt: skip
        """What is drawn where: threshold of tone, gain of lines (0..2), figure; see paper.coded."""
        parts = regions.found(image, who)
        behind = number(params, "background")
        dark = np.full(parts.skin.shape, params["ink_dark"], np.float32)
        dark += parts.hair * np.float32(params["hair_dark"] - params["ink_dark"])
        dark *= 1 - np.float32(1 - _SKIN_DARK) * parts.skin
        dark *= 1 - np.float32(1 - _FEATURE_DARK) * parts.features
        gain = parts.gain(_SKIN_LINE, _HAIR_LINE, _FEATURE_LINE, _CONTOUR_LINE)
        filled = float(np.interp(behind, _FILLED, (0, 1)))
        share = filled + (1 - filled) * smoothstep(parts.figure, 0.35, 0.65)
        # lines of the figure's own edge belong to the figure
        near = behind + (1 - behind) * smoothstep(blur(parts.figure, 2 * scale), 0.1, 0.5)
        return paper.coded(2 * dark * share - 1, gain * near - 1, 2 * parts.figure - 1)

    def plate(self, image: Image, scale: float, seed: int, params: Mapping[str, Any]) -> Image:
        """Coverage of the masses, and the lines as they are coded; see contours.Lines.

        Raises:
            SpecInvalid: a setting is not what it should be.
        """
        params = complete(self, image, scale, seed, params)
        weight = number(params, "line_weight")
        factor = tones.factor(scale, contours.MOST_DETAIL)
        detail = scale * factor
        full = float(params["full_line"])
        picture = tones.analysed(image, factor)
        dark, gain, figure = paper.decoded(params["grain"], picture.shape)
        picture = tones.levelled(picture, params["tone_black"], params["tone_skin"])
        tone = blur(tones.mixed(picture, tones.TONE_WEIGHTS), masses.FINE * detail)
        found, flowing = contours.find(picture, tone, detail, full)

        shape = image.shape[:2]
        pen = scale if scale > 1 else scale**0.75  # small frames: bolder lines
        excess = masses.lightness(tone, flowing, detail, dark * np.float32(0.5) + np.float32(0.5))
        # drawn at the larger size of analysis and frame
        canvas = (max(len(picture), shape[0]), max(picture.shape[1], shape[1]))
        mass = masses.cover(excess, detail, canvas, _EDGE * max(factor, 1))
        mass = resized(mass, shape, cv2.INTER_AREA)
        strands = np.where(excess < 0, -found.response, np.float32(0))
        light = Lines.none(shape)
        traced = strokes.trace(strands, found.tx, found.ty, _CARVE.fade * full)
        contours.draw(light, traced, _CARVE, full, detail, pen)
        mass = np.minimum(mass, 1 - light.softened(_EDGE))
        lines = Lines.none(shape)
        response = found.response * (1 + gain) * _clear_of_echoes(excess, figure, detail)
        traced = strokes.trace(response, found.tx, found.ty, _LINE.fade * full)
        contours.draw(lines, traced, _LINE, full, detail, pen * weight)
        side = 2 * round(_ECHO / 3 * scale) + 1
        inked = cv2.morphologyEx(mass, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
        contours.draw_outline(lines, resized(figure, shape), inked, _OUTLINE * pen * weight)
        dirt = masses.specks(np.maximum(_sharp(mass), lines.cover), scale)
        mass[dirt] = 0
        lines.width[dirt] = 0
        return np.dstack([(mass * 255 + 0.5).astype(np.uint8), *lines.coded(pen)])

    def develop(self, plate: Image, scale: float, params: Mapping[str, Any]) -> Image:
        """Print a plate, (H, W, 3) RGB."""
        pen = scale if scale > 1 else scale**0.75
        colours = np.stack([colour(params, "paper_colour"), colour(params, "ink_colour")])
        return contours.printed(plate, pen, _EDGE, 1.0, colours)


def _clear_of_echoes(excess: Field, figure: Field, detail: float) -> Field:
    """(h, w) 0 along the figure's edge, where its outline is drawn, wider beside black; else 1."""
    if figure.min() > 0.9 or figure.max() < -0.9:
        return np.ones_like(excess)
    small, disc = (
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(r * detail) + 1,) * 2)
        for r in (_ECHO / 3, _ECHO)
    )
    black = cv2.morphologyEx((excess < 0).astype(np.float32), cv2.MORPH_OPEN, small)
    beside = blur(cv2.dilate(black, disc), detail)
    wide = 1 - smoothstep(np.abs(blur(figure, _ECHO / 2 * detail)), 0.7, 0.95)
    narrow = 1 - smoothstep(np.abs(blur(figure, _ECHO / 4 * detail)), 0.6, 0.95)
    return np.asarray(1 - np.maximum(wide * beside, narrow), np.float32)


def _sharp(mass: Field) -> Field:
    """Coverage with edges of a pixel instead of _EDGE px."""
    return np.clip((mass - np.float32(0.5)) * np.float32(_EDGE) + np.float32(0.5), 0, 1)
