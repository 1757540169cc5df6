"""Notices what happens in Blender: edits, undo, loading, saving. Keeps the panel's counts true."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import auto, folders, ghost, props, shots, strips
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
    auto.forget()


@persistent
def _save_pre(*arguments: Any) -> None:
    """The first save: frames leave the temporary folder, which Blender deletes when it quits."""
    global _links_from
    target = next((each for each in arguments if isinstance(each, str) and each), "")
    target = target or bpy.data.filepath
    if target:
        keep_takes(Path(target).parent / folders.FOLDER)
        _links_from = Path(target).parent
        move_links(_blend_folder(), _links_from)


@persistent
def _save_post(*_: Any) -> None:
    """A copy was saved, or nothing: the open file is where it was, and its links with it."""
    global _links_from
    if _links_from is not None:
        move_links(_links_from, _blend_folder())
        _links_from = None


def _blend_folder() -> Path | None:
    return Path(bpy.data.filepath).parent if bpy.data.filepath else None


def keep_takes(folder: Path) -> None:
    """Copies shots whose takes are in Blender's temporary folder, and points their strips there.

    All takes of such a shot come along, so that undo finds them.

    Args:
        folder: of all shots, beside the .blend that is being saved.
    """
    for strip in shots.all_shots():
        old = strips.shown_folder(strip)
        kept = shots.record(strip)
        if kept is None or not folders.is_temporary(old) or not old.is_dir():
            continue
        new = folder / old.parent.name
        shutil.copytree(old.parent, new, copy_function=_link_or_copy, dirs_exist_ok=True)
        strip.directory = str(new / old.name)
        audio = kept.audio.path()
        if folders.is_temporary(audio):
            audio = new / audio.name
            shots.write_record(strip, replace(kept, audio=shots.FileLink(str(audio), str(audio))))


def move_links(old: Path | None, new: Path | None) -> None:
    """Makes the files of all settings and records be found from another folder.

    Blender does it for its own paths, not for those of add-ons.

    Args:
        old: folder of the .blend now; None before the first save.
        new: folder of the .blend from now on; None for a file that has none.
    """
    if old == new:
        return

    def found(value: str) -> Path:
        start = None if old is None else str(old)
        return Path(os.path.normpath(bpy.path.abspath(value, start=start)))

    def moved(value: str) -> str:
        stays = not value or (old is not None and not value.startswith("//"))
        return value if stays else strips.relative(found(value), new)

    for scene in bpy.data.scenes:
        if scene.library is not None:
            continue
        made = [strip for strip in strips.every(scene) if shots.is_shot(strip)]
        for owner in (scene, *made):
            settings = getattr(owner, props.SETTINGS)
            for name in props.file_properties():
                setattr(settings, name, moved(getattr(settings, name)))
        for strip in made:
            _move_record(strip, found, moved, new)
    shots.mark_stale()


def _move_record(
    strip: Any, found: Callable[[str], Path], moved: Callable[[str], str], folder: Path | None
) -> None:
    kept = shots.record(strip)
    if kept is None:
        return
    look = {**kept.look, "params": dict(kept.look["params"])}
    for fields in (look, look["params"]):
        fields.update((n, moved(fields[n])) for n in props.file_properties() if n in fields)
    image, audio = (
        shots.link(near if (near := found(old.relative)).exists() else old.path(), folder)
        for old in (kept.image, kept.audio)
    )
    shots.write_record(strip, replace(kept, image=image, audio=audio, look=look))


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
    if shots.look(scene) | ghost.follow(bpy.context) | auto.follow(bpy.context):
        strips.redraw()
    JOBS.close_if_idle()
    quick = _QUICK_S if shots.is_looking() else _PERIOD_S
    return min(quick, auto.tick(bpy.context) or quick)


_HANDLERS = (
    ("depsgraph_update_post", _changed),
    ("undo_post", _changed),
    ("redo_post", _changed),
    ("load_post", _other_file),
    ("save_pre", _save_pre),
    ("save_post", _save_post),
    ("save_post_fail", _save_post),
)
_links_from: Path | None = None  # while a file is being saved: the folder that links are told from


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
