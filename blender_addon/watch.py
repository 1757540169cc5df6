"""Notices what happens in Blender: edits, undo, loading, saving. Keeps the panel's counts true."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import orders, shots, strips
from .jobs import JOBS

_PERIOD_S = 0.25
_QUICK_S = 0.02  # while a long shot is being looked at


@persistent
def _changed(*_: Any) -> None:
    """Only a flag: this runs at every step of every drag."""
    shots.mark_stale()


@persistent
def _other_file(*_: Any) -> None:
    shots.forget()


@persistent
def _save_pre(*arguments: Any) -> None:
    """The first save: frames leave the temporary folder, which Blender deletes when it quits."""
    target = next((each for each in arguments if isinstance(each, str) and each), "")
    target = target or bpy.data.filepath
    if target:
        keep_takes(Path(target).parent / orders.FOLDER)


def keep_takes(folder: Path) -> None:
    """Copies shots whose takes are in Blender's temporary folder, and points their strips there.

    All takes of such a shot come along, so that undo finds them.

    Args:
        folder: of all shots, beside the .blend that is being saved.
    """
    for strip in shots.all_shots():
        old = strips.shown_folder(strip)
        kept = shots.record(strip)
        if kept is None or not orders.is_temporary(old) or not old.is_dir():
            continue
        new = folder / old.parent.name
        shutil.copytree(old.parent, new, copy_function=_link_or_copy, dirs_exist_ok=True)
        strip.directory = str(new / old.name)
        audio = kept.audio.path()
        if orders.is_temporary(audio):
            audio = new / audio.name
        links = {"image": kept.image.path(), "audio": audio}
        near = {name: _link(path, folder.parent) for name, path in links.items()}
        shots.write_record(strip, replace(kept, **near))


def _link(path: Path, folder: Path) -> shots.FileLink:
    """A link from a .blend that is not in its folder yet."""
    try:
        relative = Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive
        return shots.FileLink(str(path), str(path))
    return shots.FileLink(f"//{relative}", str(path))


def _link_or_copy(source: str, target: str) -> str:
    """Takes are never modified, so a hard link does where the disk has them."""
    if os.path.exists(target):
        return target
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def _tick() -> float:
    """Ten milliseconds of looking at the active shot, when something has changed."""
    scene = strips.sequencer_scene(bpy.context)
    if shots.look(scene):
        strips.redraw()
    JOBS.close_if_idle()
    return _QUICK_S if shots.is_looking() else _PERIOD_S


_HANDLERS = (
    ("depsgraph_update_post", _changed),
    ("undo_post", _changed),
    ("redo_post", _changed),
    ("load_post", _other_file),
    ("save_pre", _save_pre),
)


def register() -> None:
    """Adds the handlers."""
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_tick, first_interval=_PERIOD_S, persistent=True)


def unregister() -> None:
    """Removes the handlers."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for name, handler in reversed(_HANDLERS):
        getattr(bpy.app.handlers, name).remove(handler)
