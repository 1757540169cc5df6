"""Styles: the same bytes every time, parts that agree with the whole, ink in measure."""

from __future__ import annotations

import threading

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stylised import ASTRONAUT, CROP, redrawn, sitter

from inference_server import registry
from inference_server.errors import SpecInvalid
from inference_server.styles import strokes
from inference_server.styles.ink import Ink
from inference_server.styles.line_filters import dog_across, smooth_along, tangents

RIGHT_EYE, LEFT_EYE = (188, 195, 248, 237), (282, 198, 348, 240)
MOUTH, CHEEK, CHIN = (205, 285, 312, 328), (188, 240, 214, 275), (230, 340, 280, 362)

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def crop() -> Picture:
    """Face crop of 512 px, as the renderer would cut it."""
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    return np.asarray(photo.resize((512, 512), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def tuned(crop: Picture) -> dict[str, float]:
    return dict(Ink().tuning(crop, 1.0, sitter(512)))


@pytest.fixture(scope="module")
def drawing(crop: Picture, tuned: dict[str, float]) -> Picture:
    return redrawn(Ink(), crop, 1.0, 0, tuned)


def coverage(drawn: Picture) -> float:
    """Share of the paper that is black."""
    grey = drawn[..., 1].astype(float)
    return float(np.mean((249 - grey) / (249 - 14)))


def scaled(image: Picture, size: int) -> Picture:
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("name", [entry.name for entry in registry.STYLES])
def test_registry_loads_the_style_by_its_name(name: str) -> None:
    style = registry.load(registry.STYLES, name)
    assert style.name == name
    assert style.version


def test_photo_keeps_every_pixel(crop: Picture) -> None:
    photo = registry.load(registry.STYLES, "photo")
    params = {"line_weight": 2.0, **photo.tuning(crop, 1.0, sitter(512))}
    assert np.array_equal(redrawn(photo, crop, 1.0, 0, params), crop)


def test_ink_is_the_same_in_every_thread_and_leaves_its_input_alone(
    crop: Picture, tuned: dict[str, float], drawing: Picture
) -> None:
    before = crop.copy()
    results: list[Picture] = []
    threads = [
        threading.Thread(target=lambda: results.append(redrawn(Ink(), crop, 1.0, 7, tuned)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(np.array_equal(result, drawing) for result in results)
    assert np.array_equal(crop, before)


def test_ink_is_black_and_white_in_measure(drawing: Picture) -> None:
    assert drawing.shape == (512, 512, 3)
    assert drawing.dtype == np.uint8
    assert 0.15 < coverage(drawing) < 0.40
    between = np.mean((drawing[..., 1] > 40) & (drawing[..., 1] < 225))
    assert between < 0.05  # anti-aliased edges only, no grey wash


def test_ink_draws_the_features_of_the_face(drawing: Picture) -> None:
    for left, top, right, bottom in (CHEEK, CHIN):
        assert coverage(drawing[top:bottom, left:right]) < 0.02
    for left, top, right, bottom in (RIGHT_EYE, LEFT_EYE, MOUTH):
        assert 0.08 < coverage(drawing[top:bottom, left:right]) < 0.5


def test_no_specks_on_the_paper(drawing: Picture) -> None:
    inked = (drawing[..., 1] <= 215).view(np.uint8)
    n, _, stats, _ = cv2.connectedComponentsWithStats(inked, connectivity=8)
    assert 10 < n < 150
    assert (stats[1:, cv2.CC_STAT_AREA] < 6).sum() <= 3


@pytest.mark.parametrize("box", [MOUTH, RIGHT_EYE, LEFT_EYE])
def test_a_part_is_drawn_like_the_whole(
    crop: Picture, tuned: dict[str, float], drawing: Picture, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    pad = 24
    part = np.ascontiguousarray(crop[top - pad : bottom + pad, left - pad : right + pad])
    drawn = redrawn(Ink(), part, 1.0, 0, tuned)[pad:-pad, pad:-pad]
    difference = np.abs(drawn.astype(int) - drawing[top:bottom, left:right])
    assert difference.mean() < 1.0
    assert np.mean(difference > 24) < 0.01


@pytest.mark.parametrize("size", [256, 1024])
def test_a_part_agrees_at_other_sizes(crop: Picture, size: int) -> None:
    scale = size / 512
    picture = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    tuned = dict(Ink().tuning(picture, scale, sitter(size)))
    whole = redrawn(Ink(), picture, scale, 0, tuned)
    left, top, right, bottom = (int(scale * v) for v in MOUTH)
    pad = int(24 * scale)
    part = np.ascontiguousarray(picture[top - pad : bottom + pad, left - pad : right + pad])
    drawn = redrawn(Ink(), part, scale, 0, tuned)[pad:-pad, pad:-pad]
    assert np.abs(drawn.astype(int) - whole[top:bottom, left:right]).mean() < 4.0


def test_the_drawing_does_not_depend_on_the_frame_size(crop: Picture, drawing: Picture) -> None:
    for size in (256, 1024):
        picture = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
        drawn = redrawn(Ink(), picture, size / 512, 0, {})
        assert drawn.shape == picture.shape
        difference = np.abs(scaled(drawn, 128).astype(int) - scaled(drawing, 128))
        assert difference.mean() < 16, size


def test_without_tuning_the_picture_itself_is_measured(crop: Picture, drawing: Picture) -> None:
    difference = np.abs(redrawn(Ink(), crop, 1.0, 0, {}).astype(int) - drawing)
    assert difference.mean() < 12


@pytest.mark.parametrize("level", [255, 200, 120, 40])
def test_flat_paper_stays_white(level: int) -> None:
    drawn = redrawn(Ink(), np.full((64, 80, 3), level, np.uint8), 1.0, 0, {})
    assert np.array_equal(np.unique(drawn.reshape(-1, 3), axis=0), [[251, 249, 244]])


@pytest.mark.parametrize("gain, lift", [(0.3, 0), (0.2, 200)])
def test_dark_and_pale_pictures_keep_the_face(crop: Picture, gain: float, lift: int) -> None:
    picture = (crop * gain + lift).astype(np.uint8)
    drawn = redrawn(Ink(), picture, 1.0, 0, dict(Ink().tuning(picture, 1.0, sitter(512))))
    assert 0.05 < coverage(drawn) < 0.40
    for left, top, right, bottom in (RIGHT_EYE, LEFT_EYE, MOUTH):
        assert coverage(drawn[top:bottom, left:right]) > 0.06


def test_heavier_lines_cover_more(crop: Picture, tuned: dict[str, float]) -> None:
    weights = (0.25, 0.5, 1.0, 2.0, 4.0)
    drawn = [redrawn(Ink(), crop, 1.0, 0, {**tuned, "line_weight": weight}) for weight in weights]
    for lighter, heavier in zip(drawn, drawn[1:], strict=False):
        assert np.mean(heavier.astype(int) > lighter.astype(int) + 16) < 1e-3
        assert coverage(heavier) > coverage(lighter) + 0.002


@pytest.mark.parametrize("weight", [0.2, 4.1, -1, float("nan"), "2", None, True])
def test_a_wrong_line_weight_is_named(weight: object) -> None:
    with pytest.raises(SpecInvalid, match="line_weight") as error:
        redrawn(Ink(), np.zeros((8, 8, 3), np.uint8), 1.0, 0, {"line_weight": weight})
    assert error.value.hint == "Give a number from 0.25 to 4."


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3, 7), (33, 18), (160, 110)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 1.3, 4.0])
def test_any_size_can_be_drawn(shape: tuple[int, int], scale: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert redrawn(Ink(), noise, scale, 0, {}).shape == (*shape, 3)


def test_tangents_run_along_an_edge() -> None:
    y, x = np.mgrid[:40, :40].astype(np.float32)
    tx, ty = tangents(2.0, np.tanh((x + 2 * y - 60) / 4).astype(np.float32))
    along = np.abs(tx[20, 20] * 2 - ty[20, 20]) / np.sqrt(5)  # the edge runs along (2, -1)
    assert along == pytest.approx(1, abs=1e-3)
    flat_x, flat_y = tangents(2.0, np.zeros((5, 5), np.float32))
    assert np.all(flat_x == 0)
    assert np.all(flat_y == 1)


def test_dark_lines_answer_positive_and_bright_ones_negative() -> None:
    field = np.full((31, 31), 0.5, np.float32)
    field[:, 10], field[:, 20] = 0.0, 1.0
    tx, ty = np.zeros_like(field), np.ones_like(field)
    response = dog_across(field, tx, ty, 1.0)
    assert response[15, 10] > 0.05
    assert response[15, 20] < -0.05
    assert abs(response[15, 0]) < 1e-3


def test_smoothing_along_a_line_keeps_it_and_removes_grain_across() -> None:
    grain = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    stripes = np.tile(np.float32([0, 1, 0, 1]), (64, 16))
    down = np.zeros_like(grain), np.ones_like(grain)
    smooth_grain, smooth_stripes = smooth_along(4.0, *down, grain, stripes)
    assert smooth_grain.std() < 0.4 * grain.std()
    assert np.allclose(smooth_stripes, stripes, atol=1e-6)


def test_a_traced_line_is_one_stroke_on_the_crest() -> None:
    y, x = np.mgrid[:40, :40].astype(np.float32)
    crest = 12.3 + 0.25 * y
    ridge = np.exp(-0.5 * ((x - crest) / 1.5) ** 2).astype(np.float32)
    tx, ty = tangents(2.0, ridge)
    found = strokes.trace(ridge, tx, ty, 0.5)
    assert found.n_strokes == 1
    assert len(found.joints) >= len(found.points) - 1
    inner = (found.points[:, 1] > 5) & (found.points[:, 1] < 35)
    off = found.points[inner, 0] - (12.3 + 0.25 * found.points[inner, 1])
    assert np.abs(off).max() < 0.15


def test_a_pen_line_covers_its_width() -> None:
    points = np.float32([[5, 10.25], [35, 10.25]])
    joint = np.int32([[0, 1]])
    for radius in (0.2, 0.5, 1.5, 3.0):
        distance, width = np.full((21, 41), 1e3, np.float32), np.zeros((21, 41), np.float32)
        strokes.lay(distance, width, points, np.float32([radius, radius]), joint, 3.0)
        cover = strokes.inked(distance, width)
        assert cover[:, 20].sum() == pytest.approx(2 * radius, abs=0.1)
        assert 0 <= cover.min() <= cover.max() <= 1
