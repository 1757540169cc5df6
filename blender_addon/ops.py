"""Buttons that draw nothing; a grey one says why."""

from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from . import fcurves, landmarks, props, protocol, shots, strips

PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp;*.tga;*.exr"
_CHANNEL_ITEMS = [("ALL", "All", "Every channel")] + [
    (channel.name, channel.label, channel.description) for channel in protocol.CHANNELS
]


class ANIMPORTRAIT_OT_expose_landmarks(bpy.types.Operator):
    """Make keyed Empties of face landmarks, one for each point."""

    bl_idname = "animportrait.expose_landmarks"
    bl_label = "Expose Landmarks"
    bl_options = {"REGISTER", "UNDO"}

    group: EnumProperty(
        name="Points",
        items=[(name, label, "") for name, (label, _) in landmarks.GROUPS.items()],
        default="LIPS",
    )
    width: FloatProperty(
        name="Width",
        default=2.0,
        min=0.001,
        unit="LENGTH",
        description="Of the frame, in the scene",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        reason = no_shot(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Asks which points."""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: Any) -> set[str]:
        """Into a collection of the scene."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        kept = shots.record(shot)
        mesh = landmarks.mesh_of(kept.mesh, kept.shot_id) if kept is not None else None
        if mesh is None:
            text = "The landmarks of this shot were deleted. Press Animate Again to get them back."
            self.report({"ERROR"}, text)
            return {"CANCELLED"}
        landmarks.expose(scene, mesh, self.group, strips.origin(shot), self.width)
        count = len(landmarks.GROUPS[self.group][1])
        self.report({"INFO"}, f'{count} Empties are in the collection "{mesh.name}"')
        return {"FINISHED"}


class ANIMPORTRAIT_OT_clear_edits(bpy.types.Operator):
    """Put the generated keys back; press Render Edits afterwards."""

    bl_idname = "animportrait.clear_edits"
    bl_label = "Clear Edits"
    bl_options = {"REGISTER", "UNDO"}

    channel: EnumProperty(name="Channel", items=_CHANNEL_ITEMS, default="ALL")
    span: EnumProperty(
        name="Range",
        items=[
            ("SHOT", "Whole Shot", "All frames that the strip shows"),
            ("PREVIEW", "Preview Range", "The preview range of the timeline (P in the timeline)"),
            ("FRAME", "Current Frame", "Only the frame under the playhead"),
        ],
        default="SHOT",
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        reason = no_shot(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """Writes keys; draws nothing."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        status = shots.measure(shot)
        if status.take is None:
            self.report({"ERROR"}, f"{status.problem}.")
            return {"CANCELLED"}
        span = strips.visible_elements(shot, status.take.n_frames)
        chosen = self._chosen(scene, strips.origin(shot))
        if chosen is not None:
            span = span.overlap(chosen)
        if span.length == 0:
            self.report({"ERROR"}, "The range holds no frame of this shot.")
            return {"CANCELLED"}
        names = protocol.CHANNEL_NAMES if self.channel == "ALL" else (self.channel,)
        frames = strips.origin(shot) + np.arange(span.start, span.end, dtype=np.float64)
        for name in names:
            curve = fcurves.ensure(scene, shots.channel_path(shot, name))
            fcurves.reset(curve, frames, status.take.generated[name][span.start : span.end])
        shots.mark_stale()
        return {"FINISHED"}

    def _chosen(self, scene: Any, origin: int) -> strips.Span | None:
        """The chosen range in shot frames; None is everything."""
        if self.span == "FRAME":
            return strips.Span(scene.frame_current - origin, scene.frame_current - origin + 1)
        if self.span == "PREVIEW" and scene.use_preview_range:
            first, last = scene.frame_preview_start, scene.frame_preview_end
            return strips.Span(first - origin, last - origin + 1)
        return None


class ANIMPORTRAIT_OT_pick_image(bpy.types.Operator):
    """Choose the picture of a face."""

    bl_idname = "animportrait.pick_image"
    bl_label = "Choose Portrait"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default=PICTURES, options={"HIDDEN"})

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A scene to keep it."""
        if strips.sequencer_scene(context) is not None:
            return True
        cls.poll_message_set("Choose a scene in the header of the sequencer")
        return False

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Opens the file browser; a dropped file is taken as it is."""
        if self.filepath:
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """For the next shot, or for the active one when it is animated again."""
        path = strips.absolute(self.filepath)
        if not path.is_file():
            self.report({"ERROR"}, f'There is no file "{path}".')
            return {"CANCELLED"}
        scene = strips.sequencer_scene(context)
        owner = shots.active_shot(scene) or scene
        getattr(owner, props.SETTINGS).image = strips.relative(path)
        strips.redraw()
        return {"FINISHED"}


class ANIMPORTRAIT_OT_go_to_frame(bpy.types.Operator):
    """Put the playhead onto this frame."""

    bl_idname = "animportrait.go_to_frame"
    bl_label = "Go to Frame"
    bl_options = {"INTERNAL"}

    frame: IntProperty(description="Of the scene")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A scene with a playhead."""
        if strips.sequencer_scene(context) is not None:
            return True
        cls.poll_message_set("Choose a scene in the header of the sequencer")
        return False

    def execute(self, context: Any) -> set[str]:
        """As a click into the time line does."""
        strips.sequencer_scene(context).frame_set(self.frame)
        return {"FINISHED"}


class ANIMPORTRAIT_FH_portrait(bpy.types.FileHandler):
    """A picture dropped onto the Portrait tab; elsewhere dropping is left to Blender."""

    bl_idname = "ANIMPORTRAIT_FH_portrait"
    bl_label = "Portrait"
    bl_import_operator = ANIMPORTRAIT_OT_pick_image.bl_idname
    bl_file_extensions = PICTURES.replace("*", "")

    @classmethod
    def poll_drop(cls, context: Any) -> bool:
        """Only over the sidebar of a sequencer."""
        area, region = context.area, context.region
        if area is None or region is None or area.type != "SEQUENCE_EDITOR":
            return False
        return region.type == "UI"


def no_shot(scene: Any | None) -> str:
    """Why there is no active shot; empty when there is one."""
    return "" if shots.active_shot(scene) is not None else "Select a portrait's image strip"


_CLASSES = (
    ANIMPORTRAIT_OT_expose_landmarks,
    ANIMPORTRAIT_OT_clear_edits,
    ANIMPORTRAIT_OT_pick_image,
    ANIMPORTRAIT_OT_go_to_frame,
    ANIMPORTRAIT_FH_portrait,
)


def register() -> None:
    """Adds the operators."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
