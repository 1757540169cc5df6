"""The folder of a shot, and the id that names it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Set
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import shots

FOLDER = "animate_portrait"  # beside the .blend


def shot_folder(shot_id: str) -> Path:
    """Where the takes of a shot go: beside the .blend, or in Blender's temporary folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / FOLDER / shot_id
    return Path(bpy.app.tempdir) / FOLDER / shot_id


def is_temporary(folder: Path) -> bool:
    """True for a folder that Blender deletes when it quits."""
    return folder.is_relative_to(os.path.normpath(bpy.app.tempdir))


def new_id(portrait: Path, sound: Any, start_s: Fraction, taken: Set[str]) -> str:
    """A name for the shot's folder, the same when the same shot is made again."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", portrait.stem).strip("-")[:24] or "portrait"
    facts = f"{portrait}|{sound.sound.filepath}|{float(start_s)}"
    return own_id(f"{stem}-{hashlib.sha256(facts.encode()).hexdigest()[:6]}", None, taken)


def own_id(shot_id: str, shot: Any | None, taken: Set[str] = frozenset()) -> str:
    """The id, or one with a new number when another strip has it: copies are shots of their own."""
    others = {
        record.shot_id
        for strip in shots.all_shots()
        if strip != shot and (record := shots.record(strip)) is not None
    }
    others |= taken
    if shot_id not in others:
        return shot_id
    stem = re.sub(r"_\d+$", "", shot_id)
    number = 2
    while f"{stem}_{number}" in others or shot_folder(f"{stem}_{number}").exists():
        number += 1
    return f"{stem}_{number}"
