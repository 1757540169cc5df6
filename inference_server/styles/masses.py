"""Masses: which parts of a picture a brush fills with black, and how they meet the paper."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .line_filters import Field, blur, resized, smoothstep

# lengths are px of a 512 px crop; tones are levelled: 0 is black, 1 the tone of lit skin
FINE = 0.7  # blur before tones are compared
_DARKS = np.arange(0.22, 0.391, 0.01)  # candidates for black; hair and shadow lie around them
_USUAL_DARK = 0.36
_FLATNESS, _TONE_WIDTH, _PULL = 0.04, 0.025, 0.15  # how the candidates are weighed
_RANGE = 0.14  # in light surroundings this much more counts as black
_NEVER = 0.02  # a threshold below this lets nothing be black
_SURROUNDINGS, _SHARE = 12.0, 0.75  # black is darker than this share of its surroundings
_GUIDE_RADIUS, _GUIDE_TONE = 9, 0.04  # guided filter: differences below this are paper texture
_CRISPNESS, _CRISP_SIGMA = 1.0, 6.0  # unsharp mask: strands and folds open up the black
_SPOT_SIZE, _SPOT_FROM, _SPOT_TO = 2.5, 0.1, 0.2  # highlights in eyes: radius, tone over the iris
_SPOT_AROUND = (0.3, 0.5)  # eyes lie in skin; glints in cloth and dark walls do not
_SPOT_EXCESS = 0.3  # they are white, and kept at any size
_LEAST_BLACK, _LEAST_WHITE = 1.7, 4.2  # sum of tone over a kept patch, px^2
_SHALLOW, _DEEP = 0.07, 0.08  # a kept patch must somewhere be this much past the threshold
_SPECK_INK, _SPECK_AREA = 0.15, 9.0  # dots with less px^2 than this are dirt
_EDGE = 0.0055  # tone per px: a softer edge than this stays soft


def dark_tone(tone: Field, detail: float) -> float:
    """The tone below which all is black: about a third of the skin's.

    Of the candidates that one is taken which the fewest smooth areas (walls, cloth) come close
    to, because a threshold through a smooth area draws shapes that nobody sees in the picture.
    """
    side = 2 * round(2 * detail) + 1
    gradient = cv2.morphologyEx(tone, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8))
    counts, edges = np.histogram(tone[gradient < _FLATNESS], bins=200, range=(0.0, 1.0))
    middles = (edges[1:] + edges[:-1]) / 2
    near = np.exp(-0.5 * ((middles[None] - _DARKS[:, None]) / _TONE_WIDTH) ** 2)
    cost = near @ counts / tone.size + _PULL * np.abs(_DARKS - _USUAL_DARK)
    return float(_DARKS[np.argmin(cost)])


def lightness(fine: Field, flowing: Field, detail: float, dark: Field) -> Field:
    """How far each pixel is above the threshold: < 0 is black.

    Args:
        fine: (H, W) levelled tone, blurred by FINE.
        flowing: (H, W) the same smoothed along the lines, for edges like a brush's.
        detail: px per px of a 512 px crop.
        dark: (H, W) tone below which all is black; nothing is where it is 0.
    """
    flowing = _guided(flowing, round(_GUIDE_RADIUS * detail), _GUIDE_TONE**2)
    crisp = flowing + _CRISPNESS * (flowing - blur(flowing, _CRISP_SIGMA * detail))
    side = 2 * round(_SPOT_SIZE * detail) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    height = fine - cv2.morphologyEx(fine, cv2.MORPH_OPEN, disc)
    around = blur(fine, _SURROUNDINGS * detail)
    spot = smoothstep(height, _SPOT_FROM, _SPOT_TO) * smoothstep(around, *_SPOT_AROUND)
    more = np.minimum(np.float32(_RANGE), np.float32(_RANGE / _USUAL_DARK) * dark)
    excess = crisp - np.clip(_SHARE * around, dark, dark + more)
    excess = np.where(dark < _NEVER, np.maximum(excess, np.float32(_SPOT_EXCESS)), excess)
    return excess + spot * np.maximum(_SPOT_EXCESS - excess, 0)


def _guided(field: Field, radius: int, variance: float) -> Field:
    """Guided filter with itself as the guide (He, Sun and Tang 2010, equations 5 to 8)."""
    size = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(field, size)
    spread = np.maximum(cv2.blur(field * field, size) - mean * mean, 0)
    slope = spread / (spread + np.float32(variance))
    return cv2.blur(slope, size) * field + cv2.blur(mean - slope * mean, size)


def cover(excess: Field, detail: float, shape: tuple[int, ...], edge: float) -> Field:
    """Coverage 0..1 of the black masses, whose edges are `edge` px wide, without specks.

    Args:
        excess: (h, w) from `lightness`.
        detail: px of `excess` per px of a 512 px crop.
        shape: (H, W) of the coverage.
    """
    black = _kept(excess < 0, -excess, _LEAST_BLACK * detail**2)
    white = _kept(excess >= 0, excess, _LEAST_WHITE * detail**2)
    softest = _EDGE * excess.shape[0] / shape[0]
    excess = resized(excess, shape, cv2.INTER_CUBIC)
    dx = cv2.Sobel(excess, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(excess, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = np.maximum(cv2.magnitude(dx, dy), np.float32(softest))
    ink = np.clip(np.float32(0.5) - excess / (slope * np.float32(edge)), 0, 1)
    ink *= resized(black, shape)
    return 1 - (1 - ink) * resized(white, shape)


def _kept(patch: npt.NDArray[np.bool_], depth: Field, least: float) -> Field:
    """0..1 by which each connected patch, with the pixels around it, stays in the drawing."""
    n, labels = cv2.connectedComponents(patch.view(np.uint8), connectivity=8)
    flat, deep = labels.ravel().astype(np.intp), np.maximum(depth, 0).ravel()
    mass = np.bincount(flat, weights=deep, minlength=n)
    top = np.zeros(n, np.float32)
    np.maximum.at(top, flat, deep)
    keep = smoothstep(mass, 0.8 * least, least) * smoothstep(top, _SHALLOW, _DEEP)
    keep = np.maximum(keep, smoothstep(top, 0.8 * _SPOT_EXCESS, 0.9 * _SPOT_EXCESS))
    keep[0] = 1
    inside = keep.astype(np.float32)[labels]
    around = cv2.erode(inside, np.ones((3, 3), np.uint8))
    return np.where(patch, inside, around)


def specks(cover: Field, scale: float) -> npt.NDArray[np.bool_]:
    """(H, W) dots of `cover` 0..1 that touch nothing, and their rims.

    `scale` is px per px of a 512 px crop.
    """
    inked = (cover > _SPECK_INK).view(np.uint8)
    _, labels, sizes, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
    speck = sizes[:, cv2.CC_STAT_AREA] < _SPECK_AREA * scale**2
    speck[0] = False
    dirt = cv2.dilate(speck[labels].view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(dirt & ((labels == 0) | speck[labels]))
