"""Correction by hand: contours, twelve points, and files that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inference_server.datatypes import Portrait
from inference_server.errors import SpecInvalid
from inference_server.pipeline import correction_to_json
from inference_server.portrait import contours
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.face_mesh import TWELVE
from inference_server.portrait.topology import IRIS_LEFT, N_SKIN

Write = Callable[[Mapping[str, Any]], Path]


@pytest.fixture(scope="module")
def picture() -> Path:
    return Path(__file__).parents[1] / "fixtures" / "astronaut.png"


@pytest.fixture(scope="module")
def found(picture: Path) -> Portrait:
    return analyze(picture)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def one_face(fields: Mapping[str, Any]) -> Path:
        path = tmp_path / "placed.json"
        path.write_text(json.dumps({"faces": [fields]}))
        return path

    return one_face


def ring(centre: np.ndarray, radii: tuple[float, float], points: int = 9) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False) + 0.3
    return centre + np.stack([radii[0] * np.cos(angle), radii[1] * np.sin(angle)], 1)


def distance(points: np.ndarray, outline: np.ndarray) -> float:
    """The farthest that points (k, 2) lie from a ring (n, 2), px."""
    closed = outline.astype(np.float32).reshape(-1, 1, 2)
    return max(abs(cv2.pointPolygonTest(closed, (float(x), float(y)), True)) for x, y in points)


@pytest.mark.parametrize("name", ["eye_right", "eye_left", "lips_outer", "lips_inner"])
def test_rows_lie_on_a_placed_ring_in_the_crop(
    picture: Path, found: Portrait, write: Write, name: str
) -> None:
    rows = contours.RINGS[name]
    before = found.faces[0].mesh[:, :2]
    points = before[list(rows[0] + rows[1])]
    size = float(np.ptp(points[:, 0]))
    wanted = ring(points.mean(0), (0.62 * size, 0.45 * size))
    crop = crop_face(analyze(picture, write({name: wanted.tolist()})), 0, 256)
    placed = crop.mesh[:, :2] @ crop.to_picture[:, :2].T + crop.to_picture[:, 2]
    assert distance(placed[list(rows[0] + rows[1])], wanted) < 0.3
    upper, lower = (placed[list(row[2:-2]), 1].mean() for row in rows)
    assert upper < points[:, 1].mean() < lower
    # far from it nothing moves: the crown of the head, the other half of the face
    assert np.abs(placed[10] - before[10]).max() < 0.01 * size + 1.5


def test_seam_and_iris_win_over_what_the_picture_shows(
    picture: Path, found: Portrait, write: Write
) -> None:
    mesh = found.faces[0].mesh
    line = mesh[[78, 13, 308], :2] + [0, 3]
    eye = mesh[IRIS_LEFT[0], :2] + [2, -1]
    fields = {
        "lip_seam": line.tolist()[::-1],  # either way round
        "iris_left": {"centre": eye.tolist(), "radius": 6.5},
    }
    crop = crop_face(analyze(picture, write(fields)), 0, 256)
    placed = crop.mesh[:, :2] @ crop.to_picture[:, :2].T + crop.to_picture[:, 2]
    middle = (placed[13] + placed[14]) / 2
    assert np.abs(middle - line[1]).max() < 1.0
    assert np.allclose(placed[78], line[0], atol=0.1) and np.allclose(
        placed[308], line[2], atol=0.1
    )
    iris = placed[list(IRIS_LEFT)]
    assert np.allclose(iris[0], eye, atol=0.1)
    assert np.allclose(np.linalg.norm(iris[1:] - iris[0], axis=1), 6.5, atol=0.1)


def test_twelve_points_make_a_face(found: Portrait, write: Write, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((512, 512, 3), 200, np.uint8))
    mesh = found.faces[0].mesh
    (face,) = analyze(blank, write({"landmarks": mesh[list(TWELVE), :2].tolist()})).faces
    assert np.allclose(face.mesh[list(TWELVE), :2], mesh[list(TWELVE), :2], atol=1e-3)
    width = np.linalg.norm(mesh[454] - mesh[234])
    error = np.linalg.norm(face.mesh[:N_SKIN, :2] - mesh[:N_SKIN, :2], axis=1)
    assert error.mean() < 0.05 * width


def test_analyze_writes_what_landmarks_read(picture: Path, found: Portrait, write: Write) -> None:
    (told,) = correction_to_json(found)["faces"]
    again = correction_to_json(analyze(picture, write(told)))["faces"][0]
    assert set(told) == set(again) >= set(contours.IRISES) | {"landmarks", "eye_left", "lips_outer"}
    for name in ("eye_left", "eye_right", "lips_outer", "landmarks"):
        assert np.abs(np.subtract(told[name], again[name])).max() < 0.05


SQUARE = [[200, 100], [220, 100], [220, 110], [200, 110]]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"eye_left": SQUARE[:3]}, '"eye_left" holds 3 x 2 numbers'),
        ({"lip_seam": [[1, 2, 3]] * 4}, '"lip_seam" holds 4 x 3 numbers'),
        ({"eye_left": [[0, 0], [9, 9], [9, 0], [0, 9]]}, '"eye_left" crosses itself'),
        (
            {"eye_left": [[float("nan"), 1], *SQUARE]},
            '"eye_left" holds a number that is not',
        ),
        ({"lips_outer": "round"}, '"lips_outer" holds something other'),
        (
            {"eye_left": [[5000, 1], [220, 100], [200, 110], [210, 90]]},
            'point 0 of "eye_left" lies at 5000, 1, outside',
        ),
        ({"lips_inner": SQUARE, "lip_seam": SQUARE}, 'both "lips_inner" and "lip_seam"'),
        ({"iris_left": {"centre": [1, 2]}}, '"iris_left"'),
        ({"iris_left": {"centre": [1, 2], "radius": -1}}, '"iris_left" holds no circle'),
        ({"eye_left": [[5, 480], [9, 480], [9, 490], [5, 490]]}, 'no face .* "eye_left" lies'),
        ({"landmarks": [[k, k * k] for k in range(13)]}, '"landmarks" holds 13 x 2'),
    ],
)
def test_wrong_corrections_name_the_field(
    picture: Path, write: Write, fields: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(SpecInvalid, match=words) as caught:
        analyze(picture, write(fields))
    assert 'Face 0 of "placed.json"' in caught.value.message


def test_eyes_and_faces_that_are_interchanged(picture: Path, found: Portrait, write: Write) -> None:
    mesh = found.faces[0].mesh[:, :2]
    with pytest.raises(SpecInvalid, match='"eye_left" lies on the right eye'):
        analyze(picture, write({"eye_left": ring(mesh[[33, 133]].mean(0), (9, 5)).tolist()}))
    mirrored = mesh[list(TWELVE)] * [-1, 1] + [512, 0]
    with pytest.raises(SpecInvalid, match="interchanged"):
        analyze(picture, write({"landmarks": mirrored.tolist()}))
