"""Animate Portrait: from a sound strip to strip, keys and landmarks. Runs inside bpy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon

pytestmark = pytest.mark.blender


def test_the_strip_lies_exactly_over_the_sound(stage: Stage) -> None:
    shot = stage.animate()
    strips = addon("strips")
    assert strips.handles(shot) == strips.handles(stage.sound)
    assert strips.handles(shot).length == N_FRAMES
    assert shot.channel == stage.sound.channel + 1
    assert len(shot.elements) == N_FRAMES
    assert shot.elements[71].filename == "000071.png"
    assert shot.directory.startswith("//animate_portrait")
    assert (stage.folder / "animate_portrait").is_dir()


def test_every_channel_has_one_generated_key_per_frame(stage: Stage) -> None:
    shot = stage.animate()
    take = json.loads((addon("strips").shown_folder(shot) / "take.json").read_text())
    for channel in addon("protocol").CHANNELS:
        points = stage.curve(shot, channel.name).keyframe_points
        assert [point.co.x for point in points] == list(range(FIRST, FIRST + N_FRAMES))
        values = [point.co.y for point in points]
        assert np.allclose(values, take["generated"][channel.name], atol=1e-5)
        assert {point.type for point in points} == {"GENERATED"}
        assert {point.interpolation for point in points} == {"LINEAR"}
    stage.scene.frame_set(FIRST + 5)
    assert shot.animportrait_lip_open == pytest.approx(take["generated"]["lip_open"][5], abs=1e-5)
