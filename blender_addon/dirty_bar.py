"""Frames that differ from their pictures, as a bar on the strip in the timeline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader

from . import shots, strips
from .timing import Span

_COLOUR = (1.0, 0.45, 0.1, 1.0)
_BOTTOM, _TOP = 0.06, 0.22  # of a channel's height


def runs(frames: Iterable[int]) -> list[Span]:
    """Neighbouring frames as spans, in order."""
    found: list[Span] = []
    for frame in sorted(frames):
        if found and found[-1].end == frame:
            found[-1] = Span(found[-1].start, frame + 1)
        else:
            found.append(Span(frame, frame + 1))
    return found


def bars(scene: Any) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right, top of each bar in the timeline: frames and channels."""
    open_metas = list(scene.sequence_editor.meta_stack) if scene.sequence_editor else []
    level = open_metas[-1] if open_metas else None
    found = []
    for strip in strips.every(scene):
        status = shots.status(strip) if shots.is_shot(strip) else None
        if status is None or strip.parent_meta() != level:
            continue
        first, channel = strips.origin(strip), strip.channel
        for run in runs(status.dirty_frames):
            left, right = first + run.start, first + run.end
            found.append((left, channel + _BOTTOM, right, channel + _TOP))
    return found


def _draw() -> None:
    scene = strips.sequencer_scene(bpy.context)
    found = bars(scene) if scene is not None else []
    if not found:
        return
    corners, triangles = [], []
    for left, bottom, right, top in found:
        at = len(corners)
        corners += [(left, bottom), (right, bottom), (right, top), (left, top)]
        triangles += [(at, at + 1, at + 2), (at, at + 2, at + 3)]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRIS", {"pos": corners}, indices=triangles)
    shader.bind()
    shader.uniform_float("color", _COLOUR)
    batch.draw(shader)


_drawing: list[Any] = []


def register() -> None:
    """Adds the bar to the timeline."""
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        _drawing.append(space.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    """Removes it."""
    while _drawing:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_drawing.pop(), "WINDOW")
