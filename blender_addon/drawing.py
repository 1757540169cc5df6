"""The buttons that draw. Each is modal for people, and waits for scripts; a grey one says why."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty

from . import folders, modal, ops, orders, prefs, shots, sounds, strips, subject
from .job import Job, State
from .jobs import JOBS
from .strips import CannotUse


class _Draws:
    """What all buttons that draw share."""

    lose: BoolProperty(
        name="Let Go of These Edits",
        options={"HIDDEN", "SKIP_SAVE"},
        description="Go on although the new sound has no frames for some edits",
    )

    def _order(self, context: Any) -> orders.Order:
        raise NotImplementedError

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Queues the job; Blender stays free. Asks first when edits would be lost."""
        order = self._checked(context)
        if order is None:
            return {"CANCELLED"}
        if order.lost and not self.lose:
            self._lost, self.lose = order.lost, True
            return context.window_manager.invoke_props_dialog(self, width=420)
        self._add(order)
        bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return {"FINISHED"}

    def draw(self, _context: Any) -> None:
        """The question: what would be lost."""
        column = self.layout.column(align=True)
        column.label(text="The sound has no frames for these edits any more:", icon="ERROR")
        for line in self._lost:
            column.label(text=line, icon="BLANK1")
        column.label(text="Their keys stay on the curves, out of sight. Go on?")

    def execute(self, context: Any) -> set[str]:
        """For scripts: waits until the result is on the timeline. After the question: does not."""
        order = self._checked(context)
        if order is None:
            return {"CANCELLED"}
        if order.lost and not self.lose:
            told = "\n".join(order.lost)
            self.report({"ERROR"}, f"The sound has no frames for these edits any more:\n{told}")
            return {"CANCELLED"}
        job = self._add(order)
        if getattr(self, "_lost", ()):
            bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
            return {"FINISHED"}
        JOBS.wait(job)
        modal.report(self, job)
        return {"FINISHED"} if job.state == State.DONE else {"CANCELLED"}

    def _checked(self, context: Any) -> orders.Order | None:
        try:
            return self._order(context)
        except CannotUse as failure:
            self.report({"ERROR"}, str(failure))
            return None

    def _add(self, order: orders.Order) -> Job:
        if folders.is_temporary(Path(order.spec["out_dir"])):
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
        reason = prefs.flaw(context) or subject.flaw(scene) or pending(scene)
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


class ANIMPORTRAIT_OT_follow_sound(_Draws, bpy.types.Operator):
    """Make the shot fit its sound and the scene's frame rate again; your edits come along."""

    bl_idname = "animportrait.follow_sound"
    bl_label = "Follow Sound"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot whose sound was moved, trimmed, replaced, or whose frame rate was changed."""
        scene = strips.sequencer_scene(context)
        reason = prefs.flaw(context) or ops.no_shot(scene) or pending(scene)
        if not reason and not sounds.difference(shots.active_shot(scene)):
            reason = "The shot fits its sound"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _order(self, context: Any) -> orders.Order:
        return orders.follow_sound(shots.active_shot(strips.sequencer_scene(context)))


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


def _no_edits(scene: Any | None) -> str:
    reason = ops.no_shot(scene) or pending(scene)
    if reason or shots.is_stale():
        return reason
    status = shots.status(shots.active_shot(scene))
    if status is not None and status.take is None:
        return f"{status.problem}. Press Animate Again"
    if status is not None and status.dirty == 0 and not status.directions:
        return "No visible frame differs from its picture"
    return ""


def pending(scene: Any) -> str:
    """Why the subject cannot be drawn now, as it is being drawn; empty when it is not."""
    shot, sound, portrait = subject.subject(scene)
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
    ANIMPORTRAIT_OT_follow_sound,
    ANIMPORTRAIT_OT_cancel,
)


def register() -> None:
    """Adds the operators."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
