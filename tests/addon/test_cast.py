"""Whole-scene casting and the queue: match, edit, render all, cancel one, try again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import FIRST, Stage, addon
from .test_edits import dirty
from .test_jobs import behave, start, tick_until
from .test_panels import draw

pytestmark = pytest.mark.blender


@pytest.fixture
def duet(stage: Stage) -> Stage:
    """Two portraits, and two sounds that overlap: Anna on channel 1, Bert on channel 3."""
    if not stage.bpy.app.build_options.audaspace:
        pytest.skip("this bpy wheel is built without audio and cannot make sound strips")
    strips = addon("strips")
    top = strips.top_level(stage.scene.sequence_editor)
    stage.sound.name = "anna line 1"
    other = top.new_sound("Bert_02", str(stage.folder / "voice.wav"), 3, FIRST + 40)
    for channel, name in ((6, "Portrait_Bert.png"), (5, "anna face.png")):
        picture = stage.folder / name
        shutil.copy(stage.picture, picture)
        top.new_image(picture.stem, str(picture), channel, 1)
    assert other.name == "Bert_02"
    return stage


def match(stage: Stage, by: str) -> dict[str, str]:
    assert stage.bpy.ops.animportrait.match_cast(by=by) == {"FINISHED"}
    roles = stage.scene.animportrait_cast.roles
    return {role.sound: Path(role.image).name for role in roles}


def test_names_match_by_whole_words(stage: Stage) -> None:
    cast = addon("cast")
    names = ["Anna_portrait", "annabel", "Bert"]
    assert cast.by_name("anna_line_03 anna", names) == 0
    assert cast.by_name("dialogue bert take 2", names) == 2
    assert cast.by_name("carla 1", names) is None
    assert cast.by_name("anna bert", ["anna", "bert"]) is None  # no better than the other
    assert [cast.by_channel(c, [4, 2, 2, 7], 2) for c in (2, 4, 7)] == [0, 1, None]


def test_portraits_are_matched_by_name_or_channel(duet: Stage) -> None:
    wanted = {"anna line 1": "anna face.png", "Bert_02": "Portrait_Bert.png"}
    assert match(duet, "NAME") == wanted
    assert match(duet, "CHANNEL") == wanted  # anna face lies on the lower channel
    seen = draw(duet, "ANIMPORTRAIT_PT_cast")
    assert ("animportrait.render_cast", "") in seen["ops"]
    more = duet.folder / "more"
    more.mkdir()
    shutil.copy(duet.picture, more / "carla.png")
    duet.scene.animportrait_cast.folder = "//more"
    names = [path.name for path in addon("cast").portraits(duet.scene, more)]
    assert names == ["anna face.png", "Portrait_Bert.png", "carla.png"]


def test_two_characters_talk_over_each_other(duet: Stage) -> None:
    match(duet, "NAME")
    assert duet.bpy.ops.animportrait.render_cast() == {"FINISHED"}
    strips, shots = addon("strips"), addon("shots")
    spoken = {shots.record(shot).sound: shot for shot in duet.shots}
    assert set(spoken) == {"anna line 1", "Bert_02"}
    anna, bert = spoken["anna line 1"], spoken["Bert_02"]
    for name, shot in spoken.items():
        assert strips.handles(shot) == strips.handles(strips.named(duet.scene, name))
        assert shots.measure(shot).dirty == 0
    assert strips.handles(anna).overlap(strips.handles(bert)).length == 32
    assert anna.channel != bert.channel
    duet.key(anna, "smile", 50, 0.9)
    assert [shots.measure(shot).dirty for shot in (anna, bert)] == [1, 0]
    assert not duet.bpy.ops.animportrait.render_cast.poll()  # all are there


def test_the_list_can_be_changed_before_rendering(duet: Stage) -> None:
    match(duet, "NAME")
    roles = duet.scene.animportrait_cast.roles
    roles[0].use = False
    roles[1].image = "//anna face.png"
    duet.bpy.ops.animportrait.render_cast()
    (shot,) = duet.shots
    record = addon("shots").record(shot)
    assert (record.sound, record.image.path().name) == ("Bert_02", "anna face.png")


def test_one_is_cancelled_without_the_others_and_tried_again(
    duet: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave(monkeypatch, frame_s=0.005)
    match(duet, "NAME")
    cast, jobs = addon("cast"), addon("jobs").JOBS
    operator = type("Operator", (), {"report": print})()
    first, second = cast.ANIMPORTRAIT_OT_render_cast._add(operator, duet.bpy.context)
    tick_until(lambda: first.stage == "render")
    assert draw(duet, "ANIMPORTRAIT_PT_queue")["text"][0] == "1 waiting"
    duet.bpy.ops.animportrait.cancel(job=first.id)
    tick_until(lambda: second.ended)
    assert [first.state.value, second.state.value] == ["cancelled", "done"]
    assert len(duet.shots) == 1
    assert ("animportrait.retry", "") in draw(duet, "ANIMPORTRAIT_PT_queue")["ops"]
    assert duet.bpy.ops.animportrait.retry(job=first.id) == {"FINISHED"}
    assert len(duet.shots) == 2
    assert [job.state.value for job in jobs.list] == ["done", "done"]
    duet.bpy.ops.animportrait.clear_queue()
    assert jobs.list == []
    assert not duet.bpy.types.ANIMPORTRAIT_PT_queue.poll(duet.bpy.context)


def test_trying_again_uses_the_timeline_as_it_is_now(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = stage.animate()
    addon("jobs").JOBS.restart_server()
    behave(monkeypatch, refuse="The disk is full.")
    stage.key(shot, "lip_open", 20, 1.0)
    with pytest.raises(RuntimeError, match="disk is full"):
        stage.render_edits()
    failed = addon("jobs").JOBS.list[-1]
    addon("jobs").JOBS.restart_server()
    behave(monkeypatch)
    stage.key(stage.shot, "lip_open", 30, 1.0)
    assert stage.bpy.ops.animportrait.retry(job=failed.id) == {"FINISHED"}
    assert addon("shots").take_of(stage.shot).edits == {"lip_open": {20: 1.0, 30: 1.0}}
    assert dirty(stage) == 0
    first = start(stage)
    with pytest.raises(RuntimeError, match="cannot be tried again"):
        stage.bpy.ops.animportrait.retry(job=first.id)
    addon("jobs").JOBS.stop()
