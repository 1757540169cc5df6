"""Keeps the queue of jobs moving in a window, and ends it when Blender goes on."""

import time
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import strips
from .job import Job, State
from .jobs import JOBS

TIMER_PERIOD_S = 0.1
QUICK_JOB_S = 0.5  # drawing the window may take longer than drawing one frame
STALLED_S = 3.0  # without a tick: the operator that should be running has died of an error
QUICK_PERIOD_S = 0.01  # while a result is put onto the timeline, or one frame is waited for


class ANIMPORTRAIT_OT_run_jobs(bpy.types.Operator):
    """Keeps the queue moving while Blender stays free for other work."""

    bl_idname = "animportrait.run_jobs"
    bl_label = "Run Portrait Jobs"
    bl_options = {"INTERNAL"}

    _running = False  # one is enough for all jobs
    _timer: Any = None
    _period_s = TIMER_PERIOD_S
    _shown_at = 0.0  # time.monotonic()

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Starts the timer, unless another one of us runs already."""
        cls = type(self)
        if cls._running and time.monotonic() - JOBS.ticked_at < STALLED_S:
            return {"CANCELLED"}
        cls._running = True
        JOBS.ticked_at = time.monotonic()
        self._reported = {job.id for job in JOBS.list if job.ended}
        self._set_timer(context, QUICK_PERIOD_S)
        self._shown_at = time.monotonic()
        context.window_manager.modal_handler_add(self)
        context.window_manager.progress_begin(0, 100)
        context.workspace.status_text_set("Animate Portrait is working. ESC: cancel the job")
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """ESC cancels; everything else passes through, except in the moment of the result."""
        job = JOBS.current
        if event.type == "ESC" and event.value == "PRESS" and job is not None:
            JOBS.cancel(job)
            strips.redraw()
            return {"RUNNING_MODAL"}
        if event.type == "TIMER":
            JOBS.tick()
            self._report()
            self._show(context)
            if not JOBS.busy:
                self._finish(context)
                return {"FINISHED"}
            self._set_timer(context, QUICK_PERIOD_S if JOBS.hurried else TIMER_PERIOD_S)
        return {"RUNNING_MODAL"} if JOBS.applying_briefly else {"PASS_THROUGH"}

    def cancel(self, context: Any) -> None:
        """Blender ends us: the window closes, another file is loaded, quit."""
        JOBS.stop()
        self._finish(context)

    def _show(self, context: Any) -> None:
        job = JOBS.current
        if job is not None:
            context.window_manager.progress_update(int(100 * job.fraction))
        pause_s = QUICK_JOB_S if JOBS.hurried else TIMER_PERIOD_S
        if job is None or time.monotonic() - self._shown_at >= pause_s:
            self._shown_at = time.monotonic()
            strips.redraw()

    def _report(self) -> None:
        for job in JOBS.list:
            if job.ended and job.id not in self._reported:
                self._reported.add(job.id)
                report(self, job)

    def _set_timer(self, context: Any, period_s: float) -> None:
        if self._timer is not None and self._period_s == period_s:
            return
        manager = context.window_manager
        if self._timer is not None:
            manager.event_timer_remove(self._timer)
        self._timer = manager.event_timer_add(period_s, window=context.window)
        self._period_s = period_s

    def _finish(self, context: Any) -> None:
        type(self)._running = False
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        context.window_manager.progress_end()
        if context.workspace is not None:
            context.workspace.status_text_set(None)
        strips.redraw()


def report(operator: Any, job: Job) -> None:
    """Tells the user how a job ended."""
    text = f"{job.title}: {job.message}"
    if job.state == State.DONE:
        for note in job.notes:
            operator.report({"WARNING"}, note)
        operator.report({"INFO"}, text)
    elif job.state == State.CANCELLED:
        operator.report({"WARNING"}, text)
    else:
        operator.report({"ERROR"}, f"{text}\n{job.hint}".strip())


@persistent
def _load_pre(*_: Any) -> None:
    JOBS.stop()
    JOBS.list.clear()


def register() -> None:
    """Adds the engine."""
    bpy.utils.register_class(ANIMPORTRAIT_OT_run_jobs)
    bpy.app.handlers.load_pre.append(_load_pre)


def unregister() -> None:
    """Ends jobs and server; also runs when Blender quits."""
    JOBS.stop()
    ANIMPORTRAIT_OT_run_jobs._running = False
    bpy.app.handlers.load_pre.remove(_load_pre)
    bpy.utils.unregister_class(ANIMPORTRAIT_OT_run_jobs)
