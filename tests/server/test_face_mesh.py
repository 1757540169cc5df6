"""The canonical face and its fits."""

import hashlib
import json

import numpy as np
import pytest

from inference_server.portrait import face_mesh
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    IBUG_68,
    MOUTH_RIM,
    N_MESH,
)


def _rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_x = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    about_z = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_z) @ np.array(about_x) @ np.array(about_y)


def test_template_is_a_face_in_face_widths() -> None:
    face = face_mesh.template()
    assert face.shape == (N_MESH, 3)
    assert np.allclose(face[454] - face[234], [1, 0, 0], atol=1e-6)
    assert np.allclose(face[454] + face[234], 0, atol=1e-6)
    chin, forehead, nose_tip, eye = face[152], face[10], face[4], face[33]
    assert chin[1] > face[13, 1] > nose_tip[1] > eye[1] > forehead[1]
    assert nose_tip[2] < eye[2] < face[234, 2]  # the nose is nearest


def test_template_is_its_own_mirror_image() -> None:
    face, mirror = face_mesh.template(), face_mesh.mirror()
    assert (mirror[mirror] == np.arange(N_MESH)).all()
    assert np.allclose(face[mirror] * [-1, 1, 1], face, atol=1e-6)
    assert [mirror[i] for i in EYE_RIGHT_RIM] == list(EYE_LEFT_RIM)


def test_skin_has_the_right_holes() -> None:
    faces = face_mesh.triangles()
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    border = {tuple(edge) for edge in unique[uses == 1]}
    expected = set()
    for ring in (MOUTH_RIM, EYE_RIGHT_RIM, EYE_LEFT_RIM, FACE_OVAL):
        expected |= {tuple(sorted(e)) for e in zip(ring, [*ring[1:], ring[0]], strict=True)}
    assert border == expected
    assert faces.max() == 467 and len(np.unique(faces)) == 468


def test_manifest_names_the_file_that_is_there() -> None:
    folder = face_mesh.TEMPLATE_FILE.parent
    rows = json.loads((folder / "manifest.json").read_text())
    row = next(row for row in rows if row["name"] == "face_template")
    content = (folder / row["file"]).read_bytes()
    assert row["bytes"] == len(content)
    assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert row["may_be_sold"] is True and row["sources"]


@pytest.mark.parametrize("angles", [(0, 0, 0), (25, -10, 5), (-30, 12, -20)])
def test_fit_finds_the_pose_that_was_given(angles: tuple[float, float, float]) -> None:
    rotation = _rotation(*angles)
    mesh = 180 * face_mesh.template() @ rotation.T + [300, 200, 40]
    found = face_mesh.fit(mesh)
    assert found.scale == pytest.approx(180)
    assert np.allclose(found.rotation, rotation, atol=1e-6)
    assert np.allclose(found.canonical, face_mesh.template(), atol=1e-6)
    assert np.allclose(found.to_picture(found.canonical), mesh, atol=1e-3)


def test_fit_ignores_an_open_mouth() -> None:
    mesh = 180 * face_mesh.template()
    opened = mesh.copy()
    opened[[14, 17, 84, 314, 87, 317]] += [0, 30, 0]
    assert np.allclose(face_mesh.fit(opened).rotation, face_mesh.fit(mesh).rotation)


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 5, 0), (-30, 10, 15)])
def test_lift_restores_the_mesh_behind_68_points(angles: tuple[float, float, float]) -> None:
    mesh = 200 * face_mesh.template() @ _rotation(*angles).T + [256, 256, 0]
    lifted = face_mesh.lift(mesh[list(IBUG_68), :2])
    assert lifted.shape == (N_MESH, 3) and lifted.dtype == np.float32
    assert np.abs(lifted[:, :2] - mesh[:, :2]).max() < 0.5
    depth = lifted[:, 2] - lifted[:, 2].mean() - (mesh[:, 2] - mesh[:, 2].mean())
    assert np.abs(depth).max() < 1.0


def test_lift_passes_through_its_points_with_an_open_mouth() -> None:
    mesh = 200 * face_mesh.template() + [256, 256, 0]
    landmarks = mesh[list(IBUG_68), :2].copy()
    landmarks[[57, 58, 56, 66, 67, 65, 8, 7, 9]] += [0, 30]
    lifted = face_mesh.lift(landmarks)
    assert np.abs(lifted[list(IBUG_68), :2] - landmarks).max() < 1e-2
    # the upper lip does not follow the lower one through the hole between them
    assert abs(lifted[12, 1] - mesh[12, 1]) < 3 < 20 < lifted[15, 1] - mesh[15, 1]


def test_spread_goes_through_the_handles_and_reproduces_constants() -> None:
    handles = (10, 152, 234, 454, 4)
    weights = face_mesh.spread(handles)
    assert np.allclose(weights[list(handles)], np.eye(len(handles)))
    assert np.allclose(weights.sum(1), 1, atol=1e-6)
