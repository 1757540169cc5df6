"""Holds, lead, amounts, cues and overruled breaches. Runs inside bpy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon
from .test_edits import take
from .test_panels import draw

pytestmark = pytest.mark.blender


def spec_of(stage: Stage) -> dict[str, Any]:
    return json.loads((addon("strips").shown_folder(stage.shot) / "take.json").read_text())["spec"]


def mark(stage: Stage, name: str, frame: int) -> Any:
    return stage.scene.timeline_markers.new(name, frame=FIRST + frame)


def changed(stage: Stage) -> tuple[str, ...]:
    return addon("shots").measure(stage.shot).directions


def test_without_directions_nothing_is_asked(stage: Stage) -> None:
    stage.animate()
    spec = spec_of(stage)
    assert (spec["holds"], spec["lead"]) == (1, 0)
    assert changed(stage) == ()
    mark(stage, "blink", 5)  # markers of somebody who does not know about cues
    assert changed(stage) == ()


def test_holds_from_markers(stage: Stage) -> None:
    stage.animate()
    for frame in (30, 12, 200):
        mark(stage, "hold", frame)
    stage.shot.animportrait.holds = "MARKERS"
    assert changed(stage) == ("holds",)
    stage.render_edits()
    assert spec_of(stage)["holds"] == [0, 12, 30]
    assert changed(stage) == ()
    stage.key(stage.shot, "lip_open", 20, 1.0)
    assert addon("shots").measure(stage.shot).dirty == 18  # one drawing
    stage.scene.timeline_markers["hold"].frame += 1
    assert changed(stage) == ("holds",)


def test_lead_and_settle(stage: Stage) -> None:
    stage.animate(lead=1, settle=0.5)
    assert spec_of(stage)["lead"] == 1
    assert spec_of(stage)["params"]["settle"] == 0.5
    stage.shot.animportrait.lead = 2
    assert changed(stage) == ("lead",)
    stage.render_edits()
    assert spec_of(stage)["lead"] == 2


def test_amounts_are_keyed_on_the_strip(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "smile", 50, 0.9)
    name = "animportrait_lip_amount_over_time"
    assert shot.bl_rna.properties[name].is_animatable
    for frame, value in ((10, 1.0), (20, 0.0), (30, 0.0), (40, 1.0)):
        setattr(shot, name, value)
        shot.keyframe_insert(name, frame=FIRST + frame)
    curve = addon("fcurves").find(stage.scene, f"{shot.path_from_id()}.{name}")
    for point in curve.keyframe_points:
        point.interpolation = "LINEAR"
    assert changed(stage) == ("amounts",)
    stage.render_edits()
    points = [[0, 1.0], [10, 1.0], [20, 0.0], [30, 0.0], [40, 1.0], [71, 1.0]]
    assert spec_of(stage)["amounts"] == {"lip_amount": points}
    shown = take(stage)
    assert shown.generated["lip_open"][20:31].max() == 0.0
    assert shown.edits == {"smile": {50: 0.9}}
    assert shown.rendered < N_FRAMES
    status = addon("shots").measure(stage.shot)
    assert (status.dirty, status.directions) == (0, ())


def test_an_amount_without_keys_is_what_the_slider_says(stage: Stage) -> None:
    stage.animate()
    stage.shot.animportrait_head_amount_over_time = 0.5
    stage.render_edits()
    assert spec_of(stage)["amounts"] == {"head_amount": [[0, 0.5]]}


def test_cues_are_markers_that_can_be_moved_deleted_and_added(stage: Stage) -> None:
    stage.animate()
    assert stage.bpy.ops.animportrait.show_cues() == {"FINISHED"}
    markers = stage.scene.timeline_markers
    assert {(m.name, m.frame - FIRST) for m in markers} == {("blink", 10), ("blink L", 40)}
    assert changed(stage) == ()  # they say what was generated
    markers["blink"].frame = FIRST + 15
    markers.remove(markers["blink L"])
    mark(stage, "blink R", 60)
    mark(stage, "gaze 10 -5", 20)
    mark(stage, "Gaze Camera", 30)
    mark(stage, "gaze wander", 50)
    mark(stage, "gaze nowhere", 55)
    mark(stage, "blinking lights", 56)
    assert changed(stage) == ("cues",)
    stage.render_edits()
    assert spec_of(stage)["cues"] == [
        {"frame": 15, "kind": "blink", "eye": "both"},
        {"frame": 20, "kind": "gaze", "target": [10.0, -5.0]},
        {"frame": 30, "kind": "gaze", "target": "camera"},
        {"frame": 50, "kind": "gaze", "target": "wander"},
        {"frame": 60, "kind": "blink", "eye": "r"},
    ]
    shown = take(stage)
    assert shown.generated["eye_open_l"][15] == shown.generated["eye_open_r"][60] == 0.0
    assert changed(stage) == ()
    seen = draw(stage, "ANIMPORTRAIT_PT_directions")["text"]
    assert any('"gaze nowhere" is not understood' in text for text in seen)
    for marker in list(markers):
        markers.remove(marker)
    stage.render_edits()
    assert spec_of(stage)["cues"] == []
    assert take(stage).cues == ()


def test_a_marker_may_say_whose_it_is(stage: Stage) -> None:
    first = stage.animate()
    stage.select(stage.sound)
    second = stage.animate(style="ink")
    assert stage.bpy.ops.animportrait.show_cues() == {"FINISHED"}  # of the second, active one
    names = {marker.name for marker in stage.scene.timeline_markers}
    assert names == {f"blink @{second.name}", f"blink L @{second.name}"}
    first.animportrait.use_cues = True
    directions = addon("directions")
    assert directions.of(first, N_FRAMES)["cues"] == []
    assert len(directions.of(second, N_FRAMES)["cues"]) == 2


def test_cues_and_amounts_follow_the_sound(stage: Stage) -> None:
    stage.animate()
    stage.bpy.ops.animportrait.show_cues()
    mark(stage, "hold", 33)
    stage.shot.animportrait.holds = "MARKERS"
    name = "animportrait_lip_amount_over_time"
    for frame, value in ((5, 1.0), (40, 0.5)):
        setattr(stage.shot, name, value)
        stage.shot.keyframe_insert(name, frame=FIRST + frame)
    stage.render_edits()
    before = {name: spec_of(stage)[name] for name in ("cues", "amounts", "holds")}
    stage.sound.frame_start += 31
    stage.select(stage.shot)
    assert stage.bpy.ops.animportrait.follow_sound() == {"FINISHED"}
    assert {name: spec_of(stage)[name] for name in before} == before
    assert changed(stage) == ()
    assert addon("shots").measure(stage.shot).dirty == 0


def test_a_breach_is_overruled_and_stays_so(stage: Stage) -> None:
    stage.animate()
    addon("shots").measure(stage.shot)
    seen = draw(stage, "ANIMPORTRAIT_PT_report")
    assert ("animportrait.go_to_frame", "Frame 13: Open closure") in seen["ops"]
    assert ("animportrait.overrule", "") in seen["ops"] and "Overruled" not in seen["text"]
    assert stage.bpy.ops.animportrait.overrule(frame=2) == {"FINISHED"}
    assert "Overruled" in draw_measured(stage)["text"]
    assert addon("shots").measure(stage.shot).directions == ()  # no frame changes
    stage.key(stage.shot, "lip_open", 20, 1.0)
    stage.render_edits()
    assert spec_of(stage)["overruled"] == [2]
    assert take(stage).report.overruled == ((2, "open_closure"),)
    assert take(stage).report.breaches == ((30, "open_closure"),)
    stage.shot.animportrait.seed = 4
    stage.bpy.ops.animportrait.animate()
    assert spec_of(stage)["overruled"] == [2]
    assert "Overruled" in draw_measured(stage)["text"]
    stage.bpy.ops.animportrait.overrule(frame=2)
    assert addon("directions").overruled(addon("shots").record(stage.shot)) == []


def draw_measured(stage: Stage) -> dict[str, list[Any]]:
    addon("shots").measure(stage.shot)
    return draw(stage, "ANIMPORTRAIT_PT_report")
