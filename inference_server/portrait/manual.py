"""Points that the artist placed by hand, as a JSON file.

{"faces": [{"landmarks": [[x, y], ...]}]} with 68 points in iBUG order or 478 of the face mesh, in
px of the upright picture. `analyze --json` prints the same, with more fields for each face.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Face
from inference_server.errors import SpecInvalid

from .face_mesh import lift
from .topology import IBUG_68, N_MESH, N_SKIN

_HINT = 'Wanted: {"faces": [{"landmarks": [[x, y], ...]}]} with 68 or 478 points for each face.'
_SMALLEST_FACE = 4.0  # px


def read_landmarks(path: Path) -> list[npt.NDArray[np.float32]]:
    """Points of every face in the file.

    Returns:
        (68, 2) iBUG or (478, 2) mesh points each, px of the upright picture.

    Raises:
        SpecInvalid: the file is missing or does not hold such points; names the face.
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
    return [_points(face, f'Face {index} of "{path.name}"') for index, face in enumerate(faces)]


def to_face(points: npt.NDArray[np.float32]) -> Face:
    """A face from (68, 2) or (478, 2) points; depth comes from the canonical face."""
    if len(points) == N_MESH:
        landmarks = points[list(IBUG_68)]
        mesh = lift(landmarks)
        mesh[:, :2] = points
    else:
        landmarks = points
        mesh = lift(landmarks)
    skin = mesh[:N_SKIN, :2]
    box = np.concatenate([skin.min(0), skin.max(0)]).astype(np.float32)
    return Face(box=box, score=1.0, mesh=mesh, landmarks=landmarks, source="manual")


def _points(face: Any, name: str) -> npt.NDArray[np.float32]:
    landmarks = face.get("landmarks") if isinstance(face, dict) else None
    try:
        points = np.array(landmarks, np.float32)
    except (TypeError, ValueError) as error:
        raise SpecInvalid(f"{name} holds something other than numbers.", _HINT) from error
    if points.shape not in ((68, 2), (N_MESH, 2)):
        shape = " x ".join(map(str, points.shape)) or "no"
        raise SpecInvalid(f"{name} holds {shape} numbers.", _HINT)
    if not np.isfinite(points).all():
        raise SpecInvalid(f"{name} holds a number that is not finite.", _HINT)
    if np.ptp(points, axis=0).min() < _SMALLEST_FACE:
        raise SpecInvalid(f"The points of {name} lie on one spot or line.", _HINT)
    return points
