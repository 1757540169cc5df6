"""Styles: the same bytes every time, parts that agree with the whole, ink in measure."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from inference_server import registry
from inference_server.errors import SpecInvalid
from inference_server.styles import palettes, strokes
from inference_server.styles.ink import Ink
from inference_server.styles.kuwahara import kuwahara
from inference_server.styles.line_filters import dog_across, smooth_along, tangents

ASTRONAUT = Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png"
FACE = (159.0, 150.0, 353.0, 378.0)  # px of the crop below, around the face mesh
REDRAWN = ("pencil", "cartoon", "oil", "watercolour")
GRAINED = ("pencil", "oil", "watercolour")
ACTING = {  # which settings act in which style
    "pencil": ("line_weight", "detail", "stroke_size", "paper"),
    "cartoon": ("line_weight", "detail", "palette_size"),
    "oil": ("detail", "stroke_size", "paper"),
    "watercolour": ("detail", "stroke_size", "paper"),
}
RIGHT_EYE, LEFT_EYE = (188, 195, 248, 237), (282, 198, 348, 240)
MOUTH, CHEEK, CHIN = (205, 285, 312, 328), (188, 240, 214, 275), (230, 340, 280, 362)

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def crop() -> Picture:
    """Face crop of 512 px, as the renderer would cut it."""
    photo = Image.open(ASTRONAUT).convert("RGB").crop((103, 0, 344, 241))
    return np.asarray(photo.resize((512, 512), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def tuned(crop: Picture) -> dict[str, float]:
    return dict(Ink().tuning(crop, 1.0, FACE))


@pytest.fixture(scope="module")
def drawing(crop: Picture, tuned: dict[str, float]) -> Picture:
    return Ink().apply(crop, 1.0, 0, tuned)


def coverage(drawn: Picture) -> float:
    """Share of the paper that is black."""
    grey = drawn[..., 1].astype(float)
    return float(np.mean((251 - grey) / (251 - 14)))


def scaled(image: Picture, size: int) -> Picture:
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("name", ["photo", "ink", *REDRAWN])
def test_registry_loads_the_style_by_its_name(name: str) -> None:
    style = registry.load(registry.STYLES, name)
    assert style.name == name
    assert style.version


def test_photo_keeps_every_pixel(crop: Picture) -> None:
    photo = registry.load(registry.STYLES, "photo")
    params = {"line_weight": 2.0, **photo.tuning(crop, 1.0, FACE)}
    assert np.array_equal(photo.apply(crop, 1.0, 0, params), crop)


def test_ink_is_the_same_in_every_thread_and_leaves_its_input_alone(
    crop: Picture, tuned: dict[str, float], drawing: Picture
) -> None:
    before = crop.copy()
    results: list[Picture] = []
    threads = [
        threading.Thread(target=lambda: results.append(Ink().apply(crop, 1.0, 7, tuned)))
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
    assert stats[1:, cv2.CC_STAT_AREA].min() >= 6


@pytest.mark.parametrize("box", [MOUTH, RIGHT_EYE, LEFT_EYE])
def test_a_part_is_drawn_like_the_whole(
    crop: Picture, tuned: dict[str, float], drawing: Picture, box: tuple[int, int, int, int]
) -> None:
    left, top, right, bottom = box
    pad = 24
    part = np.ascontiguousarray(crop[top - pad : bottom + pad, left - pad : right + pad])
    drawn = Ink().apply(part, 1.0, 0, tuned)[pad:-pad, pad:-pad]
    difference = np.abs(drawn.astype(int) - drawing[top:bottom, left:right])
    assert difference.mean() < 1.0
    assert np.mean(difference > 24) < 0.01


@pytest.mark.parametrize("size", [256, 1024])
def test_a_part_agrees_at_other_sizes(crop: Picture, size: int) -> None:
    scale = size / 512
    picture = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
    tuned = dict(Ink().tuning(picture, scale, tuple(scale * v for v in FACE)))
    whole = Ink().apply(picture, scale, 0, tuned)
    left, top, right, bottom = (int(scale * v) for v in MOUTH)
    pad = int(24 * scale)
    part = np.ascontiguousarray(picture[top - pad : bottom + pad, left - pad : right + pad])
    drawn = Ink().apply(part, scale, 0, tuned)[pad:-pad, pad:-pad]
    assert np.abs(drawn.astype(int) - whole[top:bottom, left:right]).mean() < 4.0


def test_the_drawing_does_not_depend_on_the_frame_size(crop: Picture, drawing: Picture) -> None:
    for size in (256, 1024):
        picture = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
        drawn = Ink().apply(picture, size / 512, 0, {})
        assert drawn.shape == picture.shape
        difference = np.abs(scaled(drawn, 128).astype(int) - scaled(drawing, 128))
        assert difference.mean() < 16, size


def test_without_tuning_the_picture_itself_is_measured(crop: Picture, drawing: Picture) -> None:
    difference = np.abs(Ink().apply(crop, 1.0, 0, {}).astype(int) - drawing)
    assert difference.mean() < 12


@pytest.mark.parametrize("level", [255, 200, 120, 40])
def test_flat_paper_stays_white(level: int) -> None:
    drawn = Ink().apply(np.full((64, 80, 3), level, np.uint8), 1.0, 0, {})
    assert np.array_equal(np.unique(drawn.reshape(-1, 3), axis=0), [[252, 251, 248]])


@pytest.mark.parametrize("gain, lift", [(0.3, 0), (0.2, 200)])
def test_dark_and_pale_pictures_keep_the_face(crop: Picture, gain: float, lift: int) -> None:
    picture = (crop * gain + lift).astype(np.uint8)
    drawn = Ink().apply(picture, 1.0, 0, dict(Ink().tuning(picture, 1.0, FACE)))
    assert 0.05 < coverage(drawn) < 0.40
    for left, top, right, bottom in (RIGHT_EYE, LEFT_EYE, MOUTH):
        assert coverage(drawn[top:bottom, left:right]) > 0.06


def test_heavier_lines_cover_more(crop: Picture, tuned: dict[str, float]) -> None:
    weights = (0.25, 0.5, 1.0, 2.0, 4.0)
    drawn = [Ink().apply(crop, 1.0, 0, {**tuned, "line_weight": weight}) for weight in weights]
    for lighter, heavier in zip(drawn, drawn[1:], strict=False):
        assert np.all(heavier <= lighter)
        assert coverage(heavier) > coverage(lighter) + 0.002


@pytest.mark.parametrize("weight", [0.2, 4.1, -1, float("nan"), "2", None, True])
def test_a_wrong_line_weight_is_named(weight: object) -> None:
    with pytest.raises(SpecInvalid, match="line_weight") as error:
        Ink().apply(np.zeros((8, 8, 3), np.uint8), 1.0, 0, {"line_weight": weight})
    assert error.value.hint == "Give a number from 0.25 to 4."


@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3, 7), (33, 18), (160, 110)])
@pytest.mark.parametrize("scale", [0.25, 1.0, 1.3, 4.0])
def test_any_size_can_be_drawn(shape: tuple[int, int], scale: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert Ink().apply(noise, scale, 0, {}).shape == (*shape, 3)


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
        cover = np.zeros((21, 41), np.float32)
        strokes.draw(cover, points, np.float32([radius, radius]), joint)
        assert cover[:, 20].sum() == pytest.approx(2 * radius, abs=0.1)
        assert 0 <= cover.min() <= cover.max() <= 1


@pytest.fixture(scope="module")
def face(crop: Picture) -> Picture:
    """The middle of the crop."""
    return np.ascontiguousarray(crop[140:396, 128:384])


def prepared(name: str, crop: Picture, **settings: float) -> tuple[registry.Style, dict[str, Any]]:
    """A style and what the renderer would give it for the whole crop."""
    style = registry.load(registry.STYLES, name)
    params = {**settings, **style.tuning(crop, 1.0, FACE if len(crop) == 512 else None)}
    grain = style.grain(crop, 1.0, 7, params)
    return style, params if grain is None else {**params, "grain": grain}


Styles = dict[str, tuple[registry.Style, dict[str, Any]]]


@pytest.fixture(scope="module")
def styles(crop: Picture) -> Styles:
    return {name: prepared(name, crop) for name in REDRAWN}


@pytest.fixture(scope="module")
def whole(crop: Picture, styles: Styles) -> dict[str, Picture]:
    """The crop in every further style."""
    return {name: style.apply(crop, 1.0, 7, params) for name, (style, params) in styles.items()}


def roughness(drawn: Picture) -> float:
    """Mean difference of neighbouring pixels."""
    grey = drawn.astype(float).mean(2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


@pytest.mark.parametrize("name", REDRAWN)
def test_a_style_is_the_same_in_every_thread(
    name: str, crop: Picture, whole: dict[str, Picture]
) -> None:
    before = crop.copy()
    results: list[Picture] = []

    def draw() -> None:
        style, params = prepared(name, crop)
        results.append(style.apply(crop, 1.0, 7, params))

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert all(np.array_equal(result, whole[name]) for result in results)
    assert np.array_equal(crop, before)


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("box", [MOUTH, RIGHT_EYE, LEFT_EYE])
def test_a_part_on_its_grain_is_drawn_like_the_whole(
    name: str,
    crop: Picture,
    styles: Styles,
    whole: dict[str, Picture],
    box: tuple[int, int, int, int],
) -> None:
    style, params = styles[name]
    left, top, right, bottom = box
    pad = style.reach
    cut = np.s_[top - pad : bottom + pad, left - pad : right + pad]
    if "grain" in params:
        params = {**params, "grain": np.ascontiguousarray(params["grain"][cut])}
    drawn = style.apply(np.ascontiguousarray(crop[cut]), 1.0, 7, params)[pad:-pad, pad:-pad]
    difference = np.abs(drawn.astype(int) - whole[name][top:bottom, left:right])
    assert difference.mean() < 1.0
    assert np.mean(difference > 24) < 0.01


@pytest.mark.parametrize("name", GRAINED)
def test_the_grain_is_seeded_and_moves_with_the_picture(name: str, face: Picture) -> None:
    crop = face
    style, params = prepared(name, crop)
    grain = params.pop("grain")
    assert grain.shape == crop.shape
    assert grain.dtype == np.uint8
    assert np.array_equal(style.grain(crop, 1.0, 7, params), grain)
    other = style.grain(crop, 1.0, 8, params)
    assert np.abs(other.astype(int) - grain).mean() > 3
    # picture and grain shifted together: the drawing shifts
    still = style.apply(crop, 1.0, 7, {**params, "grain": grain})
    shifted = style.apply(
        np.roll(crop, 5, axis=1), 1.0, 7, {**params, "grain": np.roll(grain, 5, axis=1)}
    )
    inner = np.s_[60:-60, 60:-60]
    off = np.abs(np.roll(shifted, -5, axis=1)[inner].astype(int) - still[inner])
    assert np.mean(off > 24) < 0.01


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3, 7), (161, 111)])
@pytest.mark.parametrize("scale", [0.25, 1.3, 4.0])
def test_any_size_can_be_redrawn(name: str, shape: tuple[int, int], scale: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    drawn = registry.load(registry.STYLES, name).apply(noise, scale, 0, {})
    assert drawn.shape == (*shape, 3)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_stay_calm(name: str, level: int) -> None:
    flat = np.full((96, 96, 3), level, np.uint8)
    drawn = registry.load(registry.STYLES, name).apply(flat, 1.0, 0, {})
    hatched = name == "pencil" and level < 255
    assert drawn.astype(float).std(axis=(0, 1)).max() < (35 if hatched else 12)


@pytest.mark.parametrize("name", REDRAWN)
def test_white_paper_stays_white(name: str) -> None:
    picture = np.full((96, 96, 3), 255, np.uint8)
    picture[40:56, 40:56] = 30  # something to measure tones by
    drawn = registry.load(registry.STYLES, name).apply(picture, 1.0, 0, {})
    assert drawn[:24].min() > 215
    assert drawn[:24].mean() > 235
    assert drawn[44:52, 44:52].mean() < 140


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("size", [256, 1024])
def test_other_frame_sizes_show_the_same_drawing(
    name: str, size: int, crop: Picture, whole: dict[str, Picture]
) -> None:
    style, scale = registry.load(registry.STYLES, name), size / 512
    picture = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else 2)
    params = {**style.tuning(picture, scale, tuple(scale * v for v in FACE))}
    drawn = style.apply(picture, scale, 7, params)
    difference = np.abs(scaled(drawn, 64).astype(int) - scaled(whole[name], 64))
    assert difference.mean() < 10


@pytest.mark.parametrize("name", ["pencil", "cartoon"])
def test_heavier_outlines_are_darker(name: str, face: Picture) -> None:
    means = []
    for weight in (0.25, 1.0, 4.0):
        style, params = prepared(name, face, line_weight=weight)
        means.append(float(style.apply(face, 1.0, 7, params).mean()))
    assert means[0] > means[1] + 0.5 > means[2] + 2


@pytest.mark.parametrize("name", REDRAWN)
def test_more_detail_keeps_more_of_the_picture(name: str, face: Picture) -> None:
    rough = []
    for amount in (0.25, 1.0, 2.0):
        style, params = prepared(name, face, detail=amount, paper=0.0)
        params.pop("grain", None)
        rough.append(roughness(style.apply(face, 1.0, 7, params)))
    assert rough[0] < rough[1] < rough[2]


@pytest.mark.parametrize("name", GRAINED)
def test_larger_strokes_are_calmer(name: str, face: Picture) -> None:
    rough = []
    for size in (0.5, 1.0, 3.0):
        style, params = prepared(name, face, stroke_size=size, paper=0.0)
        rough.append(roughness(style.apply(face, 1.0, 7, params)))
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("name", GRAINED)
def test_more_paper_shows_on_a_flat_tone(name: str) -> None:
    flat = np.full((96, 96, 3), 140, np.uint8)
    flat[:, :48] = 100  # something to measure tones by
    rough = []
    for amount in (0.0, 1.0, 2.0):
        drawn = registry.load(registry.STYLES, name).apply(flat, 1.0, 7, {"paper": amount})
        rough.append(roughness(drawn[:, 60:90]))
    assert rough[0] < rough[1] < rough[2]


def test_a_cartoon_has_the_colours_of_its_palette(face: Picture) -> None:
    kinds = []
    for size in (4, 10, 30):
        style, params = prepared("cartoon", face, palette_size=size, line_weight=0.25)
        drawn = style.apply(face, 1.0, 7, params).reshape(-1, 3)
        _, counts = np.unique(drawn // 4, axis=0, return_counts=True)
        kinds.append(int((counts > 0.002 * len(drawn)).sum()))
    assert kinds[0] < kinds[1] < kinds[2]


def test_a_palette_has_the_size_asked_for_and_colours_for_a_mouth() -> None:
    lab = np.float32([[20 * k, 10, 10, 1] for k in range(1, 5)])
    assert len(palettes.reduced(lab, 4)) >= 4
    few = palettes.reduced(lab, 2)
    assert len(few) == 2 + 3  # teeth, pupils and mouth are far from both
    teeth = np.linalg.norm(few[:, :3] - [96, 0, 4.5], axis=1).min()
    assert teeth < 3


@pytest.mark.parametrize("name", REDRAWN)
def test_wrong_settings_are_named(name: str) -> None:
    style = registry.load(registry.STYLES, name)
    for setting in ACTING[name]:
        for value in (-1, 99, float("nan"), "2", None, True):
            with pytest.raises(SpecInvalid, match=setting) as error:
                style.apply(np.zeros((8, 8, 3), np.uint8), 1.0, 0, {setting: value})
            assert error.value.hint.startswith("Give a number from ")


def test_the_kuwahara_filter_keeps_edges_and_flat_colour() -> None:
    picture = np.zeros((60, 60, 3), np.float32)
    picture[:, 30:] = (0.9, 0.5, 0.1)
    grain = np.random.default_rng(0).normal(0, 0.02, picture.shape).astype(np.float32)
    lines = np.zeros((60, 60), np.float32), np.ones((60, 60), np.float32)
    smooth = kuwahara(picture + grain, *lines, np.ones((60, 60), np.float32), 5.0)
    inner = smooth[10:-10]
    assert np.abs(inner[:, 34:-8] - picture[10:-10, 34:-8]).max() < 0.04
    assert inner[:, 34:-8].std(axis=(0, 1)).max() < 0.4 * 0.02
    assert np.all(inner[:, 28, 0] < 0.25)  # 2 px from the edge it is still dark
    assert np.all(inner[:, 31, 0] > 0.65)
