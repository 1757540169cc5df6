"""The queue as a list: what waits, runs and has ended; cancel one, or try it again."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty

from . import drawing, orders, paragraph, strips, timing
from .job import Job, State
from .jobs import JOBS
from .sidebar import SidebarPanel
from .strips import CannotUse

_STAGES = {
    "start": "Starting the server",
    "portrait": "Looking at the portrait",
    "speech": "Listening",
    "motion": "Moving the face",
    "prepare": "Preparing",
    "render": "Drawing",
    "finish": "Finishing",
    "timeline": "Putting it onto the timeline",
}


class ANIMPORTRAIT_OT_retry(bpy.types.Operator):
    """Put a job that did not end well into the queue again."""

    bl_idname = "animportrait.retry"
    bl_label = "Try Again"

    job: IntProperty(description="Number of the job")

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """In the background."""
        result = self._add()
        if result == {"FINISHED"}:
            bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return result

    def execute(self, _context: Any) -> set[str]:
        """For scripts: waits."""
        result = self._add()
        if result == {"FINISHED"}:
            JOBS.wait(JOBS.list[-1])
        return result

    def _add(self) -> set[str]:
        job = next((job for job in JOBS.list if job.id == self.job), None)
        if job is None or not job.ended or job.order is None:
            self.report({"ERROR"}, "This job cannot be tried again.")
            return {"CANCELLED"}
        try:
            order = orders.remade(job.order)
        except CannotUse as failure:
            self.report({"ERROR"}, str(failure))
            return {"CANCELLED"}
        JOBS.list.remove(job)
        JOBS.add(order)
        return {"FINISHED"}


class ANIMPORTRAIT_OT_clear_queue(bpy.types.Operator):
    """Take what has ended off the list."""

    bl_idname = "animportrait.clear_queue"
    bl_label = "Clear"

    def execute(self, _context: Any) -> set[str]:
        """What waits or runs stays."""
        JOBS.list[:] = [job for job in JOBS.list if not job.ended]
        strips.redraw()
        return {"FINISHED"}


class ANIMPORTRAIT_PT_queue(SidebarPanel, bpy.types.Panel):
    """All jobs."""

    bl_label = "Queue"
    bl_order = 1

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only when there is one."""
        return bool(JOBS.list)

    def draw(self, context: Any) -> None:
        """The newest first."""
        waiting = sum(job.state == State.QUEUED for job in JOBS.list)
        if waiting:
            self.layout.label(text=f"{waiting} waiting")
        draw_jobs(self.layout, context)
        if any(job.ended for job in JOBS.list):
            self.layout.operator(ANIMPORTRAIT_OT_clear_queue.bl_idname, icon="X")


def draw_running(layout: Any) -> None:
    """The running job alone, beside the button that has started it."""
    job = JOBS.current
    if job is not None:
        row = layout.row(align=True)
        row.progress(factor=job.fraction, text=_progress_text(job), type="BAR")
        _cancel_button(row, job)


def draw_jobs(layout: Any, context: Any) -> None:
    """What waits can be cancelled, what failed can be tried again, without touching the others."""
    for job in reversed(JOBS.list):
        if job.state == State.QUEUED:
            row = layout.row(align=True)
            row.label(text=f"Waiting: {job.title}", icon="TIME")
            _cancel_button(row, job)
        elif not job.ended:
            layout.label(text=job.title, icon="RENDER_ANIMATION")
            row = layout.row(align=True)
            row.progress(factor=job.fraction, text=_progress_text(job), type="BAR")
            _cancel_button(row, job)
        elif job.message:
            icon = "CHECKMARK" if job.state == State.DONE else "ERROR"
            column = layout.column(align=True)
            if job.state != State.DONE and job.order is not None:
                row = column.row(align=True)
                retry = row.operator(ANIMPORTRAIT_OT_retry.bl_idname, icon="FILE_REFRESH")
                retry.job = job.id
            paragraph.draw(column, context, job.title, icon)
            for text in (job.message, job.hint, *job.notes):
                paragraph.draw(column, context, text)


def _progress_text(job: Job) -> str:
    if job.state == State.CANCELLING:
        return "Cancelling"
    words = [_STAGES.get(job.stage, job.stage.capitalize())]
    if job.total > 1:
        words.append(f"{job.done} / {job.total}")
    if job.eta_s is not None:
        words.append(f"{timing.clock(job.eta_s)} left")
    return "  ".join(words)


def _cancel_button(row: Any, job: Job) -> None:
    row.operator(drawing.ANIMPORTRAIT_OT_cancel.bl_idname, text="", icon="X").job = job.id


_CLASSES = (ANIMPORTRAIT_OT_retry, ANIMPORTRAIT_OT_clear_queue, ANIMPORTRAIT_PT_queue)


def register() -> None:
    """Adds buttons and panel."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
