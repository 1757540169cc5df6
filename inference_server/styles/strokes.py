"""Strokes: the ridges of a line response, joined, cleaned and drawn as tapered pen lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from .line_filters import Field, sample


@dataclass(frozen=True, slots=True, eq=False)
class Strokes:
    """Points joined into strokes; n points, m joints."""

    points: npt.NDArray[np.float32]  # (n, 2) px x, y
    height: npt.NDArray[np.float32]  # (n,) response on the ridge
    joints: npt.NDArray[np.int32]  # (m, 2) indices of joined points
    stroke: npt.NDArray[np.int32]  # (n,) which stroke a point belongs to
    n_strokes: int
    shape: tuple[int, ...]  # (H, W) px of the response that they were found in


def trace(response: Field, tx: Field, ty: Field, low: float) -> Strokes:
    """Follow the ridges of `response` that are higher than `low`.

    Args:
        response: (H, W), large on lines.
        tx: (H, W) x of the unit tangents.
        ty: (H, W) y of the unit tangents.
        low: where a line fades out.
    """
    points, height, index = _ridge_points(response, tx, ty, low)
    return Strokes(points, height, *_join(index, len(points)), response.shape)


@nb.njit(cache=True, nogil=True)
def _ridge_points(
    response: Field, tx: Field, ty: Field, low: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Pixels that are maxima across their tangent, moved onto the crest by a parabola."""
    rows, columns = response.shape
    index = np.full((rows, columns), -1, np.int32)
    points = np.empty((rows * columns, 2), np.float32)
    height = np.empty(rows * columns, np.float32)
    n = 0
    for y in range(rows):
        for x in range(columns):
            here = response[y, x]
            if here <= low:
                continue
            nx, ny = -ty[y, x], tx[y, x]
            ahead = sample(response, np.float32(x) + nx, np.float32(y) + ny)
            behind = sample(response, np.float32(x) - nx, np.float32(y) - ny)
            if here < ahead or here <= behind:
                continue
            offset = 0.5 * (ahead - behind) / (2 * here - ahead - behind)
            points[n, 0] = x + offset * nx
            points[n, 1] = y + offset * ny
            height[n] = here
            index[y, x] = n
            n += 1
    return points[:n].copy(), height[:n].copy(), index


@nb.njit(cache=True, nogil=True)
def _root(parent: npt.NDArray[np.int32], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@nb.njit(cache=True, nogil=True)
def _join(
    index: npt.NDArray[np.int32], n: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], int]:
    """Join neighbouring points (8 neighbours, no shortcut across a corner) and number strokes."""
    rows, columns = index.shape
    joints = np.empty((4 * n, 2), np.int32)
    parent = np.arange(n).astype(np.int32)
    m = 0
    for y in range(rows):
        for x in range(columns):
            a = index[y, x]
            if a < 0:
                continue
            for dx, dy in ((1, 0), (0, 1), (1, 1), (-1, 1)):
                i, j = x + dx, y + dy
                if i < 0 or i >= columns or j >= rows or index[j, i] < 0:
                    continue
                if dx != 0 and dy != 0 and (index[y, i] >= 0 or index[j, x] >= 0):
                    continue
                b = index[j, i]
                joints[m, 0], joints[m, 1] = a, b
                m += 1
                parent[_root(parent, a)] = _root(parent, b)
    stroke = np.empty(n, np.int32)
    number = np.full(n, -1, np.int32)
    count = 0
    for a in range(n):
        root = _root(parent, a)
        if number[root] < 0:
            number[root] = count
            count += 1
        stroke[a] = number[root]
    return joints[:m].copy(), stroke, count


def total(strokes: Strokes, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sum of `values` (n,) over each stroke: (n_strokes,)."""
    sums = np.bincount(strokes.stroke, weights=values, minlength=strokes.n_strokes)
    return sums.astype(np.float32)


def highest(strokes: Strokes, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Greatest of `values` (n,), at least 0, on each stroke: (n_strokes,)."""
    top = np.zeros(strokes.n_strokes, np.float32)
    np.maximum.at(top, strokes.stroke, values)
    return top


@nb.njit(cache=True, nogil=True)
def smoothed(
    values: npt.NDArray[np.float32], joints: npt.NDArray[np.int32], passes: int
) -> npt.NDArray[np.float32]:
    """Average (n, c) values with their neighbours along the stroke, `passes` times; ends stay."""
    n, channels = values.shape
    degree = np.zeros(n, np.float32)
    for k in range(len(joints)):
        degree[joints[k, 0]] += 1
        degree[joints[k, 1]] += 1
    for _ in range(passes):
        sums = np.zeros((n, channels), np.float32)
        for k in range(len(joints)):
            a, b = joints[k, 0], joints[k, 1]
            for c in range(channels):
                sums[a, c] += values[b, c]
                sums[b, c] += values[a, c]
        out = values.copy()
        for a in range(n):
            if degree[a] >= 2:
                for c in range(channels):
                    out[a, c] = 0.5 * values[a, c] + 0.5 * sums[a, c] / degree[a]
        values = out
    return values


@nb.njit(cache=True, nogil=True)
def lay(
    distance: Field,
    width: Field,
    points: npt.NDArray[np.float32],
    radius: npt.NDArray[np.float32],
    joints: npt.NDArray[np.int32],
    margin: float,
) -> None:
    """Lay each joint as a tapered capsule: what line is nearest to a pixel, and how wide that is.

    Args:
        distance: (H, W) px to the middle of the line whose edge is nearest, changed in place.
        width: (H, W) half the width of that line there, px, changed in place.
        points: (n, 2) px of the picture, pixel centres at whole numbers.
        radius: (n,) half the pen width, px; nothing is laid where it is 0.
        joints: (m, 2) indices of joined points.
        margin: px beyond the edge of a line to which both are known.
    """
    rows, columns = distance.shape
    for k in range(len(joints)):
        a, b = joints[k, 0], joints[k, 1]
        widest = max(radius[a], radius[b])
        if widest <= 0:
            continue
        ax, ay = points[a, 0], points[a, 1]
        vx, vy = points[b, 0] - ax, points[b, 1] - ay
        square = max(vx * vx + vy * vy, np.float32(1e-9))
        reach = widest + np.float32(margin)
        x0 = max(0, math.ceil(min(ax, ax + vx) - reach))
        x1 = min(columns - 1, math.floor(max(ax, ax + vx) + reach))
        y0 = max(0, math.ceil(min(ay, ay + vy) - reach))
        y1 = min(rows - 1, math.floor(max(ay, ay + vy) + reach))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = np.float32(x) - ax, np.float32(y) - ay
                t = min(max((px * vx + py * vy) / square, np.float32(0)), np.float32(1))
                px -= t * vx
                py -= t * vy
                r = radius[a] + t * (radius[b] - radius[a])
                away = math.sqrt(px * px + py * py)
                if away - r < distance[y, x] - width[y, x]:
                    distance[y, x], width[y, x] = away, r


@nb.njit(cache=True, nogil=True, inline="always")
def _ink(here, r, left, right, up, down):  # type: ignore[no-untyped-def]
    """Coverage of a pixel: px to the middle of a line, half its width, px of the neighbours."""
    half, one = np.float32(0.5), np.float32(1)
    gx = max(abs(right - here), abs(here - left))
    gy = max(abs(down - here), abs(here - up))
    slope = min(max(math.sqrt(gx * gx + gy * gy), half), np.float32(1.4))
    ink = max(r, half) + half - here / slope
    return min(max(ink, np.float32(0)), one) * min(one, np.float32(2) * r)


@nb.njit(cache=True, nogil=True)
def inked(distance: Field, width: Field) -> Field:
    """Coverage (H, W) 0..1 of the lines that `lay` has laid, as wide as they were there.

    Where the picture has been stretched since, the distance grows more or less than a px per px:
    it is measured anew, so that lines keep their width.
    """
    rows, columns = distance.shape
    cover = np.zeros_like(distance)
    for y in range(rows):
        up, down = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            r, here = width[y, x], distance[y, x]
            if r > 0 and here < np.float32(2) * r + np.float32(2):
                left, right = distance[y, max(x - 1, 0)], distance[y, min(x + 1, columns - 1)]
                cover[y, x] = _ink(here, r, left, right, distance[up, x], distance[down, x])
    return cover


@nb.njit(cache=True, nogil=True)
def printed(plate, table, unit, edge, most):  # type: ignore[no-untyped-def]
    """A plate of shade and coded lines (see contours.Lines) as a picture (H, W, 3) uint8.

    Args:
        plate: (H, W, 3) uint8: shade 0..255, 255 less the distance, half the width.
        table: (256, 3) uint8 colours from bare paper to full cover.
        unit: px per step of distance and width.
        edge: px that edges of the shade are wide; they become 1 px wide.
        most: cover of a line, 0..1.
    """
    rows, columns, _ = plate.shape
    out = np.empty((rows, columns, 3), np.uint8)
    one, half, byte = np.float32(1), np.float32(0.5), np.float32(1 / 255)
    full = np.float32(255)
    for y in range(rows):
        up, down = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            shade = np.float32(plate[y, x, 0]) * byte
            shade = min(max((shade - half) * edge + half, np.float32(0)), one)
            if plate[y, x, 1] > 0 and plate[y, x, 2] > 0 and shade < one:
                r = np.float32(plate[y, x, 2]) * unit
                here = (full - np.float32(plate[y, x, 1])) * unit
                if here < np.float32(2) * r + np.float32(2):
                    left = (full - np.float32(plate[y, max(x - 1, 0), 1])) * unit
                    right = (full - np.float32(plate[y, min(x + 1, columns - 1), 1])) * unit
                    above = (full - np.float32(plate[up, x, 1])) * unit
                    below = (full - np.float32(plate[down, x, 1])) * unit
                    line = most * _ink(here, r, left, right, above, below)
                    shade = one - (one - shade) * (one - line)
            step = int(shade * full + half)
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = (
                table[step, 0],
                table[step, 1],
                table[step, 2],
            )
    return out
