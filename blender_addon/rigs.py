"""A shot's motion onto any mesh of the scene that has shape keys with ARKit's names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from . import fcurves, ops, shots, strips, takes

MOTION_FILE = "motion.npz"
ARKIT_NAMES = (  # columns of "expression" in motion.npz
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft"),
    *("eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight"),
    *("eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight"),
    *("mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight"),
    *("mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft"),
    *("mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper"),
    *("mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight"),
    *("mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)


def read_expression(folder: Path) -> npt.NDArray[np.float32]:
    """The ARKit weights of a take: (N, 52), 0..1.

    Raises:
        TakeUnreadable: `motion.npz` is missing or damaged.
    """
    path = folder / MOTION_FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights = np.asarray(arrays["expression"], np.float32)
    except (OSError, KeyError, ValueError, EOFError) as failure:
        raise takes.TakeUnreadable(f'"{path}" cannot be read: {failure}') from failure
    if weights.ndim != 2 or weights.shape[1] != len(ARKIT_NAMES):
        raise takes.TakeUnreadable(f'"{path}" holds {weights.shape} weights, not (N, 52)')
    return weights


def column(name: str) -> int | None:
    """The column that a shape key takes: "JawOpen", "jaw_open" and "eyeBlink_L" are known too."""
    plain = re.sub(r"[^a-z]", "", re.sub(r"[_.]([LR])$", r"\1side", name).lower())
    plain = plain.replace("lside", "left").replace("rside", "right")
    return _COLUMNS.get(plain)


def fitting(mesh: Any | None) -> dict[str, int]:
    """The shape keys of an object that can be driven, and their columns."""
    data = getattr(mesh, "data", None)
    blocks = getattr(getattr(data, "shape_keys", None), "key_blocks", ())
    found = {block.name: column(block.name) for block in blocks}
    return {name: index for name, index in found.items() if index is not None}


class ANIMPORTRAIT_OT_animate_mesh(bpy.types.Operator):
    """Write this shot's motion onto the shape keys of the active object (ARKit names)."""

    bl_idname = "animportrait.animate_mesh"
    bl_label = "Animate Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot, and an object with shape keys that fit."""
        reason = ops.no_shot(strips.sequencer_scene(context))
        if not reason and not fitting(context.view_layer.objects.active):
            reason = "Make a mesh active that has shape keys with ARKit's names, such as jawOpen"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """One key a frame on each shape key that fits."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        mesh = context.view_layer.objects.active
        try:
            weights = read_expression(strips.shown_folder(shot))
        except takes.TakeUnreadable as failure:
            self.report({"ERROR"}, f"{failure}.")
            return {"CANCELLED"}
        shape_keys = mesh.data.shape_keys
        frames = strips.origin(shot) + np.arange(len(weights), dtype=np.float64)
        driven = fitting(mesh)
        for name, index in driven.items():
            path = f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'
            fcurves.rewrite(fcurves.ensure(shape_keys, path), frames, weights[:, index])
        self.report({"INFO"}, f"{len(driven)} shape keys of {mesh.name}, {len(frames)} frames")
        return {"FINISHED"}


_COLUMNS = {name.lower(): index for index, name in enumerate(ARKIT_NAMES)}


def register() -> None:
    """Adds the button."""
    bpy.utils.register_class(ANIMPORTRAIT_OT_animate_mesh)


def unregister() -> None:
    """Removes it."""
    bpy.utils.unregister_class(ANIMPORTRAIT_OT_animate_mesh)
