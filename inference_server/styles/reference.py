"""A reference picture: the palette and the strokes that it lends to a style.

Colours move as palettes do in Chang, Fried, Liu, DiVerdi and Finkelstein, "Palette-based Photo
Recoloring" (SIGGRAPH 2015), with the reference's palette in place of one chosen by hand. Strokes
are measured by the scale at which its structure tensor is strongest. Constants were tuned by eye
on paintings, lengths are px of a 512 px picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference_server import image_io

from . import palettes, tones
from .line_filters import Field, Image, blur, flow, resized
from .palettes import Palette

_SIDE = 512  # px: references are looked at in this size
_COLOURS = 20  # of the reference and of the portrait
_SCALES = (0.8, 1.1, 1.5, 2.1, 2.9, 4.0, 5.6)  # px, sigma, at which strokes are looked for
_USUAL_SIGMA, _USUAL_COHERENCE, _USUAL_CONTRAST = 1.9, 0.55, 0.028  # of a plain oil portrait
_TAKEN = 0.7  # how far the portrait's colours go to those of the reference
_LIGHT_SAY = 2.0  # light and dark count so much more than hue when colours are matched
_NEAR = 260.0  # squared Lab units within which a colour takes part in a move


@dataclass(frozen=True, slots=True, eq=False)
class Brush:
    """How strokes of a reference differ from the usual; factors."""

    size: float = 1.0
    length: float = 1.0
    contrast: float = 1.0


def chosen(params: Mapping[str, Any] | None) -> Image | None:
    """The picture that a setting names, (h, w, 3); None without one.

    Raises:
        ImageUnreadable: see image_io.read_picture.
    """
    path = str((params or {}).get("style_image", ""))
    if not path:
        return None
    rgba = image_io.read_picture(Path(path))
    zoom = min(1.0, _SIDE / max(rgba.shape[:2]))
    height, width = (max(2, round(side * zoom)) for side in rgba.shape[:2])
    alpha = rgba[..., 3:].astype(np.float32) / 255
    flat = (rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)
    return np.asarray(cv2.resize(flat, (width, height), interpolation=cv2.INTER_AREA))


def lent(image: Image, scale: float, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the reference of `params` lends to a portrait (H, W, 3): "brush", "moves" or nothing."""
    picture = chosen(params)
    if picture is None:
        return {}
    smooth = cv2.GaussianBlur(tones.analysed(image, min(1.0, 1 / scale)), (0, 0), 2.0)
    inside = tones.oval(smooth.shape[:2], tones.scaled_box(image, min(1.0, 1 / scale), None))
    own = palettes.counted(np.asarray(smooth, np.float32), inside)
    return {"brush": brush(picture), "moves": moves(own, picture)}


def brush(picture: Image) -> Brush:
    """The strokes of a reference (h, w, 3)."""
    grey = tones.mixed(picture.astype(np.float32) / 255, tones.LINE_WEIGHTS)
    energies = []
    for sigma in _SCALES:
        soft = blur(grey, sigma)
        dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
        # scale-normalised; edges of things grow with sigma, strokes peak and fall
        energies.append(sigma * np.median(np.hypot(dx, dy)))
    shares = np.array(energies) / max(sum(energies), 1e-9)
    sigma = float(np.exp((shares * np.log(_SCALES)).sum()))
    _, _, coherence = flow(1.5 * sigma, 4 * sigma, 0.2, grey)
    band = blur(grey, 0.7) - blur(grey, 2 * sigma)
    contrast = float(np.sqrt(np.median(band * band)) / 0.67)
    return Brush(
        size=float(np.clip((sigma / _USUAL_SIGMA) ** 2, 0.6, 2.0)),
        length=float(np.clip(float(coherence.mean()) / _USUAL_COHERENCE, 0.6, 1.6)),
        contrast=float(np.clip((contrast / _USUAL_CONTRAST) ** 0.5, 0.6, 2.0)),
    )


def moves(own: Palette, picture: Image) -> npt.NDArray[np.float32]:
    """Where the colours of a portrait go: (k, 6) Lab as palettes keep it, from and to.

    Args:
        own: the portrait's colours.
        picture: (h, w, 3) the reference.
    """
    smooth = cv2.GaussianBlur(picture.astype(np.float32) / 255, (0, 0), 1.5)
    counted = palettes.counted(np.asarray(smooth, np.float32), np.ones(picture.shape[:2], np.bool_))
    lent = palettes.merged(counted, _COLOURS)
    mine = palettes.merged(own, _COLOURS)
    # by rank of lightness first: the darkest goes to the darkest
    light = np.interp(_ranks(mine), _ranks(lent)[order := np.argsort(lent[:, 0])], lent[order, 0])
    wanted = np.column_stack([0.4 * mine[:, 0] + 0.6 * light, mine[:, 1:3]])
    off = (wanted[:, None] - lent[None, :, :3]) * [_LIGHT_SAY, 1, 1]
    near = np.exp(-(off**2).sum(2) / (2 * _NEAR)) * lent[None, :, 3] ** 0.3 + 1e-12
    target = near @ lent[:, :3] / near.sum(1, keepdims=True)
    return np.concatenate([mine[:, :3], mine[:, :3] + _TAKEN * (target - mine[:, :3])], 1).astype(
        np.float32
    )


def _ranks(palette: Palette) -> npt.NDArray[np.float64]:
    """(k,) share of a picture that is darker than each colour."""
    order = np.argsort(palette[:, 0])
    mass = np.cumsum(palette[order, 3]) - palette[order, 3] / 2
    ranks = np.empty(len(palette))
    ranks[order] = mass / palette[:, 3].sum()
    return ranks


def moved(palette: Palette, all_moves: npt.NDArray[np.float32]) -> Palette:
    """The colours of a palette after the moves."""
    off = palette[:, None, :3] - all_moves[None, :, :3]
    near = np.exp(-(off**2).sum(2) / (2 * _NEAR)) + 1e-9
    shift = near @ (all_moves[:, 3:] - all_moves[:, :3]) / near.sum(1, keepdims=True)
    return np.column_stack([palette[:, :3] + shift, palette[:, 3]]).astype(np.float32)


def recoloured(picture: Field, all_moves: npt.NDArray[np.float32]) -> Field:
    """An (h, w, 3) picture 0..1 whose colours have made the moves."""
    small = resized(picture, ((picture.shape[0] + 1) // 2, (picture.shape[1] + 1) // 2))
    lab = palettes.lab(small)
    shift = np.zeros_like(lab)
    mass = np.full(lab.shape[:2], 1e-6, np.float32)
    for row in all_moves:
        off = lab - row[:3]
        say = np.exp(np.float32(-0.5 / _NEAR) * (off * off).sum(axis=2))
        mass += say
        shift += say[..., None] * (row[3:] - row[:3])
    shift = resized(shift / mass[..., None], picture.shape)
    return palettes.rgb(palettes.lab(picture) + shift)
