"""Layers of a take: laid over each other they are the frame, and they are reused like frames."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference_server.datatypes import ShotSpec
from inference_server.pipeline import Studio
from inference_server.takes import Take, read_take

Shot = Callable[..., ShotSpec]


def render(studio: Studio, spec: ShotSpec) -> Take:
    return studio.render(spec, lambda event: None, lambda: False)


def picture(path: Path) -> np.ndarray:
    """(H, W, 4) RGBA as float."""
    pixels = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGR2RGB)
    alpha = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., 3:]
    solid = np.full(pixels.shape[:2], 255, np.uint8)
    return np.dstack([pixels[..., :3], alpha if alpha.size else solid]).astype(float)


def stacked(layers: list[np.ndarray]) -> np.ndarray:
    """Straight alpha over, as in a compositor."""
    light, cover = np.zeros(layers[0].shape[:2] + (3,)), np.zeros(layers[0].shape[:2] + (1,))
    for layer in layers:
        alpha = layer[..., 3:] / 255
        light = layer[..., :3] * alpha + light * (1 - alpha)
        cover = alpha + cover * (1 - alpha)
    return np.dstack([light / np.maximum(cover, 1e-9), 255 * cover])


@pytest.mark.parametrize(
    ("style", "params", "names"),
    [
        ("photo", {}, ["background", "head", "eyes", "mouth"]),
        ("photo", {"alpha": True}, ["head", "eyes", "mouth"]),
        ("ink", {}, ["background", "head", "eyes", "mouth", "lines"]),
        ("ink", {"framing": "picture", "alpha": True}, None),
    ],
)
def test_layers_give_the_frame_back(
    studio: Studio, shot: Shot, style: str, params: dict[str, object], names: list[str] | None
) -> None:
    spec = shot(n_frames=4, style=style, params={**params, "layers": True})
    take = render(studio, spec)
    said = json.loads((spec.out_dir / "take.json").read_text("utf-8"))
    assert said["layers"] == list(take.layers) == list(read_take(spec.out_dir).layers)
    assert names is None or said["layers"] == names
    assert {at.name for at in spec.out_dir.iterdir() if at.is_dir()} == set(take.layers)
    for name in ("000000.png", "000003.png"):
        frame = picture(spec.out_dir / name)
        back = stacked([picture(spec.out_dir / layer / name) for layer in take.layers])
        assert np.abs(back[..., 3] - frame[..., 3]).max() <= 1
        seen = frame[..., 3] > 0
        assert np.abs(back - frame)[seen].max() <= 1


def test_frames_are_those_of_a_take_without_layers(studio: Studio, shot: Shot) -> None:
    plain = render(studio, shot("plain", n_frames=2))
    layered = render(studio, shot("layered", n_frames=2, params={"layers": True}))
    assert plain.layers == ()
    for name in ("000000.png", "000001.png"):
        assert (picture(plain.path / name) == picture(layered.path / name)).all()


def test_layers_of_unchanged_frames_are_linked(studio: Studio, shot: Shot) -> None:
    asked = {"layers": True}
    first = render(studio, shot("first", params=asked))
    edit = {"lip_open": {"5": 0.9}}
    again = render(studio, shot("again", params=asked, channels=edit, base_take=str(first.path)))
    assert again.rendered == (5,)
    for layer in first.layers:
        same = [
            (first.path / layer / f"{k:06d}.png").stat().st_ino
            == (again.path / layer / f"{k:06d}.png").stat().st_ino
            for k in range(first.n_frames)
        ]
        assert same == [k != 5 for k in range(first.n_frames)]


def test_a_frame_without_its_layer_is_drawn_again(studio: Studio, shot: Shot) -> None:
    asked = {"layers": True}
    first = render(studio, shot("first", n_frames=4, params=asked))
    (first.path / "mouth" / "000002.png").unlink()
    again = render(studio, shot("again", n_frames=4, params=asked, base_take=str(first.path)))
    assert again.rendered == (2,)
    (first.path / "take.json").unlink()  # as an interrupted run would leave it
    resumed = render(studio, shot("first", n_frames=4, params=asked))
    assert resumed.rendered == (2,)
    assert (first.path / "mouth" / "000002.png").exists()
