"""Onion skin: another take or drawing of a shot, half transparent over the preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from . import holds, overlay, preview, props, shots, strips, takes

IMAGE = ".animate portrait onion skin"  # without users: never saved; the dot hides it from menus
_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def picture(context: Any) -> Path | None:
    """The file that the onion skin shows now."""
    wanted = getattr(context.window_manager, props.VIEW).ghost
    scene = strips.sequencer_scene(context)
    strip = shots.at_playhead(scene) if wanted != "NONE" else None
    if strip is None or not overlay.is_quiet(context):
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
    """Loads what has to be shown; called by a timer, as drawing must not change data.

    Returns:
        True when there is something new to see.
    """
    global _shown
    path = picture(context)
    image = bpy.data.images.get(IMAGE)
    if path == _shown and (path is None) == (image is None):
        return False
    _shown = path
    if path is None:
        if image is not None:
            bpy.data.images.remove(image)
        return True
    if image is None:
        image = bpy.data.images.load(str(path))
        image.name = IMAGE
    else:
        image.filepath = str(path)
        image.reload()
    return True


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
    image = bpy.data.images.get(IMAGE)
    strip = shots.at_playhead(strips.sequencer_scene(context))
    take = shots.known_take(strip) if strip is not None else None
    if image is None or take is None or not overlay.is_quiet(context):
        return
    alpha = getattr(context.window_manager, props.VIEW).ghost_alpha
    width, height = take.size
    shader = gpu.shader.from_builtin("IMAGE_COLOR")
    shape = {
        "pos": [(x * width, y * height) for x, y in _CORNERS],
        "texCoord": [(x, 1.0 - y) for x, y in _CORNERS],
    }
    batch = batch_for_shader(shader, "TRI_FAN", shape)
    gpu.state.blend_set("ALPHA")
    with gpu.matrix.push_pop():
        matrix = preview.frame_to_view(strip, take.size)
        gpu.matrix.multiply_matrix(Matrix(preview.four_by_four(matrix)))
        shader.bind()
        shader.uniform_sampler("image", gpu.texture.from_image(image))
        shader.uniform_float("color", (1.0, 1.0, 1.0, alpha))
        batch.draw(shader)
    gpu.state.blend_set("NONE")


_shown: Path | None = None
_drawing: list[Any] = []


def register() -> None:
    """Adds it to the preview."""
    if not bpy.app.background:
        space = bpy.types.SpaceSequenceEditor
        _drawing.append(space.draw_handler_add(_draw, (), "PREVIEW", "POST_VIEW"))


def unregister() -> None:
    """Removes it."""
    global _shown
    while _drawing:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_drawing.pop(), "PREVIEW")
    _shown = None
