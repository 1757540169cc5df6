"""Runs inside Blender (`--python driver.py -- FOLDER`): does what the test asks, answers in JSON.

The test writes `command.json` {id, source} into FOLDER; the source is an expression, or statements
that leave their answer in `answer`. The reply is `answer-<id>.json` {value} or {error}. Everything
runs on the main thread between Blender's own events, so that nothing here can hide a frozen window.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(sys.argv[sys.argv.index("--") + 1])
PERIOD_S = 0.02

held = {"last": time.monotonic(), "longest_s": 0.0}  # how long Blender kept this timer waiting

ticks: list[float] = []  # seconds
picture: dict[str, float] = {}  # time.monotonic() of events


def ours(name: str) -> Any:
    """A module of the add-on."""
    return sys.modules[f"bl_ext.user_default.animate_portrait.{name}"]


def window() -> bpy.types.Window:
    """The only window."""
    return bpy.context.window_manager.windows[0]


def area(place: str) -> bpy.types.Area:
    """The area of this type; PREVIEW and SEQUENCER are the two halves of the sequencer."""
    kind = "SEQUENCE_EDITOR" if place in ("PREVIEW", "SEQUENCER") else place
    for each in window().screen.areas:
        view = getattr(each.spaces[0], "view_type", "")
        if each.type == kind and (kind == place or view == place):
            return each
    raise LookupError(f"no {place} area")


def region(kind: str, place: str = "SEQUENCER") -> bpy.types.Region:
    """The region of this type, such as UI or WINDOW, in that area."""
    return next(r for r in area(place).regions if r.type == kind)


def box(kind: str, place: str = "SEQUENCER") -> list[int]:
    """Left, top, right, bottom of a region, in pixels of the screen, y down."""
    r = region(kind, place)
    bottom = window().height - r.y
    return [r.x, bottom - r.height, r.x + r.width, bottom]


def over(kind: str, place: str = "SEQUENCER") -> Any:
    """A context as if the pointer were in this region."""
    where = {"window": window(), "area": area(place), "region": region(kind, place)}
    return bpy.context.temp_override(**where)


def under_pointer(kind: str = "UI", place: str = "SEQUENCER") -> str:
    """What the widget under the pointer does or edits: an operator call, a data path, or ''."""
    manager = bpy.context.window_manager
    manager.clipboard = " "
    with over(kind, place):
        if bpy.ops.ui.copy_data_path_button.poll():
            bpy.ops.ui.copy_data_path_button(full_path=True)
        elif bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
    return manager.clipboard.strip()


def picture_box() -> list[float]:
    """Left, top, right, bottom on the screen of the scene's picture in the preview."""
    scene, r = bpy.context.scene, region("PREVIEW", "PREVIEW")
    width, height = scene.render.resolution_x / 2, scene.render.resolution_y / 2
    x0, y0 = r.view2d.view_to_region(-width, -height, clip=False)
    x1, y1 = r.view2d.view_to_region(width, height, clip=False)
    base = window().height - r.y
    return [r.x + x0, base - y1, r.x + x1, base - y0]


def _obey(command: dict[str, Any]) -> str:
    source = command["source"]
    try:
        try:
            code = compile(source, "<command>", "eval")
        except SyntaxError:
            scope = dict(globals())
            exec(compile(source, "<command>", "exec"), scope)
            value = scope.get("answer")
        else:
            value = eval(code, globals())
        reply = json.dumps({"value": value}, default=list)  # operators answer with sets
    except Exception:  # noqa: BLE001 - whatever goes wrong is the test's to judge
        return json.dumps({"error": traceback.format_exc()})
    return reply


def watch_ticks() -> None:
    """From now on, notes how long each tick of the add-on's jobs takes.

    A tick that the system interrupted in favour of another process counts with its processor time.
    """
    jobs, usage = ours("jobs").JOBS, resource.getrusage
    tick = type(jobs).tick
    ticks.clear()

    def watched() -> None:
        before, began, worked = (
            usage(resource.RUSAGE_THREAD),
            time.perf_counter(),
            time.thread_time(),
        )
        tick(jobs)
        taken, worked = time.perf_counter() - began, time.thread_time() - worked
        interrupted = usage(resource.RUSAGE_THREAD).ru_nivcsw > before.ru_nivcsw
        ticks.append(worked if interrupted else taken)

    jobs.tick = watched


def watch_picture() -> None:
    """From now on, notes when a button of ours is pressed and when the strip shows another take."""
    jobs = ours("jobs").JOBS
    known = len(jobs.list) and jobs.list[-1].id
    picture.clear()

    def look() -> float | None:
        last = jobs.list[-1] if jobs.list else None
        if last is None or last.id == known:
            return 0.002
        picture.setdefault("pressed", time.monotonic())
        if not last.ended:
            return 0.002
        picture["shown"] = time.monotonic()
        return None

    bpy.app.timers.register(look)


def picture_after_s() -> float:
    """How long it took from the job's beginning to its end."""
    return picture["shown"] - picture["pressed"]


def longest_hold_s() -> float:
    """The longest time since the last call in which Blender handled no timer, drawing included."""
    longest, held["longest_s"] = held["longest_s"], 0.0
    return longest


def _poll() -> float:
    now = time.monotonic()
    held["longest_s"] = max(held["longest_s"], now - held["last"])
    pause = _serve()
    held["last"] = time.monotonic()  # what a command took is the test's own doing
    return pause


def _serve() -> float:
    path = FOLDER / "command.json"
    try:
        command = json.loads(path.read_text())
    except FileNotFoundError:
        return PERIOD_S
    path.unlink()
    reply = _obey(command)
    answer = FOLDER / f"answer-{command['id']}.json"
    answer.with_suffix(".part").write_text(reply)
    os.replace(answer.with_suffix(".part"), answer)
    return PERIOD_S


def _start() -> None:
    (FOLDER / "ready.json").write_text(json.dumps({"pid": os.getpid(), "time": time.time()}))


bpy.app.timers.register(_poll, first_interval=0.1, persistent=True)
bpy.app.timers.register(_start, first_interval=0.3)
