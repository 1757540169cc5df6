"""The main job in a real Blender window, with real clicks and keys and the real server.

What is asserted are data, pixels and processes; pictures of each step go to the screenshots.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import workspace
from .artist import FPS, Artist, Job, bar_pixels
from .blender_window import BlenderWindow
from .processes import Process

pytestmark = pytest.mark.window

Start = Callable[..., BlenderWindow]

SECONDS, SIZE = 2, 512  # of the shot that is looked at
N_FRAMES = SECONDS * FPS
LONG_S = 60  # of sound: half a minute of drawing, long enough for anything to happen meanwhile
CHANNELS = (
    *("lip_open", "lip_width", "lip_round", "smile", "eye_open_l", "eye_open_r"),
    *("gaze_x", "gaze_y", "brow", "head_yaw", "head_pitch", "head_roll"),
)
CANCEL_S = 1.0  # from ESC to a worker that does no more work
LONGEST_TICK_S = 0.016


@dataclass(frozen=True)
class Finished:
    """A Blender in which the button has been pressed and the result has come."""

    artist: Artist
    job: Job
    stages: list[str]  # in the order in which the panel showed them
    ticks: list[float]  # seconds that each slice of work held the main thread


@pytest.fixture(scope="module")
def finished(open_window: Start, screenshots: Path) -> Finished:
    """The main job, done once: a click on Animate Portrait."""
    artist = Artist(open_window("main"))
    artist.set_out(SECONDS, SIZE)
    blender = artist.blender
    blender.desktop.save(screenshots / "1_before.png")
    blender.ask("watch_ticks()")
    artist.start("animportrait.animate")
    stages: list[str] = []

    def ended() -> Job | None:
        jobs = artist.jobs()
        if jobs[-1].stage not in stages[-1:]:
            stages.append(jobs[-1].stage)
        return jobs[-1] if jobs[-1].state in ("done", "failed", "cancelled") else None

    job = blender.wait(ended, "end of the job", 120)
    ticks = blender.ask("ticks")
    blender.ask("bpy.ops.wm.save_mainfile()")
    return Finished(artist, job, stages, ticks)


@pytest.fixture
def shot(finished: Finished) -> Artist:
    """The finished shot, as it was saved; Blender has opened the file again."""
    finished.artist.open(finished.artist.file)
    workspace.show_everything(finished.artist.blender)
    return finished.artist


@pytest.fixture
def busy(open_window: Start, request: pytest.FixtureRequest) -> Artist:
    """A Blender of its own, in the middle of a long job that a click has started."""
    artist = Artist(open_window(request.node.name))
    artist.set_out(LONG_S, SIZE)
    artist.start("animportrait.animate")
    artist.wait_for_drawing()
    return artist


def test_click_makes_a_shot(finished: Finished) -> None:
    assert (finished.job.state, finished.job.hint) == ("done", ""), finished.job
    assert "render" in finished.stages, finished.stages
    (shot,) = finished.artist.shots()
    assert (shot["start"], shot["end"]) == (1, 1 + N_FRAMES)
    assert shot["channel"] > 1  # the sound is on 1
    assert shot["elements"] == [f"{frame:06d}.png" for frame in range(N_FRAMES)]
    assert finished.artist.report()["rendered"] == list(range(N_FRAMES))


def test_channels_have_generated_keys(finished: Finished) -> None:
    generated = finished.artist.report()["generated"]
    for channel in CHANNELS:
        frames, values, types = zip(*finished.artist.keys(channel), strict=True)
        assert frames == tuple(range(1, 1 + N_FRAMES)), channel
        assert set(types) == {"GENERATED"}, channel
        assert np.allclose(values, generated[channel], atol=1e-4), channel
    assert np.ptp(generated["lip_open"]) > 0.2  # somebody speaks


def test_landmarks_are_in_a_mesh(finished: Finished) -> None:
    meshes = finished.artist.blender.ask("""
answer = [
    (len(m.vertices), min(v.co.x for v in m.vertices), max(v.co.x for v in m.vertices),
     min(v.co.y for v in m.vertices), max(v.co.y for v in m.vertices))
    for m in bpy.data.meshes if "animportrait_shot" in m
]
""")
    ((count, *bounds),) = meshes
    assert count == N_FRAMES * 68
    assert min(bounds) > 0 and max(bounds) < SIZE
    assert bounds[1] - bounds[0] > 0.25 * SIZE  # as wide as a face in the crop


def test_preview_shows_the_speaking_face(shot: Artist, screenshots: Path) -> None:
    drawn = {name: np.array(values) for name, values in shot.report()["channels"].items()}
    eyes = np.minimum(drawn["eye_open_l"], drawn["eye_open_r"])
    openings = np.where(eyes > 0.8, drawn["lip_open"], np.nan)  # not in the middle of a blink
    widest, narrowest = int(np.nanargmax(openings)), int(np.nanargmin(openings))
    shot.go_to(1 + narrowest)
    shot.wait_for_picture(narrowest)
    closed = shot.blender.preview()
    shot.go_to(1 + widest)
    shot.wait_for_picture(widest)
    time.sleep(0.5)  # the last redraw of the Graph Editor, for the picture's sake
    shot.blender.desktop.save(screenshots / "2_result.png")
    spoken = shot.blender.preview()
    assert np.abs(spoken.astype(int) - closed.astype(int)).max() > 60


def test_timer_ticks_are_short(finished: Finished) -> None:
    assert len(finished.ticks) > 10
    assert max(finished.ticks) <= LONGEST_TICK_S


def test_edited_key_draws_one_frame(shot: Artist, screenshots: Path) -> None:
    frame = int(np.argmin(shot.report()["generated"]["lip_open"][5:-5])) + 5
    shot.go_to(1 + frame)
    shot.wait_for_picture(frame)
    before, first_take = shot.blender.preview(), shot.take()
    assert shot.dirty() == 0
    shot.type_value("lip_open", 1)
    shot.blender.wait(lambda: shot.keys("lip_open")[frame][:2] == [1 + frame, 1.0], "a key")
    shot.blender.wait(lambda: shot.dirty() == 1, "one frame to draw")
    time.sleep(0.5)  # the last redraw of the panel, for the picture's sake
    shot.blender.desktop.save(screenshots / "3_edited.png")

    shot.start("animportrait.render_edits")
    job = shot.wait_for_end()
    assert job.state == "done", job
    assert shot.report()["rendered"] == [frame]
    assert shot.report()["edited"] == {"lip_open": [frame]}
    types = [key[2] for key in shot.keys("lip_open")]
    assert [f for f, kind in enumerate(types) if kind != "GENERATED"] == [frame]
    assert shot.take() != first_take
    linked = [f for f in range(N_FRAMES) if _same_file(shot.take(), first_take, f)]
    assert linked == [f for f in range(N_FRAMES) if f != frame]
    shot.wait_for_picture(frame)
    assert shot.dirty() == 0
    after = shot.blender.preview()
    assert np.abs(after.astype(int) - before.astype(int)).max() > 60
    shot.blender.desktop.save(screenshots / "4_edits_rendered.png")

    server, jobs = shot.server(), shot.jobs()
    worked = server.worked()
    _press_in_sequencer(shot, "ctrl+z")
    shot.blender.wait(lambda: shot.take() == first_take, "the first take back")
    shot.wait_for_picture(frame)
    assert np.abs(shot.blender.preview().astype(int) - before.astype(int)).mean() < 1
    assert shot.jobs() == jobs
    assert server.alive() and server.worked() - worked <= 2  # clock ticks: it was not asked
    shot.blender.desktop.save(screenshots / "5_undone.png")
    _press_in_sequencer(shot, "ctrl+shift+z")
    shot.blender.wait(lambda: shot.take() != first_take, "the second take again")


def test_escape_cancels(busy: Artist, screenshots: Path) -> None:
    blender, server = busy.blender, busy.server()
    picture = blender.desktop.save(screenshots / "6_progress.png")
    sidebar = blender.ask("box('UI')")
    assert bar_pixels(picture, sidebar) > 20
    blender.ask("longest_hold_s()")
    _press_in_sequencer(busy, "Escape")
    began = time.monotonic()
    job = busy.wait_for_end()
    assert time.monotonic() - began < CANCEL_S
    assert job.state == "cancelled", job
    worked = server.worked()
    time.sleep(0.5)
    assert server.worked() - worked <= 5  # clock ticks in 50: it has stopped drawing
    assert busy.shots() == []
    assert _leftovers(busy) == []
    assert blender.ask("longest_hold_s()") < 0.5
    assert bar_pixels(blender.desktop.save(screenshots / "7_cancelled.png"), sidebar) == 0


def test_loading_a_file_ends_the_job(busy: Artist) -> None:
    children = busy.blender.children()
    busy.open(busy.file)
    _wait_until_gone(children)
    assert busy.jobs() == [] and busy.shots() == []
    assert busy.blender.ask("bpy.ops.animportrait.run_jobs.poll() and 'ready'") == "ready"


def test_disabling_the_extension_ends_the_job(busy: Artist) -> None:
    children = busy.blender.children()
    busy.blender.ask("__import__('addon_utils').disable(ours('jobs').__package__) and None")
    _wait_until_gone(children)
    assert busy.blender.ask("hasattr(bpy.types, 'ANIMPORTRAIT_PT_shot')") is False
    busy.blender.desktop.picture()  # Blender draws on
    assert busy.blender.quit() == 0


def test_quitting_ends_the_job(busy: Artist) -> None:
    children = busy.blender.children()
    assert busy.blender.quit() == 0
    _wait_until_gone(children)


def test_killed_server_is_explained(busy: Artist, screenshots: Path) -> None:
    os.kill(busy.server().pid, signal.SIGKILL)
    job = busy.wait_for_end(10)
    assert job.state == "failed"
    assert "killed" in job.message.lower(), job
    assert busy.shots() == [] and busy.blender.children() == []
    time.sleep(0.5)  # the last redraw, for the picture's sake
    busy.blender.desktop.save(screenshots / "8_server_killed.png")
    busy.start("animportrait.animate")  # and the next job simply works
    busy.wait_for_drawing()


def test_killed_blender_leaves_no_process(busy: Artist) -> None:
    children = busy.blender.children()
    assert children
    busy.blender.kill()
    _wait_until_gone(children)


def _press_in_sequencer(artist: Artist, key: str) -> None:
    left, top, right, bottom = artist.blender.ask("box('WINDOW')")
    artist.blender.desktop.move((left + right) / 2, (top + bottom) / 2)
    artist.blender.desktop.press(key)


def _same_file(take: Path, other: Path, frame: int) -> bool:
    name = f"{frame:06d}.png"
    return (take / name).stat().st_ino == (other / name).stat().st_ino


def _leftovers(artist: Artist) -> list[Any]:
    """Takes and half-made files of the shots beside the .blend."""
    return [str(path) for path in artist.blender.outside.glob("animate_portrait/*/*/take.json")]


def _wait_until_gone(children: list[Process], timeout_s: float = 5.0) -> None:
    assert children
    deadline = time.monotonic() + timeout_s
    while left := [child for child in children if child.alive()]:
        assert time.monotonic() < deadline, [child.command() for child in left]
        time.sleep(0.05)
