"""Triangles to a backward map, and the picture seen through that map."""

from __future__ import annotations

from collections.abc import Callable
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


def backward_map(
    vertices: npt.NDArray[np.float32],
    uv: npt.NDArray[np.float32],
    triangles: npt.NDArray[np.int32],
    shape: tuple[int, int],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where in the texture each pixel comes from, nearest triangle first.

    Args:
        vertices: (n, 3) x, y in px of the map, z smaller is nearer.
        uv: (n, 2) what is interpolated, commonly px of the texture.
        triangles: (M, 3) either winding.
        shape: height and width of the map.

    Returns:
        u and v, each (height, width); NOWHERE where nothing is.
    """
    map_x = np.full(shape, NOWHERE, np.float32)
    map_y = np.full(shape, NOWHERE, np.float32)
    _rasterise(vertices, uv, triangles, map_x, map_y, np.full(shape, 1e9, np.float32))
    return map_x, map_y


@compiled
def compose(map_x, map_y, step, top, left, texture, still, background, opaque, out):  # type: ignore[no-untyped-def]
    """Draw the figure through a coarse map over a still background, into `out`.

    Args:
        map_x: (h', w') float32 texture x of the pixels at multiples of `step`; map_y likewise.
        step: px of `out` per sample of the map.
        top: y of `out`'s first row in the picture; the map covers the picture. left: likewise x.
        texture: (th, tw, 4) uint8, premultiplied RGBA.
        still: (h, w, 4) uint8, straight RGBA of the picture at rest, in texture px from
            (pad, pad), where pad = (tw - w) / 2: shown as it is where the map is the identity.
        background: (h, w, 3) uint8.
        opaque: True: over the background with alpha 255; False: the figure alone, straight alpha.
        out: (rows, columns, 4) uint8.
    """
    texture_height, texture_width = texture.shape[0], texture.shape[1]
    pad_x = (texture_width - still.shape[1]) // 2
    pad_y = (texture_height - still.shape[0]) // 2
    inverse = np.float32(1.0 / step)
    last_x, last_y = np.float32(texture_width - 1.001), np.float32(texture_height - 1.001)
    near = np.float32(1 / 64)
    row_x = np.empty(map_x.shape[1], np.float32)
    row_y = np.empty(map_x.shape[1], np.float32)
    zero = np.float32(0.0)
    for i in range(out.shape[0]):
        y = top + i
        j0 = y // step
        fy = np.float32(y - j0 * step) * inverse
        j1 = j0 + 1 if fy > 0 else j0
        for k in range(left // step, min(map_x.shape[1], (left + out.shape[1]) // step + 2)):
            row_x[k] = map_x[j0, k] + fy * (map_x[j1, k] - map_x[j0, k])
            row_y[k] = map_y[j0, k] + fy * (map_y[j1, k] - map_y[j0, k])
        for j in range(out.shape[1]):
            x = left + j
            k0 = x // step
            fx = np.float32(x - k0 * step) * inverse
            k1 = k0 + 1 if fx > 0 else k0
            u = row_x[k0] + fx * (row_x[k1] - row_x[k0])
            v = row_y[k0] + fx * (row_y[k1] - row_y[k0])
            if abs(u - (x + pad_x)) < near and abs(v - (y + pad_y)) < near:
                for c in range(4):
                    out[i, j, c] = still[y, x, c]
                continue
            a = 0
            if u > -pad_x - 500:
                u = min(max(u, zero), last_x)
                v = min(max(v, zero), last_y)
                iu, iv = int(u), int(v)
                wu, wv = int((u - iu) * 256), int((v - iv) * 256)
                w11 = wu * wv
                w10 = wv * 256 - w11
                w01 = wu * 256 - w11
                w00 = 65536 - w11 - w10 - w01
                a = (
                    texture[iv, iu, 3] * w00
                    + texture[iv, iu + 1, 3] * w01
                    + texture[iv + 1, iu, 3] * w10
                    + texture[iv + 1, iu + 1, 3] * w11
                    + 32768
                ) >> 16
            if a == 0:
                for c in range(3):
                    out[i, j, c] = background[y, x, c]
                out[i, j, 3] = 255 if opaque else 0
                continue
            for c in range(3):
                p = (
                    texture[iv, iu, c] * w00
                    + texture[iv, iu + 1, c] * w01
                    + texture[iv + 1, iu, c] * w10
                    + texture[iv + 1, iu + 1, c] * w11
                    + 32768
                ) >> 16
                if a < 255:
                    if opaque:
                        p += (background[y, x, c] * (255 - a) + 127) // 255
                    else:
                        p = (p * 255 + a // 2) // a
                out[i, j, c] = min(p, 255)
            out[i, j, 3] = 255 if opaque else a
