"""Triangles to a backward map, and the picture seen through that map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

NOWHERE = -1e4  # map value of pixels that no triangle covers


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile with the GIL released; cached on disk where any cache folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder, not even in the user's home
        return numba.njit(nogil=True)(function)


@compiled
def _rasterise(vertices, uv, triangles, map_x, map_y, depth):  # type: ignore[no-untyped-def]
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0 = vertices[a, 0], vertices[a, 1]
        x1, y1 = vertices[b, 0], vertices[b, 1]
        x2, y2 = vertices[c, 0], vertices[c, 1]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        inverse = np.float32(1.0) / area
        first_y = max(0, int(np.ceil(min(y0, y1, y2) - 1e-4)))
        last_y = min(height - 1, int(np.floor(max(y0, y1, y2) + 1e-4)))
        first_x = max(0, int(np.ceil(min(x0, x1, x2) - 1e-4)))
        last_x = min(width - 1, int(np.floor(max(x0, x1, x2) + 1e-4)))
        step_a, step_b = (y1 - y2) * inverse, (y2 - y0) * inverse
        z0, z1, z2 = vertices[a, 2], vertices[b, 2], vertices[c, 2]
        u0, u1, u2 = uv[a, 0], uv[b, 0], uv[c, 0]
        v0, v1, v2 = uv[a, 1], uv[b, 1], uv[c, 1]
        for y in range(first_y, last_y + 1):
            wa = ((x2 - x1) * (y - y1) - (y2 - y1) * (first_x - x1)) * inverse
            wb = ((x0 - x2) * (y - y2) - (y0 - y2) * (first_x - x2)) * inverse
            for x in range(first_x, last_x + 1):
                wc = np.float32(1.0) - wa - wb
                if wa >= -1e-5 and wb >= -1e-5 and wc >= -1e-5:
                    z = wa * z0 + wb * z1 + wc * z2
                    if z < depth[y, x]:
                        depth[y, x] = z
                        map_x[y, x] = wa * u0 + wb * u1 + wc * u2
                        map_y[y, x] = wa * v0 + wb * v1 + wc * v2
                wa += step_a
                wb += step_b


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """Where in the texture the pixels of a part of the picture come from."""

    x: npt.NDArray[np.float32]  # (h, w) px of the texture; NOWHERE where nothing is
    y: npt.NDArray[np.float32]
    step: int  # px of the picture per sample
    corner: tuple[int, int]  # x, y px of the first sample in the picture


def backward_map(
    vertices: npt.NDArray[np.floating],
    uv: npt.NDArray[np.float32],
    triangles: npt.NDArray[np.int32],
    shape: tuple[int, int],
    step: int = 1,
    corner: tuple[int, int] = (0, 0),
) -> Map:
    """What each pixel of a part of the picture shows, nearest triangle first.

    Args:
        vertices: (n, 3) x, y in px of the picture, z smaller is nearer.
        uv: (n, 2) what is interpolated, commonly px of the texture.
        triangles: (M, 3) either winding.
        shape: height and width of the part, px.
        step: px per sample; the samples reach to the part's last pixel or just beyond.
        corner: x, y of the part in the picture.
    """
    samples = (-(-(shape[0] - 1) // step) + 1, -(-(shape[1] - 1) // step) + 1)
    local = np.empty((len(vertices), 3), np.float32)
    local[:, :2] = (vertices[:, :2] - corner) / step
    local[:, 2] = vertices[:, 2]
    map_x = np.full(samples, NOWHERE, np.float32)
    map_y = np.full(samples, NOWHERE, np.float32)
    _rasterise(local, uv, triangles, map_x, map_y, np.full(samples, 1e9, np.float32))
    return Map(map_x, map_y, step, corner)


# Colours are blended four channels at a time: a pixel is an int64 with one channel in each 16 bits,
# red lowest, alpha highest. A weighted sum of bytes with weights that add up to 256 fits 16 bits;
# only the sign bit may be touched, and the mask takes its extension away again.
_BYTES = 0x00FF00FF00FF00FF
_HALF = 0x0080008000800080


def lanes(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """(h, w) pixels of an (h, w, 4) picture in the form that `compose` takes."""
    return np.ascontiguousarray(rgba, np.int16).view(np.int64)[..., 0]


def clear_cells(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which cells of 8 x 8 pixels of an (h, w, 4) picture show nothing, nor their neighbours.

    `compose` need not look there.
    """
    seen = rgba[..., 3] > 0
    rows, columns = -(-seen.shape[0] // 8), -(-seen.shape[1] // 8)
    padded = np.zeros((8 * rows, 8 * columns), np.bool_)
    padded[: seen.shape[0], : seen.shape[1]] = seen
    cells = padded.reshape(rows, 8, columns, 8).any((1, 3)).astype(np.uint8)
    return cv2.dilate(cells, np.ones((3, 3), np.uint8)) == 0


def unpacked(packed: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """(h, w, 4) pixels of lanes (h, w)."""
    return np.stack([(packed >> (16 * c)) & 255 for c in range(4)], 2).astype(np.uint8)


@compiled
def _fetch(texture, u, v):  # type: ignore[no-untyped-def]
    """Lanes of a texture between its pixels; nothing (0) where the map shows nothing."""
    if u < -1e3:
        return 0
    u = min(max(u, np.float32(0.0)), np.float32(texture.shape[1] - 1.001))
    v = min(max(v, np.float32(0.0)), np.float32(texture.shape[0] - 1.001))
    iu, iv = int(u), int(v)
    wu, wv = int((u - iu) * 256), int((v - iv) * 256)
    upper = texture[iv, iu] * (256 - wu) + texture[iv, iu + 1] * wu + _HALF
    lower = texture[iv + 1, iu] * (256 - wu) + texture[iv + 1, iu + 1] * wu + _HALF
    upper, lower = (upper >> 8) & _BYTES, (lower >> 8) & _BYTES
    return ((upper * (256 - wv) + lower * wv + _HALF) >> 8) & _BYTES


@compiled
def _straight(value, a):  # type: ignore[no-untyped-def]
    """Lanes with colours divided by their alpha `a`."""
    whole = a << 48
    for c in range(3):
        part = (value >> (16 * c)) & 255
        whole |= min((part * 255 + a // 2) // a, 255) << (16 * c)
    return whole


@compiled
def _torn(map_x, map_y, apart):  # type: ignore[no-untyped-def]
    """Whether a sample of a map lies beside one of another surface, or of a squeezed one."""
    rows, columns = map_x.shape
    torn = np.zeros((rows, columns), np.bool_)
    for j in range(rows):
        for k in range(columns):
            x, y = map_x[j, k], map_y[j, k]
            if k + 1 < columns and abs(x - map_x[j, k + 1]) + abs(y - map_y[j, k + 1]) > apart:
                torn[j, k] = True
                torn[j, k + 1] = True
            if j + 1 < rows and abs(x - map_x[j + 1, k]) + abs(y - map_y[j + 1, k]) > apart:
                torn[j, k] = True
                torn[j + 1, k] = True
    return torn


@compiled
def _smoothed(texture, map_x, map_y, j0, k0, dy, dx, step):  # type: ignore[no-untyped-def]
    """Lanes at `dx`, `dy` px beyond a sample: colours of the samples around in a tent filter."""
    rows, columns = map_x.shape
    total = 0
    for j in range(j0 - 1, j0 + 2):
        # on a sample 1, 2, 1; half-way between two samples 0, 2, 2
        weight_y = 2 if j == j0 else 1
        if dy > 0:
            weight_y = 2 if j >= j0 else 0
        off_y = dy - (j - j0) * step
        for k in range(k0 - 1, k0 + 2):
            weight_x = 2 if k == k0 else 1
            if dx > 0:
                weight_x = 2 if k >= k0 else 0
            weight = weight_x * weight_y
            if weight == 0:
                continue
            jj, kk = min(max(j, 0), rows - 1), min(max(k, 0), columns - 1)
            off_x = dx - (k - k0) * step
            u = map_x[jj, kk] + np.float32(off_x)
            v = map_y[jj, kk] + np.float32(off_y)
            total += _fetch(texture, u, v) * weight
    return ((total + 0x0008000800080008) >> 4) & _BYTES


@compiled
def compose(  # type: ignore[no-untyped-def]
    map_x, map_y, step, map_left, map_top, left, top, texture, clear, still, background, out
):
    """Draw the figure through a map over a still background, into `out`.

    Where neighbouring samples of the map lie on different surfaces, colours are averaged instead
    of places: that is what smooths the outlines of nose and chin.

    Args:
        map_x: (h', w') float32 texture x of every `step`-th pixel; map_y likewise.
        step: 1 or 2 px of `out` per sample of the map.
        map_left: x of the map's first column in the picture. map_top: y of its first row.
        left: x of `out`'s first column in the picture. top: y of its first row.
        texture: (th, tw) lanes, premultiplied RGBA.
        clear: see `clear_cells`.
        still: (h, w) lanes: the picture at rest, in texture px from (pad, pad), where
            pad = (tw - w) / 2; shown as it is where the map is the identity.
        background: (h, w) lanes; alpha 255 everywhere, or 0 everywhere: then the figure is drawn
            alone, with straight alpha.
        out: (rows, columns) uint32 view of RGBA bytes.
    """
    pad_x = (texture.shape[1] - still.shape[1]) // 2
    pad_y = (texture.shape[0] - still.shape[0]) // 2
    half, near = np.float32(0.5), np.float32(1 / 64)
    torn = _torn(map_x, map_y, np.float32(3 * step))
    row_x = np.empty(map_x.shape[1], np.float32)
    row_y = np.empty(map_x.shape[1], np.float32)
    row_torn = np.zeros(map_x.shape[1], np.bool_)
    last_p, last_q = clear.shape[1] - 1, clear.shape[0] - 1
    shift = step - 1  # division by a step of 1 or 2 is a shift
    opaque = (background[0, 0] >> 48) & 255 == 255
    first = (left - map_left) >> shift
    beyond = min(map_x.shape[1], first + (out.shape[1] >> shift) + 3)
    for i in range(out.shape[0]):
        y = top + i
        j0, dy = (y - map_top) >> shift, (y - map_top) & shift
        j1 = j0 + dy
        for k in range(first, beyond):
            row_x[k] = half * (map_x[j0, k] + map_x[j1, k])
            row_y[k] = half * (map_y[j0, k] + map_y[j1, k])
            row_torn[k] = torn[j0, k] or torn[j1, k]
        for j in range(out.shape[1]):
            x = left + j
            k0, dx = (x - map_left) >> shift, (x - map_left) & shift
            k1 = k0 + dx
            u, v = half * (row_x[k0] + row_x[k1]), half * (row_y[k0] + row_y[k1])
            if abs(u - (x + pad_x)) < near and abs(v - (y + pad_y)) < near:
                value = still[y, x]
            elif (
                u >= 0
                and v >= 0
                and clear[min(int(v) >> 3, last_q), min(int(u) >> 3, last_p)]
                and (not (row_torn[k0] or row_torn[k1]))
            ):
                value = background[y, x]
            else:
                if row_torn[k0] or row_torn[k1]:
                    value = _smoothed(texture, map_x, map_y, j0, k0, dy, dx, step)
                else:
                    value = _fetch(texture, u, v)
                a = value >> 48
                if a == 0:
                    value = background[y, x]
                elif a < 255:
                    if opaque:
                        behind = background[y, x] * (255 - a) + _HALF  # exact division by 255
                        behind = ((behind + ((behind >> 8) & _BYTES)) >> 8) & _BYTES
                        value += behind
                        value = (value | (((value >> 8) & 0x0001000100010001) * 255)) & _BYTES
                    else:
                        value = _straight(value, a)
            value = (value | (value >> 8)) & 0x0000FFFF0000FFFF
            out[i, j] = (value | (value >> 16)) & 0xFFFFFFFF
