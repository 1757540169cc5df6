"""The list of takes: what it says, restore, compare, delete, find. Runs inside bpy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon
from .test_edits import dirty

pytestmark = pytest.mark.blender


@pytest.fixture
def two(stage: Stage) -> Stage:
    """A shot with two takes; frame 20 differs."""
    stage.animate()
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    return stage


def rows(stage: Stage) -> list[Any]:
    assert stage.bpy.ops.animportrait.list_takes() == {"FINISHED"}
    return list(stage.bpy.context.window_manager.animportrait_takes)


def folder(stage: Stage, number: int) -> Path:
    return addon("strips").shown_folder(stage.shot).with_name(f"take_{number:04d}")


def test_the_list_says_number_style_frames_and_what_deleting_frees(two: Stage) -> None:
    listed = rows(two)
    assert [row.folder for row in listed] == [str(folder(two, 2)), str(folder(two, 1))]
    assert listed[0].text.startswith(f"2  photo  {N_FRAMES} fr  ")
    freed = {entry.folder.name: entry.freed_bytes for entry in entries(two)}
    alone = folder(two, 2) / "000020.png"  # the only frame that is not shared, with its grey
    own = [alone, *(p for p in folder(two, 2).iterdir() if p.suffix in (".json", ".npz"))]
    assert freed["take_0002"] == sum(path.stat().st_size for path in own)
    assert two.bpy.context.window_manager.animportrait_view.take_index == 0


def entries(stage: Stage) -> list[Any]:
    return addon("take_list").entries(folder(stage, 1).parent)


def test_restoring_shows_the_old_frames_and_keeps_the_keys(two: Stage) -> None:
    rows(two)
    two.push("before")
    restore = two.bpy.ops.animportrait.restore_take
    assert restore(folder=str(folder(two, 1))) == {"FINISHED"}
    assert two.grey(FIRST + 20) != 220
    assert dirty(two) == 1
    assert two.curve(two.shot, "lip_open").evaluate(FIRST + 20) == 1.0
    two.push("restored")
    two.undo()
    assert two.grey(FIRST + 20) == 220


def test_comparing_lays_half_of_the_other_take_over_the_shot(two: Stage) -> None:
    compare = two.bpy.ops.animportrait.compare_take
    count = len(two.strips)
    shot = two.shot
    assert compare(folder=str(folder(two, 1))) == {"FINISHED"}
    other = next(s for s in two.strips if s.get("animportrait_compare"))
    strips = addon("strips")
    assert strips.handles(other) == strips.handles(shot) and other.channel > shot.channel
    assert (other.crop.min_x, other.crop.max_x) == (8, 0)
    assert strips.active(two.scene) == two.shot
    scene = two.scene
    scene.render.resolution_x = scene.render.resolution_y = 16
    scene.view_settings.view_transform = "Standard"
    scene.frame_set(FIRST + 20)
    scene.render.filepath = str(two.folder / "seen.png")
    two.bpy.ops.render.render(write_still=True, scene=scene.name)
    image = two.bpy.data.images.load(scene.render.filepath)
    left, right = (round(image.pixels[(8 * 16 + x) * 4] * 255) for x in (3, 12))
    old = addon("takes").read_take(folder(two, 1)).generated["lip_open"][20]
    assert left == 220 and right == pytest.approx(200 * old + 20, abs=1)
    assert compare() == {"FINISHED"}  # a second press ends it
    assert len(two.strips) == count


def test_deleting_a_take_leaves_shared_frames_and_never_what_is_shown(two: Stage) -> None:
    delete = two.bpy.ops.animportrait.delete_take
    with pytest.raises(RuntimeError, match="take_0002 is shown"):
        delete(folder=str(folder(two, 2)))
    with pytest.raises(RuntimeError, match="no finished take"):
        delete(folder=str(two.folder))
    shared = folder(two, 2) / "000019.png"
    before = shared.read_bytes()
    assert delete(folder=str(folder(two, 1))) == {"FINISHED"}
    assert not folder(two, 1).exists()
    assert shared.read_bytes() == before and shared.stat().st_nlink >= 1
    assert len(rows(two)) == 1
    two.key(two.shot, "lip_open", 30, 1.0)
    two.render_edits()
    assert addon("shots").take_of(two.shot).folder.name == "take_0003"


def test_lost_takes_are_found_below_a_folder(two: Stage, tmp_path: Path) -> None:
    away = tmp_path / "archive" / "deep"
    away.mkdir(parents=True)
    old = folder(two, 1).parent
    shutil.move(old, away / old.name)
    addon("shots").forget()
    addon("shots")._takes.clear()
    assert addon("shots").measure(two.shot).take is None
    find = two.bpy.ops.animportrait.find_takes
    assert find(directory=str(tmp_path / "archive")) == {"FINISHED"}
    assert addon("strips").shown_folder(two.shot) == away / old.name / "take_0002"
    assert two.shot.directory.startswith("//")  # portable again
    assert os.path.relpath(away, two.folder) in two.shot.directory
    assert dirty(two) == 0
