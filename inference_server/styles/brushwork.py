"""Brush strokes: where a painter would put them, which way they run, and how the paint lies.

Strokes of several sizes follow the flow of a picture, large ones first and small ones where it has
detail (Hertzmann, "Painterly Rendering with Curved Brush Strokes", SIGGRAPH 1998). They carry no
colour: a pixel only knows where the middle of its stroke is, and takes the colour there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

from .line_filters import Field, blur

MOST_REACH = 14.0  # px of a 512 px crop: the middle of a stroke is not further away

_LIGHT = (-0.55, -0.85)  # where light comes from, x and y of the picture


@dataclass(frozen=True, slots=True)
class Brush:
    """One layer of strokes; lengths in px of a 512 px crop."""

    radius: float  # half the width of a stroke
    length: float  # at most, from the middle to an end
    spacing: float  # between middles of strokes
    detail: float  # least local contrast, 0..1, where a stroke is put


BRUSHES = (
    Brush(radius=6.8, length=26.0, spacing=9.5, detail=0.0),
    Brush(radius=3.7, length=16.0, spacing=5.8, detail=0.015),
    Brush(radius=1.8, length=9.0, spacing=3.2, detail=0.04),
)


@dataclass(frozen=True, slots=True, eq=False)
class Paint:
    """How paint lies on a canvas; all (H, W)."""

    dx: Field  # px to the middle of the stroke
    dy: Field
    height: Field  # of the paint
    tint: Field  # -1..1, one value per stroke


def painted(
    picture: Field,
    flow: tuple[Field, Field],
    detail: float,
    size: float,
    length: float,
    fineness: float,
    seed: int,
) -> Paint:
    """Cover a canvas with strokes.

    Args:
        picture: (H, W, 3) float32 0..1, smoothed.
        flow: (H, W) x and y of the unit tangents.
        detail: px per px of a 512 px crop.
        size: of the strokes; 1 as in BRUSHES.
        length: of the strokes, over that.
        fineness: 1; more puts small strokes in more places.
        seed: of the places and bristles.
    """
    shape = picture.shape[:2]
    owner = np.full(shape, -1, np.int32)
    near = np.empty(shape, np.float32)
    dx, dy, across, along = (np.zeros(shape, np.float32) for _ in range(4))
    canvas = (owner, near, dx, dy, across, along)
    drawn = []
    contrast = _contrast(picture, detail)
    random = np.random.default_rng(seed)
    first = 0
    for brush in BRUSHES:
        scale = detail * size
        middles = _middles(shape, brush.spacing * scale, random)
        lots = random.random((len(middles), 3), np.float32)
        at = contrast[middles[:, 1].astype(int), middles[:, 0].astype(int)]
        wanted = at >= brush.detail / fineness
        middles, lots = middles[wanted], lots[wanted]
        reach = min(brush.length * scale * length, MOST_REACH * detail)
        _paint(
            picture, *flow, middles, lots, np.float32(brush.radius * scale), np.float32(reach),
            first, canvas,
        )  # fmt: skip
        first += len(middles)
        drawn.append(lots)
    height, tint = _surface(owner, across, along, np.concatenate(drawn), np.float32(detail))
    return Paint(dx, dy, height, tint)


def relief(paint: Paint, detail: float) -> Field:
    """Light on the paint: about -1..1, 0 where it is flat."""
    height = blur(paint.height, 0.45 * detail)
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=detail / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=detail / 8)
    return np.asarray(_LIGHT[0] * slope_x + _LIGHT[1] * slope_y, np.float32)


def _contrast(picture: Field, detail: float) -> Field:
    """(H, W) how much happens around each pixel, 0..1."""
    grey = picture.mean(axis=2)
    apart = np.abs(grey - blur(grey, 4 * detail))
    return blur(apart, 2.5 * detail)


def _middles(
    shape: tuple[int, ...], spacing: float, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """(n, 2) places x, y on a shaken grid, in random order."""
    rows, columns = (max(1, math.ceil(side / spacing)) for side in shape)
    y, x = np.mgrid[:rows, :columns].reshape(2, -1)
    shaken = random.random((rows * columns, 2))
    places = (np.stack([x, y], axis=1) + shaken) * spacing
    places = np.minimum(places, np.array(shape[::-1]) - 1)
    return random.permutation(places).astype(np.float32)


@nb.njit(cache=True, nogil=True)
def _paint(picture, tx, ty, middles, lots, radius, longest, first, canvas):  # type: ignore[no-untyped-def]
    """Paint strokes over each other, in order."""
    step = max(np.float32(1), np.float32(0.9) * radius)
    most = int(longest / step)
    spine = np.empty((2 * most + 1, 2), np.float32)
    for n in range(len(middles)):
        half = longest * (np.float32(0.6) + np.float32(0.4) * lots[n, 0])
        start, end = _trace(picture, tx, ty, middles[n], int(half / step), step, most, spine)
        width = radius * (np.float32(0.75) + np.float32(0.5) * lots[n, 1])
        for k in range(start, end + 1):
            _dab(
                spine, k, start, end, middles[n], width, step, first + n, canvas
            )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def _trace(picture, tx, ty, middle, n_steps, step, most, spine):  # type: ignore[no-untyped-def]
    """Follow the flow from the middle, both ways, while the colour stays; first and last index."""
    rows, columns = tx.shape
    i0, j0 = int(middle[1]), int(middle[0])
    spine[most, 0], spine[most, 1] = middle[0], middle[1]
    ends = (most, most)
    for way in range(2):
        x, y = middle[0], middle[1]
        sign = step if way == 0 else -step
        vx, vy = sign * tx[i0, j0], sign * ty[i0, j0]
        last = most
        for k in range(1, n_steps + 1):
            x += vx
            y += vy
            if x < 0 or y < 0 or x > columns - 1 or y > rows - 1:
                break
            i, j = int(y + np.float32(0.5)), int(x + np.float32(0.5))
            off = np.float32(0)
            for c in range(3):
                off += abs(picture[i, j, c] - picture[i0, j0, c])
            if off > np.float32(0.17) and k > 1:
                break
            last = most + k if way == 0 else most - k
            spine[last, 0], spine[last, 1] = x, y
            wx, wy = step * tx[i, j], step * ty[i, j]
            if wx * vx + wy * vy < 0:
                wx, wy = -wx, -wy
            vx, vy = np.float32(0.5) * (vx + wx), np.float32(0.5) * (vy + wy)
        ends = (ends[0], last) if way == 0 else (last, ends[1])
    return ends


@nb.njit(cache=True, nogil=True)
def _dab(spine, k, start, end, middle, width, step, number, canvas):  # type: ignore[no-untyped-def]
    """Put the part of a stroke around one point of its spine on the canvas."""
    owner, near, dx, dy, aside, ahead = canvas
    rows, columns = owner.shape
    px, py = spine[k, 0], spine[k, 1]
    a, b = max(k - 1, start), min(k + 1, end)
    ux, uy = spine[b, 0] - spine[a, 0], spine[b, 1] - spine[a, 1]
    norm = math.sqrt(ux * ux + uy * uy)
    if norm > 1e-6:
        ux, uy = ux / norm, uy / norm
    else:
        ux, uy = np.float32(1), np.float32(0)
    half = np.float32(0.75) * step  # a little more than half-way to the next point
    reach = math.sqrt(width * width + half * half)
    for i in range(max(0, math.ceil(py - reach)), min(rows - 1, math.floor(py + reach)) + 1):
        for j in range(max(0, math.ceil(px - reach)), min(columns - 1, math.floor(px + reach)) + 1):
            qx, qy = np.float32(j) - px, np.float32(i) - py
            along, across = qx * ux + qy * uy, qy * ux - qx * uy
            inner = a < k < b
            if abs(across) > width or (inner and abs(along) > half):
                continue
            if not inner and along * along + across * across > width * width:
                continue
            distance = qx * qx + qy * qy
            if owner[i, j] == number and near[i, j] <= distance:
                continue
            owner[i, j], near[i, j] = number, distance
            dx[i, j], dy[i, j] = middle[0] - np.float32(j), middle[1] - np.float32(i)
            aside[i, j], ahead[i, j] = across, np.float32(k - start) * step + along


@nb.njit(cache=True, nogil=True)
def _surface(owner, across, along, lots, detail):  # type: ignore[no-untyped-def]
    """Height and tint (H, W) of the strokes that are seen."""
    rows, columns = owner.shape
    height, tint = np.zeros_like(across), np.zeros_like(across)
    for i in range(rows):
        for j in range(columns):
            n = owner[i, j]
            if n >= 0:
                height[i, j] = _height(across[i, j] / detail, along[i, j] / detail, lots[n])
                tint[i, j] = 2 * lots[n, 2] - 1
    return height, tint


@nb.njit(cache=True, nogil=True)
def _height(v, s, lot):  # type: ignore[no-untyped-def]
    """Of the paint, `v` px beside the spine and `s` px along it: bristles and overlaps."""
    phase = 40 * lot[2]
    bristles = math.sin(v * 2.1 + phase + 0.5 * math.sin(0.11 * s + 3 * phase)) + 0.7 * math.sin(
        v * 3.7 - 2 * phase + 0.6 * math.sin(0.17 * s + phase)
    )
    return 0.35 * bristles + 1.6 * lot[1]
