"""Hatching: pencil strokes laid over a whole picture, each with the tone from which it is drawn.

The result is a field of thresholds: where a picture is darker than the threshold, there is a
stroke. Every tone so gets its own share of whole strokes (after Praun, Hoppe, Webb and
Finkelstein, "Real-Time Hatching", SIGGRAPH 2001, with one field in place of their mip-mapped set).
All lengths are px of a 512 px crop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

from .line_filters import Field, flow, smoothstep


@dataclass(frozen=True, slots=True)
class _Layer:
    """Strokes of one direction."""

    angle_deg: float  # of straight strokes, from the x axis, y down
    first: float  # darkness at which the first stroke appears
    last: float  # darkness at which all are there
    spacing: float  # between strokes, across
    length: float  # half of a stroke
    radius: float  # half the width


_LAYERS = (
    _Layer(angle_deg=-54, first=0.03, last=0.75, spacing=1.75, length=17.0, radius=0.62),
    _Layer(angle_deg=-16, first=0.40, last=1.00, spacing=1.75, length=13.0, radius=0.66),
)
_BEND, _FOLLOW = 0.30, 2.6  # how much form bends a stroke; how much hair and edges lead it
_FAINT, _CLEAR = 0.0007, 0.006  # structure, squared tone per px^2, that bends and that leads


def thresholds(tone: Field, detail: float, size: float, seed: int) -> Field:
    """(H, W) darkness 0..1 from which each pixel is covered by a stroke; equally many of each.

    Args:
        tone: (H, W) levelled tone whose forms the strokes follow.
        detail: px of `tone` per px of a 512 px crop.
        size: of the strokes; 1 as usual.
        seed: of the places.
    """
    random = np.random.default_rng(seed)
    tx, ty, anisotropy = flow(2.4 * detail, 9 * detail, 0.3, tone)
    lead = _BEND + (_FOLLOW - _BEND) * smoothstep(_energy(tone, detail), _FAINT, _CLEAR)
    lead = (lead * anisotropy).astype(np.float32)
    field = np.full(tone.shape, 2, np.float32)
    scale = detail * size
    for layer in _LAYERS:
        angle = math.radians(layer.angle_deg)
        x, y = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        side = np.sign(tx * x + ty * y)
        dx, dy = x + lead * side * tx, y + lead * side * ty
        norm = np.sqrt(dx * dx + dy * dy) + np.float32(1e-6)
        middles = _middles(tone.shape, layer.spacing * scale, layer.length * scale, angle, random)
        lots = random.random((len(middles), 3), np.float32)
        ranks = np.float32(layer.first) + np.float32(layer.last - layer.first) * lots[:, 0]
        _draw(
            field, dx / norm, dy / norm, middles, lots, ranks,
            np.float32(layer.length * scale), np.float32(layer.radius * detail * size**0.5),
        )  # fmt: skip
    return _equalised(field)


def _energy(tone: Field, detail: float) -> Field:
    """(H, W) how much tone changes around a pixel, squared per px^2."""
    dx = cv2.Scharr(tone, cv2.CV_32F, 1, 0, scale=detail / 32)
    dy = cv2.Scharr(tone, cv2.CV_32F, 0, 1, scale=detail / 32)
    return np.asarray(cv2.GaussianBlur(dx * dx + dy * dy, (0, 0), 3 * detail), np.float32)


def _middles(
    shape: tuple[int, ...], across: float, along: float, angle: float, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """(n, 2) middles x, y of strokes, on a shaken grid that is turned with them."""
    reach = math.hypot(*shape) / 2
    rows, columns = math.ceil(2 * reach / across) + 1, math.ceil(2 * reach / along) + 1
    v, u = np.mgrid[:rows, :columns].reshape(2, -1) + random.random((2, rows * columns)) - 0.5
    u, v = u * along - reach, v * across - reach
    x = shape[1] / 2 + u * math.cos(angle) - v * math.sin(angle)
    y = shape[0] / 2 + u * math.sin(angle) + v * math.cos(angle)
    inside = (x >= 0) & (y >= 0) & (x <= shape[1] - 1) & (y <= shape[0] - 1)
    return np.stack([x[inside], y[inside]], axis=1).astype(np.float32)


@nb.njit(cache=True, nogil=True)
def _draw(field, dx, dy, middles, lots, ranks, length, radius):  # type: ignore[no-untyped-def]
    """Lower the thresholds under each stroke to its rank, in place."""
    step = np.float32(2)
    rows, columns = field.shape
    for n in range(len(middles)):
        half = length * (np.float32(0.55) + np.float32(0.45) * lots[n, 1])
        for way in range(2):
            x, y = middles[n, 0], middles[n, 1]
            sign = step if way == 0 else -step
            i, j = int(y), int(x)
            vx, vy = sign * dx[i, j], sign * dy[i, j]
            gone = np.float32(0)
            while gone < half:
                ahead_x, ahead_y = x + vx, y + vy
                start = 1 - gone / half
                end = max(np.float32(0), 1 - (gone + step) / half)
                # pressure fades towards the ends
                wide = radius * min(np.float32(1), np.float32(0.35) + 2 * start)
                thin = radius * min(np.float32(1), np.float32(0.35) + 2 * end)
                _segment(field, x, y, ahead_x, ahead_y, wide, thin, ranks[n])
                x, y = ahead_x, ahead_y
                gone += step
                if x < 0 or y < 0 or x > columns - 1 or y > rows - 1:
                    break
                i, j = int(y), int(x)
                wx, wy = sign * dx[i, j], sign * dy[i, j]
                vx = np.float32(0.6) * vx + np.float32(0.4) * wx
                vy = np.float32(0.6) * vy + np.float32(0.4) * wy


@nb.njit(cache=True, nogil=True)
def _segment(field, ax, ay, bx, by, wide, thin, rank):  # type: ignore[no-untyped-def]
    rows, columns = field.shape
    vx, vy = bx - ax, by - ay
    square = max(vx * vx + vy * vy, np.float32(1e-9))
    reach = max(wide, thin) + np.float32(0.5)
    for i in range(max(0, math.ceil(min(ay, by) - reach)),
                   min(rows - 1, math.floor(max(ay, by) + reach)) + 1):  # fmt: skip
        for j in range(max(0, math.ceil(min(ax, bx) - reach)),
                       min(columns - 1, math.floor(max(ax, bx) + reach)) + 1):  # fmt: skip
            px, py = np.float32(j) - ax, np.float32(i) - ay
            t = min(max((px * vx + py * vy) / square, np.float32(0)), np.float32(1))
            px -= t * vx
            py -= t * vy
            radius = wide + t * (thin - wide)
            cover = radius + np.float32(0.5) - math.sqrt(px * px + py * py)
            if cover <= 0:
                continue
            value = rank + (1 - min(cover, np.float32(1))) * np.float32(0.8)
            if value < field[i, j]:
                field[i, j] = value


def _equalised(field: Field) -> Field:
    """Thresholds 0..1 in the same order, equally many of each."""
    counts, edges = np.histogram(field, bins=1024, range=(0.0, 2.001))
    share = np.concatenate([[0], np.cumsum(counts) / max(field.size, 1)])
    return np.interp(field.ravel(), edges, share).astype(np.float32).reshape(field.shape)
