"""Regions of a portrait: what is skin, hair, figure and background, and where features lie.

All lengths are px of a 512 px crop. Constants were tuned by eye on photographs, paintings,
cartoons and drawings.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Sitter
from inference_server.portrait.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    rim,
)

from .line_filters import Field, blur, resized, smoothstep

_SIDE = 256  # px: regions are looked for in a picture of this size
_JAW = tuple(FACE_OVAL[k] for k in range(7, 30))  # from ear to ear by the chin
_NOSE = (129, 98, 97, 2, 326, 327, 358)  # wings and base
_LIPS = rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)
_BROWS = BROW_RIGHT + BROW_LEFT
_NOSTRILS = (98, 97, 2, 326, 327, 294, 278, 4, 48, 64)
_LIGHTNESS, _COLOUR = 0.35, 1.0  # how much they count when skin and hair are told apart
_LEAST_HAIR = 0.02  # of the head's zone: fewer pixels are no hair
_FACE_PRIOR = 3.0  # log odds by which the middle of a face is skin


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Shares 0..1 of a picture, (H, W) each; what is none of them is cloth."""

    figure: Field  # against what is behind it
    skin: Field
    hair: Field  # of head and beard
    crown: Field  # hair above the brows
    features: Field  # eyes, brows, lips and nostrils: skin, but full of things to draw
    contours: Field  # where a hand draws a line in any case: jaw, nose, lids and lips

    def gain(self, skin: float, hair: float, features: float, contours: float) -> Field:
        """(H, W) how strong lines are drawn, from how strong they are in each region; cloth: 1."""
        parts = (self.skin, self.hair, self.features, self.contours)
        gain = np.ones_like(self.skin)
        for part, factor in zip(parts, (skin, hair, features, contours), strict=True):
            gain += np.float32(factor - 1) * part
        return gain


def found(image: npt.NDArray[np.uint8], sitter: Sitter | None) -> Regions:
    """Regions of an (H, W, 3) RGB picture; all of it is cloth when nobody is known to sit,
    and none of it when the matte is empty."""
    shape = image.shape[:2]
    nothing = np.zeros(shape, np.float32)
    if sitter is None:
        return Regions(nothing + 1, nothing, nothing, nothing, nothing, nothing)
    if sitter.matte is not None and not sitter.matte.any():
        return Regions(nothing, nothing, nothing, nothing, nothing, nothing)
    zoom = min(1.0, _SIDE / max(shape))
    small = (max(2, round(shape[0] * zoom)), max(2, round(shape[1] * zoom)))
    picture = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
    points = (sitter.points + 0.5) * zoom - 0.5
    figure = np.ones(small, np.float32)
    if sitter.matte is not None:
        figure = resized(np.asarray(sitter.matte, np.float32), small, cv2.INTER_AREA)
    unit = float(points[FACE_OVAL, 0].max() - points[FACE_OVAL, 0].min()) / 200  # px per px
    features = _features(small, points, unit)
    hair, skin = _hair_and_skin(picture, points, figure, features, unit)
    contours = _lines(small, points, unit)
    parts = (hair, skin * (1 - 0.9 * features), features, contours)
    big = [np.clip(resized(field, shape, cv2.INTER_CUBIC), 0, 1) for field in parts]
    sharp = np.ones(shape, np.float32) if sitter.matte is None else sitter.matte
    above = np.arange(shape[0])[:, None] < sitter.points[list(_BROWS), 1].min()
    figure = np.asarray(sharp, np.float32)
    return Regions(figure, big[1], big[0], big[0] * above, big[2], big[3])


def _filled(shape: tuple[int, ...], points: npt.NDArray[np.float64]) -> Field:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255)
    return mask.astype(np.float32) / 255


def _features(shape: tuple[int, ...], points: npt.NDArray[np.float64], unit: float) -> Field:
    """Around eyes, brows, lips and nostrils."""
    mask = np.zeros(shape, np.float32)
    for ring, grow in (
        (EYE_RIGHT_RIM, 9), (EYE_LEFT_RIM, 9), (BROW_RIGHT, 6), (BROW_LEFT, 6),
        (_LIPS, 3), (_NOSTRILS, 2),
    ):  # fmt: skip
        hull = cv2.convexHull(points[list(ring)].astype(np.float32))[:, 0].astype(np.float64)
        part = _filled(shape, hull)
        side = 2 * max(1, round(grow * unit)) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        mask = np.maximum(mask, cv2.dilate(part, disc))
    return blur(mask, max(0.6, 2 * unit))


def _lines(shape: tuple[int, ...], points: npt.NDArray[np.float64], unit: float) -> Field:
    """Around the lines that every face has."""
    mask = np.zeros(shape, np.uint8)
    curves = (_JAW, _NOSE, (*LIP_INNER_UPPER,), EYE_RIGHT_RIM, EYE_LEFT_RIM)
    for curve in curves:
        path = np.round(points[list(curve)]).astype(np.int32)
        cv2.polylines(mask, [path], False, 255, max(1, round(7 * unit)))
    return blur(mask.astype(np.float32) / 255, max(0.6, 2.5 * unit))


def _hair_and_skin(
    picture: npt.NDArray[np.uint8],
    points: npt.NDArray[np.float64],
    figure: Field,
    features: Field,
    unit: float,
) -> tuple[Field, Field]:
    """Two colours decide: that of the face's middle, and what else there is on the head."""
    shape = picture.shape[:2]
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), max(0.6, 1.5 * unit))
    lab = lab * np.array((_LIGHTNESS, _COLOUR, _COLOUR), np.float32)
    oval = _filled(shape, points[list(FACE_OVAL)])
    reach = blur(oval, 14 * unit)
    middle = (oval > 0.5) & (features < 0.1)
    if middle.sum() < 20:
        nothing = np.zeros(shape, np.float32)
        return nothing, nothing
    skin, skin_spread = _colour(lab[middle])
    y = np.mgrid[: shape[0], : shape[1]][0]
    chin, wide = float(points[152, 1]), 200 * unit
    near = cv2.distanceTransform((oval < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    zone = (figure > 0.6) & (oval < 0.5) & (y < chin - 0.25 * wide) & (near < 0.55 * wide)
    other = zone & (_distance(lab, skin, skin_spread) > 6)
    from_skin = _distance(lab, skin, skin_spread)
    share = 1 - smoothstep(from_skin, 5, 16)
    below = smoothstep(y, chin, chin + 0.9 * wide) * np.ones(shape, np.float32)
    if other.sum() < _LEAST_HAIR * max(1, int(zone.sum())) or other.sum() < 20:
        return np.zeros(shape, np.float32), np.maximum(share, reach) * figure * (1 - below)
    hair, hair_spread = _colour(lab[other])
    odds = from_skin - _distance(lab, hair, hair_spread) - 2 * _FACE_PRIOR * (reach - 0.4)
    hairy = smoothstep(odds, -3, 3)
    away = smoothstep(near, 0.55 * wide, 1.0 * wide)
    hairy = hairy * figure * (1 - away)
    hairy = np.asarray(cv2.medianBlur((hairy * 255).astype(np.uint8), 5), np.float32) / 255
    bare = np.maximum(share, smoothstep(reach, 0.5, 0.9)) * (1 - below)
    return hairy, np.asarray(bare * (1 - hairy) * figure, np.float32)


def _colour(colours: npt.NDArray[np.float32]) -> tuple[Field, Field]:
    """Median (3,) and spread (3,) of colours (n, 3)."""
    median = np.median(colours, axis=0)
    spread = 1.48 * np.median(np.abs(colours - median), axis=0)
    return median.astype(np.float32), np.clip(spread, 2.5, 8).astype(np.float32)


def _distance(lab: Field, median: Field, spread: Field) -> Field:
    """(H, W) squared, in spreads."""
    return np.asarray((((lab - median) / spread) ** 2).sum(axis=2), np.float32)
