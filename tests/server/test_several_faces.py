"""Faces of one picture, each animated by a shot of its own: takes are laid over each other."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inference_server.datatypes import ARKIT_INDEX, Look, Motion, Portrait
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.shape import shape_of

ASTRONAUT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"
RENDERER = MeshWarp()
WHOLE = Look(size=512, style="photo", framing="picture", alpha=False, seed=0)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Portrait:
    """The astronaut beside a smaller one that looks the other way."""
    one = Image.open(ASTRONAUT).convert("RGB")
    picture = Image.new("RGB", (940, 512), (120, 110, 100))
    picture.paste(one, (0, 0))
    other = one.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((428, 428), Image.Resampling.BOX)
    picture.paste(other, (512, 84))
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    picture.save(path)
    return analyze(path)


def prepared(pair: Portrait, face: int, alpha: bool) -> Prepared:
    crop = crop_face(pair, face, 256)
    return RENDERER.prepare(pair, crop, replace(WHOLE, alpha=alpha))


def motion() -> Motion:
    expression = np.zeros((3, 52), np.float32)
    expression[1, ARKIT_INDEX["jawOpen"]] = 0.7
    expression[2, ARKIT_INDEX["eyeBlinkLeft"]] = 1.0
    head = np.zeros((3, 6), np.float32)
    head[1:, :3] = [[14, -6, 5], [-14, 6, -5]]
    return Motion(Fraction(24), expression, head, np.zeros((3, 2), np.float32))


def over(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    alpha = above[..., 3:].astype(float) / 255
    return np.round(above[..., :3] * alpha + below[..., :3] * (1 - alpha)).astype(np.uint8)


def test_takes_of_two_faces_stack_without_a_seam(pair: Portrait) -> None:
    assert len(pair.faces) == 2
    first, second = prepared(pair, 0, alpha=False), prepared(pair, 1, alpha=True)
    alone = prepared(pair, 1, alpha=False)
    rest = first.frames[0][..., :3]
    every = [list(RENDERER.render(one, motion(), range(3))) for one in (first, second, alone)]
    for below, above, single in zip(*every, strict=True):
        stacked = over(below, above)
        moved_first = (below[..., :3] != rest).any(2)
        moved_second = above[..., 3] > 0
        # either one as if it were the only one, the rest as pictured: no seam anywhere
        assert (stacked[moved_second] == single[moved_second][:, :3]).all()
        assert (stacked[moved_first] == below[moved_first][:, :3]).all()
        assert (stacked[~moved_first & ~moved_second] == rest[~moved_first & ~moved_second]).all()
        assert not (moved_first & moved_second).any()
    assert moved_first.mean() > 0.03 and moved_second.mean() > 0.03


def test_an_overlay_is_empty_where_nothing_moves(pair: Portrait) -> None:
    ready = prepared(pair, 1, alpha=True)
    (x, y), (height, width) = ready.scene.corner, ready.scene.shape
    for frame in RENDERER.render(ready, motion(), range(3)):
        outside = frame[..., 3].copy()
        outside[y : y + height, x : x + width] = 0
        assert not outside.any()
        assert set(np.unique(frame[..., 3])) <= {0, 255}
        inside = frame[y : y + height, x : x + width, 3]
        borders = (inside[:, 0], inside[0], inside[:, -1], inside[-1])
        for held, border in zip(ready.scene.held, borders, strict=True):
            assert not (held and border.any())


def test_a_turning_head_leaves_its_neighbour_alone(tmp_path: Path) -> None:
    """Even where both stand in one square."""
    picture = Image.open(ASTRONAUT).convert("RGB")
    picture.paste(picture.resize((230, 230), Image.Resampling.BOX), (282, 30))
    picture.save(tmp_path / "close.png")
    close = analyze(tmp_path / "close.png")
    assert len(close.faces) == 2
    ready = RENDERER.prepare(close, crop_face(close, 0, 384), replace(WHOLE, framing="crop"))
    assert len(ready.scene.others) == 1
    still, turned = (shape_of(ready, motion(), frame).coarse for frame in (0, 1))
    moved = np.abs(turned - still)[:, :2].max(1)
    outline = ready.scene.others[0].astype(np.float32)
    inside = [cv2.pointPolygonTest(outline, point.tolist(), False) > 0 for point in still[:, :2]]
    assert sum(inside) > 3
    assert moved[np.array(inside)].max() < 0.02 * ready.fit.scale
    assert moved[4] > 0.1 * ready.fit.scale
