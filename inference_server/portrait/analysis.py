"""From a picture file to a portrait: pixels, faces, kind."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Face, Portrait
from inference_server.errors import NoFaceFound
from inference_server.home import home
from inference_server.image_io import read_picture
from inference_server.registry import DETECTORS, load

from . import kind, manual
from .resampling import opaque

_BY_HAND = (
    "Crop the picture to the face, or place its points by hand and choose their file: "
    "Landmarks in More Settings, or --landmarks FILE."
)


def analyze(path: Path, landmarks: Path | None = None, detector: str = "mediapipe") -> Portrait:
    """Read a picture and find its faces, largest first.

    Args:
        path: any picture that `image_io.read_picture` reads.
        landmarks: what was placed by hand, see `manual`; a face with landmarks is not detected.
        detector: name in `registry.DETECTORS`. Where it finds nothing, face-alignment is tried
            too if its weights are installed.

    Raises:
        ImageUnreadable: see `read_picture`.
        NoFaceFound: with the picture's name and size.
        SpecInvalid: the file of landmarks is wrong.
        WeightsMissing: the detector asked for has no weights.
    """
    rgba = read_picture(path)
    height, width = rgba.shape[:2]
    if landmarks is not None:
        placed = manual.read_landmarks(landmarks)
        whole = all(one.landmarks is not None for one in placed)
        found = [] if whole else _detect(opaque(rgba), detector)
        faces = manual.place(placed, found, width, height)
    else:
        faces = _detect(opaque(rgba), detector)
    if not faces:
        raise NoFaceFound(f'No face found in "{Path(path).name}" ({width}x{height}).', _BY_HAND)
    faces.sort(key=_area, reverse=True)
    return Portrait(
        rgba=rgba, faces=tuple(faces), kind=kind.guess(rgba, faces[0]), key=_key(rgba, faces)
    )


def _detect(image: npt.NDArray[np.uint8], detector: str) -> list[Face]:
    faces = load(DETECTORS, detector).detect(image)
    if not faces and detector != "face_alignment" and _face_alignment_installed():
        faces = load(DETECTORS, "face_alignment").detect(image)
    return list(faces)


def _face_alignment_installed() -> bool:
    """Asked of the folder first: the module itself imports torch, which takes a second."""
    if not (home() / "models" / "face_alignment").is_dir():
        return False
    from .fan_points import available

    return available()


def _area(face: Face) -> float:
    return float(np.prod(face.box[2:] - face.box[:2]))


def _key(rgba: npt.NDArray[np.uint8], faces: list[Face]) -> str:
    digest = hashlib.sha256(repr(rgba.shape).encode())
    digest.update(rgba.data)
    for face in faces:
        digest.update(face.mesh.astype(np.float32).tobytes())
        digest.update(face.landmarks.astype(np.float32).tobytes())
        digest.update(repr(face.placed).encode())
    return digest.hexdigest()
