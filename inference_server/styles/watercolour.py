"""Watercolour: transparent washes with dark edges, pigment that settles in rough white paper.

Washes are the picture in smooth patches (anisotropic Kuwahara filter), their colour softer than
their tone as if it had bled; pigment gathers at their rims, in the valleys of the paper and in slow
clouds (after Bousseau, Kaplan, Thollot and Sillion, "Interactive watercolor rendering with temporal
coherence and abstraction", NPAR 2006). Paper and clouds stay on the face. All lengths are px of a
512 px crop. Constants were tuned by eye on photographs, paintings, cartoons and drawings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inference_server.datatypes import Sitter

from . import contours, paper, reference, tones
from .kuwahara import kuwahara
from .line_filters import Field, Image, blur, flow, resized, shrunk_half, smoothstep
from .reference import Brush
from .settings import colour, complete, number

_MOST_DETAIL = 2.0  # analysis works at no more px than this per px of a 512 px crop
_TENSOR_SIGMA, _WIDE_SIGMA, _WIDE_SHARE = 2.2, 7.0, 0.2  # of the flow
_RADIUS = 5.6  # of the Kuwahara filter
_BLEED = 4.0  # how far colour runs beyond tone
_WOBBLE = 1.3  # how far the hand is off
_WHITE, _GAMMA = 1.22, 0.86  # tone, of lit skin, left as bare paper; paler darks
_CHROMA = 1.25
_WASHES, _WASH_EDGE = 5.5, 0.9  # steps of tone, and how far tone gathers on them, 0..1
_RIM, _RIM_SIGMA = 4.2, 1.7  # how much pigment the rim of a wash gathers, and how wide it is
_CLOUDS, _GRANULES = 0.17, 0.13  # densities


class Watercolour:
    """Painting in watercolour; see registry.Style."""

    name = "watercolour"
    version = "2"
    reach = 22
    shaded = True
    lined = False
    regional = False

    def tuning(
        self,
        image: Image,
        scale: float,
        who: Sitter | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """See contours.measured."""
        measured, _ = contours.measured(image, scale, None if who is None else who.box)
        return {**measured, **reference.lent(image, scale, params)}

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> Image:  # fmt: skip
        """Clouds of pigment, twice, and the height of the paper."""
        size, shape = number(params, "stroke_size"), image.shape[:2]
        one, two = (
            np.float32(0.85) * paper.noise(shape, 19 * scale * size, seed + k)
            + np.float32(0.3) * paper.noise(shape, 6 * scale * size, seed + k + 1)
            for k in (0, 2)
        )
        rough = paper.noise(shape, 1.0 * scale, seed + 4)
        rough += np.float32(0.7) * paper.noise(shape, 2.4 * scale, seed + 5)
        return paper.coded(one / 3, two / 3, rough / 4)

    def develop(self, plate: Image, scale: float, params: Mapping[str, Any]) -> Image:
        """A plate is what is seen."""
        return plate

    def plate(self, image: Image, scale: float, seed: int, params: Mapping[str, Any]) -> Image:
        """Redraw an (H, W, 3) uint8 RGB picture.

        Raises:
            SpecInvalid: a setting is not a number in its range.
        """
        params = complete(self, image, scale, seed, params)
        size, fineness = number(params, "stroke_size"), number(params, "detail")
        rough = number(params, "paper")
        factor = tones.factor(scale, _MOST_DETAIL)
        detail = scale * factor
        picture = tones.analysed(image, factor)
        if params.get("moves") is not None:
            picture = reference.recoloured(picture, params["moves"])
        brush = params.get("brush", Brush())
        size *= brush.size
        one, two, tooth = paper.decoded(params["grain"], picture.shape)
        picture = _shaken(picture, one, two, _WOBBLE * detail * size)
        grey = blur(tones.mixed(picture, tones.LINE_WEIGHTS), 0.6 * detail)
        tx, ty, anisotropy = flow(_TENSOR_SIGMA * detail, _WIDE_SIGMA * detail, _WIDE_SHARE, grey)
        soft = detail * size**0.7 / fineness**0.7
        washes = kuwahara(picture, tx, ty, anisotropy, _RADIUS * soft)
        white = min(_WHITE * params["tone_skin"], 0.97)
        washes = _thinned(_bled(washes, _BLEED * soft), white)
        density = np.float32(brush.contrast) * _rims(washes, detail, two)
        density += np.float32(_CLOUDS) * 3 * one
        density += np.float32(_GRANULES * rough) * 4 * tooth
        sheet = colour(params, "paper_colour") / 255
        painted = _on_paper(washes, density, tooth * np.float32(rough), sheet)
        painted = resized(painted, image.shape, cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC)
        return (np.clip(painted, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _shaken(picture: Field, one: Field, two: Field, reach: float) -> Field:
    """The picture as an unsteady hand repeats it."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(np.float32)
    shift = np.float32(3 * reach)
    moved = cv2.remap(
        picture, x + one * shift, y + two * shift, cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(moved, np.float32)


def _bled(washes: Field, sigma: float) -> Field:
    """Washes whose colour runs over the borders of their tone."""
    lab = cv2.cvtColor(np.clip(washes, 0, 1), cv2.COLOR_RGB2LAB)
    colour = shrunk_half(lab)
    colour = cv2.GaussianBlur(colour, (0, 0), sigma / 2, borderType=cv2.BORDER_REFLECT_101)
    colour = resized(colour, lab.shape)
    light = lab[..., 0]
    # nothing runs into what stays white
    wet = smoothstep(95 - light, 0, 14) * np.float32(0.75)
    for c in (1, 2):
        lab[..., c] += wet * (colour[..., c] - lab[..., c])
        lab[..., c] *= np.float32(_CHROMA)
    return np.asarray(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), np.float32)


def _thinned(washes: Field, white: float) -> Field:
    """Paint thinned with water: `white` is bare paper, darks are paler, tones come in steps."""
    tone = np.clip(washes.mean(axis=2, keepdims=True), np.float32(0.004), 1)
    paler = np.clip(tone * np.float32(1 / white), 0, 1) ** np.float32(_GAMMA)
    light = washes * (paler / tone)
    over = np.maximum(light.max(axis=2, keepdims=True) - paler, np.float32(1e-4))
    light = paler + (light - paler) * np.minimum(1, (1 - paler) / over)  # colours fade to white
    tone = paler
    steps = tone * np.float32(_WASHES)
    inside = steps - np.floor(steps)
    gathered = np.floor(steps) + smoothstep(inside, 0.25, 0.75)
    gain = 1 + np.float32(_WASH_EDGE) * ((gathered + 0.02) / (steps + 0.02) - 1)
    light = np.float32(0.07) + np.float32(0.93) * np.clip(light * gain, 0, 1)
    return np.asarray(light, np.float32)


def _rims(washes: Field, detail: float, cloud: Field) -> Field:
    """(H, W) how much more pigment there is inside the rims of washes."""
    dark = 1 - washes.mean(axis=2)
    rim = np.maximum(dark - blur(dark, _RIM_SIGMA * detail), 0)
    rim += np.float32(0.6) * np.maximum(dark - blur(dark, 3 * _RIM_SIGMA * detail), 0)
    return np.float32(_RIM) * rim * (1 + cloud)


def _on_paper(washes: Field, density: Field, tooth: Field, white: Field) -> Field:
    """Pigment of the given extra density on paper: C - (C - C^2) d, Bousseau's equation 1."""
    darker = washes - (washes - washes * washes) * density[..., None]
    sheet = white * (1 + np.float32(0.035) * tooth[..., None])
    return np.asarray(darker * sheet, np.float32)
