"""Draws the frame under the playhead by itself while keys are changed, for the preview only.

The picture lies over the preview and nothing else: strip, keys and takes stay as they are until
Render Edits, so that there is nothing to undo and no key moves under the artist's hand.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import orders, prefs, preview, props, shots, strips, takes
from .job import Job, State
from .jobs import JOBS
from .pictures import Picture
from .strips import CannotUse

PAUSE_S = 0.1  # without a change; then a drag has come to rest
PERIOD_S = 0.015  # between two looks at what has to be done
_FOLDER = "animate_portrait_preview"  # in Blender's temporary folder


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A frame that was drawn for the preview."""

    shown: Path  # the take that the strip showed then
    frame: int  # of the shot
    take: takes.Take  # where the picture is


def is_on(context: Any) -> bool:
    """True when the artist has asked for it and nothing plays."""
    return getattr(context.window_manager, props.VIEW).auto_render and preview.is_quiet(context)


def drawn(strip: Any, frame: int) -> takes.Take | None:
    """The take that holds the preview's own picture of a frame, while that is still to be drawn."""
    status = shots.status(strip)
    if _drawn is None or status is None or frame not in status.dirty_frames:
        return None
    found = _drawn.frame == frame and _drawn.shown == strips.shown_folder(strip)
    return _drawn.take if found else None


def follow(context: Any) -> bool:
    """Loads the picture that lies over the preview; True when that is new."""
    scene = strips.sequencer_scene(context)
    strip = shots.at_playhead(scene)
    frame = scene.frame_current - strips.origin(strip) if strip is not None else 0
    take = drawn(strip, frame) if strip is not None else None
    return _PICTURE.follow(None if take is None else take.folder / takes.frame_name(frame))


def tick(context: Any) -> float | None:
    """Starts, drives and cancels the job; called by a timer.

    Returns:
        Seconds until it has to be called again; None when there is nothing to wait for.
    """
    if _job is not None and not _job.ended:
        if not is_on(context) or _is_stale(context, _job):
            JOBS.cancel(_job)
        JOBS.tick()
        return PERIOD_S
    _look_at_the_end()
    if not is_on(context) or JOBS.busy or prefs.flaw(context):
        return None
    wanted = _wanted(context)
    if wanted is not None and not shots.is_stale() and not shots.is_looking():
        if time.monotonic() - shots.changed_at() < PAUSE_S:
            return PERIOD_S
        _start(context, *wanted)
    return PERIOD_S


def _wanted(context: Any) -> tuple[Any, int] | None:
    """Shot and frame under the playhead, when its picture does not fit its keys."""
    scene = strips.sequencer_scene(context)
    strip = shots.active_shot(scene)
    status = shots.status(strip) if strip is not None else None
    if status is None or status.take is None:
        return None
    frame = scene.frame_current - strips.origin(strip)
    if frame not in status.dirty_frames:
        return None
    have = drawn(strip, frame)
    values = {name: row[frame] for name, row in have.asked.items()} if have is not None else {}
    return None if have is not None and orders.fits(strip, frame, values) else (strip, frame)


def _is_stale(context: Any, job: Job) -> bool:
    """True when the playhead or the keys have moved on since the job was made."""
    scene = strips.sequencer_scene(context)
    strip = strips.named(scene, job.order.strip) if scene is not None else None
    if not shots.is_shot(strip) or scene.frame_current != job.order.scene_frame:
        return True
    frame = scene.frame_current - strips.origin(strip)
    return not orders.fits(strip, frame, _sent(job.order, frame))


def _sent(order: orders.Order, frame: int) -> dict[str, float]:
    """The values that a preview draws a frame with."""
    edits = order.spec["channels"] or {}
    generated = order.base.generated
    return {n: edits.get(n, {}).get(str(frame), row[frame]) for n, row in generated.items()}


def _start(context: Any, strip: Any, frame: int) -> None:
    global _job, _number
    _number += 1
    folder = Path(bpy.app.tempdir) / _FOLDER / f"take_{_number:04d}"
    try:
        order = orders.preview(strip, frame + strips.origin(strip), folder)
    except CannotUse as failure:
        _give_up(context, str(failure))
        return
    _job = JOBS.add(order)
    JOBS.tick()


def _look_at_the_end() -> None:
    """A failure stays in the list and switches this off; anything else leaves no trace there."""
    global _job
    if _job is None:
        return
    if _job.state == State.FAILED:
        getattr(bpy.context.window_manager, props.VIEW).auto_render = False
    elif _job in JOBS.list:
        JOBS.list.remove(_job)
    _job = None


def _receive(order: orders.Order, take: takes.Take) -> None:
    """A preview has been drawn; the one before is no longer needed."""
    global _drawn
    old, base = _drawn, Path(order.spec["base_take"])
    _drawn = Drawn(base, order.scene_frame - order.span.start, take)
    if old is not None:
        _remove(old.take.folder)
    strips.redraw()


def _give_up(context: Any, reason: str) -> None:
    global _job
    getattr(context.window_manager, props.VIEW).auto_render = False
    job = JOBS.add(None)
    job.end(State.FAILED, f"Render While Editing: {reason}")


def _draw() -> None:
    context = bpy.context
    scene = strips.sequencer_scene(context)
    strip = shots.at_playhead(scene)
    take = drawn(strip, scene.frame_current - strips.origin(strip)) if strip is not None else None
    if take is not None and preview.is_quiet(context):
        _PICTURE.draw(strip, take.size, 1.0)


def _remove(folder: Path) -> None:
    threading.Thread(target=shutil.rmtree, args=(folder, True), daemon=True).start()


_PICTURE = Picture(".animate portrait preview")
_drawing: list[Any] = []
_job: Job | None = None
_drawn: Drawn | None = None
_number = 0


def forget() -> None:
    """Another file."""
    global _job, _drawn
    _job = _drawn = None


def register() -> None:
    """Takes the pictures from the queue."""
    JOBS.previewed = _receive
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        _drawing.append(space.draw_handler_add(_draw, (), "PREVIEW", "POST_VIEW"))


def unregister() -> None:
    """Lets go of them."""
    while _drawing:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_drawing.pop(), "PREVIEW")
    forget()
