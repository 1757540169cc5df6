"""Makes weights/face_template.safetensors: the mean neutral face, from media free to publish.

python -m inference_server.training.face_template MEDIA_FOLDER

Every person counts once, however many pictures there are of them: their frames are brought to the
canonical frame and averaged, then the people are averaged, then the two halves of the face.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import mediapipe
import numpy as np
import numpy.typing as npt
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from inference_server.portrait.face_mesh import TEMPLATE_FILE, similarity
from inference_server.portrait.topology import N_MESH, N_SKIN, RIGID

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

GRID = "GRID corpus (Cooke, Barker, Cunningham, Shao, JASA 120, 2006), CC BY 4.0"
WHITE_HOUSE = "White House weekly address, US government work, public domain"
OFFICIAL = "official portrait, US government work, public domain"
OLD_PAINTING = "painting, public domain"


@dataclass(frozen=True, slots=True)
class Person:
    """One face that goes into the mean."""

    files: tuple[str, ...]  # relative to the media folder
    source: str


PEOPLE = (
    Person(("talking/grid_man_red_shirt_swiz3n_3s_en.mp4",), GRID),
    Person(("talking/grid_woman_grey_hair_lwbsza_3s_en.mp4",), GRID),
    Person(("talking/grid_woman_green_lrwp9a_3s_en.mp4",), GRID),
    Person(("talking/grid_woman_pink_lbbc2a_3s_en.mp4",), GRID),
    Person(("talking/grid_man_s2_pwij3p_3s_en.mp4", "talking/grid_man_s2_swwp2s_3s_en.mp4"), GRID),
    Person(("talking/grid_s1_joined_84clips_252s_en.mp4",), GRID),
    Person(
        (
            "talking/obama_weeklyaddress_34s_en.mp4",
            "talking/obama_weeklyaddress_garden_20s_en.mp4",
            "talking/obama_weeklyaddress_library_5s_en.mp4",
        ),
        WHITE_HOUSE,
    ),
    Person(("portraits/photo_woman_astronaut_collins_smile_teeth.png",), "NASA, public domain"),
    Person(("portraits/photo_man_biden_official_fullfigure.jpg",), OFFICIAL),
    Person(("portraits/photo_woman_studio_wide_closedmouth.png",), "NVIDIA nim-clients, MIT"),
    Person(("portraits/painting_monalisa.jpg",), OLD_PAINTING),
    Person(("portraits/painting_lady_seated_smallface.jpg",), OLD_PAINTING),
    Person(("portraits/painting_vangogh_selfportrait.jpg",), OLD_PAINTING),
)
FRAMES_PER_VIDEO = 24
CLOSED_SHARE = 0.4  # of a video's frames: those whose lips are nearest to closed
MAX_YAW_DEG = 20.0
MAX_SIDE = 1600  # px; larger pictures are shrunk before detection


def _pictures(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """RGB pictures of a file: the one picture, or evenly spaced frames of a video."""
    if path.suffix == ".mp4":
        video = cv2.VideoCapture(str(path))
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        for frame in np.linspace(0, count - 2, FRAMES_PER_VIDEO).astype(int):
            video.set(cv2.CAP_PROP_POS_FRAMES, int(frame))
            found, bgr = video.read()
            if found:
                yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        video.release()
        return
    bgr = cv2.imread(str(path))
    shrink = MAX_SIDE / max(bgr.shape[:2])
    if shrink < 1:
        bgr = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _upright(mesh: Array) -> Array:
    """A mesh in px turned to face the camera by its own axes, in face widths."""
    x = mesh[454] - mesh[234] + mesh[263] - mesh[33]
    x /= np.linalg.norm(x)
    y = mesh[152] - mesh[10]
    y -= x * (x @ y)
    y /= np.linalg.norm(y)
    turned = mesh @ np.stack([x, y, np.cross(x, y)], axis=1)
    return _normalised(turned)


def _normalised(mesh: Array) -> Array:
    middle = (mesh[234] + mesh[454]) / 2
    return (mesh - middle) / np.linalg.norm(mesh[454] - mesh[234])


def _yaw_deg(mesh: Array) -> float:
    side = mesh[454] - mesh[234]
    return float(np.degrees(np.arctan2(side[2], side[0])))


def _faces_of(person: Person, media: Path) -> Array:
    """(K, 478, 3) upright meshes of one person; of a video the frames with the lips together."""
    kept: list[Array] = []
    for name in person.files:
        meshes = []
        options = {"static_image_mode": True, "refine_landmarks": True, "max_num_faces": 1}
        with mediapipe.solutions.face_mesh.FaceMesh(
            min_detection_confidence=0.2, **options
        ) as detector:
            for image in _pictures(media / name):
                height, width = image.shape[:2]
                answer = detector.process(np.ascontiguousarray(image))
                if not answer.multi_face_landmarks:
                    continue
                points = answer.multi_face_landmarks[0].landmark
                mesh = np.array([(p.x * width, p.y * height, p.z * width) for p in points])
                if abs(_yaw_deg(mesh)) <= MAX_YAW_DEG:
                    meshes.append(_upright(mesh))
        meshes.sort(key=lambda mesh: float(mesh[14, 1] - mesh[13, 1]))
        kept += meshes[: max(1, round(CLOSED_SHARE * len(meshes)))]
        log.info("%s: %d faces", name, len(meshes))
    return np.array(kept).reshape(-1, N_MESH, 3)


def skin_triangles() -> npt.NDArray[np.int32]:
    """(852, 3) triangles whose sides are the mesh edges that MediaPipe lists."""
    neighbours: dict[int, set[int]] = {vertex: set() for vertex in range(N_SKIN)}
    for one, other in FACEMESH_TESSELATION:
        neighbours[one].add(other)
        neighbours[other].add(one)
    found = {
        (a, b, c)
        for a in neighbours
        for b in neighbours[a]
        for c in neighbours[a] & neighbours[b]
        if a < b < c
    }
    # three edges around a vertex of degree three also form a ring; there every edge has another use
    uses = Counter(frozenset(edge) for face in found for edge in _edges(face))
    false = {face for face in found if all(uses[frozenset(edge)] > 2 for edge in _edges(face))}
    return np.array(sorted(found - false), np.int32)


def _edges(face: tuple[int, int, int]) -> tuple[tuple[int, int], ...]:
    a, b, c = face
    return (a, b), (b, c), (c, a)


def mean_face(people: list[Array]) -> tuple[Array, npt.NDArray[np.int32]]:
    """Symmetric mean (478, 3) and the mirror index of each point, by repeated alignment."""
    mean = np.mean([faces.mean(0) for faces in people], axis=0)
    distance = cdist(mean, mean * [-1, 1, 1]) ** 2
    mirror = linear_sum_assignment(distance + distance.T)[1]
    assert (mirror[mirror] == np.arange(N_MESH)).all()
    rigid = list(RIGID)
    for _ in range(5):
        aligned = []
        for faces in people:
            own = []
            for face in faces:
                scale, rotation, shift = similarity(mean[rigid], face[rigid])
                own.append((face - shift) @ rotation / scale)
            aligned.append(np.mean(own, axis=0))
        mean = np.mean(aligned, axis=0)
        mean = _normalised((mean + mean[mirror] * [-1, 1, 1]) / 2)
    return mean, mirror.astype(np.int32)


def _write(vertices: Array, mirror: npt.NDArray[np.int32]) -> None:
    arrays = {
        "vertices": vertices.astype(np.float32),
        "triangles": skin_triangles(),
        "mirror": mirror,
    }
    save_file(arrays, TEMPLATE_FILE)
    TEMPLATE_FILE.chmod(0o644)  # save_file writes for the owner alone
    content = TEMPLATE_FILE.read_bytes()
    row = {
        "name": "face_template",
        "file": TEMPLATE_FILE.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "may_be_sold": True,
        "sources": [f"{file}: {person.source}" for person in PEOPLE for file in person.files],
        "trained_with": "inference_server/training/face_template.py",
    }
    manifest = TEMPLATE_FILE.with_name("manifest.json")
    rows = json.loads(manifest.read_text()) if manifest.exists() else []
    rows = [other for other in rows if other["name"] != row["name"]] + [row]
    rows.sort(key=lambda entry: entry["name"])
    manifest.write_text(json.dumps(rows, indent=2) + "\n")


def main() -> None:
    """Read the media folder named on the command line and write template and manifest row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("media", type=Path, help="folder that holds portraits/ and talking/")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    media = parser.parse_args().media
    people = [_faces_of(person, media) for person in PEOPLE]
    people = [faces for faces in people if len(faces)]
    vertices, mirror = mean_face(people)
    _write(vertices, mirror)
    log.info("mean of %d people, %d faces", len(people), sum(map(len, people)))


if __name__ == "__main__":
    main()
