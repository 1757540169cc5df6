"""Files of settings and records stay found when the .blend moves. Runs inside bpy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage, addon

pytestmark = pytest.mark.blender


def settings(owner: Any) -> dict[str, str]:
    names = addon("props").file_properties()
    return {name: getattr(owner.animportrait, name) for name in names}


def prepare(stage: Stage) -> Any:
    """A shot with every file that one can have, all beside the .blend."""
    for name in ("points.json", "my.voice", "strokes.png"):
        (stage.folder / name).write_text("{}")
    files = {"landmarks": "//points.json", "voice_style": "//my.voice"}
    files["style_image"] = "//strokes.png"
    return stage.animate(image="//face é.png", **files)


def spec_of(stage: Stage) -> dict[str, Any]:
    return json.loads((addon("strips").shown_folder(stage.shot) / "take.json").read_text())["spec"]


def test_the_server_is_told_absolute_files(stage: Stage) -> None:
    prepare(stage)
    spec = spec_of(stage)
    assert spec["landmarks"] == str(stage.folder / "points.json")
    assert spec["params"]["voice_style"] == str(stage.folder / "my.voice")
    assert spec["image"] == str(stage.picture)
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert spec_of(stage)["landmarks"] == spec["landmarks"]


def test_without_landmarks_the_server_finds_them(stage: Stage) -> None:
    stage.animate()
    assert spec_of(stage)["landmarks"] is None


def test_nothing_of_ours_in_the_file_is_absolute(stage: Stage) -> None:
    shot = prepare(stage)
    kept = [*settings(stage.scene).values(), *settings(shot).values(), shot.directory]
    kept.append(shot.animportrait_shot)
    assert not any(str(stage.folder) in value for value in kept), kept


def test_a_project_that_is_moved_takes_its_files_along(stage: Stage, tmp_path: Path) -> None:
    prepare(stage)
    stage.bpy.ops.wm.save_mainfile()
    moved = tmp_path / "moved"
    shutil.move(stage.folder, moved)
    stage.bpy.ops.wm.open_mainfile(filepath=str(moved / "film.blend"), load_ui=False)
    stage.select(stage.shot)
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert addon("shots").take_of(stage.shot).rendered == 1
    spec = spec_of(stage)
    assert spec["image"] == str(moved / "face é.png")
    assert spec["landmarks"] == str(moved / "points.json")


def test_saving_elsewhere_tells_the_links_anew(stage: Stage, tmp_path: Path) -> None:
    prepare(stage)
    near = {"image": "face é.png", "landmarks": "points.json", "voice_style": "my.voice"}
    near["style_image"] = "strokes.png"
    other = tmp_path / "elsewhere"
    other.mkdir()
    stage.bpy.ops.wm.save_as_mainfile(filepath=str(other / "film.blend"))
    far = os.path.relpath(stage.folder, other)
    for owner in (stage.scene, stage.shot):
        assert settings(owner) == {name: f"//{far}/{file}" for name, file in near.items()}
    record = addon("shots").record(stage.shot)
    assert record.image.path() == stage.picture
    assert record.audio.path() == stage.folder / "voice.wav"
    stage.bpy.ops.wm.open_mainfile(filepath=str(other / "film.blend"), load_ui=False)
    stage.select(stage.shot)
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert spec_of(stage)["landmarks"] == str(stage.folder / "points.json")


def test_a_saved_copy_leaves_the_open_file_as_it_is(stage: Stage, tmp_path: Path) -> None:
    shot = prepare(stage)
    before = settings(stage.scene), settings(shot), shot.animportrait_shot
    other = tmp_path / "elsewhere"
    other.mkdir()
    stage.bpy.ops.wm.save_as_mainfile(filepath=str(other / "copy.blend"), copy=True)
    shot = stage.shot
    assert (settings(stage.scene), settings(shot), shot.animportrait_shot) == before
    stage.bpy.ops.wm.open_mainfile(filepath=str(other / "copy.blend"), load_ui=False)
    assert addon("shots").record(stage.shot).image.path() == stage.picture
    assert addon("strips").absolute(stage.scene.animportrait.image) == stage.picture


def test_the_first_save_makes_a_picked_picture_relative(stage: Stage, tmp_path: Path) -> None:
    bpy = stage.bpy
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.animportrait.pick_image(filepath=str(stage.picture))
    settings = bpy.context.scene.animportrait
    assert settings.image == str(stage.picture)
    bpy.ops.wm.save_as_mainfile(filepath=str(stage.folder / "new.blend"))
    assert settings.image == "//face é.png"
    settings.image = str(stage.picture)  # typed: Blender leaves such a path alone, and so do we
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "newer.blend"))
    assert settings.image == str(stage.picture)
