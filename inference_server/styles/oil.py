"""Oil paint: strokes that follow form, each of one colour, with the light on their relief.

The strokes are laid out once (brushwork.py) and stay on the face; what colour each of them has is
read from the moving picture, smoothed by the anisotropic Kuwahara filter. All lengths are px of a
512 px crop. Constants were tuned by eye on photographs, paintings, cartoons and drawings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from inference_server.datatypes import Sitter

from . import brushwork, paper, reference, tones
from .kuwahara import kuwahara
from .line_filters import Field, Image, blur, flow, resized
from .reference import Brush
from .settings import complete, number

_MOST_DETAIL = 2.0  # analysis works at no more px than this per px of a 512 px crop
_TENSOR_SIGMA, _WIDE_SIGMA, _WIDE_SHARE = 2.0, 7.0, 0.25  # of the flow
_RADIUS = 4.4  # of the Kuwahara filter
_KEPT = 0.26  # colours of a stroke further than this, 0..1, from the picture's are not taken over
_CHROMA, _CONTRAST, _MIDDLE = 1.16, 1.08, 0.45
_RELIEF, _TINT, _WEAVE = 0.30, 0.06, 0.025  # how much light, strokes and canvas change lightness


class Oil:
    """Painting in oil; see registry.Style."""

    name = "oil"
    version = "3"
    reach = 20
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
        """What a reference picture lends: brush, moves of colours; see reference.py."""
        return {"tuned": True, **reference.lent(image, scale, params)}

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> Image:  # fmt: skip
        """Way to the middle of the stroke (x, y) in units of MOST_REACH, and light on the paint."""
        size, fineness = number(params, "stroke_size"), number(params, "detail")
        weave = number(params, "paper")
        brush = params.get("brush", Brush())
        factor = tones.factor(scale, _MOST_DETAIL)
        fine = 2.0 if scale * factor <= 1 else 1.0  # drawn large, for smooth edges of strokes
        detail = scale * factor * fine
        picture = tones.analysed(image, factor * fine)
        picture = cv2.GaussianBlur(picture, (0, 0), 1.2 * detail)
        grey = tones.mixed(picture, tones.LINE_WEIGHTS)
        tx, ty, _ = flow(2.2 * detail, 9 * detail, 0.4, grey)
        paint = brushwork.painted(
            picture, (tx, ty), detail, size * brush.size, brush.length, fineness, seed
        )
        light = brushwork.relief(paint, detail)
        shade = brush.contrast * (_RELIEF * light + _TINT * paint.tint)
        shade += np.float32(_WEAVE * weave) * _canvas(shade.shape, detail)
        unit = np.float32(1 / (brushwork.MOST_REACH * detail))
        fields = (paint.dx * unit, paint.dy * unit, shade)
        shape = image.shape[:2]
        return paper.coded(*(resized(field, shape, cv2.INTER_AREA) for field in fields))

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
        factor = tones.factor(scale, _MOST_DETAIL)
        detail = scale * factor
        picture = tones.analysed(image, factor)
        if params.get("moves") is not None:
            picture = reference.recoloured(picture, params["moves"])
        grey = blur(tones.mixed(picture, tones.LINE_WEIGHTS), 0.6 * detail)
        tx, ty, anisotropy = flow(_TENSOR_SIGMA * detail, _WIDE_SIGMA * detail, _WIDE_SHARE, grey)
        radius = _RADIUS * detail * size**0.7 / fineness**0.7
        smooth = kuwahara(picture, tx, ty, anisotropy, radius)
        shape = image.shape[:2]
        smooth = resized(smooth, shape, cv2.INTER_AREA if factor > 1 else cv2.INTER_CUBIC)
        dx, dy, shade = paper.decoded(params["grain"], shape)
        painted = _from_middles(smooth, dx, dy, brushwork.MOST_REACH * scale)
        return _varnished(painted, shade)


def _canvas(shape: tuple[int, ...], detail: float) -> Field:
    """(H, W) height of a woven canvas, -1..1."""
    y, x = (np.arange(side, dtype=np.float32) / np.float32(detail) * 1.9 for side in shape)
    return (np.sin(x)[None] * np.sin(y)[:, None]).astype(np.float32)


def _from_middles(smooth: Field, dx: Field, dy: Field, unit: float) -> Field:
    """Each pixel with the colour of the middle of its stroke, unless another thing lies there."""
    y, x = np.mgrid[: smooth.shape[0], : smooth.shape[1]].astype(np.float32)
    middle = cv2.remap(
        smooth, x + dx * np.float32(unit), y + dy * np.float32(unit), cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    off = middle - smooth
    square = (off * off).sum(axis=2)
    share = np.exp(square * np.float32(-0.5 / _KEPT**2))[..., None]
    return smooth + share * off


def _varnished(painted: Field, shade: Field) -> Image:
    """Deeper colours, and the light on the relief: (H, W, 3) uint8."""
    grey = painted.mean(axis=2, keepdims=True)
    colours = grey + (painted - grey) * np.float32(_CHROMA)
    colours = (colours - np.float32(_MIDDLE)) * np.float32(_CONTRAST) + np.float32(_MIDDLE)
    light = shade[..., None]
    # relief shows in the half-tones; the darkest and the lightest paint stay calm
    calm = np.float32(0.15) + np.float32(2.3) * grey * (1 - grey)
    colours = colours * (1 + light * calm) + np.float32(0.25) * np.maximum(light, 0) * calm * 0.5
    return (np.clip(colours, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
