"""Filters that follow the lines of a picture: tangents, flow-based difference of Gaussians.

After Kang, Lee and Chui, "Coherent Line Drawing" (NPAR 2007), with the smoothed structure tensor
of Kyprianidis and Kang (2011) in place of the edge tangent flow. Every result depends only on the
pixels within a few sigma, so that a part of a picture gives what the whole gives; outside the
picture the border pixel goes on. One thread, no fast-math: the same input gives the same bytes.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]  # (H, W)
Image = npt.NDArray[np.uint8]  # (H, W) or (H, W, 3)

_STRIDE = 1.5  # px between samples along a line; the fields are smoother than that
_SURROUND = 1.6  # sigma of the outer Gaussian over the inner one: closest to a Laplacian


def blur(field: Field, sigma: float) -> Field:
    """Gaussian blur; `sigma` in px."""
    blurred = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32)


def resized(field: Field, shape: tuple[int, ...], method: int = cv2.INTER_LINEAR) -> Field:
    """`field`, (h, w) or (h, w, 3), resampled to (H, W); itself when it has that size already."""
    if field.shape[:2] == tuple(shape[:2]):
        return field
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=method), np.float32)


def shrunk_half(field: Field) -> Field:
    """`field`, (h, w) or (h, w, 3), at half the size, rounded up."""
    height, width = field.shape[:2]
    return resized(field, ((height + 1) // 2, (width + 1) // 2), cv2.INTER_AREA)


def smoothstep(value: npt.NDArray[Any], low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def tangents(sigma: float, *fields: Field) -> tuple[Field, Field]:
    """Unit vectors (x, y) along the lines of all the fields, from their structure over `sigma` px.

    The structure tensors of the fields are added (Di Zenzo 1986).
    """
    tx, ty, _ = _minor_axes(*_structure(sigma, fields))
    return tx, ty


def flow(sigma: float, wide_sigma: float, share: float, field: Field) -> tuple[Field, Field, Field]:
    """Unit vectors (x, y) along the lines of a field and their anisotropy, 0..1.

    Where nothing runs within `sigma` px, what runs within `wide_sigma` px decides: its structure
    is added with the weight `share`.
    """
    near = _structure(sigma, (field,))
    far = [resized(blur(shrunk_half(part), wide_sigma / 2), field.shape) for part in near]
    return _minor_axes(*(a + np.float32(share) * b for a, b in zip(near, far, strict=True)))


def _structure(sigma: float, fields: tuple[Field, ...]) -> tuple[Field, Field, Field]:
    """The smoothed structure tensor: xx, xy, yy."""
    xx, xy, yy = (np.zeros_like(fields[0]) for _ in range(3))
    for field in fields:
        dx = cv2.Scharr(field, cv2.CV_32F, 1, 0, scale=1 / 32)
        dy = cv2.Scharr(field, cv2.CV_32F, 0, 1, scale=1 / 32)
        xx += dx * dx
        xy += dx * dy
        yy += dy * dy
    return blur(xx, sigma), blur(xy, sigma), blur(yy, sigma)


@nb.njit(cache=True, nogil=True)
def _minor_axes(xx: Field, xy: Field, yy: Field) -> tuple[Field, Field, Field]:
    """Eigenvectors of the smaller eigenvalue of each tensor, (0, 1) where there is no direction.

    Third: the difference of the eigenvalues over their sum.
    """
    height, width = xx.shape
    tx = np.empty_like(xx)
    ty = np.empty_like(xx)
    anisotropy = np.empty_like(xx)
    for y in range(height):
        for x in range(width):
            half = 0.5 * (xx[y, x] - yy[y, x])
            root = math.sqrt(half * half + xy[y, x] * xy[y, x])
            # the longer of two equivalent forms of the vector, against cancellation
            if half >= 0:
                vx, vy = -xy[y, x], half + root
            else:
                vx, vy = half - root, xy[y, x]
            length = math.sqrt(vx * vx + vy * vy)
            if length > 1e-12:
                tx[y, x], ty[y, x] = vx / length, vy / length
            else:
                tx[y, x], ty[y, x] = 0.0, 1.0
            anisotropy[y, x] = 2 * root / (xx[y, x] + yy[y, x] + 1e-9)
    return tx, ty, anisotropy


@nb.njit(cache=True, nogil=True, inline="always")
def sample(field: Field, x: float, y: float) -> float:
    """Bilinear value at (x, y) px, the border going on outside."""
    height, width = field.shape
    px, py = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
    i, j = int(px), int(py)
    right, below = min(i + 1, width - 1), min(j + 1, height - 1)
    u, v = np.float32(px - i), np.float32(py - j)
    top = field[j, i] + u * (field[j, right] - field[j, i])
    bottom = field[below, i] + u * (field[below, right] - field[below, i])
    return top + v * (bottom - top)


def dog_across(field: Field, tx: Field, ty: Field, sigma: float) -> Field:
    """Difference of Gaussians across the tangents: > 0 on dark lines, < 0 on bright ones.

    A dark line of depth c that is about `sigma` px wide gives about 0.3 c.
    """
    reach = math.ceil(2.2 * _SURROUND * sigma)
    steps = np.arange(reach + 1, dtype=np.float64)
    inner = np.exp(-0.5 * (steps / sigma) ** 2)
    outer = np.exp(-0.5 * (steps / (_SURROUND * sigma)) ** 2)
    inner /= inner[0] + 2 * inner[1:].sum()
    outer /= outer[0] + 2 * outer[1:].sum()
    return _weigh_across(field, tx, ty, (outer - inner).astype(np.float32))


@nb.njit(cache=True, nogil=True)
def _weigh_across(field: Field, tx: Field, ty: Field, weights: Field) -> Field:
    height, width = field.shape
    out = np.empty_like(field)
    for y in range(height):
        for x in range(width):
            nx, ny = -ty[y, x], tx[y, x]
            total = weights[0] * field[y, x]
            for k in range(1, len(weights)):
                dx, dy = np.float32(k) * nx, np.float32(k) * ny
                ahead = sample(field, np.float32(x) + dx, np.float32(y) + dy)
                behind = sample(field, np.float32(x) - dx, np.float32(y) - dy)
                total += weights[k] * (ahead + behind)
            out[y, x] = total
    return out


def smooth_along(
    sigma: float, tx: Field, ty: Field, *fields: Field, where: npt.NDArray[np.bool_] | None = None
) -> list[Field]:
    """Line integral convolution: Gaussian averages of fields along the tangents, `sigma` px.

    Where `where` (H, W) is false the fields stay as they are.
    """
    if where is None:
        where = np.ones(tx.shape, np.bool_)
    steps = np.arange(math.ceil(2 * sigma / _STRIDE) + 1) * _STRIDE
    weights = np.exp(-0.5 * (steps / sigma) ** 2).astype(np.float32)
    averages = _average_along(np.stack(fields, axis=2), np.stack([tx, ty], axis=2), weights, where)
    return [np.ascontiguousarray(averages[..., k]) for k in range(len(fields))]


@nb.njit(cache=True, nogil=True)
def _average_along(
    fields: npt.NDArray[np.float32],
    tangent: npt.NDArray[np.float32],
    weights: Field,
    where: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    height, width, channels = fields.shape
    one, rounding, stride = np.float32(1), np.float32(0.5), np.float32(_STRIDE)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    out = np.empty_like(fields)
    for y in range(height):
        for x in range(width):
            if not where[y, x]:
                for c in range(channels):
                    out[y, x, c] = fields[y, x, c]
                continue
            mass = weights[0]
            for c in range(channels):
                out[y, x, c] = mass * fields[y, x, c]
            for sign in (stride, -stride):
                px, py = np.float32(x), np.float32(y)
                dx, dy = sign * tangent[y, x, 0], sign * tangent[y, x, 1]
                for k in range(1, len(weights)):
                    px += dx
                    py += dy
                    if px < 0 or py < 0 or px > right or py > bottom:
                        break
                    i, j = int(px), int(py)
                    u, v = px - np.float32(i), py - np.float32(j)
                    i1, j1 = min(i + 1, width - 1), min(j + 1, height - 1)
                    a, b = weights[k] * (one - u) * (one - v), weights[k] * u * (one - v)
                    d, e = weights[k] * (one - u) * v, weights[k] * u * v
                    for c in range(channels):
                        out[y, x, c] += (
                            a * fields[j, i, c]
                            + b * fields[j, i1, c]
                            + d * fields[j1, i, c]
                            + e * fields[j1, i1, c]
                        )
                    mass += weights[k]
                    i, j = int(px + rounding), int(py + rounding)
                    vx, vy = stride * tangent[j, i, 0], stride * tangent[j, i, 1]
                    if vx * dx + vy * dy < 0:
                        dx, dy = -vx, -vy
                    else:
                        dx, dy = vx, vy
            for c in range(channels):
                out[y, x, c] /= mass
    return out
