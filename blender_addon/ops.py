"""The buttons. Each is modal for people, and waits for scripts; a grey one says why."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, IntProperty, StringProperty

from . import fcurves, landmarks, modal, orders, prefs, props, protocol, shots, strips
from .job import Job, State
from .jobs import JOBS
from .strips import CannotUse

PICTURES = "*.png;*.jpg;*.jpeg;*.webp;*.tif;*.tiff;*.bmp;*.tga;*.exr"
_CHANNEL_ITEMS = [("ALL", "All", "Every channel")] + [
    (channel.name, channel.label, channel.description) for channel in protocol.CHANNELS
]


class _Draws:
    """What Animate and Render Edits share."""

    def _order(self, context: Any) -> orders.Order:
        raise NotImplementedError

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Queues the job; Blender stays free."""
        if self._add(context) is None:
            return {"CANCELLED"}
        bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return {"FINISHED"}

    def execute(self, context: Any) -> set[str]:
        """For scripts: waits until the result is on the timeline."""
        job = self._add(context)
        if job is None:
            return {"CANCELLED"}
        JOBS.wait(job)
        modal.report(self, job)
        return {"FINISHED"} if job.state == State.DONE else {"CANCELLED"}

    def _add(self, context: Any) -> Job | None:
        try:
            order = self._order(context)
        except CannotUse as failure:
            self.report({"ERROR"}, str(failure))
            return None
        if orders.is_temporary(Path(order.spec["out_dir"])):
            text = "The file is not saved: its frames are temporary until you save it"
            self.report({"WARNING"}, text)
        return JOBS.add(order)


class ANIMPORTRAIT_OT_animate(_Draws, bpy.types.Operator):
    """Make the portrait speak: an image strip over the sound, with lips and eyes as keys."""

    bl_idname = "animportrait.animate"
    bl_label = "Animate Portrait"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A server, a sound, a portrait."""
        scene = strips.sequencer_scene(context)
        reason = prefs.flaw(context) or orders.flaw(scene) or _pending(scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _order(self, context: Any) -> orders.Order:
        return orders.animate(strips.sequencer_scene(context), JOBS.shot_ids)


class ANIMPORTRAIT_OT_render_edits(_Draws, bpy.types.Operator):
    """Draw the frames again whose keys have changed, and only those."""

    bl_idname = "animportrait.render_edits"
    bl_label = "Render Edits"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot with changed keys."""
        reason = prefs.flaw(context) or _no_edits(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _order(self, context: Any) -> orders.Order:
        return orders.render_edits(shots.active_shot(strips.sequencer_scene(context)))


class ANIMPORTRAIT_OT_render_current_frame(_Draws, bpy.types.Operator):
    """Draw only the frame under the playhead again; other changes wait for Render Edits."""

    bl_idname = "animportrait.render_current_frame"
    bl_label = "Render Current Frame"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot whose keys have changed under the playhead."""
        scene = strips.sequencer_scene(context)
        reason = prefs.flaw(context) or _no_edits(scene)
        if not reason and not shots.is_stale():
            shot = shots.active_shot(scene)
            status = shots.status(shot)
            frame = scene.frame_current - strips.origin(shot)
            if status is not None and frame not in status.dirty_frames:
                reason = "The frame under the playhead fits its keys"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _order(self, context: Any) -> orders.Order:
        scene = strips.sequencer_scene(context)
        return orders.render_edits(shots.active_shot(scene), scene.frame_current)


class ANIMPORTRAIT_OT_cancel(bpy.types.Operator):
    """Stop a job; the timeline stays as it is."""

    bl_idname = "animportrait.cancel"
    bl_label = "Cancel"

    job: IntProperty(default=0, description="Number of the job; 0 is the running one")

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs."""
        if JOBS.busy:
            return True
        cls.poll_message_set("No job is running")
        return False

    def execute(self, _context: Any) -> set[str]:
        """Asks the server; the job ends within 5 s."""
        chosen = [job for job in JOBS.list if job.id == self.job] or [JOBS.current]
        for job in chosen:
            if job is not None:
                JOBS.cancel(job)
        strips.redraw()
        return {"FINISHED"}


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
        reason = _no_shot(strips.sequencer_scene(context))
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
        reason = _no_shot(strips.sequencer_scene(context))
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


def _no_shot(scene: Any | None) -> str:
    return "" if shots.active_shot(scene) is not None else "Select a portrait's image strip"


def _no_edits(scene: Any | None) -> str:
    reason = _no_shot(scene) or _pending(scene)
    if reason or shots.is_stale():
        return reason
    status = shots.status(shots.active_shot(scene))
    if status is not None and status.take is None:
        return f"{status.problem}. Press Animate Again"
    if status is not None and status.dirty == 0:
        return "No visible frame differs from its picture"
    return ""


def _pending(scene: Any) -> str:
    shot, sound, portrait = orders.subject(scene)
    if shot is not None:
        queued = JOBS.pending(scene.name, shot.name)
        return "A job for this shot is in the queue" if queued else ""
    if sound is not None and JOBS.making(scene.name, sound.name, str(portrait)):
        return f'This portrait with "{sound.name}" is in the queue'
    return ""


_CLASSES = (
    ANIMPORTRAIT_OT_animate,
    ANIMPORTRAIT_OT_render_edits,
    ANIMPORTRAIT_OT_render_current_frame,
    ANIMPORTRAIT_OT_cancel,
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
