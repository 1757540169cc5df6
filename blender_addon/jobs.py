"""The queue of jobs: one server, one running job, everything on the main thread in small slices.

`JOBS.tick()` is the whole engine. In a window a modal operator calls it ten times a second (a
hundred times while a result is put onto the timeline); scripts call it in a loop and wait. Both
see the same messages, so what the tests run is what the artist runs.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from . import client, orders, props, results, takes
from .job import Job, Question, State
from .orders import Order
from .strips import CannotUse

BUDGET_S = 0.005  # of work in one tick; with the last slice it must stay below 16 ms
BRIEF_FRAMES = 3000
APPLY_ATTEMPTS = 3
CANCEL_GRACE_S = 5.0
HELLO_TIMEOUT_S = 60.0  # a cold disk and a virus scanner
_SHOWN_FINISHED = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started."""

    command: tuple[str, ...]
    env: dict[str, str]
    log_path: Path


def _no_launch() -> Launch:
    raise CannotUse("The preferences of the add-on are not registered.")


class Jobs:
    """All jobs of this Blender, oldest first."""

    def __init__(self) -> None:
        self.list: list[Job] = []
        self.launch: Callable[[], Launch] = _no_launch  # set by prefs.py; raises CannotUse
        self.idle_s: Callable[[], float] = lambda: 0.0  # set by prefs.py
        self.previewed: Callable[[Order, takes.Take], None] = lambda _order, _take: None  # auto.py
        self.ticked_at = 0.0  # time.monotonic()
        self.longest_tick_s = 0.0  # since `reset_measure`, on the wall
        self.longest_tick_cpu_s = 0.0  # all threads of Blender; other programs do not count
        self.longest_undo_s = 0.0  # Blender's own work for one undo step; it cannot be sliced
        self._numbers = itertools.count(1)
        self._server: client.Server | None = None
        self._launched: Launch | None = None
        self._greeted = False
        self._served = False  # this server has done something before
        self._used_at = 0.0
        self._loaded: queue.SimpleQueue[tuple[int, results.Loaded | str]] = queue.SimpleQueue()
        self._result: results.Loaded | None = None
        self._applying: Iterator[None] | None = None
        self._attempts = 0
        self._undo_message = ""  # the result is on the timeline, the step is still to be made

    @property
    def current(self) -> Job | None:
        """The job that the server or the timeline works on."""
        return next((job for job in self.list if not job.ended and job.state != State.QUEUED), None)

    @property
    def busy(self) -> bool:
        """True while any job is not ended."""
        return any(not job.ended for job in self.list)

    @property
    def applying(self) -> bool:
        """True while a result is being put onto the timeline."""
        return self._applying is not None

    @property
    def applying_briefly(self) -> bool:
        """True while that takes less than a second: the artist's clicks can wait so long.

        With more frames Blender's own way of adding them takes seconds. The artist may go on
        meanwhile; should the half-made strip be undone, it is made again.
        """
        result = self._result
        return self.applying and result is not None and result.take.n_frames <= BRIEF_FRAMES

    def add(self, order: Order | None, question: Question | None = None) -> Job:
        """Puts a job at the end of the queue; neither asks the server how it is."""
        ended = [job for job in self.list if job.ended]
        for job in ended[: max(0, len(ended) - _SHOWN_FINISHED)]:
            self.list.remove(job)
        for other in self.list:  # the artist's own job comes before any preview
            if other.order is not None and other.order.kind == "preview":
                self.cancel(other)
        job = Job(next(self._numbers), order, question)
        self.list.append(job)
        return job

    @property
    def hurried(self) -> bool:
        """True while somebody waits for one frame, or for a result to appear."""
        job = self.current
        return self.applying or (job is not None and job.order is not None and job.order.is_quick)

    @property
    def _orders(self) -> list[Order]:
        """What is still to be put onto the timeline."""
        orders = [job.order for job in self.list if not job.ended]
        return [each for each in orders if each is not None and each.kind != "preview"]

    def pending(self, scene: str, strip: str) -> bool:
        """True when a job for this strip is not ended."""
        return any(order.scene == scene and order.strip == strip for order in self._orders)

    def making(self, scene: str, sound: str, image: str) -> bool:
        """True when a new shot of this sound strip and picture is not ended."""
        wanted = (scene, "", sound, image)
        orders = self._orders
        return any((o.scene, o.strip, o.sound, o.spec["image"]) == wanted for o in orders)

    @property
    def shot_ids(self) -> set[str]:
        """The shots that are not on the timeline yet."""
        return {order.record.shot_id for order in self._orders if not order.strip}

    def cancel(self, job: Job) -> None:
        """Stops a job; a running one ends when the server says so, after 5 s at the latest."""
        if job.state == State.QUEUED or (job.state == State.RUNNING and job.request is None):
            job.end(State.CANCELLED, "Cancelled")
        elif job.state == State.RUNNING and self._server is not None and job.request is not None:
            self._server.cancel(job.request)
            job.state, job.since = State.CANCELLING, time.monotonic()

    def stop(self) -> None:
        """Ends all jobs and the server at once: another file, add-on off, Blender quits."""
        for job in self.list:
            if not job.ended:
                job.end(State.CANCELLED, "Cancelled")
        self._applying, self._undo_message = None, ""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def reset_measure(self) -> None:
        """Begins to look for the longest tick anew."""
        self.longest_tick_s = self.longest_tick_cpu_s = self.longest_undo_s = 0.0

    def tick(self) -> None:
        """A few milliseconds of whatever has to be done; called on the main thread only."""
        began, cpu = time.perf_counter(), time.process_time()
        self.ticked_at = time.monotonic()
        if self._undo_message:
            self._push_undo()
            return
        deadline = began + BUDGET_S
        self._drain(deadline)
        self._look_at_the_clock()
        if self._applying is not None:
            self._apply(deadline)
        elif self.current is None:
            self._next()
        self.longest_tick_s = max(self.longest_tick_s, time.perf_counter() - began)
        self.longest_tick_cpu_s = max(self.longest_tick_cpu_s, time.process_time() - cpu)

    def wait(self, job: Job) -> None:
        """Ticks until a job has ended; for scripts."""
        try:
            while not job.ended:
                self.tick()
                if not self.applying:
                    time.sleep(0.005)
        except KeyboardInterrupt:
            self.stop()
            raise

    def close_if_idle(self) -> None:
        """Ends a server that has had nothing to do for as long as the preferences say."""
        idle_s = self.idle_s()
        if self._server is None or self.busy or idle_s <= 0:
            return
        self._drain(time.perf_counter() + BUDGET_S)
        if self._server is not None and time.monotonic() - self._used_at > idle_s:
            self._server.close()
            self._server = None

    def restart_server(self) -> None:
        """Ends an idle server, so that the next job starts one with the present settings."""
        if self._server is not None and not self.busy:
            self._server.close()
            self._server = None

    def _next(self) -> None:
        """Begins the first job that waits."""
        job = next((job for job in self.list if job.state == State.QUEUED), None)
        if job is None:
            return
        job.state, job.stage, job.since = State.RUNNING, "start", time.monotonic()
        job.request = None
        try:
            self._ensure_server()
        except CannotUse as failure:
            job.end(State.FAILED, str(failure))
            return
        if self._greeted:
            self._send(job)

    def _ensure_server(self) -> None:
        launch = self.launch()
        if self._server is not None and (self._server.ended or launch != self._launched):
            self._server.close()
            self._server = None
        if self._server is None:
            self._server = client.Server(launch.command, launch.env, launch.log_path)
            self._launched, self._greeted, self._served = launch, False, False
            self._server.start()

    def _send(self, job: Job) -> None:
        if self._server is None:
            raise AssertionError("a job runs on a server")
        if job.order is not None:
            job.order = orders.renewed(job.order)
        job.request = self._server.request(*job.asks)
        job.since = time.monotonic()

    def _drain(self, deadline: float) -> None:
        while self._server is not None:
            message = self._server.poll()
            if message is None:
                break
            self._used_at = time.monotonic()
            self._hear(message)
            if time.perf_counter() > deadline:
                break
        try:
            job_id, loaded = self._loaded.get_nowait()
        except queue.Empty:
            return
        job = self.current
        if job is not None and job.id == job_id and job.state == State.LOADING:
            self._begin_applying(job, loaded)

    def _hear(self, message: client.Message) -> None:
        job = self.current
        if isinstance(message, client.Hello):
            self._greeted = True
            props.offer(message.renderers, message.styles)
            self.hello = message
            if job is not None and job.state == State.RUNNING:
                self._send(job)
        elif isinstance(message, client.Stopped):
            self._server = None
            self._stopped(job, message)
        elif job is None:
            log.info("Nobody waits for %s", message)
        elif isinstance(message, client.Note):
            job.note(message.text)
        elif isinstance(message, client.Failure):
            self._failed(job, message)
        elif isinstance(message, client.Progress) and message.request == job.request:
            job.stage, job.done, job.total = message.stage, message.done, message.total
            job.eta_s = message.eta_s
        elif isinstance(message, client.Answer) and message.request == job.request:
            self._answered(job, message)

    def _stopped(self, job: Job | None, message: client.Stopped) -> None:
        if job is None or job.state not in (State.RUNNING, State.CANCELLING):
            return
        if job.state == State.CANCELLING:
            job.end(State.CANCELLED, "Cancelled")
        elif self._served and job.stage == "start" and not job.restarted:  # ended between two jobs
            job.restarted, job.state = True, State.QUEUED
        else:
            job.end(State.FAILED, message.message, message.hint)

    def _failed(self, job: Job, message: client.Failure) -> None:
        if message.request not in (job.request, 1, None):
            return
        if message.kind == "Cancelled":
            job.end(State.CANCELLED, "Cancelled")
        else:
            job.end(State.FAILED, message.message, message.hint)
        if message.kind == "VersionMismatch" and self._server is not None:
            self._server.close()
            self._server = None

    def _answered(self, job: Job, message: client.Answer) -> None:
        self._served = True
        if job.state == State.CANCELLING:
            job.end(State.CANCELLED, "Cancelled")
        elif job.question is not None:
            job.use_answer(message.value)
        elif job.order is None:
            uptime_s = float(message.value.get("uptime_s", 0.0))
            version, python = self.hello.version, self.hello.python
            text = f"Server {version} answers (Python {python}, up for {uptime_s:.0f} s)"
            job.end(State.DONE, text)
        else:
            job.state, job.stage, job.done, job.total = State.LOADING, "timeline", 0, 0
            for text in message.value.get("warnings", ()):
                job.note(str(text))
            folder = Path(message.value["take"])
            work = threading.Thread(target=self._load, args=(job.id, folder), daemon=True)
            work.start()

    def _load(self, job_id: int, folder: Path) -> None:
        """Thread: reads the take; no bpy."""
        try:
            self._loaded.put((job_id, results.load(folder)))
        except takes.TakeUnreadable as failure:
            self._loaded.put((job_id, str(failure)))

    def _begin_applying(self, job: Job, loaded: results.Loaded | str) -> None:
        if isinstance(loaded, str):
            job.end(State.FAILED, loaded)
            return
        if job.order is None:
            raise AssertionError("a server test loads nothing")
        if job.order.kind == "preview":
            self.previewed(job.order, loaded.take)
            job.end(State.DONE, "")
            return
        job.state, self._result, self._attempts = State.APPLYING, loaded, 0
        self._applying = results.apply(job.order, loaded)

    def _apply(self, deadline: float) -> None:
        job = self.current
        if job is None or self._applying is None or self._result is None:
            self._applying = None
            return
        try:
            next(self._applying)
            while time.perf_counter() < deadline:
                next(self._applying)
        except StopIteration:
            kind = job.order.kind if job.order is not None else ""
            self._undo_message = "Animate Portrait" if kind == "animate" else "Render Edits"
        except CannotUse as failure:
            self._lost(job, self._result, str(failure))

    def _push_undo(self) -> None:
        """One step for strip, keys and landmarks together, in a tick of its own."""
        job, loaded, message = self.current, self._result, self._undo_message
        self._undo_message = ""
        if job is None or job.order is None or loaded is None:
            return
        if not results.is_there(job.order, loaded.take):
            self._lost(job, loaded, "The strip is gone.")
            return
        began = time.perf_counter()
        bpy.ops.ed.undo_push(message=message)
        self.longest_undo_s = max(self.longest_undo_s, time.perf_counter() - began)
        self._applying, self._result = None, None
        take = loaded.take
        for text in take.warnings:
            job.note(text)
        job.end(State.DONE, f"{take.n_frames} frames, {take.rendered} of them drawn")

    def _lost(self, job: Job, loaded: results.Loaded, reason: str) -> None:
        """The half-made result was undone or deleted: a new strip is made again."""
        self._attempts += 1
        if job.order is not None and not job.order.strip and self._attempts < APPLY_ATTEMPTS:
            self._applying = results.apply(job.order, loaded)
            return
        self._applying = None
        text = f"{reason} The frames are in {loaded.take.folder}."
        job.end(State.FAILED, text)

    def _look_at_the_clock(self) -> None:
        job = self.current
        if job is None or self._server is None:
            return
        waited_s = time.monotonic() - job.since
        if job.state == State.CANCELLING and waited_s > CANCEL_GRACE_S:
            self._server.kill()
            job.end(State.CANCELLED, "Cancelled; the server did not listen and was ended")
        elif job.state == State.RUNNING and not self._greeted and waited_s > HELLO_TIMEOUT_S:
            self._server.kill()
            text = f"The server did not answer within {HELLO_TIMEOUT_S:.0f} s."
            job.end(State.FAILED, text, "Press Test Server in the preferences of the add-on.")

    hello: client.Hello = client.Hello("", "", "", (), ())


JOBS = Jobs()
