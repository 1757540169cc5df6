"""Landmarks as a mesh datablock and as keyed Empties. Runs inside bpy."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon

pytestmark = pytest.mark.blender


def test_one_unlinked_mesh_holds_all_points(stage: Stage) -> None:
    shot = stage.animate()
    mesh = stage.bpy.data.meshes[addon("shots").record(shot).mesh]
    assert len(mesh.vertices) == N_FRAMES * 68
    assert mesh.use_fake_user
    assert not [o for o in stage.bpy.data.objects if o.data == mesh]
    # the fake server puts point i of frame f at x = i, y = f % 16 of a 16 px frame, y down
    assert tuple(mesh.vertices[30 * 68 + 5].co) == (5.0, 16.0 - 30 % 16, 0.0)
    assert mesh["points_per_frame"] == 68
    assert list(mesh["frame_size"]) == [16, 16]


def test_rendering_edits_fills_the_same_mesh(stage: Stage) -> None:
    shot = stage.animate()
    name = addon("shots").record(shot).mesh
    stage.key(shot, "lip_open", 20, 1.0)
    shot = stage.render_edits()
    assert addon("shots").record(shot).mesh == name
    assert len(stage.bpy.data.meshes) == 1


def test_the_mesh_is_saved_with_the_file(stage: Stage) -> None:
    stage.animate()
    stage.bpy.ops.wm.save_mainfile()
    stage.bpy.ops.wm.open_mainfile(filepath=stage.bpy.data.filepath, load_ui=False)
    name = addon("shots").record(stage.shot).mesh
    assert len(stage.bpy.data.meshes[name].vertices) == N_FRAMES * 68


@pytest.mark.parametrize(
    ("group", "points"),
    [
        ("LIPS", range(48, 68)),
        ("EYES", range(36, 48)),
        ("BROWS", range(17, 27)),
        ("JAW", range(17)),
        ("ALL", range(68)),
    ],
)
def test_exposing_makes_one_keyed_empty_per_point(stage: Stage, group: str, points: range) -> None:
    shot = stage.animate()
    op = stage.bpy.ops.animportrait.expose_landmarks
    assert op("EXEC_DEFAULT", group=group, width=4.0) == {"FINISHED"}
    name = addon("shots").record(shot).mesh
    collection = stage.scene.collection.children[name]
    empties = [each for each in collection.objects if each.parent is not None]
    assert [each.name[-2:] for each in empties] == [f"{i:02d}" for i in points]
    empty = empties[3]
    for frame in (0, 7, N_FRAMES - 1):
        stage.scene.frame_set(FIRST + frame)
        x, y = points[3], 16 - frame % 16
        wanted = ((x - 8) / 16 * 4.0, 0.0, (y - 8) / 16 * 4.0)
        assert tuple(empty.location) == pytest.approx(wanted, abs=1e-5)
    curve = addon("fcurves").find(empty, "location", 0)
    assert len(curve.keyframe_points) == N_FRAMES
    assert {point.type for point in curve.keyframe_points} == {"GENERATED"}


def test_exposing_again_moves_them_with_the_strip(stage: Stage) -> None:
    shot = stage.animate()
    stage.bpy.ops.animportrait.expose_landmarks("EXEC_DEFAULT", group="EYES")
    count = len(stage.bpy.data.objects)
    shot.frame_start += N_FRAMES
    stage.bpy.ops.animportrait.expose_landmarks("EXEC_DEFAULT", group="EYES")
    assert len(stage.bpy.data.objects) == count
    empty = next(each for each in stage.bpy.data.objects if each.parent is not None)
    frames = [p.co.x for p in addon("fcurves").find(empty, "location", 2).keyframe_points]
    assert frames == list(range(FIRST + N_FRAMES, FIRST + 2 * N_FRAMES))


def test_a_deleted_mesh_is_explained(stage: Stage) -> None:
    stage.animate()
    stage.bpy.data.meshes.remove(stage.bpy.data.meshes[0])
    with pytest.raises(RuntimeError, match="Animate Again"):
        stage.bpy.ops.animportrait.expose_landmarks("EXEC_DEFAULT")


def test_positions_are_y_up() -> None:
    points = np.zeros((1, 68, 2), np.float32)
    points[0, 3] = (5, 2)
    vertices = addon("landmarks").positions(points, (20, 10)).reshape(-1, 3)
    assert tuple(vertices[3]) == (5, 8, 0)
