"""Mattes: the person and nothing else, the picture's own alpha where it has one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_server.datatypes import FaceCrop
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.matting import matte

ASTRONAUT = Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png"


@pytest.fixture(scope="module")
def crop() -> FaceCrop:
    return crop_face(analyze(ASTRONAUT), 0, 512)


def inside_oval(mesh: np.ndarray) -> np.ndarray:
    mask = np.zeros((512, 512), np.uint8)
    hull = cv2.convexHull(np.rint(mesh[:468, :2]).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, (255,))
    return cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0


def test_the_person_and_not_the_wall(crop: FaceCrop) -> None:
    assert crop.matte_found
    assert crop.matte[inside_oval(crop.mesh)].min() > 0.95
    assert crop.matte[:60, :60].max() < 0.05 and crop.matte[:60, -60:].max() < 0.05
    hair = crop.mesh[10, :2] - (0, 0.12 * 512)
    assert crop.matte[int(hair[1]), int(hair[0])] > 0.9
    assert crop.matte[480, 256] > 0.9, "the suit"
    count, _ = cv2.connectedComponents((crop.matte > 0.3).astype(np.uint8))
    assert count == 2, "one figure and the rest"


def test_lying_people_too(crop: FaceCrop) -> None:
    turned = np.ascontiguousarray(np.rot90(crop.rgba))
    mesh = crop.mesh.astype(float)
    mesh[:, 0], mesh[:, 1] = crop.mesh[:, 1], 511 - crop.mesh[:, 0]
    found = matte(turned, mesh)
    assert found is not None
    assert np.abs(np.rot90(found, -1) - crop.matte).mean() < 0.03


def test_own_alpha_is_kept(crop: FaceCrop) -> None:
    rgba = crop.rgba.copy()
    alpha = np.zeros((512, 512), np.uint8)
    cv2.ellipse(alpha, (256, 260), (170, 220), 0, 0, 360, (255,), -1)
    rgba[..., 3] = cv2.GaussianBlur(alpha, (0, 0), 3)
    found = matte(rgba, crop.mesh.astype(float))
    assert found is not None
    assert (found == rgba[..., 3].astype(np.float32) / 255).all()


def test_alpha_beside_the_face_is_no_matte(crop: FaceCrop) -> None:
    rgba = crop.rgba.copy()
    rgba[..., 3] = 0
    rgba[:100, :100, 3] = 255
    assert matte(rgba, crop.mesh.astype(float)) is None


def test_a_few_clear_pixels_do_not_make_a_cut_out(crop: FaceCrop) -> None:
    rgba = crop.rgba.copy()
    rgba[:20, :20, 3] = 0
    found = matte(rgba, crop.mesh.astype(float))
    assert found is not None
    assert found[:20, :20].max() == 0
    assert np.abs(found - crop.matte)[40:].mean() < 0.02


def test_no_person_no_matte(crop: FaceCrop) -> None:
    flat = np.full((512, 512, 4), (90, 120, 90, 255), np.uint8)
    assert matte(flat, crop.mesh.astype(float)) is None


def test_what_stands_out_of_a_plain_backdrop_belongs_to_the_figure(crop: FaceCrop) -> None:
    backdrop = np.zeros((512, 512, 3))
    backdrop[:] = (40, 90, 200)
    backdrop += np.linspace(0, 25, 512)[:, None, None]  # a soft ramp, as studio light makes it
    share = crop.matte[..., None]
    image = (crop.rgba[..., :3] * share + backdrop * (1 - share)).astype(np.uint8)
    top = np.rint(crop.mesh[10, :2]).astype(int)
    horn = np.array([[top[0] - 160, 8], [top[0] - 40, top[1] - 20], [top[0] - 5, top[1] - 25]])
    cv2.fillPoly(image, [horn], (20, 130, 30))
    loose = (slice(10, 40), slice(470, 500))
    image[loose] = (220, 30, 30)
    found = matte(np.dstack([image, np.full((512, 512), 255, np.uint8)]), crop.mesh.astype(float))
    assert found is not None
    tip = horn[0] + (horn[1:].mean(0) - horn[0]) * 0.3
    assert found[int(tip[1]), int(tip[0])] > 0.9
    assert found[loose].max() < 0.05, "not joined to the figure"
    assert found[200, 20] < 0.05
