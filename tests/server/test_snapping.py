"""Lip seam, lid rims and irises are put where a drawn face has them."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from inference_server.portrait import eye_contour, seam
from inference_server.portrait.face_mesh import template
from inference_server.portrait.lowest_path import lowest_path
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    IRIS_LEFT,
    IRIS_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
)

FACE_WIDTH = 230.0
SKIN = (222, 178, 152)


@pytest.fixture
def mesh() -> np.ndarray:
    """The mean face in a 512 px crop, lips closed."""
    points = template() * FACE_WIDTH
    points[:, :2] += 256
    middle = (points[list(LIP_INNER_UPPER), 1] + points[list(LIP_INNER_LOWER), 1]) / 2
    points[list(LIP_INNER_UPPER), 1] = middle - 0.5
    points[list(LIP_INNER_LOWER), 1] = middle + 0.5
    return points


@pytest.fixture
def skin() -> np.ndarray:
    image = np.full((512, 512, 3), SKIN, np.uint8)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("offset", [-4.0, 0.0, 3.0, 5.0])
def test_the_seam_is_found(mesh: np.ndarray, skin: np.ndarray, offset: float) -> None:
    left, right = mesh[78, :2], mesh[308, :2]
    x = np.linspace(left[0], right[0], 60)
    t = np.linspace(0, 1, 60)
    middle = (mesh[list(LIP_INNER_UPPER), 1] + mesh[list(LIP_INNER_LOWER), 1]) / 2
    y = np.interp(t, np.linspace(0, 1, 11), middle) + offset * np.sin(np.pi * t)
    line = np.rint(np.stack([x, y], axis=1) * 16).astype(np.int32)
    cv2.polylines(skin, [line], False, (90, 40, 40), 2, cv2.LINE_AA, 4)
    snapped = seam.snap(skin, mesh)
    for upper, lower in zip(LIP_INNER_UPPER[2:-2], LIP_INNER_LOWER[2:-2], strict=True):
        found = (snapped[upper, :2] + snapped[lower, :2]) / 2
        assert abs(found[1] - np.interp(found[0], x, y)) < 1.2
        assert snapped[upper, 1] < snapped[lower, 1]
    assert (snapped[list(LIP_OUTER_LOWER)] == mesh[list(LIP_OUTER_LOWER)]).all()
    assert (snapped[[78, 308]] == mesh[[78, 308]]).all()


def test_corners_go_to_the_ends_of_a_longer_line(mesh: np.ndarray, skin: np.ndarray) -> None:
    left, right = mesh[78, :2], mesh[308, :2]
    longer = [left - [7, 0], right + [3, 0]]
    line = np.rint(np.array(longer) * 16).astype(np.int32)
    cv2.polylines(skin, [line], False, (90, 40, 40), 2, cv2.LINE_AA, 4)
    moved = seam.snap(skin, mesh)[:, :2] - mesh[:, :2]
    assert -8 < moved[78, 0] < -3 and -8 < moved[61, 0] < -3
    assert 0 <= moved[308, 0] < 4
    assert np.abs(moved[[1, 152, 33, 263]]).max() < 0.1


def test_an_open_mouth_is_left_alone(mesh: np.ndarray, skin: np.ndarray) -> None:
    mesh[list(LIP_INNER_LOWER[1:-1]), 1] += 20
    assert (seam.snap(skin, mesh) == mesh).all()


def draw_eye(image: np.ndarray, mesh: np.ndarray, ring: tuple, grow: float) -> np.ndarray:
    """Paint an almond `grow` times as high as the mesh's; returns its mask."""
    points = mesh[list(ring), :2]
    middle = points[:, 1].mean()
    almond = points.copy()
    almond[:, 1] = middle + grow * (points[:, 1] - middle)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(almond).astype(np.int32)], (255,))
    image[mask > 0] = (245, 245, 248)
    return mask > 0


def polygon(points: np.ndarray) -> np.ndarray:
    mask = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], (255,))
    return mask > 0


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize(("ring", "iris"), [(EYE_RIGHT_RIM, IRIS_RIGHT), (EYE_LEFT_RIM, IRIS_LEFT)])
def test_large_eyes_are_enclosed(
    mesh: np.ndarray, skin: np.ndarray, ring: tuple, iris: tuple
) -> None:
    eye = draw_eye(skin, mesh, ring, 1.8)
    centre = mesh[list(ring), :2].mean(0)
    cv2.circle(skin, np.rint(centre).astype(int).tolist(), 7, (60, 90, 120), -1, cv2.LINE_AA)
    mesh[list(iris), :2] += centre - mesh[iris[0], :2]
    before = overlap(polygon(mesh[list(ring), :2]), eye)
    snapped = eye_contour.snap(skin, mesh)
    after = overlap(polygon(snapped[list(ring), :2]), eye)
    assert before < 0.7 and after > 0.85


def test_the_iris_is_found(mesh: np.ndarray, skin: np.ndarray) -> None:
    draw_eye(skin, mesh, EYE_RIGHT_RIM, 1.3)
    old = mesh[list(IRIS_RIGHT), :2]
    radius = float(np.linalg.norm(old[1:] - old[0], axis=1).mean())
    centre, wide = old[0] + (0.2 * radius, 0.1 * radius), 1.25 * radius
    disc = np.rint(np.array([*centre, wide]) * 16).astype(int)
    cv2.circle(skin, disc[:2].tolist(), int(disc[2]), (70, 50, 40), -1, cv2.LINE_AA, 4)
    snapped = eye_contour.snap(skin, mesh)[list(IRIS_RIGHT), :2]
    assert np.linalg.norm(snapped[0] - centre) < 0.15 * radius
    found = float(np.linalg.norm(snapped[1:] - snapped[0], axis=1).mean())
    assert abs(found - wide) < 0.15 * radius


def test_bare_skin_moves_nothing(mesh: np.ndarray, skin: np.ndarray) -> None:
    assert (eye_contour.snap(skin, mesh)[list(EYE_LEFT_RIM)] == mesh[list(EYE_LEFT_RIM)]).all()


def test_eyes_outside_the_crop_are_left_alone(mesh: np.ndarray, skin: np.ndarray) -> None:
    mesh[:, 0] -= 2000
    assert (eye_contour.snap(skin, mesh) == mesh).all()


def test_snapping_is_the_same_every_time(mesh: np.ndarray, skin: np.ndarray) -> None:
    draw_eye(skin, mesh, EYE_RIGHT_RIM, 1.5)
    first = eye_contour.snap(skin, mesh)
    cv2.setRNGSeed(99)
    assert (eye_contour.snap(skin, mesh) == first).all()


def test_lowest_path_against_all_paths() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        cost = rng.random((5, 4))
        best = min(
            (path for path in itertools.product(range(4), repeat=5)
             if max(np.abs(np.diff(path))) <= 1),
            key=lambda path: sum(cost[i, s] for i, s in enumerate(path))
            + 0.3 * np.abs(np.diff(path)).sum(),
        )  # fmt: skip
        assert lowest_path(cost, 0.3).tolist() == list(best)
