"""Anisotropic Kuwahara filter: a picture in smooth patches of colour that follow its lines.

After Kyprianidis, Semmo, Kang and Doellner, "Anisotropic Kuwahara Filtering with Polynomial
Weighting Functions" (EG UK TPCG 2010). The ellipse around a pixel is not walked pixel by pixel but
looked at in a fixed pattern of places that is stretched and turned with it, so that the weights of
the eight sectors are constants and the cost does not depend on the radius.
"""

from __future__ import annotations

import math

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

from .line_filters import Field

_RINGS = ((0.0, 1), (0.35, 8), (0.66, 16), (0.93, 16))  # radius, places
_SECTORS = 8
_OVERLAP = 0.33  # zeta of equation 7: how far a sector reaches past the centre
_STRETCH = 1.0  # alpha of equation 2: 1 makes ellipses of up to 4 : 1
_NOISE = 0.055  # standard deviation, of 0..1, above which a sector loses its say


def _pattern() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Places (n, 2) in the unit disc and their weights (n, 8) in the sectors, which sum to 1."""
    places, areas = [], []
    for k, (radius, count) in enumerate(_RINGS):
        angles = (np.arange(count) + 0.5 * (k % 2)) * 2 * np.pi / count
        places.append(radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
        areas.append(np.full(count, max(radius, 0.1) / count))
    where = np.concatenate(places)
    gauss = np.concatenate(areas) * np.exp(-3.125 * 0.5 * (where**2).sum(1))
    turns = np.arange(_SECTORS) * 2 * np.pi / _SECTORS
    ahead = where[:, :1] * np.cos(turns) + where[:, 1:] * np.sin(turns)
    aside = where[:, 1:] * np.cos(turns) - where[:, :1] * np.sin(turns)
    half = np.pi / _SECTORS
    eta = (_OVERLAP + math.cos(half)) / math.sin(half) ** 2
    share = np.maximum(ahead + _OVERLAP - eta * aside**2, 0) ** 2
    weights = share / np.maximum(share.sum(1, keepdims=True), 1e-9) * gauss[:, None]
    return where.astype(np.float32), (weights / weights.sum(0)).astype(np.float32)


_PLACES, _WEIGHTS = _pattern()


def kuwahara(picture: Field, tx: Field, ty: Field, anisotropy: Field, radius: float) -> Field:
    """The filtered picture.

    Args:
        picture: (H, W, 3) float32 0..1.
        tx: (H, W) x of the unit tangents.
        ty: (H, W) y of the unit tangents.
        anisotropy: (H, W) 0..1; longer ellipses where it is high.
        radius: of a circle, px.
    """
    soft = max(0.3, 0.11 * radius)  # the distance between places
    smooth = cv2.GaussianBlur(picture, (0, 0), soft, borderType=cv2.BORDER_REFLECT_101)
    return _filtered(smooth, tx, ty, anisotropy, np.float32(radius), _PLACES, _WEIGHTS)


@nb.njit(cache=True, nogil=True)
def _filtered(
    picture: Field,
    tx: Field,
    ty: Field,
    anisotropy: Field,
    radius: np.float32,
    places: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
) -> Field:
    height, width, _ = picture.shape
    out = np.empty_like(picture)
    sums = np.zeros((4, _SECTORS), np.float32)
    one, half = np.float32(1), np.float32(0.5)
    for y in range(height):
        for x in range(width):
            stretch = (np.float32(_STRETCH) + anisotropy[y, x]) / np.float32(_STRETCH)
            along, across = radius * stretch, radius / stretch
            ax, ay = along * tx[y, x], along * ty[y, x]
            bx, by = -across * ty[y, x], across * tx[y, x]
            sums[:] = 0
            for n in range(len(places)):
                u, v = places[n, 0], places[n, 1]
                i = int(np.float32(y) + u * ay + v * by + half)
                j = int(np.float32(x) + u * ax + v * bx + half)
                i, j = min(max(i, 0), height - 1), min(max(j, 0), width - 1)
                r, g, b = picture[i, j, 0], picture[i, j, 1], picture[i, j, 2]
                square = r * r + g * g + b * b
                for k in range(_SECTORS):
                    w = weights[n, k]
                    sums[0, k] += w * r
                    sums[1, k] += w * g
                    sums[2, k] += w * b
                    sums[3, k] += w * square
            red, green, blue, mass = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for k in range(_SECTORS):
                r, g, b = sums[0, k], sums[1, k], sums[2, k]
                spread = max(sums[3, k] - (r * r + g * g + b * b), np.float32(0))
                spread *= np.float32(1 / _NOISE**2)
                spread *= spread
                say = one / (one + spread * spread)  # q = 8 in equation 5
                red += say * r
                green += say * g
                blue += say * b
                mass += say
            mass = max(mass, np.float32(1e-20))
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red / mass, green / mass, blue / mass
    return out
