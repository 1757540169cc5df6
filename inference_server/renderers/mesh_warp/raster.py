"""Triangles to a backward map, and the picture seen through that map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


@compiled
def compose(map_x, map_y, step, map_left, map_top, left, top, texture, still, background, out):  # type: ignore[no-untyped-def]
    """Draw the figure through a map over a still background, into `out`.

    Args:
        map_x: (h', w') float32 texture x of every `step`-th pixel; map_y likewise.
        step: px of `out` per sample of the map.
        map_left: x of the map's first column in the picture. map_top: y of its first row.
        left: x of `out`'s first column in the picture. top: y of its first row.
        texture: (th, tw) lanes, premultiplied RGBA.
        still: (h, w) lanes: the picture at rest, in texture px from (pad, pad), where
            pad = (tw - w) / 2; shown as it is where the map is the identity.
        background: (h, w) lanes; alpha 255 everywhere, or 0 everywhere: then the figure is drawn
            alone, with straight alpha.
        out: (rows, columns, 4) uint8.
    """
    height, width = texture.shape
    pad_x, pad_y = (width - still.shape[1]) // 2, (height - still.shape[0]) // 2
    inverse, near, zero = np.float32(1.0 / step), np.float32(1 / 64), np.float32(0.0)
    last_x, last_y = np.float32(width - 1.001), np.float32(height - 1.001)
    row_x = np.empty(map_x.shape[1], np.float32)
    row_y = np.empty(map_x.shape[1], np.float32)
    opaque = (background[0, 0] >> 48) & 255 == 255
    first = (left - map_left) // step
    beyond = min(map_x.shape[1], first + out.shape[1] // step + 3)
    for i in range(out.shape[0]):
        y = top + i
        j0 = (y - map_top) // step
        fy = np.float32(y - map_top - j0 * step) * inverse
        j1 = j0 + 1 if fy > 0 else j0
        for k in range(first, beyond):
            row_x[k] = map_x[j0, k] + fy * (map_x[j1, k] - map_x[j0, k])
            row_y[k] = map_y[j0, k] + fy * (map_y[j1, k] - map_y[j0, k])
        for j in range(out.shape[1]):
            x = left + j
            k0 = (x - map_left) // step
            fx = np.float32(x - map_left - k0 * step) * inverse
            k1 = k0 + 1 if fx > 0 else k0
            u = row_x[k0] + fx * (row_x[k1] - row_x[k0])
            v = row_y[k0] + fx * (row_y[k1] - row_y[k0])
            if abs(u - (x + pad_x)) < near and abs(v - (y + pad_y)) < near:
                value = still[y, x]
            elif u < -1e3:
                value = background[y, x]
            else:
                u = min(max(u, zero), last_x)
                v = min(max(v, zero), last_y)
                iu, iv = int(u), int(v)
                wu, wv = int((u - iu) * 256), int((v - iv) * 256)
                upper = texture[iv, iu] * (256 - wu) + texture[iv, iu + 1] * wu + _HALF
                lower = texture[iv + 1, iu] * (256 - wu) + texture[iv + 1, iu + 1] * wu + _HALF
                upper, lower = (upper >> 8) & _BYTES, (lower >> 8) & _BYTES
                value = ((upper * (256 - wv) + lower * wv + _HALF) >> 8) & _BYTES
                a = value >> 48
                if a == 0:
                    value = background[y, x]
                elif a < 255:
                    if opaque:
                        behind = background[y, x] * (255 - a) + _HALF  # exact division by 255
                        behind = ((behind + ((behind >> 8) & _BYTES)) >> 8) & _BYTES
                        value = value + behind
                    else:
                        for c in range(3):
                            part = (value >> (16 * c)) & 255
                            out[i, j, c] = min((part * 255 + a // 2) // a, 255)
                        out[i, j, 3] = a
                        continue
            for c in range(4):
                out[i, j, c] = min((value >> (16 * c)) & 511, 255)
