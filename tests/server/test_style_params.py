"""Settings of styles in a shot: a style's frames depend on its own settings, and on the boil."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference_server import protocol, registry
from inference_server.datatypes import Look, Motion, Portrait
from inference_server.errors import ImageUnreadable, SpecInvalid
from inference_server.keys import frame_keys, look_key
from inference_server.motion.boil import DRAWINGS, boiled, drawing_of
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.spec import parse_params

STYLES = [entry.name for entry in registry.STYLES]


def key(style: str, **params: Any) -> str:
    known = {param.name: param.default for param in protocol.PARAMS}
    look = Look(128, style, "crop", False, 0, {**known, **params})
    return look_key("crop", MeshWarp(), registry.load(registry.STYLES, style), look)


def still(n_frames: int) -> Motion:
    rows = (np.zeros((n_frames, count), np.float32) for count in (52, 6, 2))
    return Motion(Fraction(24), *rows)


@pytest.mark.parametrize("style", STYLES)
def test_a_style_is_keyed_by_the_settings_that_it_uses(style: str, tmp_path: Path) -> None:
    other = {
        "ink_colour": "#ff0000", "paper_colour": "#ffffff", "boil": "twos",
        "style_image": str(tmp_path / "a.png"), "palette_size": 5.0,
    }  # fmt: skip
    (tmp_path / "a.png").write_bytes(b"a picture")
    plain = key(style)
    for param in protocol.PARAMS:
        if param.styles:
            changed = key(style, **{param.name: other.get(param.name, 0.75)})
            assert (changed != plain) == (style in param.styles), param.name


def test_a_style_image_is_known_by_its_content(tmp_path: Path) -> None:
    one, same, changed = (str(tmp_path / name) for name in ("one.png", "same.png", "changed.png"))
    Path(one).write_bytes(b"one")
    shutil.copy(one, same)
    Path(changed).write_bytes(b"two")
    assert key("oil", style_image=one) == key("oil", style_image=same)
    assert key("oil", style_image=one) != key("oil", style_image=changed)
    with pytest.raises(ImageUnreadable, match=r"gone\.png"):
        key("oil", style_image=str(tmp_path / "gone.png"))


@pytest.mark.parametrize("how, every", [("ones", 1), ("twos", 2), ("threes", 3)])
def test_drawings_follow_each_other_in_a_circle(how: str, every: int) -> None:
    motion = boiled(still(12), how)
    seen = [drawing_of(motion, frame) for frame in range(12)]
    assert seen == [frame // every % DRAWINGS for frame in range(12)]
    keys = frame_keys("look", motion, 0)
    assert len(set(keys)) == DRAWINGS
    assert keys[0] == keys[DRAWINGS * every]
    assert boiled(still(3), "off").native == {}


def test_colours_are_read_in_any_case_and_wrong_ones_are_named() -> None:
    assert parse_params({"ink_colour": "#A0b1C2"}) == {"ink_colour": "#a0b1c2"}
    for wrong in ("red", "#abc", "#12345g", 7, None, True, [1, 2, 3]):
        with pytest.raises(SpecInvalid, match=r"params\.ink_colour"):
            parse_params({"ink_colour": wrong})


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    from inference_server.portrait.analysis import analyze

    return analyze(Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png")


@pytest.mark.parametrize("style", ["ink", "pencil", "watercolour"])
def test_a_boiling_face_that_holds_still_wobbles(style: str, portrait: Portrait) -> None:
    from inference_server.portrait.crop import crop_face

    look = Look(160, style, "crop", False, 0, {"boil": "ones"})
    prepared = MeshWarp().prepare(portrait, crop_face(portrait, 0, 160), look)
    frames = list(MeshWarp().render(prepared, boiled(still(4), "ones"), range(4)))
    assert np.array_equal(frames[0], frames[3])
    for other in frames[1:3]:
        off = np.abs(other.astype(int) - frames[0])
        assert 0.3 < off.mean() < 30
    again = list(MeshWarp().render(prepared, boiled(still(4), "ones"), [2]))
    assert np.array_equal(again[0], frames[2])


def test_a_shot_takes_a_reference(shot: Callable[..., Any], studio: Any, tmp_path: Path) -> None:
    path = tmp_path / "blue.png"
    Image.new("RGB", (64, 64), (20, 60, 200)).save(path)
    params = {"style_image": str(path)}
    for name, wishes in (("plain", {}), ("blue", params)):
        spec = shot(name, style="cartoon", params=wishes, n_frames=1)
        studio.render(spec, lambda event: None, lambda: False)
    plain, blue = (
        np.asarray(Image.open(tmp_path / name / "000000.png")).mean((0, 1))
        for name in ("plain", "blue")
    )
    assert blue[2] - blue[0] > plain[2] - plain[0] + 20
    path.write_text("no picture")
    with pytest.raises(ImageUnreadable, match=r"blue\.png"):
        studio.render(
            shot("broken", style="cartoon", params=params, n_frames=1),
            lambda event: None,
            lambda: False,
        )
