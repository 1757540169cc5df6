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
import numpy.typing as npt

from . import contours, hatching, paper, strokes, tones
from .contours import Nib
from .line_filters import Field, blur, resized, smoothstep
from .settings import number

_PAPER = (250.0, 247.0, 240.0)  # RGB
_GRAPHITE = (52.0, 52.0, 56.0)  # RGB
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
_MOST_LINE = 0.78


class Pencil:
    """Drawing in pencil; see registry.Style."""

    name = "pencil"
    version = "1"
    reach = contours.REACH

    def tuning(
        self, image: npt.NDArray[np.uint8], scale: float, face: tones.Box | None = None
    ) -> Mapping[str, Any]:
        """See contours.measured."""
        measured, _ = contours.measured(image, scale, face)
        return measured

    def grain(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """Thresholds of the hatching, the tooth of the paper, and how heavy the hand is."""
        size = number(params, "stroke_size")
        if "full_line" not in params:
            params = {**params, **self.tuning(image, scale)}
        picture = tones.levelled(
            tones.analysed(image, 1), params["tone_black"], params["tone_skin"]
        )
        tone = blur(tones.mixed(picture, _TONE_WEIGHTS), 1.5 * scale)
        hatch = hatching.thresholds(tone, scale, size, seed)
        tooth = paper.tooth(tone.shape, scale, seed + 1)
        hand = paper.noise(tone.shape, 14 * scale, seed + 3)
        return paper.coded(2 * hatch - 1, tooth / 3, hand / 3)

    def apply(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """Redraw an (H, W, 3) uint8 RGB picture.

        Raises:
            SpecInvalid: a setting is not a number in its range.
        """
        weight, amount = number(params, "line_weight"), number(params, "detail")
        rough = number(params, "paper")
        if "full_line" not in params:
            params = {**params, **self.tuning(image, scale)}
        grain = params.get("grain")
        if grain is None:
            grain = self.grain(image, scale, seed, params)
        factor = tones.factor(scale, contours.MOST_DETAIL)
        detail = scale * factor
        # more detail: weaker lines are drawn as well
        full = float(params["full_line"]) / amount**0.7
        picture = tones.analysed(image, factor)
        picture = tones.levelled(picture, params["tone_black"], params["tone_skin"])
        tone = blur(tones.mixed(picture, _TONE_WEIGHTS), _FINE * detail)
        lines, flowing = contours.find(picture, tone, detail, full)
        # small darks (pupils, lashes, lips) are darker than they are
        flowing = flowing + np.float32(_ACCENT) * np.minimum(
            flowing - blur(flowing, _ACCENT_SIGMA * detail), 0
        )
        canvas = (max(len(picture), len(image)), max(picture.shape[1], image.shape[1]))
        pen = (scale if scale > 1 else scale**0.75) * max(factor, 1)
        line = np.zeros(canvas, np.float32)
        found = strokes.trace(lines.response, lines.tx, lines.ty, _LINE.fade * full)
        contours.draw(line, found, _LINE, full, detail, pen * weight)
        shape = image.shape[:2]
        line = resized(line, shape, cv2.INTER_AREA)
        flowing = resized(flowing, shape, cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR)
        # paper that was white in the picture stays bare
        white = (1 - params["tone_black"]) / (params["tone_skin"] - params["tone_black"])
        white = np.float32(min(_WHITE, 0.96 * white))
        dark = np.clip((white - flowing) / (white * np.float32(_RANGE)), 0, 1)
        return _drawn(dark, line, paper.decoded(grain, shape), rough)


def _drawn(dark: Field, line: Field, grain: list[Field], rough: float) -> npt.NDArray[np.uint8]:
    """Graphite on paper, (H, W, 3) uint8: `dark` and `line` 0..1, `grain` as it was coded."""
    hatch, tooth, hand = grain[0] * np.float32(0.5) + np.float32(0.5), 3 * grain[1], 3 * grain[2]
    tooth = tooth * np.float32(rough)
    seen = dark * (1 + np.float32(0.12) * hand)
    drawn = smoothstep(seen - hatch, -_SOFT, _SOFT) * smoothstep(dark, 0.02, 0.08)
    pressure = np.float32(_LIGHT_HAND) + np.float32(_HEAVY_HAND) * dark
    shade = drawn * pressure
    smudge = np.float32(_SMUDGE) * dark + np.float32(_DEEP) * smoothstep(dark, _DEEP_FROM, _DEEP_TO)
    shade = shade + (1 - shade) * smudge
    # graphite stays on the heights of the paper; a heavy hand fills the valleys as well
    shade = np.clip(shade * (1 + np.float32(_TOOTH) * tooth * (1 - shade)), 0, 1)
    stroke = np.clip(line * (np.float32(_MOST_LINE) + np.float32(_LINE_TOOTH) * tooth), 0, 1)
    cover = 1 - (1 - shade) * (1 - stroke)
    sheet = 1 + np.float32(_SHEET) * tooth
    white, black = (np.array(colour, np.float32) for colour in (_PAPER, _GRAPHITE))
    colours = white * sheet[..., None] + cover[..., None] * (black - white)
    return (np.clip(colours, 0, 255) + np.float32(0.5)).astype(np.uint8)
