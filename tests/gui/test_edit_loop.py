"""The edit loop in a real Blender window: handles, dirty frames, one frame at once, panels."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import workspace
from .artist import Artist
from .blender_window import BlenderWindow

pytestmark = pytest.mark.window

SECONDS, SIZE = 4, 512
FRAME_MS = 400  # from click to strip while Blender draws its window in software, 100 ms a time;
# without a window it is 150, see tests/addon/test_real_server.py
OVERLAY_MS = 4  # that landmarks and handles may add to a redraw of the preview
PANELS = {
    "shot": ("Shot", "Queue"),
    "edit": ("Edit",),
    "report": ("Report",),
    "timing": ("Timing and Amounts",),
    "preview": ("Preview", "Shapes"),
    "takes": ("Takes",),
    "cast": ("Cast",),
}
_PLACE = """
overlay, handles, preview = ours("overlay"), ours("handles"), ours("preview")
with over("PREVIEW", "PREVIEW"):
    shown, region_ = overlay.shown(bpy.context), bpy.context.region
    matrix = preview.view_to_region(region_) @ preview.frame_to_view(shown.strip, shown.take.size)
    x, y = preview.apply(matrix, shown.place(handles.BY_NAME[{name!r}]))
answer = [region_.x + float(x), window().height - region_.y - float(y)]
"""
_REDRAW_MS = """
import time
view = bpy.context.window_manager.animportrait_view
times = {False: [], True: []}
with over("PREVIEW", "PREVIEW"):
    for number in range(60):
        view.overlay = number % 2 == 1
        bpy.ops.wm.redraw_timer(type="DRAW", iterations=1)
        began, worked = time.perf_counter(), time.process_time()
        bpy.ops.wm.redraw_timer(type="DRAW", iterations=5)
        taken = time.perf_counter() - began, time.process_time() - worked
        times[view.overlay].append([1000 * each / 5 for each in taken])
answer = [[sorted(column)[len(column) // 2] for column in zip(*times[on])] for on in (False, True)]
"""


@pytest.fixture(scope="module")
def artist(open_window: Callable[..., BlenderWindow]) -> Artist:
    """A finished shot, the playhead on a frame with open eyes."""
    made = Artist(open_window("loop"))
    made.set_out(SECONDS, SIZE)
    made.start("animportrait.animate")
    job = made.wait_for_end()
    assert job.state == "done", job
    drawn = {name: np.array(values) for name, values in made.report()["channels"].items()}
    eyes = np.minimum(drawn["eye_open_l"], drawn["eye_open_r"])
    frame = int(np.argmax(np.where(drawn["lip_open"] < 0.4, eyes, 0)[10:-10])) + 10
    made.go_to(1 + frame)
    made.wait_for_picture(frame)
    return made


def view(artist: Artist, name: str, value: Any) -> None:
    artist.blender.ask(
        f"setattr(bpy.context.window_manager.animportrait_view, {name!r}, {value!r})"
    )
    time.sleep(0.5)


def place(artist: Artist, name: str) -> np.ndarray:
    return np.array(artist.blender.ask(_PLACE.format(name=name)))


def value(artist: Artist, channel: str) -> float:
    return artist.blender.ask(f"ours('shots').all_shots()[0].animportrait_{channel}")


def drag(artist: Artist, name: str, by: tuple[float, float], end: str = "") -> None:
    """Drags a handle with the mouse; `end` is a key that is pressed before the release."""
    x, y = place(artist, name)
    desktop = artist.blender.desktop
    desktop.move(x, y)
    time.sleep(0.2)
    desktop.hold(x, y, x + by[0], y + by[1], end)
    time.sleep(0.3)


def busyness() -> float:
    """How much longer work takes than the processor works on it: 1 on a quiet machine."""
    began, worked = time.perf_counter(), time.thread_time()
    while time.thread_time() - worked < 0.3:
        pass
    return (time.perf_counter() - began) / 0.3


def test_a_handle_is_dragged_and_its_channels_get_a_key(artist: Artist, screenshots: Path) -> None:
    view(artist, "overlay", True)
    artist.blender.desktop.save(screenshots / "overlay.png")
    assert artist.dirty() == 0
    before = {name: artist.keys(name) for name in ("lip_open", "smile", "eye_open_l", "gaze_x")}
    start, opening = place(artist, "LIP"), value(artist, "lip_open")
    drag(artist, "LIP", (0, 14))
    assert value(artist, "lip_open") > opening + 0.2
    assert place(artist, "LIP") == pytest.approx(start + (0, 14), abs=2.5)
    changed = [
        a for a, b in zip(artist.keys("lip_open"), before["lip_open"], strict=True) if a != b
    ]
    assert len(changed) == 1
    assert [artist.keys(name) for name in before if name != "lip_open"] == [
        keys for name, keys in before.items() if name != "lip_open"
    ]
    assert artist.dirty() == 1
    artist.blender.desktop.save(screenshots / "overlay_dragged.png")


def test_escape_takes_a_drag_back(artist: Artist) -> None:
    before = {name: artist.keys(name) for name in ("lip_width", "smile")}
    drag(artist, "LIP_L", (12, -9), "Escape")
    assert {name: artist.keys(name) for name in before} == before


def test_render_current_frame_is_quick(artist: Artist, screenshots: Path) -> None:
    view(artist, "overlay", True)
    times = []
    for number in range(4):
        drag(artist, "LIP", (0, 8 if number % 2 else -8))
        take = artist.take()
        artist.blender.ask("watch_picture()")
        artist.start("animportrait.render_current_frame")
        job = artist.wait_for_end()
        assert job.state == "done", job
        times.append(1000 * artist.blender.ask("picture_after_s()"))
        assert artist.take() != take and len(artist.report()["rendered"]) == 1
    busy = busyness()
    print(f"\nRender Current Frame: {min(times):.0f} to {max(times):.0f} ms from click to strip,")
    print(f"on a machine on which everything takes {busy:.1f} times as long as on a quiet one")
    assert min(times) <= FRAME_MS * busy
    artist.blender.desktop.save(screenshots / "current_frame.png")


def test_dirty_frames_are_seen_on_the_strip(artist: Artist, screenshots: Path) -> None:
    artist.blender.ask("""
shot = ours("shots").all_shots()[0]
for frame in (*range(20, 30), 60):
    shot.animportrait_smile = 0.9
    shot.keyframe_insert("animportrait_smile", frame=frame)
""")
    artist.blender.wait(lambda: artist.dirty() >= 11, "dirty frames")
    time.sleep(0.5)
    picture = artist.blender.desktop.save(screenshots / "dirty_bar.png")
    left, top, right, bottom = artist.blender.ask("box('WINDOW')")
    orange = np.abs(picture[top:bottom, left:right].astype(int) - (255, 115, 26)).max(axis=-1) < 12
    columns = np.flatnonzero(orange.any(axis=0))
    assert len(columns) > 5
    x0, x1 = (artist.blender.ask(_COLUMN.format(frame=frame)) for frame in (20, 30))
    assert np.isin(np.arange(round(x0) + 1, round(x1) - 1), columns + left).all()


_COLUMN = """
r = region("WINDOW")
answer = r.x + r.view2d.view_to_region({frame}, 1, clip=False)[0]
"""


def test_editing_draws_the_frame_by_itself(artist: Artist, screenshots: Path) -> None:
    view(artist, "auto_render", True)
    take, last = artist.take(), artist.jobs()[-1].id
    drag(artist, "LIP", (0, 10))
    drawn = """
shot = ours("shots").all_shots()[0]
frame = bpy.context.scene.frame_current - ours("strips").origin(shot)
answer = ours("auto").drawn(shot, frame) is not None
"""
    artist.blender.wait(lambda: artist.blender.ask(drawn), "a picture in the preview")
    time.sleep(0.5)
    artist.blender.desktop.save(screenshots / "auto_render.png")
    assert artist.take() == take and artist.jobs()[-1].id == last
    view(artist, "auto_render", False)


def test_onion_skin(artist: Artist, screenshots: Path) -> None:
    for choice in ("PREVIOUS_FRAME", "PREVIOUS_TAKE"):
        view(artist, "ghost", choice)
        time.sleep(0.7)
        artist.blender.desktop.save(screenshots / f"onion_{choice.lower()}.png")
        assert artist.blender.ask("ours('ghost').SKIN.name in bpy.data.images")
    view(artist, "ghost", "NONE")


def test_the_overlay_costs_little(artist: Artist) -> None:
    """Blender's own time for a redraw of the preview; the processor's, as others work here too."""
    (wall, cpu), (wall_on, cpu_on) = artist.blender.ask(_REDRAW_MS, 120)
    print(
        f"\nA redraw of the preview: {wall:.1f} ms without and {wall_on:.1f} ms with the overlay,"
    )
    print(f"of the processors {cpu:.1f} and {cpu_on:.1f} ms")
    assert cpu_on - cpu < OVERLAY_MS


def test_every_panel(artist: Artist, screenshots: Path) -> None:
    """Pictures of each panel, and nothing in Blender's console."""
    for name in ("animportrait.list_takes", "animportrait.show_cues", "animportrait.match_cast"):
        artist.blender.ask(f"with over('UI'):\n    bpy.ops.{name}()")
    workspace.show_panels(artist.blender, screenshots, PANELS)
    assert "Traceback" not in artist.blender.log()
