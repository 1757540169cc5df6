"""Graphite on drawing paper: hatching that follows form and tone, and clean contours.

The hatching is laid out once (hatching.py) and stays on the face; how dark the moving picture is
decides which of its strokes are seen. Contours come from contours.py. All lengths are px of a
512 px crop. Constants were tuned by eye on photographs, paintings, cartoons and drawings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inference_server.datatypes import Sitter

from . import contours, hatching, paper, regions, strokes, tones
from .contours import Lines, Nib
from .line_filters import Field, Image, blur, resized, smoothstep
from .settings import colour, complete, number

_GRAPHITE = 0.83  # cover of the heaviest hand: graphite is paler than ink
_LINE = Nib(fade=0.16, full=1.15, length=6.0, radius=1.0)
_TONE_WEIGHTS = (0.35, 0.5, 0.15)  # of RGB: lips have a tone of their own
_FINE = 0.8  # blur before tone is measured
_ACCENT, _ACCENT_SIGMA = 0.9, 5.0
_WHITE, _RANGE = 1.14, 1.05  # levelled tone of bare paper; how far below it all is dark
_SOFT = 0.16  # darkness over which a stroke appears
_LIGHT_HAND, _HEAVY_HAND = 0.26, 0.56  # pressure: least, and what darkness adds
_SMUDGE = 0.30  # graphite between the strokes of the darkest tone
_DEEP, _DEEP_FROM, _DEEP_TO = 0.42, 0.62, 0.95  # pupils and mouths: rubbed solid
_TOOTH, _LINE_TOOTH, _SHEET = 0.34, 0.2, 0.008  # how much the paper shows in all that
_MOST_LINE = 0.95
_HAND = 0.12  # how much the pressure of the hand wanders
_SKIN_LIGHT, _HAIR_DEEP = 0.72, 1.12  # darkness over that of cloth
_SKIN_LINE, _FEATURE_LINE, _CONTOUR_LINE = 0.75, 1.1, 1.35  # gains of lines over those of cloth


class Pencil:
    """Drawing in pencil; see registry.Style."""

    name = "pencil"
    version = "2"
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
        """See contours.measured."""
        measured, _ = contours.measured(image, scale, None if who is None else who.box)
        return measured

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> Image:  # fmt: skip
        """Thresholds of the hatching, the tooth of the paper, and the gain of lines (0..2)."""
        size, behind = number(params, "stroke_size"), number(params, "background")
        picture = tones.levelled(
            tones.analysed(image, 1), params["tone_black"], params["tone_skin"]
        )
        tone = blur(tones.mixed(picture, _TONE_WEIGHTS), 1.5 * scale)
        hatch = hatching.thresholds(tone, scale, size, seed)
        tooth = paper.tooth(tone.shape, scale, seed + 1)
        hand = paper.noise(tone.shape, 14 * scale, seed + 3)
        parts = regions.found(image, who)
        share = behind + (1 - behind) * smoothstep(blur(parts.figure, 2 * scale), 0.05, 0.6)
        deep = (1 + np.float32(_SKIN_LIGHT - 1) * parts.skin) * share
        deep *= 1 + np.float32(_HAIR_DEEP - 1) * parts.hair
        gain = parts.gain(_SKIN_LINE, 1.0, _FEATURE_LINE, _CONTOUR_LINE)
        # where less is to be drawn, strokes appear later
        hatch = hatch / np.maximum(deep * (1 + np.float32(_HAND) * hand), np.float32(0.05))
        return paper.coded(hatch - 1, tooth / 3, gain * share - 1)

    def plate(self, image: Image, scale: float, seed: int, params: Mapping[str, Any]) -> Image:
        """Coverage of hatching and paper, and the lines as they are coded; see contours.Lines.

        Raises:
            SpecInvalid: a setting is not what it should be.
        """
        params = complete(self, image, scale, seed, params)
        weight, amount = number(params, "line_weight"), number(params, "detail")
        rough = number(params, "paper")
        factor = tones.factor(scale, contours.MOST_DETAIL)
        detail = scale * factor
        # more detail: weaker lines are drawn as well
        full = float(params["full_line"]) / amount**0.7
        picture = tones.analysed(image, factor)
        picture = tones.levelled(picture, params["tone_black"], params["tone_skin"])
        tone = blur(tones.mixed(picture, _TONE_WEIGHTS), _FINE * detail)
        found, flowing = contours.find(picture, tone, detail, full)
        # small darks (pupils, lashes, lips) are darker than they are
        flowing = flowing + np.float32(_ACCENT) * np.minimum(
            flowing - blur(flowing, _ACCENT_SIGMA * detail), 0
        )
        shape = image.shape[:2]
        hatch, tooth, gain = paper.decoded(params["grain"], shape)
        response = found.response * (1 + resized(gain, found.response.shape))
        pen = scale if scale > 1 else scale**0.75
        lines = Lines.none(shape)
        traced = strokes.trace(response, found.tx, found.ty, _LINE.fade * full)
        contours.draw(lines, traced, _LINE, full, detail, pen * weight)
        flowing = resized(flowing, shape, cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR)
        # paper that was white in the picture stays bare
        white = (1 - params["tone_black"]) / (params["tone_skin"] - params["tone_black"])
        white = np.float32(min(_WHITE, 0.96 * white))
        dark = np.clip((white - flowing) / (white * np.float32(_RANGE)), 0, 1)
        tooth = 3 * np.float32(rough) * tooth
        shade = _shade(dark, hatch + 1, tooth)
        # the tooth breaks lines as well: it takes from their width
        lines = Lines(lines.distance, lines.width * (1 + np.float32(_LINE_TOOTH) * np.tanh(tooth)))
        return np.dstack([(shade * 255 + 0.5).astype(np.uint8), *lines.coded(pen)])

    def develop(self, plate: Image, scale: float, params: Mapping[str, Any]) -> Image:
        """Print a plate, (H, W, 3) RGB."""
        pen = scale if scale > 1 else scale**0.75
        sheet, lead = colour(params, "paper_colour"), colour(params, "ink_colour")
        heaviest = sheet + np.float32(_GRAPHITE) * (lead - sheet)
        return contours.printed(plate, pen, 1.0, _MOST_LINE, np.stack([sheet, heaviest]))


def _shade(dark: Field, hatch: Field, tooth: Field) -> Field:
    """Coverage (H, W) 0..1 of the hatching for a picture's darkness 0..1, on bare paper's tooth."""
    drawn = smoothstep(dark - hatch, -_SOFT, _SOFT) * smoothstep(dark, 0.02, 0.08)
    pressure = np.float32(_LIGHT_HAND) + np.float32(_HEAVY_HAND) * dark
    shade = drawn * pressure
    # nothing is rubbed where strokes come late
    rubbed = dark * np.clip(1.6 - hatch, 0, 1)
    smudge = np.float32(_SMUDGE) * rubbed
    smudge += np.float32(_DEEP) * smoothstep(rubbed, _DEEP_FROM, _DEEP_TO)
    shade = shade + (1 - shade) * smudge
    # graphite stays on the heights of the paper; a heavy hand fills the valleys as well
    shade = shade * (1 + np.float32(_TOOTH) * tooth * (1 - shade))
    return np.clip(shade - np.float32(_SHEET) * tooth, 0, 1)
