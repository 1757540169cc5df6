"""Puts the inner lip rims of a closed mouth onto the dark line between the lips, to its very ends.

The mesh alone is a few pixels off; then the dark line stays on one lip, and the mouth opens
through the lip instead of between the two. What of the line lies beyond the corners would be torn
into smudges.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .face_mesh import spread
from .lowest_path import lowest_path
from .topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_MIDDLE_LOWER,
    LIP_MIDDLE_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    LIP_WET_LOWER,
    LIP_WET_UPPER,
    N_SKIN,
    NOSE,
)

Array = npt.NDArray[np.float64]

_CLOSED = 0.10  # gap over mouth width below which a mouth counts as closed
_REACH = 0.028  # face widths, how far from the mesh the line is looked for
_COLUMNS = 81  # places along the mouth
_STEPS = 25  # places across it
_BLUR = 0.008  # face widths
_STRAY = 0.35  # price of lying _REACH away, in units of the lightness found
_BEND = 0.12  # price of one step up or down between columns
_SMOOTH = 9  # columns
_PARTING = 0.0012  # face widths between each rim and the line, in the middle of the mouth
# how much of the rims' way the rows behind them go along
_FOLLOW = (
    (LIP_WET_UPPER, 0.6),
    (LIP_WET_LOWER, 0.6),
    (LIP_MIDDLE_UPPER, 0.25),
    (LIP_MIDDLE_LOWER, 0.25),
)
_FARTHEST = 0.045  # face widths beyond a corner where the line is looked for
_BESIDE = 0.03  # face widths above and below the line, where it is not dark
_STANDS_OUT = 0.6  # of the line's contrast in the mouth: what still belongs to it
_END_STEPS = 23
_BLURRED = 0.014  # face widths
_CORNERS = ((61, 76, 62, 78), (291, 306, 292, 308))
_LIP_ROWS = (
    LIP_INNER_UPPER, LIP_INNER_LOWER, LIP_WET_UPPER, LIP_WET_LOWER, LIP_MIDDLE_UPPER,
    LIP_MIDDLE_LOWER, LIP_OUTER_UPPER, LIP_OUTER_LOWER,
)  # fmt: skip
_HELD = tuple(
    dict.fromkeys(
        NOSE + FACE_OVAL + EYE_RIGHT_RIM + EYE_LEFT_RIM
        + tuple(point for row in _LIP_ROWS for point in row[3:-3])
    )
)  # fmt: skip


def snap(image: npt.NDArray[np.uint8], mesh: Array) -> Array:
    """Move the lips' inner rows onto the seam; open mouths stay as they are.

    Args:
        image: (S, S, 3) RGB crop.
        mesh: (478, 3) px of the crop.

    Returns:
        (478, 3) px.
    """
    left, right = mesh[LIP_INNER_UPPER[0], :2], mesh[LIP_INNER_UPPER[-1], :2]
    width = float(np.linalg.norm(right - left))
    gap = float(np.linalg.norm(mesh[14, :2] - mesh[13, :2]))
    face_width = float(np.linalg.norm(mesh[454] - mesh[234]))
    if width < 4 or gap > _CLOSED * width:
        return mesh
    along = (right - left) / width
    across = np.array([-along[1], along[0]])  # towards the chin
    upper, lower = list(LIP_INNER_UPPER), list(LIP_INNER_LOWER)
    middle = (mesh[upper, :2] + mesh[lower, :2]) / 2
    seam = _seam(image, middle, across, face_width)
    snapped = mesh.copy()
    inner = slice(1, len(upper) - 1)  # the corners stay
    shift = (seam - middle)[inner]
    for row, share in _FOLLOW:
        snapped[list(row)[inner], :2] += share * shift
    count = len(upper)
    taper = np.minimum(np.arange(count), np.arange(count)[::-1])[:, None] / (count // 2)
    parting = _PARTING * face_width * taper * across
    snapped[upper[inner], :2] = (seam - parting)[inner]
    snapped[lower[inner], :2] = (seam + parting)[inner]
    ends = _ends(image, seam, across, face_width)
    handles = _CORNERS[0] + _CORNERS[1] + _HELD
    moved = np.repeat(ends, 4, axis=0)
    snapped[:N_SKIN, :2] += spread(handles)[:, : len(moved)] @ moved
    return snapped


def _ends(image: npt.NDArray[np.uint8], seam: Array, across: Array, face_width: float) -> Array:
    """How far the dark line goes on beyond the right and the left end of the seam: (2, 2) px."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(_BLUR * face_width, 0.3))
    offsets = np.linspace(-_BESIDE, _BESIDE, _STEPS) * face_width

    def profile(points: Array) -> tuple[Array, Array]:
        """Contrast (k,) of the line at points (k, 2), and where it is darkest, px across."""
        places = (points[:, None] + offsets[:, None] * across).astype(np.float32)
        tone = cv2.remap(
            grey, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        beside = np.minimum(tone[:, :3].mean(1), tone[:, -3:].mean(1))
        middle = slice(_STEPS // 4, -(_STEPS // 4))
        return beside - tone[:, middle].min(1), offsets[middle][tone[:, middle].argmin(1)]

    usual = float(np.median(profile(seam[2:-2])[0]))
    moved = np.zeros((2, 2))
    if usual < 6:  # no line to speak of
        return moved
    for end, (corner, before) in enumerate(((seam[0], seam[2]), (seam[-1], seam[-3]))):
        outwards = (corner - before) / max(float(np.linalg.norm(corner - before)), 1e-6)
        ways = np.linspace(0, _FARTHEST * face_width, _END_STEPS)
        contrast, darkest = profile(corner + ways[:, None] * outwards)
        faint = np.flatnonzero(contrast < _STANDS_OUT * usual)
        last = (faint[0] if len(faint) else _END_STEPS) - 1
        way = ways[last] - _BLURRED * face_width  # the blur has drawn the line on
        if way > 0:
            aside = np.clip(darkest[last], -0.3 * way, 0.3 * way)
            moved[end] = way * outwards + aside * across
    return moved


def _seam(image: npt.NDArray[np.uint8], middle: Array, across: Array, face_width: float) -> Array:
    """The dark line, (11, 2) px at the places of `middle` (11, 2)."""
    knots = np.linspace(0, 1, len(middle))
    fine = np.linspace(0, 1, _COLUMNS)
    line = np.stack([np.interp(fine, knots, middle[:, axis]) for axis in (0, 1)], axis=1)
    offsets = np.linspace(-_REACH, _REACH, _STEPS) * face_width
    places = line[:, None] + offsets[:, None] * across  # (columns, steps, 2)
    sharp = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(sharp, (0, 0), max(_BLUR * face_width, 0.3))
    tone = cv2.remap(
        grey,
        places[..., 0].astype(np.float32),
        places[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    tone = (tone - tone.min()) / (np.ptp(tone) + 1e-6)
    cost = tone + _STRAY * (offsets / offsets[-1]) ** 2
    path = offsets[lowest_path(cost, _BEND)]
    path = np.convolve(np.pad(path, _SMOOTH // 2, "edge"), np.ones(_SMOOTH) / _SMOOTH, "valid")
    at_knots = np.rint(knots * (_COLUMNS - 1)).astype(int)
    return line[at_knots] + path[at_knots, None] * across
