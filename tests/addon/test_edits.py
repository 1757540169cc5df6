"""The edit loop: change keys, count, draw only what changed, undo. Runs inside bpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon

pytestmark = pytest.mark.blender

_ATTRIBUTES = ("interpolation", "type", "easing", "handle_left_type", "handle_right_type")


def everything(point: Any) -> tuple[Any, ...]:
    """All that a key is, bit for bit."""
    places = (*point.co, *point.handle_left, *point.handle_right)
    return (*places, *(getattr(point, name) for name in _ATTRIBUTES))


def keys(stage: Stage, strip: Any, channel: str) -> dict[float, tuple[Any, ...]]:
    return {p.co.x: everything(p) for p in stage.curve(strip, channel).keyframe_points}


def dirty(stage: Stage) -> int:
    return addon("shots").measure(stage.shot).dirty


def take(stage: Stage) -> Any:
    return addon("shots").take_of(stage.shot)


def test_a_fresh_shot_has_nothing_to_draw(stage: Stage) -> None:
    stage.animate()
    assert dirty(stage) == 0
    with pytest.raises(RuntimeError, match="No visible frame differs"):
        stage.bpy.ops.animportrait.render_edits()


def test_one_changed_key_draws_one_frame(stage: Stage) -> None:
    shot = stage.animate()
    old = addon("strips").shown_folder(shot)
    stage.key(shot, "lip_open", 20, 1.0)
    assert dirty(stage) == 1
    assert stage.grey(FIRST + 20) != 220
    shot = stage.render_edits()
    assert addon("strips").shown_folder(shot) == old.parent / "take_0002"
    assert take(stage).rendered == 1
    assert take(stage).edits == {"lip_open": {20: 1.0}}
    assert dirty(stage) == 0
    assert stage.grey(FIRST + 20) == 220
    assert (old / "000019.png").stat().st_ino == (old.parent / "take_0002/000019.png").stat().st_ino


def test_the_artists_keys_stay_bit_for_bit_and_others_are_not_touched(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "smile", 30, 0.5)
    point = next(p for p in stage.curve(shot, "smile").keyframe_points if p.co.x == FIRST + 30)
    point.interpolation, point.type = "BEZIER", "EXTREME"
    point.handle_left_type = point.handle_right_type = "FREE"
    point.handle_right = (FIRST + 30.4, 0.7)
    before = keys(stage, shot, "smile")
    shot = stage.render_edits()
    assert keys(stage, shot, "smile") == before


def test_an_edit_survives_another_seed_and_generated_keys_follow_it(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    shot = stage.render_edits()
    before = keys(stage, shot, "lip_open")
    shot.animportrait.seed = 5
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    after = keys(stage, stage.shot, "lip_open")
    assert after[FIRST + 20.0] == before[FIRST + 20.0]
    assert take(stage).edits == {"lip_open": {20: 1.0}}
    generated = take(stage).generated["lip_open"]
    assert after[FIRST + 21.0][1] == pytest.approx(generated[21], abs=1e-5)
    assert after[FIRST + 21.0][1] != before[FIRST + 21.0][1]
    assert dirty(stage) == 0
    assert len(stage.shots) == 1


def test_a_deleted_key_is_an_edit_where_the_line_differs(stage: Stage) -> None:
    shot = stage.animate()
    points = stage.curve(shot, "gaze_x").keyframe_points
    points.remove(next(p for p in points if p.co.x == FIRST + 40))
    assert dirty(stage) == 1
    shot = stage.render_edits()
    generated = take(stage).generated["gaze_x"]
    drawn = take(stage).edits["gaze_x"][40]
    assert drawn == pytest.approx((generated[39] + generated[41]) / 2, abs=1e-4)
    assert FIRST + 40 not in keys(stage, shot, "gaze_x")
    assert dirty(stage) == 0


def test_a_bezier_between_two_far_keys_edits_every_frame_below_it(stage: Stage) -> None:
    shot = stage.animate()
    points = stage.curve(shot, "head_yaw").keyframe_points
    for x in range(FIRST + 21, FIRST + 40):
        points.remove(next(p for p in points if p.co.x == x))
    for shot_frame, value in ((20, -30.0), (40, 30.0)):
        stage.key(shot, "head_yaw", shot_frame, value)
    next(p for p in points if p.co.x == FIRST + 20).interpolation = "BEZIER"
    stage.curve(shot, "head_yaw").update()
    changed = dirty(stage)
    assert 18 <= changed <= 21
    curve = stage.curve(shot, "head_yaw")
    wanted = [curve.evaluate(FIRST + f) for f in range(20, 41)]
    stage.render_edits()
    edits = take(stage).edits["head_yaw"]
    for frame in range(21, 40):
        if frame in edits:
            assert edits[frame] == pytest.approx(wanted[frame - 20], abs=1e-4)
    assert take(stage).rendered == changed
    assert dirty(stage) == 0


def test_sampling_agrees_with_blender_for_every_interpolation(stage: Stage) -> None:
    shot = stage.animate()
    curve = stage.curve(shot, "brow")
    kinds = ("CONSTANT", "LINEAR", "BEZIER", "BOUNCE", "ELASTIC", "SINE")
    points = curve.keyframe_points
    for x in range(FIRST + 1, FIRST + N_FRAMES, 2):
        points.remove(next(p for p in points if p.co.x == x))
    for number, point in enumerate(points):
        point.interpolation = kinds[number % len(kinds)]
    points.insert(FIRST + 10.5, 0.9)
    curve.update()
    frames = np.arange(FIRST - 5, FIRST + N_FRAMES + 5, dtype=np.float64)
    for extrapolation in ("CONSTANT", "LINEAR"):
        curve.extrapolation = extrapolation
        wanted = [curve.evaluate(frame) for frame in frames]
        assert np.allclose(addon("fcurves").sample(curve, frames), wanted, atol=1e-5)
    curve.modifiers.new("NOISE")
    wanted = [curve.evaluate(frame) for frame in frames]
    assert np.allclose(addon("fcurves").sample(curve, frames), wanted, atol=1e-6)


def test_a_channel_without_keys_is_what_the_slider_says(stage: Stage) -> None:
    shot = stage.animate()
    path = addon("shots").channel_path(shot, "head_roll")
    curves = addon("fcurves")._curves(stage.scene, make=False)
    curves.remove(curves.find(path))
    shot.animportrait_head_roll = 10.0
    stage.render_edits()
    assert set(take(stage).edits["head_roll"].values()) == {10.0}


def test_ctrl_z_brings_the_old_frames_back_without_the_server(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = stage.animate()
    before = stage.grey(FIRST + 20)
    stage.key(shot, "lip_open", 20, 1.0)
    stage.push("I")
    stage.render_edits()
    assert stage.grey(FIRST + 20) == 220
    addon("jobs").JOBS.stop()
    monkeypatch.setattr(addon("client").Server, "start", None)  # any use of it fails
    stage.undo()
    assert addon("strips").shown_folder(stage.shot).name == "take_0001"
    assert stage.grey(FIRST + 20) == before
    assert dirty(stage) == 1
    stage.undo()
    assert dirty(stage) == 0
    stage.redo()
    stage.redo()
    assert addon("strips").shown_folder(stage.shot).name == "take_0002"
    assert stage.grey(FIRST + 20) == 220
    assert dirty(stage) == 0


def test_holds_draw_the_whole_group_again(stage: Stage) -> None:
    shot = stage.animate(holds="3")
    stage.key(shot, "lip_open", 19, 1.0)
    assert dirty(stage) == 3


@pytest.mark.parametrize(
    ("span", "channel", "left"),
    [("SHOT", "ALL", 0), ("SHOT", "smile", 1), ("FRAME", "ALL", 1), ("PREVIEW", "ALL", 1)],
)
def test_clearing_edits_brings_generated_keys_back(
    stage: Stage, span: str, channel: str, left: int
) -> None:
    shot = stage.animate()
    before = keys(stage, shot, "smile")
    stage.key(shot, "smile", 30, 0.9)
    stage.key(shot, "lip_open", 50, 0.9)
    scene = stage.scene
    scene.frame_set(FIRST + 30)
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = FIRST + 25, FIRST + 35
    assert dirty(stage) == 2
    assert stage.bpy.ops.animportrait.clear_edits(channel=channel, span=span) == {"FINISHED"}
    assert dirty(stage) == left
    after = keys(stage, stage.shot, "smile")
    assert {x: key[1] for x, key in after.items()} == pytest.approx(
        {x: key[1] for x, key in before.items()}
    )


def test_cleared_edits_are_drawn_as_generated_again(stage: Stage) -> None:
    shot = stage.animate()
    before = stage.grey(FIRST + 20)
    stage.key(shot, "lip_open", 20, 1.0)
    stage.render_edits()
    stage.bpy.ops.animportrait.clear_edits()
    assert dirty(stage) == 1
    stage.render_edits()
    assert take(stage).edits == {}
    assert stage.grey(FIRST + 20) == before


def test_a_lost_take_is_explained(stage: Stage) -> None:
    shot = stage.animate()
    folder = addon("strips").shown_folder(shot)
    addon("shots")._takes.clear()
    (folder / "take.json").rename(folder / "gone.json")
    stage.key(shot, "lip_open", 20, 1.0)
    with pytest.raises(RuntimeError, match="no finished take.*Animate Again"):
        stage.bpy.ops.animportrait.render_edits()
    assert addon("shots").measure(stage.shot).take is None


def test_keys_that_are_changed_while_a_job_runs_are_not_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    jobs = addon("jobs").JOBS
    job = jobs.add(addon("orders").render_edits(shot))
    while job.state.value not in ("loading", "applying", "done"):
        jobs.tick()
    stage.key(shot, "lip_open", 50, 0.0)
    jobs.wait(job)
    assert job.state.value == "done"
    assert keys(stage, stage.shot, "lip_open")[FIRST + 50.0][1] == 0.0
    assert dirty(stage) == 1


def test_the_take_folder_is_never_modified(stage: Stage) -> None:
    shot = stage.animate()
    folder = addon("strips").shown_folder(shot)
    before = {path.name: path.stat().st_mtime_ns for path in Path(folder).iterdir()}
    stage.key(shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert {path.name: path.stat().st_mtime_ns for path in Path(folder).iterdir()} == before


def test_rendering_the_current_frame_lets_other_changes_wait(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "smile", 50, 0.9)
    stage.render_edits()
    for frame in (20, 30):
        stage.key(stage.shot, "lip_open", frame, 1.0)
    stage.key(stage.shot, "smile", 50, 0.5)
    stage.scene.frame_set(FIRST + 20)
    before = keys(stage, stage.shot, "lip_open")
    assert dirty(stage) == 3
    assert stage.bpy.ops.animportrait.render_current_frame() == {"FINISHED"}
    assert take(stage).rendered == 1
    assert take(stage).edits == {"lip_open": {20: 1.0}, "smile": {50: 0.9}}
    after = keys(stage, stage.shot, "lip_open")
    assert [x for x in after if after[x] != before[x]] == [FIRST + 20]  # marked as edited
    assert stage.curve(stage.shot, "smile").evaluate(FIRST + 50) == pytest.approx(0.5)
    assert dirty(stage) == 2
    stage.scene.frame_set(FIRST + 20)
    with pytest.raises(RuntimeError, match="under the playhead fits"):
        stage.bpy.ops.animportrait.render_current_frame()
    stage.render_edits()
    assert take(stage).rendered == 2
    assert take(stage).edits == {"lip_open": {20: 1.0, 30: 1.0}, "smile": {50: 0.5}}
    assert dirty(stage) == 0


def test_the_current_frame_on_twos_is_the_whole_drawing(stage: Stage) -> None:
    shot = stage.animate(holds="2")
    stage.key(shot, "lip_open", 20, 1.0)
    stage.key(stage.shot, "lip_open", 31, 1.0)
    stage.scene.frame_set(FIRST + 21)
    assert stage.bpy.ops.animportrait.render_current_frame() == {"FINISHED"}
    assert take(stage).edits == {"lip_open": {20: 1.0}}
    assert dirty(stage) == 2
