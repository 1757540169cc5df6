"""Edits from one shot to another: the artist's keys, copied and pasted by time in the shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty

from . import edited, fcurves, keys, ops, protocol, shots, strips
from .carry import Mask
from .keys import Keys


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What was copied of a channel."""

    keys: Keys  # at frames of the shot they come from
    frames: Mask  # (N,) frames that are the artist's


_copied: dict[str, Row] = {}


class ANIMPORTRAIT_OT_copy_edits(bpy.types.Operator):
    """Copy your keys of this shot, not the generated ones."""

    bl_idname = "animportrait.copy_edits"
    bl_label = "Copy Edits"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        return shots.active_shot(strips.sequencer_scene(context)) is not None

    def execute(self, context: Any) -> set[str]:
        """All channels."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        kept, take, first = shots.record(shot), shots.known_or_read(shot), strips.origin(shot)
        if kept is None:
            return {"CANCELLED"}
        _copied.clear()
        for channel in protocol.CHANNELS:
            theirs, frames = edited.artists(shot, channel, first, take, kept.n_frames)
            if len(theirs) or (frames.any() and not frames.all()):
                _copied[channel.name] = Row(theirs.moved(theirs.frames - float(first)), frames)
        count = sum(len(row.keys) for row in _copied.values())
        self.report({"INFO"}, f"{count} keys of {len(_copied)} channels")
        return {"FINISHED"}


class ANIMPORTRAIT_OT_paste_edits(bpy.types.Operator):
    """Put the copied keys onto this shot; what lies on their frames is replaced."""

    bl_idname = "animportrait.paste_edits"
    bl_label = "Paste Edits"
    bl_options = {"REGISTER", "UNDO"}

    at_playhead: BoolProperty(
        name="At Playhead",
        description="The first copied frame goes under the playhead; otherwise every key keeps its "
        "place in the shot",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot, and something copied."""
        reason = ops.no_shot(strips.sequencer_scene(context))
        if not reason and not _copied:
            reason = "Copy the edits of a shot first"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """Keys behind the end of the shot are kept, out of sight."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        first = strips.origin(shot)
        if self.at_playhead:
            first = scene.frame_current - min(int(np.argmax(r.frames)) for r in _copied.values())
        for name, row in _copied.items():
            curve = fcurves.ensure(scene, shots.channel_path(shot, name))
            there = keys.read(curve)
            covered = np.concatenate([np.flatnonzero(row.frames), row.keys.frames]) + first
            stays = there.chosen(~np.isin(there.frames, covered))
            pasted = row.keys.moved(row.keys.frames + float(first))
            keys.write(curve, keys.merged(stays, pasted))
        shots.mark_stale()
        return {"FINISHED"}


_CLASSES = (ANIMPORTRAIT_OT_copy_edits, ANIMPORTRAIT_OT_paste_edits)


def register() -> None:
    """Adds the buttons."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    _copied.clear()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
