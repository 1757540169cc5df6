"""Strip, channels and takes stay together whatever the artist does. Runs inside bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon

pytestmark = pytest.mark.blender


def dirty(strip: Any) -> int:
    return addon("shots").measure(strip).dirty


def named(stage: Stage, name: str) -> Any:
    return addon("strips").named(stage.scene, name)


def test_moving_moves_the_keys(stage: Stage) -> None:
    shot = stage.animate()
    shot.frame_start += 100
    shot.channel = 7
    assert dirty(shot) == 0
    stage.key(shot, "lip_open", 20, 1.0)
    assert dirty(shot) == 1
    shot = stage.render_edits()
    assert (shot.frame_final_start, shot.channel) == (FIRST + 100, 7)
    assert addon("shots").take_of(shot).edits == {"lip_open": {20: 1.0}}
    assert stage.grey(FIRST + 120) == 220


def test_renaming_changes_nothing(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    shot.name = 'The "Queen" é'
    assert dirty(shot) == 1
    shot = stage.render_edits()
    assert shot.name == 'The "Queen" é'
    assert dirty(shot) == 0


def test_a_copy_is_a_shot_of_its_own(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "smile", 10, 0.9)
    shot = stage.render_edits()
    first_folder = addon("strips").shown_folder(shot)
    stage.select(shot)
    with stage.sequencer():
        stage.bpy.ops.sequencer.duplicate()
    copy = next(strip for strip in stage.shots if strip.name != shot.name)
    shot = named(stage, shot.name)
    copy.channel = 9
    stage.select(copy)
    assert dirty(copy) == 0
    stage.key(copy, "lip_open", 20, 1.0)
    assert (dirty(copy), dirty(shot)) == (1, 0)
    copy = stage.render_edits()
    shot = named(stage, shot.name)
    shots = addon("shots")
    assert shots.record(copy).shot_id != shots.record(shot).shot_id
    assert shots.record(copy).mesh != shots.record(shot).mesh
    assert addon("strips").shown_folder(shot) == first_folder
    assert addon("strips").shown_folder(copy).parent != first_folder.parent
    assert shots.take_of(copy).edits == {"smile": {10: 0.9}, "lip_open": {20: 1.0}}
    assert shots.take_of(copy).rendered == 1
    assert (dirty(copy), dirty(shot)) == (0, 0)
    stage.select(shot)
    stage.key(shot, "lip_open", 20, 0.0)
    shot = stage.render_edits()
    assert addon("strips").shown_folder(shot).parent == first_folder.parent


@pytest.mark.parametrize("kind", ["SOFT", "HARD"])
def test_the_halves_of_a_split_edit_the_frames_they_show(stage: Stage, kind: str) -> None:
    shot = stage.animate()
    stage.key(shot, "smile", 5, 0.9)
    shot = stage.render_edits()
    stage.select(shot)
    with stage.sequencer():
        stage.bpy.ops.sequencer.split(
            frame=FIRST + 40, channel=shot.channel, type=kind, side="BOTH"
        )
    left, right = sorted(stage.shots, key=lambda strip: strip.frame_final_start)
    assert (left.frame_final_end, right.frame_final_start) == (FIRST + 40, FIRST + 40)
    assert (dirty(left), dirty(right)) == (0, 0)
    stage.key(right, "lip_open", 10, 0.9)  # hidden in this half
    assert dirty(right) == 0
    stage.key(right, "lip_open", 50, 1.0)
    assert (dirty(left), dirty(right)) == (0, 1)
    stage.select(right)
    right = stage.render_edits()
    assert addon("shots").take_of(right).edits == {"smile": {5: 0.9}, "lip_open": {50: 1.0}}
    assert stage.grey(FIRST + 50) == 220
    point = next(p for p in stage.curve(right, "lip_open").keyframe_points if p.co.x == FIRST + 10)
    assert point.co.y == pytest.approx(0.9)


def test_trimmed_frames_count_only_when_they_are_seen(stage: Stage) -> None:
    shot = stage.animate()
    shot.frame_offset_start, shot.frame_offset_end = 10, 10
    stage.key(shot, "lip_open", 5, 1.0)
    stage.key(shot, "lip_open", 65, 1.0)
    assert dirty(shot) == 0
    shot.frame_offset_start = 0
    assert dirty(shot) == 1
    shot = stage.render_edits()
    assert (shot.frame_final_start, shot.frame_final_end) == (FIRST, FIRST + N_FRAMES - 10)
    assert addon("shots").take_of(shot).edits == {"lip_open": {5: 1.0}}


def test_deleting_and_undo(stage: Stage) -> None:
    shot = stage.animate()
    name = shot.name
    stage.select(shot)
    with stage.sequencer():
        stage.bpy.ops.sequencer.delete()
    stage.push("delete")
    assert not stage.shots
    stage.undo()
    assert dirty(named(stage, name)) == 0


def test_saving_and_opening_again_elsewhere(stage: Stage, tmp_path: Path) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    stage.bpy.ops.wm.save_mainfile()
    moved = tmp_path / "moved"
    stage.folder.rename(moved)
    addon("shots")._takes.clear()
    stage.bpy.ops.wm.open_mainfile(filepath=str(moved / "film.blend"), load_ui=False)
    assert dirty(stage.shot) == 1
    stage.select(stage.shot)
    shot = stage.render_edits()
    take = addon("shots").take_of(shot)
    assert take.folder.is_relative_to(moved)
    assert take.rendered == 1
    assert Path(take.spec["image"]) == moved / stage.picture.name
    assert Path(take.spec["audio"]["path"]) == moved / "voice.wav"


def test_saving_under_another_name_elsewhere(stage: Stage, tmp_path: Path) -> None:
    stage.animate()
    other = tmp_path / "version 2"
    other.mkdir()
    stage.bpy.ops.wm.save_as_mainfile(filepath=str(other / "film.blend"))
    stage.key(stage.shot, "lip_open", 20, 1.0)
    shot = stage.render_edits()
    take = addon("shots").take_of(shot)
    assert take.folder.is_relative_to(other)
    assert take.rendered == 1


def test_animating_again_follows_a_trimmed_sound_and_keeps_edits(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    stage.key(shot, "lip_open", 3, 0.9)
    shot = stage.render_edits()
    stage.sound.frame_offset_start = 10
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    shot = stage.shot
    assert len(stage.shots) == 1
    assert (shot.frame_final_start, shot.frame_final_end) == (FIRST + 10, FIRST + N_FRAMES)
    take = addon("shots").take_of(shot)  # it still has the frames that are hidden now
    assert take.edits == {"lip_open": {3: 0.9, 20: 1.0}}
    assert (take.rendered, take.spec["audio"]["start_s"]) == (0, 0.0)
    assert dirty(shot) == 0
    assert stage.grey(FIRST + 20) == 220


def test_two_strips_in_a_linked_copy_of_the_scene_do_not_mix(stage: Stage) -> None:
    shot = stage.animate()
    copy = stage.scene.copy()
    copy.animation_data.action = copy.animation_data.action.copy()
    stage.key(shot, "lip_open", 20, 1.0)
    other = next(s for s in addon("strips").every(copy) if addon("shots").is_shot(s))
    assert (dirty(stage.shot), dirty(other)) == (1, 0)
