"""Brings a face mesh onto contours that the artist has placed; the skin between follows smoothly.

A contour is a mapping's value: a closed ring of points for `eye_right`, `eye_left`, `lips_outer`
and `lips_inner`, a line from corner to corner for `lip_seam`, and x, y and radius for `iris_right`
and `iris_left`. Right and left are the person's own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from . import topology
from .face_mesh import spread, template
from .topology import N_SKIN

Array = npt.NDArray[np.float64]
Row = tuple[int, ...]

RINGS: Mapping[str, tuple[Row, Row]] = {
    "eye_right": (topology.EYE_RIGHT_UPPER, topology.EYE_RIGHT_LOWER),
    "eye_left": (topology.EYE_LEFT_UPPER, topology.EYE_LEFT_LOWER),
    "lips_outer": (topology.LIP_OUTER_UPPER, topology.LIP_OUTER_LOWER),
    "lips_inner": (topology.LIP_INNER_UPPER, topology.LIP_INNER_LOWER),
}
SEAM = "lip_seam"
IRISES: Mapping[str, Row] = {
    "iris_right": topology.IRIS_RIGHT,
    "iris_left": topology.IRIS_LEFT,
}
# what is not searched for in the picture any more once a contour is placed
PLACES: Mapping[str, str] = {
    "eye_right": "eye_right", "eye_left": "eye_left", SEAM: "mouth", "lips_outer": "mouth",
    "lips_inner": "mouth", "iris_right": "iris_right", "iris_left": "iris_left",
}  # fmt: skip
CLOSED = 0.06  # gap over width of the mouth: smaller ones are told as a seam
_PARTING = 0.0012  # face widths between each lip and the seam
_STILL = topology.NOSE + topology.FACE_OVAL + topology.BROW_RIGHT + topology.BROW_LEFT


def measured(mesh: npt.NDArray[np.floating]) -> dict[str, Array]:
    """The contours of a mesh (478, 2 or 3); a mouth that is shut has a seam and no inner ring."""
    points = np.asarray(mesh, np.float64)[:, :2]
    found = {name: points[list(topology.rim(*rows))] for name, rows in RINGS.items()}
    upper, lower = RINGS["lips_inner"]
    gap = np.linalg.norm(points[lower[5]] - points[upper[5]])
    if gap < CLOSED * np.linalg.norm(points[upper[-1]] - points[upper[0]]):
        del found["lips_inner"]
        found[SEAM] = (points[list(upper)] + points[list(lower)]) / 2
    for name, iris in IRISES.items():
        radius = np.linalg.norm(points[list(iris[1:])] - points[iris[0]], axis=1).mean()
        found[name] = np.append(points[iris[0]], radius)
    return found


def apply(mesh: npt.NDArray[np.floating], placed: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """The mesh (478, 3) px with its rows exactly on the placed contours; depth stays."""
    points = np.asarray(mesh, np.float64)
    targets: dict[int, Array] = {}
    for name, contour in placed.items():
        if name in RINGS:
            targets |= _on_ring(name, contour, points)
        elif name == SEAM:
            targets |= _on_seam(contour, points)
    moved = points.copy()
    if targets:
        still = [point for point in _still(placed) if point not in targets]
        shifts = np.array([targets[point] - points[point, :2] for point in targets])
        weights = spread((*targets, *still))[:, : len(targets)]
        moved[:N_SKIN, :2] += weights @ shifts
    for name, iris in IRISES.items():
        moved[list(iris), :2] = _iris(name, points, moved, placed)
    return moved.astype(np.float32)


def _still(placed: Mapping[str, Array]) -> tuple[int, ...]:
    """Skin points that no contour moves."""
    still: Row = _STILL
    for name, rows in RINGS.items():
        lips = name.startswith("lip")
        if not lips or not any(PLACES[other] == "mouth" for other in placed):
            still += topology.rim(*rows)
    if SEAM in placed or "lips_inner" in placed:  # the outer line stays unless it is given too
        still += topology.rim(*RINGS["lips_outer"])
    return tuple(dict.fromkeys(still))


def _axes(points: Array) -> tuple[Array, Array]:
    """Unit vectors (2,) from the person's right to the left, and towards the chin."""
    across = points[263, :2] - points[33, :2]
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    down = np.array([-across[1], across[0]])
    return across, down * (np.sign((points[152, :2] - points[168, :2]) @ down) or 1.0)


def _on_ring(name: str, ring: Array, points: Array) -> dict[int, Array]:
    """Where the points of two rows go on a closed ring (k, 2)."""
    rows = RINGS[name]
    across, down = _axes(points)
    # rows start at the right corner, those of the left eye at the left one
    along = ring @ (-across if name == "eye_left" else across)
    first, last = int(along.argmin()), int(along.argmax())
    turned = np.roll(ring, -first, axis=0)
    cut = (last - first) % len(ring)
    chains = [turned[: cut + 1], np.concatenate([turned[cut:], turned[:1]])[::-1]]
    chains.sort(key=lambda chain: float(np.mean(_spaced(chain, np.linspace(0, 1, 9)) @ down)))
    targets: dict[int, Array] = {}
    for row, chain in zip(rows, chains, strict=True):
        targets |= dict(zip(row, _along(chain, row), strict=True))
    return targets


def _on_seam(seam: Array, points: Array) -> dict[int, Array]:
    """Where both inner rows go on a line (k, 2)."""
    across, down = _axes(points)
    line = seam if (seam[-1] - seam[0]) @ across > 0 else seam[::-1]
    upper, lower = RINGS["lips_inner"]
    middle = _along(line, upper)
    width = float(np.linalg.norm(points[454, :2] - points[234, :2]))
    parting = _PARTING * width * np.sin(np.linspace(0, np.pi, len(upper)))[:, None] * down
    return dict(zip(upper, middle - parting, strict=True)) | dict(
        zip(lower[1:-1], (middle + parting)[1:-1], strict=True)
    )


def _along(chain: Array, row: Row) -> Array:
    """Points of a row on a chain; one that has as many points is taken as it is."""
    if len(chain) == len(row):
        return chain
    steps = np.linalg.norm(np.diff(template()[list(row), :2], axis=0), axis=1)
    return _spaced(chain, np.concatenate([[0], np.cumsum(steps)]) / steps.sum())


def _spaced(chain: Array, at: Array) -> Array:
    """Points on a chain (k, 2) at shares of its length, exactly on its ends."""
    steps = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    length = np.concatenate([[0], np.cumsum(steps)])
    where = at * length[-1]
    return np.stack([np.interp(where, length, chain[:, axis]) for axis in (0, 1)], 1)


def _iris(name: str, before: Array, after: Array, placed: Mapping[str, Array]) -> Array:
    """The five points (5, 2) of an iris: as placed, else along with its eye."""
    iris = list(IRISES[name])
    upper, lower = RINGS[name.replace("iris", "eye")]
    ring = list(topology.rim(upper, lower))
    old, now = before[ring, :2], after[ring, :2]
    ends = [upper[0], upper[-1]]
    grown = np.linalg.norm(np.subtract(*after[ends, :2])) / max(
        float(np.linalg.norm(np.subtract(*before[ends, :2]))), 1e-6
    )
    points = (before[iris, :2] - old.mean(0)) * grown + now.mean(0)
    if name not in placed:
        return points
    x, y, radius = placed[name]
    spokes = points[1:] - points[0]
    spokes *= radius / np.maximum(np.linalg.norm(spokes, axis=1, keepdims=True), 1e-6)
    return np.concatenate([[[x, y]], spokes + [x, y]])
