"""Pencil, cartoon, oil and watercolour: seeded grain, parts like the whole, settings that act."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stylised import ASTRONAUT, CROP, redrawn, sitter

from inference_server import registry
from inference_server.errors import SpecInvalid
from inference_server.styles import palettes
from inference_server.styles.kuwahara import kuwahara

RIGHT_EYE, LEFT_EYE, MOUTH = (188, 195, 248, 237), (282, 198, 348, 240), (205, 285, 312, 328)
REDRAWN = ("pencil", "cartoon", "oil", "watercolour")
GRAINED = ("pencil", "oil", "watercolour")
ACTING = {  # which settings act in which style
    "pencil": ("line_weight", "detail", "stroke_size", "paper"),
    "cartoon": ("line_weight", "detail", "palette_size"),
    "oil": ("detail", "stroke_size", "paper"),
    "watercolour": ("detail", "stroke_size", "paper"),
}

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def crop() -> Picture:
    """Face crop of 512 px, as the renderer would cut it."""
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    return np.asarray(photo.resize((512, 512), Image.Resampling.BICUBIC))


def scaled(image: Picture, size: int) -> Picture:
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def face(crop: Picture) -> Picture:
    """The middle of the crop."""
    return np.ascontiguousarray(crop[140:396, 128:384])


def prepared(name: str, crop: Picture, **settings: float) -> tuple[registry.Style, dict[str, Any]]:
    """A style and what the renderer would give it for the whole crop."""
    style = registry.load(registry.STYLES, name)
    params = {**settings, **style.tuning(crop, 1.0, sitter(512) if len(crop) == 512 else None)}
    grain = style.grain(crop, 1.0, 7, params, sitter(512) if len(crop) == 512 else None)
    return style, params if grain is None else {**params, "grain": grain}


Styles = dict[str, tuple[registry.Style, dict[str, Any]]]


@pytest.fixture(scope="module")
def styles(crop: Picture) -> Styles:
    return {name: prepared(name, crop) for name in REDRAWN}


@pytest.fixture(scope="module")
def whole(crop: Picture, styles: Styles) -> dict[str, Picture]:
    """The crop in every further style."""
    return {name: redrawn(style, crop, 1.0, 7, params) for name, (style, params) in styles.items()}


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
        results.append(redrawn(style, crop, 1.0, 7, params))

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
    drawn = redrawn(style, np.ascontiguousarray(crop[cut]), 1.0, 7, params)[pad:-pad, pad:-pad]
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
    still = redrawn(style, crop, 1.0, 7, {**params, "grain": grain})
    shifted = redrawn(
        style, np.roll(crop, 5, axis=1), 1.0, 7, {**params, "grain": np.roll(grain, 5, axis=1)}
    )
    inner = np.s_[60:-60, 60:-60]
    off = np.abs(np.roll(shifted, -5, axis=1)[inner].astype(int) - still[inner])
    assert np.mean(off > 24) < 0.01


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("shape", [(1, 1), (1, 60), (60, 1), (3, 7), (161, 111)])
@pytest.mark.parametrize("scale", [0.25, 1.3, 4.0])
def test_any_size_can_be_redrawn(name: str, shape: tuple[int, int], scale: float) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    drawn = redrawn(registry.load(registry.STYLES, name), noise, scale, 0, {})
    assert drawn.shape == (*shape, 3)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("name", REDRAWN)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_stay_calm(name: str, level: int) -> None:
    flat = np.full((96, 96, 3), level, np.uint8)
    drawn = redrawn(registry.load(registry.STYLES, name), flat, 1.0, 0, {})
    hatched = name == "pencil" and level < 255
    assert drawn.astype(float).std(axis=(0, 1)).max() < (42 if hatched else 12)


@pytest.mark.parametrize("name", REDRAWN)
def test_white_paper_stays_white(name: str) -> None:
    picture = np.full((96, 96, 3), 255, np.uint8)
    picture[40:56, 40:56] = 30  # something to measure tones by
    drawn = redrawn(registry.load(registry.STYLES, name), picture, 1.0, 0, {})
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
    params = {**style.tuning(picture, scale, sitter(size))}
    drawn = redrawn(style, picture, scale, 7, params)
    difference = np.abs(scaled(drawn, 64).astype(int) - scaled(whole[name], 64))
    assert difference.mean() < 10


@pytest.mark.parametrize("name", ["pencil", "cartoon"])
def test_heavier_outlines_are_darker(name: str, face: Picture) -> None:
    means = []
    for weight in (0.25, 1.0, 4.0):
        style, params = prepared(name, face, line_weight=weight)
        means.append(float(redrawn(style, face, 1.0, 7, params).mean()))
    assert means[0] > means[1] + 0.5 > means[2] + 2


@pytest.mark.parametrize("name", REDRAWN)
def test_more_detail_keeps_more_of_the_picture(name: str, face: Picture) -> None:
    rough = []
    for amount in (0.25, 1.0, 2.0):
        style, params = prepared(name, face, detail=amount, paper=0.0)
        params.pop("grain", None)
        rough.append(roughness(redrawn(style, face, 1.0, 7, params)))
    assert rough[0] < rough[1] < rough[2]


@pytest.mark.parametrize("name", GRAINED)
def test_larger_strokes_are_calmer(name: str, face: Picture) -> None:
    rough = []
    for size in (0.5, 1.0, 3.0):
        style, params = prepared(name, face, stroke_size=size, paper=0.0)
        rough.append(roughness(redrawn(style, face, 1.0, 7, params)))
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("name", GRAINED)
def test_more_paper_shows_on_a_flat_tone(name: str) -> None:
    flat = np.full((96, 96, 3), 140, np.uint8)
    flat[:, :48] = 100  # something to measure tones by
    rough = []
    for amount in (0.0, 1.0, 2.0):
        drawn = redrawn(registry.load(registry.STYLES, name), flat, 1.0, 7, {"paper": amount})
        rough.append(roughness(drawn[:, 60:90]))
    assert rough[0] < rough[1] < rough[2]


def test_a_cartoon_has_the_colours_of_its_palette(face: Picture) -> None:
    kinds = []
    for size in (4, 10, 30):
        style, params = prepared("cartoon", face, palette_size=size, line_weight=0.25)
        drawn = redrawn(style, face, 1.0, 7, params).reshape(-1, 3)
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
                redrawn(style, np.zeros((8, 8, 3), np.uint8), 1.0, 0, {setting: value})
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
