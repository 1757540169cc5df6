"""Handles over the picture: where they are, what they drag, and that they lie on the pixels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon, pure
from .test_edits import dirty, keys

handles, faces, protocol = pure("handles"), pure("faces"), pure("protocol")
EYES = 9.0  # px between the outer eye corners of the fake server's face, which are level
RANGE = {channel.name: (channel.minimum, channel.maximum) for channel in protocol.CHANNELS}


def face(turn_deg: float = 0.0) -> Any:
    turn = np.radians(turn_deg)
    points = np.random.default_rng(3).uniform(20, 80, (68, 2))
    points[36], points[45] = (50.0, 40.0), (50 + 30 * np.cos(turn), 40 + 30 * np.sin(turn))
    return faces.Face(points.astype(np.float32), points[36].copy(), points[45].copy())


@pytest.mark.parametrize("handle", handles.HANDLES, ids=lambda handle: handle.name)
@pytest.mark.parametrize("turn_deg", [0.0, 25.0])
def test_a_handle_dragged_to_where_values_put_it_gives_these_values(
    handle: Any, turn_deg: float
) -> None:
    rng = np.random.default_rng(0)
    head = face(turn_deg)
    for _ in range(50):
        drawn, wanted = ({n: rng.uniform(*RANGE[n]) for n in handle.channels} for _ in range(2))
        place = handle.position(head, drawn, wanted)
        assert handle.dragged(head, drawn, place) == pytest.approx(wanted, abs=1e-5)
    assert handle.position(head, drawn, drawn) == pytest.approx(handle.place(head))
    far = handle.dragged(head, drawn, np.array([1e4, -1e4]))
    assert all(RANGE[name][0] <= value <= RANGE[name][1] for name, value in far.items())


def test_the_mouth_follows_the_mouse() -> None:
    head, rest = face(), dict.fromkeys(protocol.CHANNEL_NAMES, 0.0)
    right, left, lip = (handles.BY_NAME[name] for name in ("LIP_R", "LIP_L", "LIP"))
    down = lip.dragged(head, rest, lip.place(head) + (0, 3.6))
    assert down == {"lip_open": pytest.approx(0.5)}  # 3.6 of 0.24 * 30 px
    for corner, outwards in ((right, -1), (left, 1)):
        assert corner.dragged(head, rest, corner.place(head) + (outwards, 0))["lip_width"] > 0.1
        assert corner.dragged(head, rest, corner.place(head) + (-outwards, 0))["lip_width"] < -0.1
        assert corner.dragged(head, rest, corner.place(head) + (0, -1))["smile"] > 0.1
    pupil = handles.BY_NAME["PUPIL_L"]
    gaze = pupil.dragged(head, rest, pupil.place(head) + (0.5, -0.5))
    assert gaze["gaze_x"] > 5 and gaze["gaze_y"] > 5


def test_one_face_is_read_from_the_middle_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ibug = rng.normal(size=(9, 68, 2)).astype(np.float32)
    mesh = rng.normal(size=(9, 478, 2)).astype(np.float32)
    mesh[4] = 0
    np.savez(tmp_path / "landmarks.npz", mesh=mesh, ibug=ibug)
    found = faces.read_face(tmp_path, 7)
    assert np.array_equal(found.ibug, ibug[7])
    assert np.array_equal(found.iris_r, mesh[7, 468]) and np.array_equal(found.iris_l, mesh[7, 473])
    assert faces.read_face(tmp_path, 4).iris_l == pytest.approx(ibug[4, 42:48].mean(axis=0))
    for folder, frame in ((tmp_path, 9), (tmp_path, -1), (tmp_path / "none", 0)):
        assert faces.read_face(folder, frame) is None
    (tmp_path / "landmarks.npz").write_bytes(b"PK no zip")
    faces.read_face.cache_clear()
    assert faces.read_face(tmp_path, 7) is None


def place(stage: Stage, name: str) -> np.ndarray:
    stage.scene.frame_set(FIRST + 20)
    overlay = addon("overlay")
    return overlay.shown(stage.bpy.context).place(addon("handles").BY_NAME[name])


@pytest.mark.blender
def test_dragging_keys_the_right_channels_at_this_frame_in_one_undo_step(stage: Stage) -> None:
    shot = stage.animate()
    stage.scene.frame_set(FIRST + 20)
    before = {name: keys(stage, shot, name) for name in protocol.CHANNEL_NAMES}
    was = shot.animportrait_lip_open
    start = place(stage, "LIP")
    stage.push("before")
    by = (0.0, 0.24 * EYES * (0.9 - was))
    assert stage.bpy.ops.animportrait.drag_handle(handle="LIP", by=by) == {"FINISHED"}
    stage.push("drag")
    assert stage.curve(shot, "lip_open").evaluate(FIRST + 20) == pytest.approx(0.9, abs=1e-4)
    assert place(stage, "LIP") == pytest.approx(start + by, abs=1e-3)
    for name in protocol.CHANNEL_NAMES:
        after = keys(stage, shot, name)
        changed = [x for x in after if after[x][:2] != before[name][x][:2]]  # frame and value
        assert changed == ([FIRST + 20] if name == "lip_open" else [])
    assert dirty(stage) == 1
    stage.undo()
    after = keys(stage, stage.shot, "lip_open")
    assert [key[:2] for key in after.values()] == [key[:2] for key in before["lip_open"].values()]
    assert dirty(stage) == 0


@pytest.mark.blender
def test_a_cancelled_drag_leaves_every_key_bit_for_bit(stage: Stage) -> None:
    shot, context = stage.animate(), stage.bpy.context
    stage.scene.frame_set(FIRST + 20)
    curves = addon("fcurves")._curves(stage.scene, make=False)
    curves.remove(curves.find(addon("shots").channel_path(shot, "smile")))
    point = stage.curve(shot, "lip_width").keyframe_points[20]
    point.interpolation, point.handle_right_type = "BEZIER", "FREE"
    point.handle_right = (FIRST + 20.3, 0.9)
    before, smile = keys(stage, shot, "lip_width"), shot.animportrait_smile
    overlay = addon("overlay")
    drag = SimpleNamespace(handle="LIP_L", by=(3.0, -2.0))
    for name in ("_begin", "_follow", "_put_back"):
        method = getattr(overlay.ANIMPORTRAIT_OT_drag_handle, name)
        setattr(drag, name, lambda *args, method=method: method(drag, *args))
    drag._begin(overlay.shown(context))
    drag._follow(context)
    assert stage.curve(shot, "smile") is not None
    assert keys(stage, shot, "lip_width") != before
    drag._put_back(context)
    assert keys(stage, shot, "lip_width") == before
    assert stage.curve(shot, "smile") is None
    assert shot.animportrait_smile == pytest.approx(smile)


@pytest.mark.blender
def test_no_overlay_beside_the_shot(stage: Stage) -> None:
    shot = stage.animate()
    overlay, context = addon("overlay"), stage.bpy.context
    for scene_frame, there in ((FIRST, True), (FIRST + N_FRAMES - 1, True), (FIRST - 1, False)):
        stage.scene.frame_set(scene_frame)
        assert (overlay.shown(context) is not None) == there
    stage.scene.frame_set(FIRST + N_FRAMES)
    assert not stage.bpy.ops.animportrait.drag_handle.poll()
    stage.scene.frame_set(FIRST + 5)
    stage.select(stage.sound)
    assert overlay.shown(context).strip == shot  # another strip is being worked on
    shot.mute = True
    assert overlay.shown(context) is None


CASES = (
    {},
    {"scale_x": 2.0, "scale_y": 0.7, "offset_x": 31.0, "offset_y": -12.0},
    {"rotation": 0.6, "scale_x": 1.4, "scale_y": 1.4},
    {"rotation": -1.1, "origin": (0.1, 0.8), "scale_x": 1.5, "offset_x": -20.0},
    {"use_flip_x": True, "offset_x": 40.0, "rotation": 0.3},
    {"use_flip_y": True, "offset_y": 15.0, "crop": 12},
)


@pytest.mark.blender
@pytest.mark.parametrize("case", CASES)
def test_a_point_of_the_picture_is_where_blender_draws_it(stage: Stage, case: dict) -> None:
    """A white square in a black picture, rendered by the sequencer."""
    bpy, scene, width, height = stage.bpy, stage.scene, 120, 80
    x, y = 70, 50  # centre of the square, y down
    pixels = np.zeros((height, width, 4), np.float32)
    pixels[..., 3] = 1
    pixels[height - y - 4 : height - y + 4, x - 4 : x + 4, :3] = 1
    image = bpy.data.images.new("square", width, height)
    image.pixels.foreach_set(pixels.ravel())
    image.filepath_raw, image.file_format = str(stage.folder / "square.png"), "PNG"
    image.save()
    top = addon("strips").top_level(scene.sequence_editor)
    strip = top.new_image("square", str(stage.folder / "square.png"), 4, FIRST)
    for name, value in case.items():
        if name == "crop":
            strip.crop.min_x = strip.crop.max_y = value
        else:
            setattr(strip.transform if hasattr(strip.transform, name) else strip, name, value)
    render = scene.render
    render.resolution_x, render.resolution_y = 240, 180
    scene.view_settings.view_transform = "Standard"
    scene.frame_set(FIRST)
    render.filepath = str(stage.folder / "seen.png")
    bpy.ops.render.render(write_still=True, scene=scene.name)
    seen = bpy.data.images.load(render.filepath)
    grey = np.array(seen.pixels[:]).reshape(180, 240, 4)[..., 0]
    rows, columns = np.nonzero(grey > 0.5)
    found = (columns.mean() + 0.5 - 120, rows.mean() + 0.5 - 90)
    preview = addon("preview")
    matrix = preview.frame_to_view(strip, (width, height))
    assert preview.apply(matrix, (x, y)) == pytest.approx(found, abs=0.6)


@pytest.mark.blender
def test_onion_skin_shows_the_neighbours(stage: Stage) -> None:
    shot = stage.animate(holds="2")
    stage.key(shot, "lip_open", 20, 1.0)
    stage.render_edits()
    stage.scene.frame_set(FIRST + 20)
    ghost, context = addon("ghost"), stage.bpy.context
    view = context.window_manager.animportrait_view
    folder = addon("strips").shown_folder(stage.shot)
    wanted = {
        "PREVIOUS_TAKE": folder.with_name("take_0001") / "000020.png",
        "NEXT_TAKE": None,
        "PREVIOUS_FRAME": folder / "000018.png",
        "NEXT_FRAME": folder / "000022.png",
        "NONE": None,
    }
    try:
        for choice, path in wanted.items():
            view.ghost = choice
            assert ghost.picture(context) == path
            ghost.follow(context)
            image = stage.bpy.data.images.get(ghost.SKIN.name)
            assert (image is not None) == (path is not None)
            assert image is None or (Path(image.filepath) == path and image.users == 0)
            assert not ghost.follow(context)
        view.ghost = "PREVIOUS_FRAME"
        stage.scene.frame_set(FIRST)
        assert ghost.picture(context) is None
    finally:
        view.ghost = "NONE"
