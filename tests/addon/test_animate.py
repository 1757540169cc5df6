"""Animate Portrait: from a sound strip to strip, keys and landmarks. Runs inside bpy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon
from .test_panels import draw

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


def test_the_channels_cannot_be_keyed_out_of_their_ranges(stage: Stage) -> None:
    shot = stage.animate()
    for channel in addon("protocol").CHANNELS:
        prop = shot.bl_rna.properties[f"animportrait_{channel.name}"]
        assert prop.is_animatable
        assert (prop.hard_min, prop.hard_max, prop.default) == pytest.approx(
            (channel.minimum, channel.maximum, channel.rest)
        )


def test_the_settings_travel_to_the_server(stage: Stage) -> None:
    shot = stage.animate(size=640, seed=7, holds="2", style="ink", head_amount=0.1, alpha=True)
    take = json.loads((addon("strips").shown_folder(shot) / "take.json").read_text())
    spec = take["spec"]
    assert (spec["size"], spec["seed"], spec["holds"], spec["style"]) == (640, 7, 2, "ink")
    assert spec["params"]["head_amount"] == 0.1
    assert spec["params"]["alpha"] is True
    assert spec["params"]["framing"] == "crop"
    assert spec["fps"] == [24, 1]
    assert spec["n_frames"] == N_FRAMES
    assert spec["audio"]["start_s"] == 0.0
    assert Path(spec["audio"]["path"]) == stage.folder / "voice.wav"
    assert Path(spec["image"]) == stage.picture
    assert shot.animportrait.size == 640


def test_the_resolution_of_the_scene_is_not_changed(stage: Stage) -> None:
    stage.scene.render.resolution_x, stage.scene.render.resolution_y = 1280, 544
    stage.animate()
    assert (stage.scene.render.resolution_x, stage.scene.render.resolution_y) == (1280, 544)


def test_blender_renders_the_frames(stage: Stage) -> None:
    shot = stage.animate()
    take = addon("shots").take_of(shot)
    for frame in (0, 30, 71):
        wanted = round(200 * take.generated["lip_open"][frame] + 20)
        assert stage.grey(FIRST + frame) == pytest.approx(wanted, abs=1)


def test_one_undo_step_takes_everything_back_and_one_redo_brings_it(stage: Stage) -> None:
    stage.push("before")
    stage.animate()
    assert len(stage.bpy.data.meshes) == 1
    stage.undo()
    assert [strip.type for strip in stage.strips] == ["SOUND"]
    assert len(stage.bpy.data.meshes) == 0
    data = stage.scene.animation_data
    assert data is None or data.action is None
    stage.redo()
    assert len(stage.shots) == 1
    assert len(stage.curve(stage.shot, "smile").keyframe_points) == N_FRAMES
    assert stage.bpy.ops.animportrait.render_edits.poll()


def test_animating_again_after_undo_uses_the_frames_that_are_there(stage: Stage) -> None:
    stage.push("before")
    stage.animate()
    stage.undo()
    shot = stage.animate()
    take = addon("shots").take_of(shot)
    assert take.folder.name == "take_0002"
    assert take.rendered == 0


def test_a_picture_on_the_timeline_is_the_portrait_when_none_was_chosen(stage: Stage) -> None:
    strips = addon("strips")
    editor = stage.scene.sequence_editor
    still = strips.top_level(editor).new_image("still", str(stage.picture), 2, FIRST)
    stage.select(still)
    shot = stage.animate(image="")
    assert shot.animportrait.image == "//face é.png"
    assert strips.handles(shot) == strips.handles(stage.sound)


def test_an_occupied_channel_is_left_alone(stage: Stage) -> None:
    strips = addon("strips")
    editor = stage.scene.sequence_editor
    blocker = strips.top_level(editor).new_image("b", str(stage.picture), 2, FIRST + 60)
    shot = stage.animate()
    assert (blocker.channel, shot.channel) == (2, 3)


def test_an_unsaved_file_has_temporary_takes_that_the_first_save_keeps(
    stage: Stage, tmp_path: Path
) -> None:
    bpy = stage.bpy
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "other.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    assert bpy.data.filepath == ""
    with bpy.data.libraries.load(str(tmp_path / "other.blend")) as (_, wanted):
        wanted.scenes = ["Speech"]
    scene = bpy.data.scenes["Speech"]
    bpy.context.window.scene = scene
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    stage.sound.sound.filepath = str(stage.folder / "voice.wav")
    shot = stage.animate()
    folders, strips = addon("folders"), addon("strips")
    assert folders.is_temporary(strips.shown_folder(shot))
    assert "Frames are temporary: save the file" in draw(stage, "ANIMPORTRAIT_PT_edit")["text"]
    stage.key(shot, "lip_open", 20, 1.0)
    stage.render_edits()
    target = tmp_path / "saved here"
    target.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(target / "film.blend"))
    shown = strips.shown_folder(stage.shot)
    assert shown.is_relative_to(target / "animate_portrait")
    assert (shown / "take.json").is_file()
    assert (shown.parent / "take_0001" / "000000.png").is_file()
    bpy.ops.wm.open_mainfile(filepath=str(target / "film.blend"), load_ui=False)
    assert strips.shown_folder(stage.shot) == shown
    assert addon("shots").measure(stage.shot).dirty == 0
    record = addon("shots").record(stage.shot)
    assert record.image.relative.startswith("//")  # they go along when the project is moved
    assert record.audio.path() == stage.folder / "voice.wav"
