"""The second detector: face-alignment's S3FD boxes and FAN heat maps, 68 points lifted to the mesh.

It finds some faces that MediaPipe misses. Its weights have a licence of their own and are never
fetched at run time: the user fetches or imports them, and they are checked before they are loaded.
Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem?", 2017.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import face_alignment
import numpy as np
import numpy.typing as npt
import torch
from face_alignment.models import FAN

from inference_server.datatypes import Face
from inference_server.errors import WeightsCorrupt, WeightsMissing
from inference_server.home import home

from .face_mesh import lift
from .topology import N_SKIN

Image = npt.NDArray[np.uint8]

_FETCH = "Run: python install.py models fetch face-alignment"
_BOX_SIDE = 1024  # px of the longer side that boxes are looked for in
_STACKS = 4  # hourglasses of the only FAN that is published


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A published file; its name carries the first ten digits of its sha256."""

    name: str

    @property
    def digits(self) -> str:
        """First ten hexadecimal digits of the sha256."""
        return self.name.split("-")[1].split(".")[0]


BOX_WEIGHTS = WeightFile("s3fd-619a316812.pth")
# The 3-D variant: jaw points stay on the jaw in turned heads, as the mesh wants it.
POINT_WEIGHTS = WeightFile("3DFAN4-7835d9f11d.pth.tar")


def weights_folder() -> Path:
    """Where `models fetch` and `models import` put the two files."""
    return home() / "models" / "face_alignment"


def available() -> bool:
    """Whether both weight files are there."""
    return all((weights_folder() / file.name).is_file() for file in (BOX_WEIGHTS, POINT_WEIGHTS))


class FanPoints:
    """A landmark detector on the CPU, where its results do not depend on the machine's GPU.

    Raises:
        WeightsMissing: a weight file has not been fetched.
        WeightsCorrupt: a weight file is not the published one.
    """

    def __init__(self) -> None:
        folder = weights_folder()
        self._network = _load(_checked(folder, BOX_WEIGHTS), _checked(folder, POINT_WEIGHTS))

    def detect(self, image: Image) -> list[Face]:
        """Faces of an (H, W, 3) RGB picture, surest first."""
        scale = min(1.0, _BOX_SIDE / max(image.shape[:2]))
        size = [max(1, round(length * scale)) for length in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        boxes = self._network.face_detector.detect_from_image(small)
        boxes = [np.concatenate([box[:4] / scale, box[4:]]) for box in boxes]
        if not boxes:
            return []
        points = self._network.get_landmarks_from_image(image, detected_faces=boxes)
        faces = [_to_face(p[:, :2], float(box[4])) for p, box in zip(points, boxes, strict=True)]
        return sorted(faces, key=lambda face: -face.score)


def _checked(folder: Path, file: WeightFile) -> Path:
    path = folder / file.name
    if not path.is_file():
        raise WeightsMissing(f'The face-alignment model "{file.name}" is not installed.', _FETCH)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if not digest.hexdigest().startswith(file.digits):
        raise WeightsCorrupt(f'The file "{path}" is damaged: its sha256 is another.', _FETCH)
    return path


@lru_cache(maxsize=1)
def _load(box_path: Path, point_path: Path) -> face_alignment.FaceAlignment:
    """Build the networks; what the library changes globally is put back."""

    class Offline(face_alignment.FaceAlignment):
        """Loads from the given file instead of from the network."""

        def _load_native(
            self, _name: str, _size: int, device: str, dtype: torch.dtype
        ) -> torch.nn.Module:
            net = FAN(_STACKS)
            net.load_state_dict(torch.load(point_path, map_location=device, weights_only=True))
            return net.to(device, dtype=dtype).eval()

    benchmark = torch.backends.cudnn.benchmark
    try:
        return Offline(
            face_alignment.LandmarksType.TWO_HALF_D,
            device="cpu",
            face_detector="sfd",
            face_detector_kwargs={"path_to_detector": str(box_path)},
            compile=False,  # would write to the user's cache and take minutes
        )
    finally:
        torch.backends.cudnn.benchmark = benchmark


def _to_face(landmarks: npt.NDArray[np.floating], score: float) -> Face:
    points = np.asarray(landmarks, np.float32)
    mesh = lift(points)
    skin = mesh[:N_SKIN, :2]
    box = np.concatenate([skin.min(0), skin.max(0)]).astype(np.float32)
    return Face(box=box, score=score, mesh=mesh, landmarks=points, source="face_alignment")
