"""Colours measured on a portrait, from which what the picture does not show is painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Kind
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    MOUTH_RIM,
    rim,
)

Colour = npt.NDArray[np.float64]  # (3,) RGB, 0..255

LUMA = np.array([0.299, 0.587, 0.114])
TOOTH_LIGHT = 1.0  # of the lightest skin, before the lips' shade
EYE_WHITE = 1.1  # of the whites of the eyes: on dark skin teeth are as light as those
SHARP = 1.6  # px of blur that portraits of good quality have
_BLUR_AGAIN = 2.0  # px
_REDNESS = np.array([1.0, -0.5, -0.5])
_LIP_LINE = rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)
_CHEEKS_AND_CHIN = (
    50, 205, 207, 212, 57, 43, 106, 182, 83, 18, 313, 406, 335, 273, 287, 432, 427, 425, 280, 330,
    4, 101,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """Colours of one portrait."""

    skin: Colour
    lip: Colour
    tooth: Colour
    gum: Colour
    tongue: Colour
    cavity: Colour
    seam: Colour  # of the line between shut lips
    grain: float  # standard deviation of the finest detail around the mouth, 0..255
    soft: float  # px of blur by which the picture is softer than a sharp one
    flat: bool  # a drawing: areas of one tone, no modelling
    kind: Kind
    lines: bool  # a drawing of lines alone: what it shows is paper or ink

    @staticmethod
    def of(image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating], kind: Kind) -> Palette:
        """Measured on an (H, W, 3) picture whose face mesh is (478, 3) px.

        The factors were tuned on 14 talking clips: bright teeth lie near the lightest skin,
        the cavity near a fifth of it.
        """
        lips = _pixels(image, mesh, _LIP_LINE, MOUTH_RIM)
        skin = _pixels(image, mesh, _CHEEKS_AND_CHIN, _LIP_LINE)
        lip_colour, skin_colour = np.median(lips, 0), np.median(skin, 0)
        luma = max(float(skin_colour @ LUMA), 1.0)
        light = max(float(np.percentile(skin @ LUMA, 80)), luma)
        chroma = skin_colour / luma - 1
        coloured = float(np.abs(chroma).sum()) > 0.08
        tint = np.array([0.03, 0.0, -0.06]) * coloured
        flat = kind == "drawing"
        lines = flat and not coloured and _is_paper_and_ink(skin)
        brightest = 250.0 if flat else 236.0
        tooth = 1 + 0.40 * chroma + tint
        bright = max(light * TOOTH_LIGHT, EYE_WHITE * _eye_white(image, mesh))
        tooth *= max(8.0, min(bright, brightest / float(tooth.max())))
        if coloured:
            tongue = np.clip(lip_colour * 0.5 + skin_colour * [0.29, 0.21, 0.21], 0, 255)
            cavity = np.minimum(lip_colour, skin_colour) * [0.44, 0.27, 0.27]
        else:
            tongue, cavity = lip_colour * 0.72, lip_colour * 0.28
        if flat and coloured:
            tongue = lip_colour * [0.95, 0.82, 0.82]
            shown = _pixels(image, mesh, MOUTH_RIM, ())
            red = shown[shown @ _REDNESS > float(skin_colour @ _REDNESS) + 20]
            if len(red) > max(12, 0.1 * len(shown)):  # the open mouth of the picture shows it
                tongue = np.median(red, 0)
                cavity = np.minimum(0.5 * tongue, np.percentile(red, 3, axis=0))
        darkest = np.percentile(lips, 4, axis=0)
        if flat:
            seam = darkest
        else:  # lips throw a warm shadow on each other
            tinted = lip_colour * ([0.50, 0.36, 0.37] if coloured else [0.38, 0.38, 0.38])
            seam = np.minimum(tinted, 0.5 * tinted + 0.5 * darkest)
        if lines:
            tongue, cavity = np.full(3, brightest), np.minimum(darkest, 40)
        return Palette(
            skin=skin_colour,
            lip=lip_colour,
            tooth=tooth,
            gum=np.clip(0.6 * lip_colour + 0.3 * skin_colour, 0, 255),
            tongue=tongue,
            cavity=np.clip(cavity, 3, 80),
            seam=np.clip(seam, 0, 255),
            grain=_grain(image, mesh),
            soft=_softness(image, mesh),
            flat=flat,
            kind=kind,
            lines=lines,
        )


def _is_paper_and_ink(skin: npt.NDArray[np.float64]) -> bool:
    """Whether colours (k, 3) are nearly all as light as paper or as dark as ink."""
    luma = skin @ LUMA
    return float(((luma > 235) | (luma < 40)).mean()) > 0.9


def _pixels(
    image: npt.NDArray[np.uint8],
    mesh: npt.NDArray[np.floating],
    ring: Sequence[int],
    hole: Sequence[int],
) -> npt.NDArray[np.float64]:
    """(k, 3) colours inside one ring of mesh points and outside another, if any; never empty."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(mesh[list(ring), :2]).astype(np.int32)], 255)
    if hole:
        cv2.fillPoly(mask, [np.round(mesh[list(hole), :2]).astype(np.int32)], 0)
    found = image[mask > 0]
    if len(found) == 0:
        found = image.reshape(-1, 3)
    return found.astype(np.float64)


def _softness(image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating]) -> float:
    """Standard deviation of the blur on the face's firmest edges, beyond that of a sharp picture.

    An edge under a Gaussian of s has a slope of 1 / s, and of 1 / sqrt(s^2 + t^2) when blurred
    once more by t: the two slopes tell s.
    """
    face = mesh[list(FACE_OVAL), :2]
    x0, y0 = np.maximum(face.min(0).astype(int), 0)
    x1, y1 = face.max(0).astype(int) + 1
    luma = (image[y0:y1, x0:x1] @ LUMA).astype(np.float32)
    if luma.size == 0:
        return 0.0

    def slope(grey: npt.NDArray[np.float32]) -> float:
        x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        return float(np.percentile(np.hypot(x, y), 99))

    again = slope(cv2.GaussianBlur(luma, (0, 0), _BLUR_AGAIN))
    fall = (slope(luma) / max(again, 1e-3)) ** 2
    blur = _BLUR_AGAIN / np.sqrt(max(fall - 1, 0.02))
    return float(np.sqrt(max(blur**2 - SHARP**2, 0)))


def _eye_white(image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating]) -> float:
    """Luma of the whites of the eyes, 0..255."""
    rings = (EYE_RIGHT_RIM, EYE_LEFT_RIM)
    eyes = np.concatenate([_pixels(image, mesh, ring, ()) for ring in rings])
    return float(np.percentile(eyes @ LUMA, 88))


def _grain(image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating]) -> float:
    corners = mesh[[61, 291, 0, 17], :2]
    x0, y0 = np.maximum(corners.min(0).astype(int), 0)
    x1, y1 = corners.max(0).astype(int)
    patch = image[y0:y1, x0:x1].astype(np.float32)
    if patch.size == 0:
        return 0.0
    return float((patch - cv2.GaussianBlur(patch, (0, 0), 1.2)).std())
