"""Dirty frames on the strip, and drawing them while editing. Runs inside bpy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import FIRST, Stage, addon
from .test_edits import dirty
from .test_jobs import behave

pytestmark = pytest.mark.blender


@pytest.fixture
def view(stage: Stage) -> Iterator[Any]:
    """Render While Editing is on."""
    chosen = stage.bpy.context.window_manager.animportrait_view
    assert not chosen.auto_render
    chosen.auto_render = True
    yield chosen
    chosen.auto_render = False
    addon("auto").forget()


def live(stage: Stage, condition: Any, seconds: float = 10.0) -> None:
    """What Blender's timer does, until something has happened."""
    auto, shots = addon("auto"), addon("shots")
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        shots.look(stage.scene)
        auto.tick(stage.bpy.context)
        auto.follow(stage.bpy.context)
        time.sleep(0.002)


def edit(stage: Stage, frame: int, value: float) -> None:
    stage.key(stage.shot, "lip_open", frame, value)
    stage.scene.frame_set(FIRST + frame)
    addon("shots").mark_stale()


def drawn(stage: Stage, frame: int) -> Any | None:
    return addon("auto").drawn(stage.shot, frame)


def test_dirty_frames_are_bars_at_exactly_these_frames(stage: Stage) -> None:
    shot = stage.animate()
    for frame in (20, 21, 22, 40, 71):
        stage.key(shot, "lip_open", frame, 1.0)
    addon("shots").measure(shot)
    bars = addon("dirty_bar").bars(stage.scene)
    spans = [(left - FIRST, right - FIRST) for left, _, right, _ in bars]
    assert spans == [(20, 23), (40, 41), (71, 72)]
    assert all(shot.channel < low < high < shot.channel + 1 for _, low, _, high in bars)
    shot.frame_start += 100
    addon("shots").measure(shot)
    moved = addon("dirty_bar").bars(stage.scene)
    assert [left for left, *_ in moved] == [left + 100 for left, *_ in bars]
    with stage.sequencer():
        stage.bpy.ops.sequencer.meta_make()
    assert addon("dirty_bar").bars(stage.scene) == []


def test_a_changed_frame_is_drawn_by_itself_and_nothing_else_changes(
    stage: Stage, view: Any
) -> None:
    shot = stage.animate()
    folder, record = shot.directory, shot.animportrait_shot
    takes = sorted(path.name for path in addon("strips").shown_folder(shot).parent.iterdir())
    edit(stage, 20, 1.0)
    stage.key(shot, "lip_open", 50, 1.0)
    live(stage, lambda: drawn(stage, 20) is not None)
    assert drawn(stage, 20).rendered == 1
    picture = stage.bpy.data.images[".animate portrait preview"]
    live(stage, lambda: picture.filepath.endswith("000020.png"))
    assert round(picture.pixels[0] * 255) == 220
    assert (stage.shot.directory, stage.shot.animportrait_shot) == (folder, record)
    assert takes == sorted(
        path.name for path in addon("strips").shown_folder(shot).parent.iterdir()
    )
    assert dirty(stage) == 2
    jobs = addon("jobs").JOBS
    live(stage, lambda: [job.order.kind for job in jobs.list] == ["animate"])  # no trace is left
    edit(stage, 20, 0.5)
    live(stage, lambda: drawn(stage, 20).asked["lip_open"][20] == pytest.approx(0.5))
    stage.scene.frame_set(FIRST + 50)  # scrubbing over another one
    live(stage, lambda: drawn(stage, 50) is not None)
    assert drawn(stage, 20) is None
    stage.render_edits()
    dirty(stage)
    assert drawn(stage, 50) is None  # the strip itself shows it now
    assert len(list((Path(stage.bpy.app.tempdir) / "animate_portrait_preview").iterdir())) <= 2


def test_what_is_stale_is_cancelled_and_the_last_change_wins(
    stage: Stage, view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shot = stage.animate()
    addon("jobs").JOBS.restart_server()
    behave(monkeypatch, frame_s=0.3)
    seen: list[Any] = []
    add = addon("jobs").Jobs.add
    monkeypatch.setattr(
        addon("jobs").Jobs, "add", lambda self, order: seen.append(add(self, order)) or seen[-1]
    )
    edit(stage, 20, 1.0)
    live(stage, lambda: seen and seen[-1].state.value == "running" and seen[-1].request)
    edit(stage, 20, 0.2)
    live(stage, lambda: drawn(stage, 20) is not None)
    assert [job.state.value for job in seen] == ["cancelled", "done"]
    assert drawn(stage, 20).asked["lip_open"][20] == pytest.approx(0.2)
    assert shot.directory == stage.shot.directory


def test_a_drag_is_waited_for(stage: Stage, view: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.animate()
    monkeypatch.setattr(addon("auto"), "PAUSE_S", 0.3)
    edit(stage, 20, 1.0)
    began = time.monotonic()
    while time.monotonic() - began < 0.6:  # something changes all the time
        addon("shots").mark_stale()
        addon("shots").look(stage.scene)
        addon("auto").tick(stage.bpy.context)
        assert not addon("jobs").JOBS.busy
        time.sleep(0.01)
    live(stage, lambda: drawn(stage, 20) is not None)


def test_the_artists_own_job_comes_first(
    stage: Stage, view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.animate()
    addon("jobs").JOBS.restart_server()
    behave(monkeypatch, frame_s=0.2)
    edit(stage, 20, 1.0)
    live(stage, lambda: addon("jobs").JOBS.busy)
    assert stage.bpy.ops.animportrait.render_edits.poll()
    stage.render_edits()
    assert addon("shots").take_of(stage.shot).rendered == 1
    assert dirty(stage) == 0


def test_a_failure_is_told_once_and_switches_it_off(
    stage: Stage, view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.animate()
    addon("jobs").JOBS.restart_server()
    behave(monkeypatch, refuse="The disk is full.")
    edit(stage, 20, 1.0)
    live(stage, lambda: not view.auto_render)
    assert addon("jobs").JOBS.list[-1].message == "The disk is full."
    count = len(addon("jobs").JOBS.list)
    for _ in range(20):
        addon("auto").tick(stage.bpy.context)
    assert len(addon("jobs").JOBS.list) == count


def test_off_means_off(stage: Stage) -> None:
    stage.animate()
    edit(stage, 20, 1.0)
    addon("shots").measure(stage.shot)
    assert addon("auto").tick(stage.bpy.context) is None
    assert not addon("jobs").JOBS.busy
