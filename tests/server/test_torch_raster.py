"""What a graphics card draws, by torch on the processor: the same pictures, whatever the batch."""

from __future__ import annotations

import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from inference_server import device
from inference_server.datatypes import ARKIT_INDEX, Look, Motion, Portrait
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp, painting, torch_raster
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.shape import shape_of

ASTRONAUT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"
LEAST_DB = 45.0
LOOKS = {
    "photo": Look(size=330, style="photo", framing="crop", alpha=False, seed=0),
    "cut out": Look(size=330, style="photo", framing="crop", alpha=True, seed=0),
    "ink": Look(size=330, style="ink", framing="crop", alpha=False, seed=0),
    "small": Look(size=256, style="photo", framing="crop", alpha=False, seed=0),
}


@cache
def astronaut() -> Portrait:
    return analyze(ASTRONAUT)


@cache
def prepared(name: str) -> Prepared:
    portrait, look = astronaut(), LOOKS[name]
    return MeshWarp("cpu").prepare(portrait, crop_face(portrait, 0, look.size), look)


def motion() -> Motion:
    expression = np.zeros((5, 52), np.float32)
    expression[1:, ARKIT_INDEX["jawOpen"]] = [0.5, 1.0, 0.2, 0.0]
    expression[2, ARKIT_INDEX["eyeBlinkLeft"]] = 0.7
    head = np.zeros((5, 6), np.float32)
    head[1] = [12, 5, 3, 0, 0, 0]
    head[2] = [-20, -12, 10, 0, 0, 0]
    head[3] = [0, 12, -20, 0.1, 0.05, 0.4]
    head[4] = [25, 0, 0, 0, 0, -0.5]
    return Motion(Fraction(24), expression, head, np.zeros((5, 2), np.float32))


def weighted(rgba: np.ndarray) -> np.ndarray:
    """Colours as they count: those of a nearly clear pixel hardly do."""
    return np.dstack([rgba[..., :3] * (rgba[..., 3:] / 255.0), rgba[..., 3]])


def psnr_db(one: np.ndarray, other: np.ndarray) -> float:
    error = ((weighted(one) - weighted(other)) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("name", LOOKS)
def test_torch_draws_the_same_pictures(name: str) -> None:
    ready = prepared(name)
    moving = motion()
    shapes = [shape_of(ready, moving, frame) for frame in range(moving.n_frames)]
    # the device that is asked for is "cpu" only in the way torch draws
    for shape, seen in zip(shapes, torch_raster.figures(ready, shapes, "cpu"), strict=True):
        plain = painting.figure(ready, shape)
        assert psnr_db(seen.canvas, plain.canvas) >= LEAST_DB
        drawn, expected = (painting.finish(ready, shape, each) for each in (seen, plain))
        assert psnr_db(drawn, expected) >= LEAST_DB


def test_no_frame_depends_on_its_batch() -> None:
    ready, moving = prepared("photo"), motion()
    shapes = [shape_of(ready, moving, frame) for frame in range(moving.n_frames)]
    together = torch_raster.figures(ready, shapes, "cpu")
    pairs = [each for k in (0, 2) for each in torch_raster.figures(ready, shapes[k : k + 2], "cpu")]
    for shape, one, other in zip(shapes, together, pairs, strict=False):
        alone = torch_raster.figures(ready, [shape], "cpu")[0]
        assert (one.canvas == alone.canvas).all() and (other.canvas == alone.canvas).all()
        assert (one.coarse.x == alone.coarse.x).all()


def test_a_card_has_keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MeshWarp("cpu").version != MeshWarp("cuda").version != MeshWarp("mps").version
    monkeypatch.setenv("ANIMATE_PORTRAIT_DEVICE", "cpu")
    assert MeshWarp().version == MeshWarp("cpu").version


def test_without_a_card_torch_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANIMATE_PORTRAIT_DEVICE", raising=False)
    monkeypatch.setattr(device, "_CARD_TRACES", ())
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(device, "choose", lambda: pytest.fail("torch was asked"))
    assert device.for_drawing() == "cpu"


def test_the_renderer_draws_in_batches_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole path of a card, with torch on the processor in its place."""
    ready = prepared("small")
    figures = torch_raster.figures
    monkeypatch.setattr(
        torch_raster, "figures", lambda prepared, shapes, on: figures(prepared, shapes, "cpu")
    )
    drawn = list(MeshWarp("cuda").render(ready, motion(), [4, 0, 2]))
    expected = list(MeshWarp("cpu").render(ready, motion(), [4, 0, 2]))
    assert [psnr_db(a, b) >= LEAST_DB for a, b in zip(drawn, expected, strict=True)] == [True] * 3
