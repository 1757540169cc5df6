"""Onion skin: another take or drawing of a shot, half transparent over the preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import holds, preview, props, shots, strips, takes
from .pictures import Picture

SKIN = Picture(".animate portrait onion skin")


def picture(context: Any) -> Path | None:
    """The file that the onion skin shows now."""
    wanted = getattr(context.window_manager, props.VIEW).ghost
    scene = strips.sequencer_scene(context)
    strip = shots.at_playhead(scene) if wanted != "NONE" else None
    if strip is None or not preview.is_quiet(context):
        return None
    frame = scene.frame_current - strips.origin(strip)
    folder = strips.shown_folder(strip)
    if wanted.endswith("TAKE"):
        folder = _neighbour(folder, 1 if wanted == "NEXT_TAKE" else -1)
    else:
        frame = _other_drawing(strip, frame, 1 if wanted == "NEXT_FRAME" else -1)
    if folder is None:
        return None
    path = folder / takes.frame_name(frame)
    return path if path.is_file() else None


def follow(context: Any) -> bool:
    """Loads what has to be shown; True when that is new."""
    return SKIN.follow(picture(context))


def _neighbour(folder: Path, step: int) -> Path | None:
    """The take before or after this one."""
    found = takes.finished_takes(folder.parent)
    if folder not in found:
        return None
    index = found.index(folder) + step
    return found[index] if 0 <= index < len(found) else None


def _other_drawing(strip: Any, frame: int, step: int) -> int:
    """The nearest frame before or after this one that has another drawing; -1: none."""
    kept = shots.record(strip)
    if kept is None:
        return -1
    starts = holds.starts(kept.look["holds"], kept.n_frames)
    index = int(np.searchsorted(starts, frame, side="right")) - 1 + step
    return int(starts[index]) if 0 <= index < len(starts) else -1


def _draw() -> None:
    context = bpy.context
    strip = shots.at_playhead(strips.sequencer_scene(context))
    take = shots.known_take(strip) if strip is not None else None
    if take is not None and preview.is_quiet(context):
        SKIN.draw(strip, take.size, getattr(context.window_manager, props.VIEW).ghost_alpha)


_drawing: list[Any] = []


def register() -> None:
    """Adds it to the preview."""
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        _drawing.append(space.draw_handler_add(_draw, (), "PREVIEW", "POST_VIEW"))


def unregister() -> None:
    """Removes it."""
    while _drawing:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_drawing.pop(), "PREVIEW")
