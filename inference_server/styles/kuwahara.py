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
_NOISE = 0.055  # standard deviation, of 0..1, above which a sector loses its say


def _pattern() -> tuple[Field, npt.NDArray[np.int32], Field]:
    """Places (n, 2) in the unit disc; for each sector which of them (8, m), and weights (8, m)."""
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
    weights /= weights.sum(0)
    most = int((weights > 1e-6).sum(0).max())
    which = np.argsort(-weights, axis=0, kind="stable")[:most].T
    says = np.take_along_axis(weights.T, which, axis=1)
    return where.astype(np.float32), which.astype(np.int32), says.astype(np.float32)


_PLACES, _WHICH, _SAYS = _pattern()


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
    return _filtered(smooth, tx, ty, anisotropy, np.float32(radius), _PLACES, _WHICH, _SAYS)


@nb.njit(cache=True, nogil=True)
def _filtered(  # type: ignore[no-untyped-def]
    picture, tx, ty, anisotropy, radius, places, which, says
):  # fmt: skip
    rows, columns, _ = picture.shape
    out = np.empty_like(picture)
    seen = np.empty((4, len(places)), np.float32)  # r, g, b and their squares at each place
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    for y in range(rows):
        for x in range(columns):
            stretch = one + anisotropy[y, x]  # equation 2 with alpha 1: ellipses of up to 4 : 1
            along, across = radius * stretch, radius / stretch
            ax, ay = along * tx[y, x], along * ty[y, x]
            bx, by = -across * ty[y, x], across * tx[y, x]
            px, py = np.float32(x) + half, np.float32(y) + half
            for n in range(len(places)):
                u, v = places[n, 0], places[n, 1]
                i = min(int(max(py + u * ay + v * by, zero)), rows - 1)
                j = min(int(max(px + u * ax + v * bx, zero)), columns - 1)
                r, g, b = picture[i, j, 0], picture[i, j, 1], picture[i, j, 2]
                seen[0, n], seen[1, n], seen[2, n], seen[3, n] = r, g, b, r * r + g * g + b * b
            red, green, blue, mass = zero, zero, zero, np.float32(1e-20)
            for k in range(len(which)):
                r, g, b, square = zero, zero, zero, zero
                for m in range(which.shape[1]):
                    n, say = which[k, m], says[k, m]
                    r += say * seen[0, n]
                    g += say * seen[1, n]
                    b += say * seen[2, n]
                    square += say * seen[3, n]
                spread = max(square - (r * r + g * g + b * b), zero) * np.float32(1 / _NOISE**2)
                spread *= spread
                say = one / (one + spread * spread)  # q = 8 in equation 5
                red += say * r
                green += say * g
                blue += say * b
                mass += say
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red / mass, green / mass, blue / mass
    return out
