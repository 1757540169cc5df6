"""LivePortrait's square around a face, from any of the usual point sets (S3 section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_server.portrait.topology import IBUG_68, N_MESH

Points = npt.NDArray[np.floating]  # (P, 2) px
Affine = npt.NDArray[np.float64]  # (2, 3)

_UPRIGHT = 1e-3  # px between eyes and mouth below which a face has no direction


@dataclass(frozen=True, slots=True)
class PointSet:
    """Which points of a set are the eyes (picture left, picture right) and the mouth's corners."""

    left_eye: tuple[int, ...]
    right_eye: tuple[int, ...]
    corners: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Framing:
    """How large the square is, and where."""

    scale: float  # of the points' larger side
    down: float  # of the square's side, along eyes to mouth; negative is up
    rotate: bool  # the eyes become level


SOURCE_FRAMING = Framing(2.3, -0.125, rotate=True)
DRIVING_FRAMING = Framing(2.2, -0.1, rotate=False)

POINT_SETS = {
    203: PointSet((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    106: PointSet((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    101: PointSet((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    68: PointSet((36, 39), (42, 45), (48, 54)),
    5: PointSet((0,), (1,), (3, 4)),
    9: PointSet((2, 3), (0, 1), (5, 6)),
}


def point_set(points: Points) -> tuple[Points, PointSet]:
    """The points that count and what they are.

    Of MediaPipe's mesh of 478 points the 68 of iBUG count: the others add the forehead, which the
    released networks never saw inside the square's measure. Of an unknown set with more than 101
    points the first 101 count.

    Raises:
        ValueError: a set of that size is not known.
    """
    if len(points) == N_MESH:
        points = points[list(IBUG_68)]
    known = POINT_SETS.get(len(points))
    if known is not None:
        return points, known
    if len(points) > 101:
        return points[:101], POINT_SETS[101]
    sizes = ", ".join(str(size) for size in sorted(POINT_SETS))
    raise ValueError(f"{len(points)} points are no known set; known sets have {sizes}")


def crop_matrix(points: Points, size: int, framing: Framing) -> Affine:
    """The transform from picture to crop.

    Args:
        points: (P, 2) px of the picture, of a known set.
        size: px of the crop's side.
        framing: how large, and where.

    Returns:
        (2, 3): picture px -> crop px.

    Raises:
        ValueError: the point set is not known.
    """
    points, known = point_set(points)
    points = points.astype(np.float64)
    down = _direction(points, known)
    axes = np.stack([[down[1], -down[0]], down])  # rows: along the eyes, towards the mouth
    middle = points.mean(0)
    inside = (points - middle) @ axes.T
    low, high = inside.min(0), inside.max(0)
    side = (high - low).max() * framing.scale
    centre = middle + (low + high) / 2 @ axes + framing.down * side * down
    zoom = size / side
    turn = axes if framing.rotate else np.eye(2)
    linear = zoom * turn
    return np.hstack([linear, (size / 2 - linear @ centre)[:, None]])


def _direction(points: Points, known: PointSet) -> Points:
    """(2,) unit vector from the middle of the eyes to the middle of the mouth's corners."""
    eyes = (points[list(known.left_eye)].mean(0) + points[list(known.right_eye)].mean(0)) / 2
    towards = points[list(known.corners)].mean(0) - eyes
    length = np.hypot(*towards)
    return towards / length if length > _UPRIGHT else np.array([0.0, 1.0])


@dataclass(frozen=True, slots=True)
class Ratios:
    """How far lids and lips are open, against the width of eye and mouth."""

    left_eye: float  # of the picture
    right_eye: float
    lips: float


_OPENINGS = {  # two points across, two points along, of left eye, right eye, lips
    203: ((6, 18, 0, 12), (30, 42, 24, 36), (90, 102, 48, 66)),
    N_MESH: ((159, 145, 33, 133), (386, 374, 362, 263), (13, 14, 61, 291)),
}


def ratios(points: Points) -> Ratios:
    """The ratios that the retargeting networks understand.

    Raises:
        ValueError: neither LivePortrait's 203 points nor the mesh's 478.
    """
    if len(points) not in _OPENINGS:
        raise ValueError(f"ratios need 203 or 478 points, not {len(points)}")
    flat = points[:, :2].astype(np.float64)
    return Ratios(
        *(
            float(np.hypot(*(flat[a] - flat[b])) / (np.hypot(*(flat[c] - flat[d])) + 1e-6))
            for a, b, c, d in _OPENINGS[len(points)]
        )
    )
