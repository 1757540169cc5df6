"""Poses of mouth and eyes by name: those of Rhubarb and Preston Blair, and the artist's own."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from . import fcurves, ops, props, protocol, shots, strips
from .sidebar import ShotPanel

POSES_FILE = Path(__file__).with_name("poses.json")
OWN = "My Shapes"  # the set that is kept in the .blend
KEPT = "animportrait_shapes"  # of a scene: the artist's own as JSON
PARTS = {
    "MOUTH": ("lip_open", "lip_width", "lip_round", "smile"),
    "EYES": ("eye_open_l", "eye_open_r", "gaze_x", "gaze_y", "brow"),
    "FACE": protocol.CHANNEL_NAMES,
}
Pose = dict[str, float]  # channel -> value
Shapes = dict[str, Pose]  # name -> pose


@functools.cache
def built_in() -> dict[str, Shapes]:
    """The sets that come with the add-on: the nine of Rhubarb, those of Preston Blair."""
    sets = json.loads(POSES_FILE.read_text("utf-8"))["sets"]
    return {
        title: {name: checked(pose) for name, pose in shapes.items()}
        for title, shapes in sets.items()
    }


def checked(pose: Mapping[str, Any]) -> Pose:
    """The channels of a pose, inside their ranges; anything else in it is left out.

    Raises:
        ValueError: a value is no number.
    """
    found = {}
    for channel in protocol.CHANNELS:
        if channel.name in pose:
            value = float(pose[channel.name])
            found[channel.name] = min(max(value, channel.minimum), channel.maximum)
    return found


def own(scene: Any) -> Shapes:
    """The artist's shapes of a file."""
    text = getattr(scene, KEPT)
    return json.loads(text) if text else {}


def every(scene: Any) -> dict[str, Shapes]:
    """All sets, the artist's first."""
    return {OWN: own(scene), **built_in()}


def _keep(scene: Any, shapes: Shapes) -> None:
    setattr(scene, KEPT, json.dumps(shapes, sort_keys=True))


def apply(strip: Any, pose: Pose, frame: int, n_frames: int) -> None:
    """Keys a pose at a scene frame and holds it.

    Args:
        strip: the shot.
        pose: channels that are not in it stay as they are.
        frame: of the scene.
        n_frames: so long; what is keyed in between is replaced, what comes after stays.
    """
    scene = strip.id_data
    for name, value in pose.items():
        path = shots.channel_path(strip, name)
        curve = fcurves.ensure(scene, path)
        fcurves.hold(curve, frame, n_frames, value)
        setattr(strip, props.channel_property(name), value)
    shots.mark_stale()


class _OfShot:
    """A button for the active shot at the playhead."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The playhead must be on the shot."""
        scene = strips.sequencer_scene(context)
        reason = ops.no_shot(scene)
        if not reason and scene.frame_current not in strips.visible(shots.active_shot(scene)):
            reason = "The playhead is not on this shot"
        if reason:
            cls.poll_message_set(reason)
        return not reason


class ANIMPORTRAIT_OT_apply_shape(_OfShot, bpy.types.Operator):
    """Key this shape at the playhead."""

    bl_idname = "animportrait.apply_shape"
    bl_label = "Apply Shape"

    group: StringProperty(name="Set", default="Rhubarb")
    shape: StringProperty(name="Shape", default="A")
    frames: IntProperty(
        name="Frames", default=0, min=0, description="How long it stays; 0: as the panel says"
    )

    def execute(self, context: Any) -> set[str]:
        """The keys hold the pose; they can be dragged like any others."""
        scene = strips.sequencer_scene(context)
        pose = every(scene).get(self.group, {}).get(self.shape)
        if pose is None:
            self.report({"ERROR"}, f'There is no shape "{self.shape}" in "{self.group}".')
            return {"CANCELLED"}
        shot = shots.active_shot(scene)
        frames = self.frames or getattr(context.window_manager, props.VIEW).shape_frames
        frames = min(frames, strips.visible(shot).end - scene.frame_current)
        apply(shot, pose, scene.frame_current, frames)
        return {"FINISHED"}


class ANIMPORTRAIT_OT_save_shape(_OfShot, bpy.types.Operator):
    """Keep the pose at the playhead by name, in this file."""

    bl_idname = "animportrait.save_shape"
    bl_label = "Save Shape"

    shape: StringProperty(name="Name", default="Shape")
    part: EnumProperty(
        name="Of",
        items=[("MOUTH", "Mouth", ""), ("EYES", "Eyes", "Lids, gaze, brows"), ("FACE", "Face", "")],
    )

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Asks for the name."""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: Any) -> set[str]:
        """The same name again replaces it."""
        name = self.shape.strip()
        if not name:
            self.report({"ERROR"}, "The shape needs a name.")
            return {"CANCELLED"}
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        pose = {}
        for channel in PARTS[self.part]:
            value = shots.sample(shot, channel, 1, scene.frame_current)[0]
            pose[channel] = round(float(value), 4)
        _keep(scene, {**own(scene), name: checked(pose)})
        return {"FINISHED"}


class ANIMPORTRAIT_OT_delete_shape(bpy.types.Operator):
    """Forget one of your own shapes."""

    bl_idname = "animportrait.delete_shape"
    bl_label = "Delete Shape"
    bl_options = {"REGISTER", "UNDO"}

    shape: StringProperty(name="Name")

    def execute(self, context: Any) -> set[str]:
        """Keys that were made with it stay."""
        scene = strips.sequencer_scene(context)
        _keep(scene, {name: pose for name, pose in own(scene).items() if name != self.shape})
        return {"FINISHED"}


class _File:
    """A button with a JSON file."""

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Opens the file browser."""
        self.filepath = self.filepath or "shapes.json"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}


class ANIMPORTRAIT_OT_export_shapes(_File, bpy.types.Operator):
    """Write your shapes to a file, for other projects."""

    bl_idname = "animportrait.export_shapes"
    bl_label = "Export Shapes"

    def execute(self, context: Any) -> set[str]:
        """As JSON, in the form of the shapes that come with the add-on."""
        document = {"sets": {OWN: own(strips.sequencer_scene(context))}}
        try:
            strips.absolute(self.filepath).write_text(json.dumps(document, indent=1), "utf-8")
        except OSError as failure:
            self.report({"ERROR"}, f"The shapes cannot be written: {failure}.")
            return {"CANCELLED"}
        return {"FINISHED"}


class ANIMPORTRAIT_OT_import_shapes(_File, bpy.types.Operator):
    """Add the shapes of a file to your own."""

    bl_idname = "animportrait.import_shapes"
    bl_label = "Import Shapes"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Those of the same name are replaced."""
        path = strips.absolute(self.filepath)
        try:
            sets = json.loads(path.read_text("utf-8"))["sets"]
            found = {n: checked(pose) for shapes in sets.values() for n, pose in shapes.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
            self.report({"ERROR"}, f'"{path}" holds no shapes: {failure}.')
            return {"CANCELLED"}
        scene = strips.sequencer_scene(context)
        _keep(scene, {**own(scene), **found})
        self.report({"INFO"}, f"{len(found)} shapes")
        return {"FINISHED"}


class ANIMPORTRAIT_MT_shapes(bpy.types.Menu):
    """All shapes of the chosen set; a letter on the keyboard picks one."""

    bl_label = "Mouth and Eye Shapes"

    def draw(self, context: Any) -> None:
        """In one column, so that every letter is underlined."""
        group = getattr(context.window_manager, props.VIEW).shape_set
        for name in every(strips.sequencer_scene(context)).get(group, {}):
            button = self.layout.operator(ANIMPORTRAIT_OT_apply_shape.bl_idname, text=name)
            button.group, button.shape = group, name


class ANIMPORTRAIT_PT_shapes(ShotPanel, bpy.types.Panel):
    """The library."""

    bl_label = "Shapes"
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Set, length, a button for each shape."""
        layout = self.layout
        view, scene = getattr(context.window_manager, props.VIEW), strips.sequencer_scene(context)
        row = layout.row(align=True)
        row.prop(view, "shape_set", text="")
        row.prop(view, "shape_frames")
        grid = layout.grid_flow(row_major=True, columns=3, even_columns=True, align=True)
        for name in every(scene).get(view.shape_set, {}):
            row = grid.row(align=True)
            button = row.operator(ANIMPORTRAIT_OT_apply_shape.bl_idname, text=name)
            button.group, button.shape = view.shape_set, name
            if view.shape_set == OWN:
                row.operator(ANIMPORTRAIT_OT_delete_shape.bl_idname, text="", icon="X").shape = name
        row = layout.row(align=True)
        row.operator(ANIMPORTRAIT_OT_save_shape.bl_idname, icon="ADD")
        row.operator(ANIMPORTRAIT_OT_export_shapes.bl_idname, text="", icon="EXPORT")
        row.operator(ANIMPORTRAIT_OT_import_shapes.bl_idname, text="", icon="IMPORT")
        row = layout.row(align=True)
        row.operator("animportrait.import_cues", icon="IMPORT")
        row.operator("animportrait.export_cues", icon="EXPORT")


_keymaps: list[tuple[Any, Any]] = []
_CLASSES = (
    ANIMPORTRAIT_OT_apply_shape,
    ANIMPORTRAIT_OT_save_shape,
    ANIMPORTRAIT_OT_delete_shape,
    ANIMPORTRAIT_OT_export_shapes,
    ANIMPORTRAIT_OT_import_shapes,
    ANIMPORTRAIT_MT_shapes,
    ANIMPORTRAIT_PT_shapes,
)


def register() -> None:
    """Adds buttons, menu, panel and the key of the menu."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    setattr(bpy.types.Scene, KEPT, StringProperty(name="Shapes", options={"HIDDEN"}))
    keyconfig = bpy.context.window_manager.keyconfigs.addon
    if keyconfig is None:
        return
    keymap = keyconfig.keymaps.new(name="Sequencer", space_type="SEQUENCE_EDITOR")
    item = keymap.keymap_items.new("wm.call_menu", "Q", "PRESS", shift=True)
    item.properties.name = "ANIMPORTRAIT_MT_shapes"
    _keymaps.append((keymap, item))


def unregister() -> None:
    """Removes them; the shapes stay in the .blend."""
    while _keymaps:
        keymap, item = _keymaps.pop()
        keymap.keymap_items.remove(item)
    delattr(bpy.types.Scene, KEPT)
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
