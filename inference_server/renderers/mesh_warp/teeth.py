"""Rows of teeth: their textures and the arches that carry them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit

from .palette import Palette
from .rig import Rig

Array = npt.NDArray[np.float64]

ARCH_SPAN = np.radians(84)  # half of the arch that is modelled
UPPER_EDGE = 0.026  # face widths below the seam: edge of the upper teeth
LOWER_EDGE = 0.012  # below the seam: edge of the lower teeth
_COLUMNS = 29
# crown widths from the middle outwards, mm (Wheeler's Dental Anatomy)
_UPPER_MM = (8.5, 6.6, 7.6, 7.0, 6.8, 10.0, 10.0)
_LOWER_MM = (5.4, 5.9, 6.9, 7.0, 7.1, 11.0, 10.5)
_DRAWN_WIDTH, _DRAWN_HEIGHT = 512, 96


@dataclass(frozen=True, slots=True, eq=False)
class Arch:
    """A strip of teeth bent around the mouth."""

    points: Array  # (2k, 3) canonical axes: upper border, then lower
    uv: npt.NDArray[np.float32]  # (2k, 2) 0..1
    triangles: npt.NDArray[np.int32]
    texture: npt.NDArray[np.float32]  # (h, w, 4) premultiplied RGB 0..255 and coverage 0..1


def arches(rig: Rig, fit: Fit, palette: Palette, tooth: Array) -> tuple[Arch, Arch]:
    """Upper and lower row of a face; `tooth` is their colour (3,) RGB."""
    size = float(np.clip(rig.mouth.half_width / 0.19, 0.8, 1.2))
    # where the lips meet when the mouth is closed
    seam = float(rig.canonical[13, 1]) + 0.25 * rig.mouth.gap
    front = float(rig.canonical[13, 2]) + 0.045
    arc_px = 0.62 * size * fit.scale
    upper = _arch(
        rig.mouth.centre, (0.215 * size, 0.30 * size), (seam - 0.072, seam + UPPER_EDGE), front,
        0.016, _texture(_UPPER_MM, palette, tooth, arc_px, hanging=True),
    )  # fmt: skip
    lower = _arch(
        rig.mouth.centre, (0.195 * size, 0.27 * size), (seam + LOWER_EDGE, seam + 0.10),
        front + 0.02, 0.0, _texture(_LOWER_MM, palette, tooth, arc_px, hanging=False),
    )  # fmt: skip
    return upper, lower


def _arch(
    centre: float,
    radii: tuple[float, float],
    heights: tuple[float, float],
    front: float,
    rise: float,
    texture: npt.NDArray[np.float32],
) -> Arch:
    """An elliptic strip; `rise` lifts its ends, as the upper row's edge curves up."""
    u = np.linspace(0, 1, _COLUMNS)
    angle = (2 * u - 1) * ARCH_SPAN
    x = centre + radii[0] * np.sin(angle)
    z = front + radii[1] * (1 - np.cos(angle))
    borders = [np.stack([x, y - rise * np.sin(angle) ** 2, z], 1) for y in heights]
    uv = np.concatenate([np.stack([u, np.full_like(u, v)], 1) for v in (0.0, 1.0)])
    k = np.arange(_COLUMNS - 1)
    triangles = np.concatenate(
        [
            np.stack([k, k + 1, _COLUMNS + k], 1),
            np.stack([k + 1, _COLUMNS + k + 1, _COLUMNS + k], 1),
        ]
    )
    return Arch(np.concatenate(borders), uv.astype(np.float32), triangles.astype(np.int32), texture)


def _texture(
    widths_mm: tuple[float, ...], palette: Palette, tooth: Array, arc_px: float, hanging: bool
) -> npt.NDArray[np.float32]:
    """A row of teeth, drawn large and shrunk to about one texel per pixel of the picture."""
    drawn = np.zeros((_DRAWN_HEIGHT, _DRAWN_WIDTH, 4), np.float32)
    half = np.concatenate([[0], np.cumsum(widths_mm)]) / sum(widths_mm)
    edges = np.concatenate([-half[::-1], half[1:]])
    tones = 1 - 0.03 * np.random.default_rng(3).random(len(edges))
    y = np.linspace(0, 1, _DRAWN_HEIGHT)[:, None]
    for k, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        first, last = int((a + 1) / 2 * _DRAWN_WIDTH), int((b + 1) / 2 * _DRAWN_WIDTH)
        x = np.linspace(-1, 1, last - first)[None]
        off_centre = abs(a + b) / 2
        # the second tooth is a little shorter, and all get shorter towards the back
        length = 1 - (0.06 if 0.2 < off_centre < 0.32 else 0.0) - 0.10 * off_centre
        notch = 0.10 * np.abs(x) ** 5
        if palette.flat:  # one band
            length, notch = 0.97, 0 * notch
        cover = np.clip((length - y - notch) / 0.035, 0, 1)
        if palette.flat:
            tone = np.ones_like(cover)
        else:
            groove = 0.16 * np.exp(-(((1 - np.abs(x)) / 0.07) ** 2))
            tone = tones[k] * (1 - 0.05 * np.abs(x) ** 3 - 0.04 * y) * (1 - groove)
        colour = tone[..., None] * tooth
        if not palette.flat:
            gum = np.clip((0.20 + 0.07 * x**2 - y) / 0.06, 0, 1)[..., None]
            colour = colour * (1 - gum) + 0.8 * palette.gum * gum
        drawn[:, first:last, :3] = colour * cover[..., None]
        drawn[:, first:last, 3] = cover
    if not hanging:
        drawn = drawn[::-1].copy()
    drawn = cv2.GaussianBlur(drawn, (0, 0), 3.2)
    width = int(np.clip(arc_px, 32, _DRAWN_WIDTH))
    height = int(np.clip(0.2 * width, 12, _DRAWN_HEIGHT))
    return cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
