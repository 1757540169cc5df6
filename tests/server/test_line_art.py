"""Ink and pencil: regions of a portrait, lines that keep their width, colours of ink and paper."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stylised import ASTRONAUT, CROP, redrawn, sitter

from inference_server import registry
from inference_server.datatypes import Sitter
from inference_server.errors import SpecInvalid
from inference_server.styles import contours, regions
from inference_server.styles.contours import Lines, Nib

Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def crop() -> Picture:
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    return np.asarray(photo.resize((512, 512), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def matted() -> Sitter:
    """The sitter of the crop with a rough matte: head and shoulders."""
    who = sitter(512)
    matte = np.zeros((512, 512), np.uint8)
    x0, y0, x1, y1 = who.box
    middle = (round((x0 + x1) / 2), round((y0 + y1) / 2 - 25))
    cv2.ellipse(matte, middle, (150, 165), 0, 0, 360, 1, -1)
    cv2.rectangle(matte, (60, 400), (460, 511), 1, -1)
    return Sitter(who.points, matte.astype(np.float32))


def line_art(name: str, crop: Picture, who: Sitter, **settings: object) -> Picture:
    style = registry.load(registry.STYLES, name)
    params = {**settings, **style.tuning(crop, 1.0, who)}
    params["grain"] = style.grain(crop, 1.0, 0, params, who)
    return redrawn(style, crop, 1.0, 0, params)


def darkness(drawn: Picture, where: npt.NDArray[np.bool_]) -> float:
    return 1 - float(drawn[where].mean()) / 255


def test_hair_skin_and_features_are_told_apart(crop: Picture, matted: Sitter) -> None:
    found = regions.found(crop, matted)
    eyes, brow = matted.points[[468, 473]], matted.points[151]
    x, y = np.round(brow).astype(int)
    assert found.skin[y, x] > 0.8
    assert found.hair[round(matted.box[1]) - 60, x] > 0.8
    for ex, ey in np.round(eyes).astype(int):
        assert found.features[ey, ex] > 0.8
    assert found.figure[5, 5] == 0
    assert found.hair[5, 5] == 0
    nobody = regions.found(crop, Sitter(matted.points, np.zeros((512, 512), np.float32)))
    assert not any(getattr(nobody, name).any() for name in nobody.__slots__)


def test_ink_leaves_skin_white_fills_hair_and_steps_back(crop: Picture, matted: Sitter) -> None:
    found = regions.found(crop, matted)
    drawn = line_art("ink", crop, matted)
    assert darkness(drawn, found.skin > 0.9) < 0.08
    assert darkness(drawn, found.crown > 0.9) > 0.4
    bare = line_art("ink", crop, matted, background=0.0)
    full = line_art("ink", crop, matted, background=1.0)
    behind = cv2.dilate(found.figure, np.ones((25, 25), np.uint8)) == 0
    assert darkness(bare, behind) < 0.03
    assert darkness(full, behind) > darkness(bare, behind)


@pytest.mark.parametrize("name", ["ink", "pencil"])
def test_ink_and_paper_have_the_colours_asked_for(name: str, crop: Picture, matted: Sitter) -> None:
    drawn = line_art(name, crop, matted, ink_colour="#203080", paper_colour="#f0e0c0")
    lightest, darkest = np.percentile(drawn.reshape(-1, 3), (99, 1), axis=0)
    assert np.abs(lightest - (0xF0, 0xE0, 0xC0)).max() < 8
    assert darkest[2] > darkest[0] + 40  # blue
    style = registry.load(registry.STYLES, name)
    for wrong in ("blue", "#12", "#GGGGGG", 3, None):
        with pytest.raises(SpecInvalid, match="ink_colour"):
            style.develop(np.zeros((4, 4, 3), np.uint8), 1.0, {"ink_colour": wrong})


def test_a_stretched_line_keeps_its_width() -> None:
    line = Lines.none((41, 81))
    points = np.float32([[8, 20], [72, 20]])
    joint = np.int32([[0, 1]])
    radius = 2.0
    contours.strokes.lay(line.distance, line.width, points, np.float32([radius] * 2), joint, 3.0)
    plate = np.dstack([np.zeros((41, 81), np.uint8), *line.coded(1.0)])
    black = np.float32([[255, 255, 255], [0, 0, 0]])
    for zoom in (0.75, 1.0, 1.3, 1.6):
        size = (81, round(41 * zoom))
        stretched = cv2.resize(plate, size, interpolation=cv2.INTER_LINEAR)
        drawn = contours.printed(stretched, 1.0, 1.0, 1.0, black)
        width = (1 - drawn[:, 40, 0] / 255).sum()
        assert width == pytest.approx(2 * radius, rel=0.17), zoom


def test_an_outline_is_drawn_where_nothing_else_is() -> None:
    figure = np.full((120, 120), -1, np.float32)
    cv2.circle(figure, (60, 60), 40, 1.0, -1)
    inked = np.zeros((120, 120), np.float32)
    inked[:, :45] = 1  # the left part is black already
    lines = Lines.none((120, 120))
    contours.draw_outline(lines, figure, inked, 1.0)
    assert lines.cover[55:65, 97:103].max() > 0.8
    assert lines.cover[:, :45].max() == 0
    assert lines.cover[55:65, 55:65].max() == 0
    empty = Lines.none((120, 120))
    contours.draw_outline(empty, np.ones((120, 120), np.float32), 0 * inked, 1.0)
    assert empty.cover.max() == 0


def test_a_nib_is_thin_where_a_line_is_faint() -> None:
    nib = Nib(fade=0.25, full=1.0, length=4.0, radius=1.5)
    y, x = np.mgrid[:40, :80].astype(np.float32)
    ridge = np.exp(-0.5 * ((y - 20) / 1.2) ** 2) * (0.3 + 0.7 * x / 80)
    found = contours.strokes.trace(ridge, np.ones_like(ridge), np.zeros_like(ridge), 0.25)
    lines = Lines.none(ridge.shape)
    contours.draw(lines, found, nib, 1.0, 1.0, 1.0)
    widths = lines.cover.sum(axis=0)
    assert 0 < widths[20] < widths[45] < widths[70]
