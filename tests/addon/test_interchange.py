"""Cues of other programs as few held keys, takes written for them. Runs inside bpy."""

from __future__ import annotations

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon
from .test_edits import dirty, keys, take

pytestmark = pytest.mark.blender


def test_imported_cues_are_few_held_keys_that_can_be_dragged(stage: Stage) -> None:
    shot = stage.animate()
    smile = keys(stage, shot, "smile")
    (stage.folder / "cues.tsv").write_text("0.00\tX\n")
    ops = stage.bpy.ops.animportrait
    assert ops.import_cues("EXEC_DEFAULT", filepath="//cues.tsv") == {"FINISHED"}
    found = keys(stage, stage.shot, "lip_open")
    assert [x - FIRST for x in found] == [0, 10, 20]
    assert all("CONSTANT" in key and "KEYFRAME" in key for key in found.values())
    assert keys(stage, stage.shot, "smile") == smile
    point = stage.curve(stage.shot, "lip_open").keyframe_points[1]
    point.co.x = FIRST + 14  # a cue is dragged
    stage.curve(stage.shot, "lip_open").update()
    stage.render_edits()
    asked = take(stage).asked["lip_open"]
    assert asked[:14].max() == 0 and (asked[14:20] == 0.5).all() and asked[20:].max() == 0
    assert dirty(stage) == 0
    assert len(keys(stage, stage.shot, "lip_open")) == 3
    stage.shot.animportrait.seed = 9
    ops.animate()
    assert len(keys(stage, stage.shot, "lip_open")) == 3  # still the artist's, all of it
    assert dirty(stage) == 0 and len(stage.shot.elements) == N_FRAMES


def test_a_take_is_exported_in_the_chosen_format(stage: Stage) -> None:
    shot = stage.animate()
    target = stage.folder / "out.dat"
    export = stage.bpy.ops.animportrait.export_cues
    assert export("EXEC_DEFAULT", filepath="//out.dat", kind="moho.dat") == {"FINISHED"}
    assert target.read_text() == f"moho.dat of {addon('strips').shown_folder(shot)}"
