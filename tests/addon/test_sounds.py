"""Which sound is meant, which part of it plays, and which sounds are refused. Runs inside bpy."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon, open_stage, write_tone

pytestmark = pytest.mark.blender

FPS = [
    (24, 1.001, (24000, 1001)),
    (24, 1.0, (24, 1)),
    (25, 1.0, (25, 1)),
    (30, 1.001, (30000, 1001)),
    (30, 1.0, (30, 1)),
    (50, 1.0, (50, 1)),
    (60, 1.001, (60000, 1001)),
    (60, 1.0, (60, 1)),
]


def spec_of(strip: Any) -> dict[str, Any]:
    folder = addon("strips").shown_folder(strip)
    return json.loads((folder / "take.json").read_text())["spec"]


@pytest.mark.parametrize(("fps", "base", "wanted"), FPS)
def test_the_frame_rate_is_exact(
    stage: Stage, fps: int, base: float, wanted: tuple[int, int]
) -> None:
    stage.scene.render.fps, stage.scene.render.fps_base = fps, base
    write_tone(stage.folder / "voice.wav", 72 * wanted[1] / wanted[0])
    shot = stage.animate()
    strips = addon("strips")
    spec = spec_of(shot)
    length = strips.handles(stage.sound).length
    assert strips.handles(shot) == strips.handles(stage.sound)
    assert tuple(spec["fps"]) == wanted
    assert spec["n_frames"] == length
    assert spec["audio"]["duration_s"] == pytest.approx(length * wanted[1] / wanted[0], abs=1e-9)


@pytest.mark.parametrize(("fps", "base", "wanted"), FPS)
def test_a_new_sound_strip_at_every_frame_rate(
    stage: Stage, fps: int, base: float, wanted: tuple[int, int]
) -> None:
    if not stage.bpy.app.build_options.audaspace:
        pytest.skip("this bpy wheel is built without audio and cannot make sound strips")
    scene = stage.scene
    scene.render.fps, scene.render.fps_base = fps, base
    strips = addon("strips")
    top = strips.top_level(scene.sequence_editor)
    top.remove(stage.sound)
    long = write_tone(stage.folder / "long.wav", 10.3)
    sound = top.new_sound("long", str(long), 3, 101)
    sound.frame_offset_start, sound.frame_offset_end = 7, 11
    stage.select(sound)
    shot = stage.animate()
    assert strips.handles(shot) == strips.handles(sound)
    spec = spec_of(shot)
    assert spec["audio"]["start_s"] == pytest.approx(7 * wanted[1] / wanted[0], abs=1e-9)
    assert spec["n_frames"] == strips.handles(sound).length


def test_a_trimmed_sound_speaks_only_what_is_heard(stage: Stage) -> None:
    stage.sound.frame_offset_start, stage.sound.frame_offset_end = 12, 6
    shot = stage.animate()
    assert (shot.frame_final_start, shot.frame_final_end) == (FIRST + 12, FIRST + N_FRAMES - 6)
    assert spec_of(shot)["audio"]["start_s"] == pytest.approx(0.5)
    assert spec_of(shot)["audio"]["duration_s"] == pytest.approx(2.25)


@pytest.mark.parametrize("method", ["SOFT", "HARD"])
def test_both_halves_of_a_split_sound(stage: Stage, method: str) -> None:
    if method == "HARD" and not stage.bpy.app.build_options.audaspace:
        pytest.skip("without audio Blender does not measure again what a hard split has left")
    strips, first = addon("strips"), FIRST + 30
    right = stage.sound.split(frame=first, split_method=method)
    heard = strips.sound_range(right)
    assert heard.start_s == Fraction(30, 24)
    assert heard.frames == strips.Span(first, FIRST + N_FRAMES)
    assert strips.sound_range(stage.sound).start_s == 0
    assert strips.sound_range(stage.sound).frames == strips.Span(FIRST, first)
    assert not strips.is_retimed(right)
    assert not strips.is_retimed(stage.sound)


def test_a_sound_that_was_moved_by_part_of_a_frame(stage: Stage) -> None:
    sound = stage.sound
    sound.frame_start += 0.25
    left = addon("strips").handles(sound).start
    shot = stage.animate()
    start_s = (left - sound.frame_start) / 24
    assert shot.frame_final_start == left
    assert spec_of(shot)["audio"]["start_s"] == pytest.approx(max(0.0, start_s), abs=1e-6)


def test_a_sound_in_a_meta_strip(bpy: Any, home: Path, tmp_path: Path) -> None:
    stage = open_stage(bpy, tmp_path, "Meta")
    meta = next(strip for strip in stage.strips if strip.type == "META")
    meta.frame_final_duration = N_FRAMES
    meta.frame_offset_start = 10  # cuts the sound inside
    shot = stage.animate()
    assert shot.parent_meta() is None
    assert shot.channel == meta.channel + 1
    assert (shot.frame_final_start, shot.frame_final_end) == (FIRST + 10, FIRST + N_FRAMES)
    assert spec_of(shot)["audio"]["start_s"] == pytest.approx(10 / 24)


def test_a_shot_in_a_meta_strip_can_be_edited(stage: Stage) -> None:
    shot = stage.animate()
    stage.select(shot)
    with stage.sequencer():
        assert stage.bpy.ops.sequencer.meta_make() == {"FINISHED"}
    stage.select(shot)
    stage.key(shot, "lip_open", 20, 1.0)
    assert addon("shots").measure(shot).dirty == 1
    shot = stage.render_edits()
    assert shot.parent_meta() is not None
    assert stage.grey(FIRST + 20) == 220


def test_a_packed_sound_is_written_beside_the_takes(bpy: Any, home: Path, tmp_path: Path) -> None:
    stage = open_stage(bpy, tmp_path, "Packed")
    shot = stage.animate()
    path = Path(spec_of(shot)["audio"]["path"])
    assert path.parent == addon("strips").shown_folder(shot).parent
    assert path.read_bytes()[:4] == b"RIFF"
    assert path.suffix == ".wav"


def test_a_missing_sound_file_is_named(stage: Stage) -> None:
    (stage.folder / "voice.wav").unlink()
    with pytest.raises(RuntimeError, match=r"voice\.wav.* does not exist"):
        stage.animate()


def test_a_strip_that_has_lost_its_sound(stage: Stage) -> None:
    stage.bpy.data.sounds.remove(stage.sound.sound)
    orders, CannotUse = addon("orders"), addon("strips").CannotUse
    stage.scene.animportrait.image = str(stage.picture)
    with pytest.raises(CannotUse, match="has no sound"):
        orders.animate(stage.scene)


def test_a_missing_picture_is_named(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match=r"nobody\.png.* does not exist"):
        stage.animate(image="//nobody.png")


def test_a_retimed_sound_is_refused(stage: Stage) -> None:
    sound = stage.sound
    if hasattr(sound, "retiming_keys"):
        stage.select(sound)
        with stage.sequencer():
            stage.bpy.ops.sequencer.retiming_key_add(timeline_frame=FIRST + 20)
            stage.bpy.ops.sequencer.retiming_segment_speed_set(speed=200.0)
        assert sound.frame_final_duration < N_FRAMES
    else:  # 4.2 and 4.3 only change the length: a file twice as long makes the same difference
        write_tone(stage.folder / "voice.wav", 6.0)
    with pytest.raises(RuntimeError, match="retimed"):
        stage.animate()
    assert not stage.shots


def test_a_muted_sound_counts_only_when_it_is_picked(stage: Stage) -> None:
    stage.sound.mute = True
    stage.select(None)
    with pytest.raises(RuntimeError, match="Select the sound strip"):
        stage.animate()
    stage.select(stage.sound)
    assert stage.animate() is not None


def test_a_muted_channel_counts_like_a_muted_strip(stage: Stage) -> None:
    stage.select(None)
    stage.scene.sequence_editor.channels[stage.sound.channel].mute = True
    with pytest.raises(RuntimeError, match="Select the sound strip"):
        stage.animate()


def test_a_scene_without_a_sequencer(stage: Stage) -> None:
    empty = stage.bpy.data.scenes.new("Empty")
    stage.bpy.context.window.scene = empty
    if hasattr(stage.bpy.context.workspace, "sequencer_scene"):
        stage.bpy.context.workspace.sequencer_scene = empty
    with pytest.raises(RuntimeError, match="Add a sound strip"):
        stage.bpy.ops.animportrait.animate()


def test_no_portrait(stage: Stage) -> None:
    with pytest.raises(RuntimeError, match="Choose a portrait"):
        stage.animate(image="")


def test_the_sound_that_overlaps_the_portrait_most_is_meant(stage: Stage) -> None:
    if not stage.bpy.app.build_options.audaspace:
        pytest.skip("this bpy wheel is built without audio and cannot make sound strips")
    strips = addon("strips")
    top = strips.top_level(stage.scene.sequence_editor)
    second = top.new_sound("second", str(stage.folder / "voice.wav"), 3, FIRST + 60)
    still = top.new_image("still", str(stage.picture), 5, FIRST + 75)
    still.frame_final_duration = 20
    stage.select(still)
    assert strips.find_sound(stage.scene, still) == second
    second.mute = True
    assert strips.find_sound(stage.scene, still) == stage.sound
    stage.select(second)
    assert strips.find_sound(stage.scene, None) == second
    second.mute = False
    stage.select(None)
    stage.scene.frame_set(FIRST + 100)
    assert strips.find_sound(stage.scene, None) == second


def test_the_server_is_not_set_up(stage: Stage, home: Path) -> None:
    (home / "install.json").unlink()
    addon("setup").forget_record()
    with pytest.raises(RuntimeError, match="press Set Up"):
        stage.animate()
