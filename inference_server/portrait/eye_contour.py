"""Moves the mesh's lid rims onto the edge between eye and skin, and its iris onto the iris.

In paintings and drawings the eyes are often larger than the mesh makes them; a blink would then
leave a rim of eye white. Colours inside the eye and around it are clustered, and for each lid the
line is found that takes in most eye and least skin.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from . import topology
from .iris import fit_iris
from .lowest_path import lowest_path

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_WINDOW = (1.3, 1.0)  # eye widths around the middle that are looked at
_SKIN_FROM, _SKIN_TO = 0.24, 0.46  # eye widths from the eye: the ring that gives the skin's colours
_BROW_WIDTH = 0.26  # eye widths, left out of that ring
_EYE_COLOURS, _SKIN_COLOURS = 5, 3
_DISTINCT = 9.0  # Lab distance to any skin colour that makes a colour one of the eye
_MARGIN, _SOFT = (
    4.0,
    14.0,
)  # Lab: nearer to eye than to skin by so much begins to count; counts full
_INWARD, _OUTWARD = 0.06, 0.30  # eye widths that a lid may move
_LOWER_OUTWARD = 0.18
_OFFSETS = 37
_COLUMNS = 33
_SKIN_PRICE = 0.15  # what every pixel taken in costs
_STRAY = 0.3  # price per eye width of moving at all
_BEND = 0.04
_SMOOTH = 7  # columns
_FORBIDDEN = 9.0
_LID_FOLLOWS, _LID_MOST = 0.7, 0.12  # share, and eye widths: how the row outside a rim goes along


@dataclass(frozen=True, slots=True)
class Eye:
    """Mesh indices of one eye; rows as in `topology`."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    lid_upper: tuple[int, ...]
    lid_lower: tuple[int, ...]
    iris: tuple[int, ...]
    brow: tuple[int, ...]

    @property
    def ring(self) -> list[int]:
        """The lid rims as a closed ring."""
        return list(topology.rim(self.upper, self.lower))


EYES = (
    Eye(
        topology.EYE_RIGHT_UPPER,
        topology.EYE_RIGHT_LOWER,
        topology.LID_RIGHT_UPPER,
        topology.LID_RIGHT_LOWER,
        topology.IRIS_RIGHT,
        topology.BROW_RIGHT,
    ),
    Eye(
        topology.EYE_LEFT_UPPER,
        topology.EYE_LEFT_LOWER,
        topology.LID_LEFT_UPPER,
        topology.LID_LEFT_LOWER,
        topology.IRIS_LEFT,
        topology.BROW_LEFT,
    ),
)


def snap(image: npt.NDArray[np.uint8], mesh: Array, placed: Collection[str] = ()) -> Array:
    """Move lid rims, the rows outside them, and the irises.

    Args:
        image: (S, S, 3) RGB crop.
        mesh: (478, 3) px of the crop.
        placed: what stays as it is: eye_right, eye_left, iris_right, iris_left.

    Returns:
        (478, 3) px; an eye whose colours are those of the skin stays as it is.
    """
    snapped = mesh.copy()
    for side, eye in zip(("right", "left"), EYES, strict=True):
        window = _Window.around(image, mesh, eye)
        if window is None:
            continue
        eyeness = None if f"eye_{side}" in placed else window.eyeness(mesh, eye)
        if eyeness is not None:
            _move_lid(snapped, mesh, window, eyeness, eye.upper, eye.lid_upper, upwards=True)
            _move_lid(snapped, mesh, window, eyeness, eye.lower, eye.lid_lower, upwards=False)
        if f"iris_{side}" in placed:
            continue
        lightness = np.ascontiguousarray(window.lab[..., 0])
        ring = snapped[eye.ring, :2] - window.origin
        irises = snapped[list(eye.iris), :2] - window.origin
        snapped[list(eye.iris), :2] = fit_iris(lightness, ring, irises) + window.origin
    return snapped


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """The part of the crop around one eye."""

    lab: Floats  # (h, w, 3) CIE Lab
    origin: Array  # (2,) px of the crop
    width: float  # px between the eye's corners
    down: Array  # (2,) unit vector towards the chin

    @classmethod
    def around(cls, image: npt.NDArray[np.uint8], mesh: Array, eye: Eye) -> _Window | None:
        """None when the eye is too small to work on or lies outside the crop."""
        first, last = mesh[eye.upper[0], :2], mesh[eye.upper[-1], :2]
        width = float(np.linalg.norm(last - first))
        if width < 6:
            return None
        along = (last - first) / width
        if eye is EYES[1]:  # its rows run from the picture's right to the left
            along = -along
        centre = mesh[eye.ring, :2].mean(0)
        reach = np.array(_WINDOW) * width
        limit = np.array(image.shape[1::-1])
        low = np.clip(np.floor(centre - reach), 0, limit).astype(int)
        high = np.clip(np.floor(centre + reach), 0, limit).astype(int)
        if (high - low < 4).any():
            return None
        part = image[low[1] : high[1], low[0] : high[0]]
        lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        down = np.array([-along[1], along[0]])
        return cls(lab.astype(np.float32), low.astype(np.float64), width, down)

    def eyeness(self, mesh: Array, eye: Eye) -> Floats | None:
        """Where the colour is the eye's rather than the skin's: (h, w), -1..1."""
        inside, skin = self._masks(mesh, eye)
        if inside.sum() < 20 or skin.sum() < 30:
            return None
        skin_colours = _clusters(self.lab[skin], _SKIN_COLOURS)
        eye_colours = _clusters(self.lab[inside], _EYE_COLOURS)
        distinct = _distance(eye_colours, skin_colours) > _DISTINCT
        if not distinct.any():
            return None
        nearer = _distance(self.lab, skin_colours) - _distance(self.lab, eye_colours[distinct])
        eyeness = np.clip((nearer - _MARGIN) / _SOFT, -1, 1).astype(np.float32)
        return cv2.GaussianBlur(eyeness, (0, 0), 0.012 * self.width + 0.5).astype(np.float32)

    def _masks(self, mesh: Array, eye: Eye) -> tuple[Mask, Mask]:
        """Pixels surely inside the eye, and pixels of the skin around it."""
        shape = self.lab.shape[:2]
        eye_mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(eye_mask, [self._to_int(mesh[eye.ring, :2])], (255,))
        inside = cv2.erode(eye_mask, np.ones((3, 3), np.uint8)) > 0
        ring = cv2.dilate(eye_mask, _disc(_SKIN_TO * self.width)) > 0
        ring &= cv2.dilate(eye_mask, _disc(_SKIN_FROM * self.width)) == 0
        brow_mask = np.zeros(shape, np.uint8)
        thickness = max(1, int(_BROW_WIDTH * self.width))
        for row in (eye.brow[:5], eye.brow[5:]):
            points = self._to_int(mesh[list(row), :2])
            cv2.polylines(brow_mask, [points], False, (255,), thickness)
        return inside, ring & (brow_mask == 0)

    def _to_int(self, points: Array) -> npt.NDArray[np.int32]:
        return np.rint(points - self.origin).astype(np.int32)


def _move_lid(
    snapped: Array,
    mesh: Array,
    window: _Window,
    eyeness: Floats,
    rim: tuple[int, ...],
    lid: tuple[int, ...],
    upwards: bool,
) -> None:
    """Move one rim and the row outside it, in `snapped`."""
    outward = -window.down if upwards else window.down
    width = window.width
    knots, fine = np.linspace(0, 1, len(rim)), np.linspace(0, 1, _COLUMNS)
    points = mesh[list(rim), :2] - window.origin
    line = np.stack([np.interp(fine, knots, points[:, axis]) for axis in (0, 1)], axis=1)
    offsets = np.linspace(-_INWARD, _OUTWARD, _OFFSETS) * width
    places = line[:, None] + offsets[:, None] * outward
    taken = cv2.remap(
        eyeness,
        places[..., 0].astype(np.float32),
        places[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderValue=(-1.0,),
    )
    gain = np.cumsum(taken - _SKIN_PRICE, axis=1) * (offsets[1] - offsets[0])
    at_rest = int(np.abs(offsets).argmin())
    gain -= gain[:, at_rest : at_rest + 1]
    cost = -gain / (0.1 * width) + _STRAY * np.abs(offsets) / width
    limit = (_OUTWARD if upwards else _LOWER_OUTWARD) * np.sqrt(np.sin(np.pi * fine)) * width
    cost[offsets > limit[:, None] + 1e-6] = _FORBIDDEN
    cost[offsets < -0.4 * limit[:, None] - 1e-6] = _FORBIDDEN
    path = offsets[lowest_path(cost, _BEND)]
    path = np.convolve(np.pad(path, _SMOOTH // 2, "edge"), np.ones(_SMOOTH) / _SMOOTH, "valid")
    at_knots = np.rint(knots * (_COLUMNS - 1)).astype(int)[1:-1]  # the corners stay
    moved = path[at_knots, None]
    snapped[list(rim[1:-1]), :2] += moved * outward
    follow = _LID_FOLLOWS * np.clip(moved, 0, _LID_MOST * width)
    snapped[list(lid[1:-1]), :2] += follow * outward


def _clusters(colours: Floats, count: int) -> Floats:
    """Up to `count` cluster centres of (N, 3) colours; the same for the same colours."""
    cv2.setRNGSeed(0)  # OpenCV's k-means draws its start from a generator that keeps its state
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 20, 0.5)
    labels = np.empty(0, np.int32)
    count = min(count, len(colours))
    return cv2.kmeans(colours, count, labels, stop, 2, cv2.KMEANS_PP_CENTERS)[2].astype(np.float32)


def _distance(colours: Floats, centres: Floats) -> Floats:
    """Lab distance of colours (..., 3) to the nearest centre."""
    return np.sqrt(((colours[..., None, :] - centres) ** 2).sum(-1)).min(-1)


def _disc(radius: float) -> npt.NDArray[np.uint8]:
    side = 2 * (int(radius) | 1) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)).astype(np.uint8)
