"""Palettes: the few colours that a picture is painted with, and pictures in them.

Colours are compared in CIELAB with its hues apart. Palettes are arrays (k, 4): L, a, b and how much
they count.
"""

from __future__ import annotations

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

from .line_filters import Field

Palette = npt.NDArray[np.float32]  # (k, 4)

_MOST = 64  # colours that are counted
_CELL = 6.0  # Lab units: colours closer than this are one from the start
_FACE_SAY = 5.0  # how much more a pixel of the face counts
_ROOT = 0.45  # large areas count less than their size
_ALWAYS = ((96.0, 0.0, 3.0), (9.0, 3.0, 1.0), (27.0, 24.0, 13.0))  # teeth, pupils, mouth
_CHROMA = 1.22  # flat colours are stronger than the picture's
_LIFT = 5.0  # by which the half-tones are lighter, L
_HUE = 1.5  # a and b count as much more than L
_BLEND = 0.08  # 1 / Lab units^2: how sharply one colour gives way to the next


def counted(picture: Field, inside: npt.NDArray[np.bool_]) -> Palette:
    """The colours of a smooth (H, W, 3) picture 0..1; what lies `inside` the face counts more."""
    colours_of = lab(picture).reshape(-1, 3)
    cells = np.round(colours_of / np.float32(_CELL)).astype(np.int64) + 64
    keys = (cells[:, 0] << 16) + (cells[:, 1] << 8) + cells[:, 2]
    _, which = np.unique(keys, return_inverse=True)
    say = np.where(inside.ravel(), _FACE_SAY, 1.0)
    mass = np.bincount(which, weights=say)
    sums = [np.bincount(which, weights=say * colours_of[:, c]) / mass for c in range(3)]
    order = np.argsort(-mass, kind="stable")[: 6 * _MOST]
    colours = np.stack([*sums, mass / mass.sum()], axis=1)[order]
    return _merged(colours.astype(np.float64), _MOST).astype(np.float32)


def reduced(colours: Palette, size: int) -> Palette:
    """`size` colours that stand for all, and those that a face needs when its mouth opens."""
    few = _merged(colours.astype(np.float64), size)
    missing = [
        (*colour, 0.0)
        for colour in _ALWAYS
        if np.linalg.norm(few[:, :3] - np.array(colour), axis=1).min() > 14
    ]
    return np.concatenate([few, np.array(missing).reshape(-1, 4)]).astype(np.float32)


@nb.njit(cache=True, nogil=True)
def _merged(colours, size):  # type: ignore[no-untyped-def]
    """Merge the two colours that are least missed until `size` are left (Ward 1963)."""
    left = colours.copy()
    n = len(left)
    while n > max(size, 1):
        best, a, b = np.inf, 0, 1
        for i in range(n):
            for j in range(i + 1, n):
                square = 0.0
                for c in range(3):
                    square += (left[i, c] - left[j, c]) ** 2
                u, v = left[i, 3] ** _ROOT, left[j, 3] ** _ROOT
                cost = square * u * v / (u + v)
                if cost < best:
                    best, a, b = cost, i, j
        mass = left[a, 3] + left[b, 3]
        for c in range(3):
            left[a, c] = (left[a, c] * left[a, 3] + left[b, c] * left[b, 3]) / mass
        left[a, 3] = mass
        left[b] = left[n - 1]
        n -= 1
    return left[:n].copy()


def nearest(picture: Field, palette: Palette, seen: Palette | None = None) -> Field:
    """An (H, W, 3) picture 0..1 in the colours of a palette, with narrow soft borders.

    `seen` are other colours that are shown in place of those of the palette, in its order.
    """
    shown = palette if seen is None else seen
    flat = _chosen(lab(picture), palette, shown, np.float32(_BLEND))
    flat[..., 1:] *= np.float32(_CHROMA / _HUE)
    light = flat[..., :1] * np.float32(0.01)
    flat[..., :1] += np.float32(4 * _LIFT) * light * (1 - light)
    return np.asarray(np.clip(cv2.cvtColor(flat, cv2.COLOR_LAB2RGB), 0, 1), np.float32)


def lab(picture: Field) -> Field:
    """CIELAB of an (H, W, 3) picture 0..1, its hues apart."""
    plain = cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB)
    return np.asarray(plain * np.array((1, _HUE, _HUE), np.float32), np.float32)


def rgb(colours: Field) -> Field:
    """The picture 0..1 of `lab`."""
    plain = (colours / np.array((1, _HUE, _HUE), np.float32)).astype(np.float32)
    return np.asarray(np.clip(cv2.cvtColor(plain, cv2.COLOR_LAB2RGB), 0, 1), np.float32)


def merged(colours: Palette, size: int) -> Palette:
    """`size` colours that stand for all."""
    return np.asarray(_merged(colours.astype(np.float64), size), np.float32)


@nb.njit(cache=True, nogil=True)
def _chosen(lab, palette, shown, blend):  # type: ignore[no-untyped-def]
    height, width, _ = lab.shape
    n = len(palette)
    out = np.empty_like(lab)
    squares = np.empty(n, np.float32)
    for y in range(height):
        for x in range(width):
            least = np.float32(1e9)
            for k in range(n):
                square = np.float32(0)
                for c in range(3):
                    off = lab[y, x, c] - palette[k, c]
                    square += off * off
                squares[k] = square
                least = min(least, square)
            mass = np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for k in range(n):
                behind = (squares[k] - least) * blend
                if behind < 6:
                    say = np.exp(-behind)
                    mass += say
                    red += say * shown[k, 0]
                    green += say * shown[k, 1]
                    blue += say * shown[k, 2]
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red / mass, green / mass, blue / mass
    return out
