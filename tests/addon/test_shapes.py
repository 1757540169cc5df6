"""Shapes by name, edits from shot to shot, motion onto other meshes. Runs inside bpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, REPOSITORY, Stage, addon
from .test_edits import dirty, keys, take
from .test_panels import draw

pytestmark = pytest.mark.blender


def values(stage: Stage, channel: str) -> np.ndarray:
    return addon("shots").sample(stage.shot, channel, N_FRAMES)


def test_both_sets_come_with_the_addon(stage: Stage) -> None:
    sets = addon("shapes").built_in()
    assert list(sets["Rhubarb"]) == list("ABCDEFGHX")
    blair = {"AI", "E", "O", "U", "L", "WQ", "MBP", "FV", "etc", "rest"}  # nine, and rest
    assert set(sets["Preston Blair"]) == blair
    assert sets["Rhubarb"]["A"]["lip_open"] == sets["Preston Blair"]["MBP"]["lip_open"] == 0
    server = REPOSITORY / "inference_server/interchange/poses.json"
    assert addon("shapes").POSES_FILE.read_bytes() == server.read_bytes()


def test_a_shape_is_keyed_at_the_playhead_and_held(stage: Stage) -> None:
    stage.animate()
    before = {name: values(stage, name) for name in ("lip_open", "lip_round", "gaze_x")}
    stage.scene.frame_set(FIRST + 20)
    apply = stage.bpy.ops.animportrait.apply_shape
    assert apply(group="Rhubarb", shape="F", frames=5) == {"FINISHED"}
    pose = addon("shapes").built_in()["Rhubarb"]["F"]
    for name in ("lip_open", "lip_round"):
        after = values(stage, name)
        assert after[20:25] == pytest.approx(pose[name], abs=1e-6)
        others = np.delete(np.arange(N_FRAMES), range(20, 25))
        assert after[others] == pytest.approx(before[name][others], abs=1e-6)
        held = [
            key for x, key in keys(stage, stage.shot, name).items() if FIRST + 20 <= x < FIRST + 25
        ]
        assert len(held) == 1 and "KEYFRAME" in held[0]  # one key, to be dragged
    assert (values(stage, "gaze_x") == before["gaze_x"]).all()
    assert dirty(stage) == 5
    stage.render_edits()
    assert take(stage).rendered <= 5 and dirty(stage) == 0
    with pytest.raises(RuntimeError, match='no shape "Z"'):
        apply(group="Rhubarb", shape="Z")
    stage.scene.frame_set(FIRST - 5)
    assert not apply.poll()


def test_the_last_frames_are_not_overrun(stage: Stage) -> None:
    stage.animate()
    stage.scene.frame_set(FIRST + N_FRAMES - 2)
    stage.bpy.ops.animportrait.apply_shape(group="Rhubarb", shape="D", frames=50)
    assert values(stage, "lip_open")[-2:] == pytest.approx([0.6, 0.6], abs=1e-6)
    assert dirty(stage) == 2


def test_own_shapes_are_kept_in_the_file_and_go_to_others(stage: Stage) -> None:
    shot = stage.animate()
    ops = stage.bpy.ops.animportrait
    stage.key(shot, "eye_open_l", 20, 0.2)
    stage.scene.frame_set(FIRST + 20)
    assert ops.save_shape("EXEC_DEFAULT", shape="Wink", part="EYES") == {"FINISHED"}
    stage.bpy.ops.wm.save_mainfile()
    stage.bpy.ops.wm.open_mainfile(filepath=stage.bpy.data.filepath, load_ui=False)
    stage.select(stage.shot)
    shapes = addon("shapes")
    assert set(shapes.own(stage.scene)["Wink"]) == set(shapes.PARTS["EYES"])
    stage.scene.frame_set(FIRST + 50)
    ops.apply_shape(group="My Shapes", shape="Wink", frames=2)
    assert values(stage, "eye_open_l")[50] == pytest.approx(0.2, abs=1e-4)
    file = stage.folder / "my.json"
    assert ops.export_shapes("EXEC_DEFAULT", filepath=str(file)) == {"FINISHED"}
    assert ops.delete_shape(shape="Wink") == {"FINISHED"}
    assert shapes.own(stage.scene) == {}
    assert ops.import_shapes("EXEC_DEFAULT", filepath=str(file)) == {"FINISHED"}
    assert set(shapes.own(stage.scene)) == {"Wink"}
    stage.bpy.context.window_manager.animportrait_view.shape_set = "My Shapes"
    assert ("animportrait.apply_shape", "Wink") in draw(stage, "ANIMPORTRAIT_PT_shapes")["ops"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"sets": 3}', '{"sets": {"a": {"b": {"lip_open": "wide"}}}}']
)
def test_a_file_without_shapes_is_named(stage: Stage, text: str) -> None:
    stage.animate()
    (stage.folder / "bad.json").write_text(text)
    with pytest.raises(RuntimeError, match=r"bad\.json.*holds no shapes"):
        stage.bpy.ops.animportrait.import_shapes(
            "EXEC_DEFAULT", filepath=str(stage.folder / "bad.json")
        )
    (stage.folder / "far.json").write_text(json.dumps({"sets": {"a": {"b": {"lip_open": 9}}}}))
    stage.bpy.ops.animportrait.import_shapes(
        "EXEC_DEFAULT", filepath=str(stage.folder / "far.json")
    )
    assert addon("shapes").own(stage.scene) == {"b": {"lip_open": 1.0}}


def test_edits_go_from_shot_to_shot(stage: Stage) -> None:
    first = stage.animate()
    stage.key(first, "lip_open", 20, 1.0)
    points = stage.curve(first, "brow").keyframe_points
    points.remove(next(p for p in points if p.co.x == FIRST + 30))
    points.insert(FIRST + 40.5, 0.75)
    before = {name: keys(stage, first, name) for name in ("lip_open", "brow")}
    ops = stage.bpy.ops.animportrait
    assert ops.copy_edits() == {"FINISHED"}
    stage.select(stage.sound)
    second = stage.animate(style="ink", seed=3)
    second.frame_start += 100
    assert ops.paste_edits() == {"FINISHED"}
    curve = stage.curve(second, "lip_open")
    assert curve.evaluate(FIRST + 120) == 1.0
    pasted = keys(stage, second, "brow")
    assert pasted[FIRST + 140.5][1] == 0.75 and FIRST + 130.0 not in pasted
    assert len(pasted) == len(before["brow"])
    generated = addon("shots").take_of(second).generated["brow"]
    assert pasted[FIRST + 150.0][1] == pytest.approx(generated[50], abs=1e-6)
    stage.scene.frame_set(FIRST + 105)
    ops.paste_edits(at_playhead=True)
    assert curve.evaluate(FIRST + 105) == 1.0  # the first copied frame, 20
    assert keys(stage, first, "lip_open") == before["lip_open"]


def mesh(stage: Stage, *names: str) -> Any:
    made = stage.bpy.data.meshes.new("head")
    made.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    head = stage.bpy.data.objects.new("head", made)
    stage.bpy.context.scene.collection.objects.link(head)
    for name in ("Basis", *names):
        head.shape_key_add(name=name)
    stage.bpy.context.view_layer.objects.active = head
    return head


def test_motion_onto_a_mesh_with_arkit_names(stage: Stage) -> None:
    shot = stage.animate()
    ops = stage.bpy.ops.animportrait
    assert not ops.animate_mesh.poll()
    head = mesh(stage, "JawOpen", "eyeBlink_L", "Smirk")
    assert addon("rigs").fitting(head) == {"JawOpen": 24, "eyeBlink_L": 8}
    assert ops.animate_mesh() == {"FINISHED"}
    curve = addon("fcurves").find(head.data.shape_keys, 'key_blocks["JawOpen"].value')
    assert len(curve.keyframe_points) == N_FRAMES
    for frame in (0, 30, 71):
        stage.scene.frame_set(FIRST + frame)
        wanted = take(stage).generated["lip_open"][frame]
        assert head.data.shape_keys.key_blocks["JawOpen"].value == pytest.approx(wanted, abs=1e-5)
    (addon("strips").shown_folder(shot) / "motion.npz").unlink()
    with pytest.raises(RuntimeError, match=r"motion\.npz"):
        ops.animate_mesh()


def test_the_columns_are_those_of_the_server() -> None:
    source = Path(REPOSITORY / "inference_server/datatypes.py").read_text()
    listed = source[source.index("ARKIT_NAMES = (") : source.index(")  # fmt: skip")]
    wanted = [word for word in listed.split('"') if word.isalpha()]
    assert list(addon("rigs").ARKIT_NAMES) == wanted
    for name in ("eyeBlinkLeft", "EyeBlinkLeft", "eye_blink_left", "eyeBlink_L", "eyeBlink.L"):
        assert addon("rigs").column(name) == wanted.index("eyeBlinkLeft")
    assert addon("rigs").column("nose") is None
