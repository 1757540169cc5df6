"""What the artist placed by hand, as a JSON file.

{"faces": [{"landmarks": [[x, y], ...], ...}]} in px of the upright picture. `landmarks` are 12
points (`TWELVE`), 68 in iBUG order or 478 of the face mesh. A face may also have, or have instead,
the contours of `contours.py`: rings `eye_right`, `eye_left`, `lips_outer`, `lips_inner`, the line
`lip_seam`, and {"centre": [x, y], "radius": r} for `iris_right`, `iris_left`. Without landmarks
they correct the face that is found there. `analyze --json` prints the same, with more fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Face
from inference_server.errors import SpecInvalid

from . import contours
from .face_mesh import TWELVE, lift
from .topology import IBUG_68, N_MESH, N_SKIN

_HINT = (
    'Wanted: {"faces": [{"landmarks": [[x, y], ...]}]} with 12, 68 or 478 points for each face, '
    'and if you like "eye_right", "eye_left", "lips_outer", "lips_inner" or "lip_seam": [[x, y], '
    '...], "iris_right", "iris_left": {"centre": [x, y], "radius": r}.'
)
_SIDES = "Right and left are the person's own: the right eye is on the left of the picture."
_SMALLEST_FACE = 4.0  # px
_LEAST_POINTS = {**dict.fromkeys(contours.RINGS, 4), contours.SEAM: 3}
_NEAR = 0.3  # of a face's box: how far outside it one of its contours may lie
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True, eq=False)
class PlacedFace:
    """One face of a file."""

    name: str  # of face and file, for messages
    landmarks: npt.NDArray[np.float32] | None  # (12, 68 or 478, 2) px
    contours: Mapping[str, npt.NDArray[np.float64]]  # see contours.py


def read_landmarks(path: Path) -> list[PlacedFace]:
    """Every face in the file.

    Raises:
        SpecInvalid: the file is missing or does not hold such points; names face and field.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or error
        raise SpecInvalid(f'Cannot read the landmarks "{path.name}": {reason}.', _HINT) from error
    except ValueError as error:
        message = f'The landmarks "{path.name}" are not JSON: {error}.'
        raise SpecInvalid(message, _HINT) from error
    faces = content.get("faces") if isinstance(content, dict) else None
    if not isinstance(faces, list) or not faces:
        raise SpecInvalid(f'The landmarks "{path.name}" name no face.', _HINT)
    return [_face(face, f'Face {index} of "{path.name}"') for index, face in enumerate(faces)]


def place(
    placed: Sequence[PlacedFace], found: Sequence[Face], width: int, height: int
) -> list[Face]:
    """The faces of a picture of that size, with what was placed.

    Args:
        found: those that a detector sees; wanted if a placed face has no landmarks.

    Raises:
        SpecInvalid: a point lies outside the picture, or a contour on no face or another eye.
    """
    made: list[Face] = []
    left = list(found)
    for one in placed:
        _check_inside(one, width, height)
        if one.landmarks is not None:
            _check_sides(one.landmarks, one.name)
            face = _from_points(one.landmarks)
        else:
            face = _under(one, left)
            left = [other for other in left if other is not face]
        for name, contour in one.contours.items():
            _check_place(one.name, name, contour, face)
        made.append(_corrected(face, one.contours))
    return made + left if any(one.landmarks is None for one in placed) else made


def to_json(face: Face, mesh: npt.NDArray[np.floating], width: int, height: int) -> dict[str, Any]:
    """A face as `read_landmarks` reads it, from its mesh (478, 3) px."""
    told: dict[str, Any] = {
        "box": np.round(face.box.astype(float), 2).tolist(),
        "score": round(float(face.score), 4),
        "source": face.source,
        "landmarks": np.round(mesh[list(IBUG_68), :2].astype(float), 2).tolist(),
    }
    for name, contour in contours.measured(mesh).items():
        points = contour[None, :2] if name in contours.IRISES else contour
        if _outside(points, width, height).any():
            continue
        rounded = np.round(contour, 2).tolist()
        if name in contours.IRISES:
            told[name] = {"centre": rounded[:2], "radius": rounded[2]}
        else:
            told[name] = rounded
    return told


def _from_points(landmarks: npt.NDArray[np.float32]) -> Face:
    """A face from (12, 68 or 478, 2) points; depth comes from the canonical face."""
    fixed: tuple[str, ...] = ("mouth", "eye_right", "eye_left")
    if len(landmarks) == N_MESH:
        mesh = lift(landmarks[list(IBUG_68)], IBUG_68)
        mesh[:, :2] = landmarks
        fixed += tuple(contours.IRISES)
    elif len(landmarks) == len(TWELVE):
        mesh, fixed = lift(landmarks, TWELVE), ()
    else:
        mesh = lift(landmarks, IBUG_68)
    return _face_of(mesh, 1.0, fixed)


def _corrected(face: Face, placed: Mapping[str, npt.NDArray[np.float64]]) -> Face:
    if not placed:
        return face
    fixed = dict.fromkeys((*face.placed, *(contours.PLACES[name] for name in placed)))
    return _face_of(contours.apply(face.mesh, placed), face.score, tuple(fixed))


def _face_of(mesh: npt.NDArray[np.float32], score: float, fixed: tuple[str, ...]) -> Face:
    skin = mesh[:N_SKIN, :2]
    return Face(
        box=np.concatenate([skin.min(0), skin.max(0)]).astype(np.float32),
        score=score,
        mesh=mesh,
        landmarks=mesh[list(IBUG_68), :2],
        source="manual",
        placed=fixed,
    )


def _under(one: PlacedFace, found: Sequence[Face]) -> Face:
    """The found face that a placed one without landmarks corrects."""
    middles = [np.atleast_2d(each)[:, :2].mean(0) for each in one.contours.values()]
    middle = np.mean(middles, axis=0)
    near = [face for face in found if _reach(face, middle) < 0.5 + _NEAR]
    if not near:
        fields = ", ".join(f'"{name}"' for name in one.contours)
        message = f"{one.name}: no face was found where its {fields} lies."
        raise SpecInvalid(message, 'Place its "landmarks" as well: 12 points are enough.')
    return min(near, key=lambda face: _reach(face, middle))


def _reach(face: Face, point: npt.NDArray[np.floating]) -> float:
    """How far a point is from the middle of a face, in parts of its box."""
    low, high = face.box[:2], face.box[2:]
    return float((np.abs(point - (low + high) / 2) / np.maximum(high - low, 1)).max())


def _outside(
    points: npt.NDArray[np.floating], width: int, height: int, slack: float = 1.0
) -> npt.NDArray[np.bool_]:
    """(k,) which points lie more than `slack` px outside."""
    beyond = (points < -slack) | (points > np.array([width, height]) - 1 + slack)
    flags: npt.NDArray[np.bool_] = beyond.any(1)
    return flags


def _check_inside(one: PlacedFace, width: int, height: int) -> None:
    """Contours lie in the picture; the edge may cut off the half of a face."""
    hint = "Points are counted in pixels of the upright picture, from its top left."
    fields: dict[str, tuple[npt.NDArray[np.floating], float]] = {
        name: (np.atleast_2d(each)[:, :2], 1.0) for name, each in one.contours.items()
    }
    if one.landmarks is not None:
        fields["landmarks"] = one.landmarks, float(np.ptp(one.landmarks, axis=0).max()) / 2
    for name, (points, slack) in fields.items():
        away = np.flatnonzero(_outside(points, width, height, slack))
        if len(away):
            x, y = points[away[0]]
            raise SpecInvalid(
                f'{one.name}: point {away[0]} of "{name}" lies at {x:.0f}, {y:.0f}, outside the '
                f"picture ({width}x{height}).",
                hint,
            )


def _check_place(owner: str, name: str, contour: npt.NDArray[np.float64], face: Face) -> None:
    """A contour must lie on its face, an eye on the right side of it."""
    points = contour[None, :2] if name in contours.IRISES else contour
    middle = points.mean(0)
    if _reach(face, middle) > 0.5 + _NEAR:
        raise SpecInvalid(f'{owner}: "{name}" lies off the face.', _HINT)
    side = name.partition("_")[2]
    if side in ("right", "left"):
        eyes = {
            each: face.mesh[list(contours.RINGS[f"eye_{each}"][0]), :2].mean(0)
            for each in ("right", "left")
        }
        nearest = min(eyes, key=lambda each: float(np.linalg.norm(eyes[each] - middle)))
        if nearest != side:
            raise SpecInvalid(
                f'{owner}: "{name}" lies on the {nearest} eye.',
                _SIDES,
            )


def _face(face: Any, name: str) -> PlacedFace:
    fields = face if isinstance(face, dict) else {}
    placed: dict[str, npt.NDArray[np.float64]] = {}
    for field in contours.PLACES:
        if fields.get(field) is not None:
            read = _iris if field in contours.IRISES else _contour
            placed[field] = read(fields[field], f'{name}: "{field}"', field)
    if "lips_inner" in placed and contours.SEAM in placed:
        message = f'{name} has both "lips_inner" and "{contours.SEAM}".'
        raise SpecInvalid(message, "An open mouth has an inner contour, a shut one a seam.")
    if "landmarks" not in fields and placed:
        return PlacedFace(name, None, placed)
    return PlacedFace(name, _landmarks(fields.get("landmarks"), name), placed)


def _numbers(value: Any, name: str) -> npt.NDArray[np.float64]:
    try:
        points = np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise SpecInvalid(f"{name} holds something other than numbers.", _HINT) from error
    if not np.isfinite(points).all():
        raise SpecInvalid(f"{name} holds a number that is not finite.", _HINT)
    return points


def _landmarks(value: Any, name: str) -> npt.NDArray[np.float32]:
    named = f'{name}: "landmarks"'
    points = _numbers([] if value is None else value, named)
    if points.shape not in ((len(TWELVE), 2), (68, 2), (N_MESH, 2)):
        shape = " x ".join(map(str, points.shape)) if points.size else "no"
        raise SpecInvalid(f"{named} holds {shape} numbers.", _HINT)
    if np.ptp(points, axis=0).min() < _SMALLEST_FACE:
        raise SpecInvalid(f"{named}: all points lie on one spot or line.", _HINT)
    return points.astype(np.float32)


def _check_sides(points: npt.NDArray[np.float32], owner: str) -> None:
    right, left, chin = _compass(points.astype(np.float64))
    if _cross(left - right, chin - right) <= 0:
        raise SpecInvalid(f'{owner}: right and left of "landmarks" are interchanged.', _SIDES)


def _compass(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Outer corner of the right eye, of the left eye, and the chin."""
    rows = {len(TWELVE): TWELVE, 68: IBUG_68, N_MESH: tuple(range(N_MESH))}[len(points)]
    return tuple(points[rows.index(mesh_point)] for mesh_point in (33, 263, 152))


def _contour(value: Any, name: str, field: str) -> npt.NDArray[np.float64]:
    points = _numbers(value, name)
    least = _LEAST_POINTS[field]
    if points.ndim != 2 or points.shape[1:] != (2,) or not least <= len(points) <= _MOST_POINTS:
        shape = " x ".join(map(str, points.shape)) if points.size else "no"
        message = f"{name} holds {shape} numbers."
        raise SpecInvalid(message, f"Wanted: {least} to {_MOST_POINTS} points [x, y].")
    closed = field in contours.RINGS
    if np.ptp(points, axis=0).max() < 1:
        raise SpecInvalid(f"{name}: all points lie on one spot.", _HINT)
    if _crosses_itself(points, closed):
        raise SpecInvalid(f"{name} crosses itself.", "Go once around, point after point.")
    return points


def _iris(value: Any, name: str, field: str) -> npt.NDArray[np.float64]:
    """(3,) x, y, radius."""
    parts = value if isinstance(value, dict) else {}
    circle = _numbers([*_flat(parts.get("centre")), parts.get("radius")], name)
    if circle.shape != (3,) or circle[2] <= 0:
        message = f"{name} holds no circle."
        raise SpecInvalid(message, f'Wanted: "{field}": {{"centre": [x, y], "radius": r}}, r > 0.')
    return circle


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _cross(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> Any:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _crosses_itself(points: npt.NDArray[np.float64], closed: bool) -> bool:
    """Whether two sides of a line or ring (k, 2) that are not neighbours cross."""
    ends = np.roll(points, -1, axis=0) if closed else points[1:]
    starts = points[: len(ends)]
    i, j = np.triu_indices(len(starts), 2)
    if closed:
        apart = ~((i == 0) & (j == len(starts) - 1))
        i, j = i[apart], j[apart]
    one, other = ends[i] - starts[i], ends[j] - starts[j]
    first = _cross(one, starts[j] - starts[i]) * _cross(one, ends[j] - starts[i])
    second = _cross(other, starts[i] - starts[j]) * _cross(other, ends[i] - starts[j])
    return bool(((first < 0) & (second < 0)).any())
