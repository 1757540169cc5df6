"""The server process: JSON-RPC over stdin and stdout, as protocol.py specifies it.

Threads: one reads and answers what needs no time, one works on jobs, one writes (pipes.Outbox), and
the main thread supervises: it sends events that were held back, answers a cancelled job that does
not come back on its own, and ends the process on end of file, a broken pipe or long idleness.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, protocol
from .errors import AnimatePortraitError, Busy, Cancelled, ProtocolError
from .home import home
from .jobs import EVENT_PERIOD_S, Job, Reporter
from .messages import (
    decode,
    encodable,
    failure_line,
    flaw_of,
    internal_error_line,
    is_id,
    version_mismatch,
)
from .pipes import Outbox, guard, read_lines

if TYPE_CHECKING:
    from .pipeline import Studio

IDLE_TIMEOUT_S = 900.0
CANCEL_GRACE_S = 0.6  # a job that has not stopped by itself is answered for
EXIT_GRACE_S = 0.6  # the same when the process must end

log = logging.getLogger(__name__)


class Server:
    """One connection, from `hello` to end of file."""

    def __init__(self, source: int, target: int, idle_timeout_s: float) -> None:
        self._source = source
        self._idle_timeout_s = idle_timeout_s
        self._started = self._last_message = time.monotonic()
        self._wake = threading.Event()  # the supervisor has something to look at
        self._stop = threading.Event()
        self._outbox = Outbox(target, self.stop)
        self._lock = threading.Lock()
        self._current: Job | None = None
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._greeted = False
        self._studio: Studio | None = None  # made by the first job, used by the worker only

    def stop(self) -> None:
        """Finish now; safe from any thread and from signal handlers."""
        self._stop.set()
        self._wake.set()

    def run(self) -> int:
        """Serve until the connection ends or the server has been idle for too long.

        Returns:
            The exit status: 0, or 1 when the worker thread has died.
        """
        # daemons: a blocked read or a long native call must not keep the process alive
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        worker = threading.Thread(target=self._work, name="worker", daemon=True)
        worker.start()
        while not self._stop.is_set():
            self._wake.wait(self._time_to_look_s())
            self._wake.clear()
            self._supervise()
            if not worker.is_alive():
                log.error("The worker thread has ended.")
                return 1
        self._finish()
        return 0

    def _time_to_look_s(self) -> float | None:
        if self._current is not None:
            return EVENT_PERIOD_S
        if self._idle_timeout_s <= 0:
            return None
        return max(0.01, self._last_message + self._idle_timeout_s - time.monotonic())

    def _supervise(self) -> None:
        now = time.monotonic()
        job = self._current
        if job is None:
            if 0 < self._idle_timeout_s <= now - self._last_message:
                log.info("Idle for %.0f s.", self._idle_timeout_s)
                self.stop()
            return
        job.report.tick()
        if now - job.cancelled_at > CANCEL_GRACE_S:
            log.info("Request %r is in a long step; it is answered now and dropped later.", job.id)
            self._answer(job, failure_line(job.id, Cancelled("The job was cancelled.")))

    def _finish(self) -> None:
        """Let the running job clean up, then end."""
        deadline = time.monotonic() + EXIT_GRACE_S
        while self._current is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        self._outbox.flush(0.2)

    def _read(self) -> None:
        """Reader thread: one line after the other until end of file."""
        try:
            for line in read_lines(self._source):
                if self._stop.is_set():
                    return
                self._last_message = time.monotonic()
                self._receive(line)
            log.info("End of input.")
        finally:
            self.stop()

    def _receive(self, line: bytes | None) -> None:
        if line is None:
            limit = protocol.MAX_LINE_BYTES
            self._refuse(None, protocol.PARSE_ERROR, f"The line is longer than {limit} bytes.")
            return
        if not line.strip():
            return
        try:
            message = decode(line)
        except (ValueError, RecursionError) as failure:
            self._refuse(None, protocol.PARSE_ERROR, f"The line is not JSON: {failure}.")
            return
        request_id = message.get("id") if isinstance(message, dict) else None
        if not is_id(request_id):
            request_id = None
        flaw = flaw_of(message)
        if flaw:
            self._refuse(request_id, protocol.INVALID_REQUEST, flaw)
        elif "id" in message:
            self._request(message["id"], message["method"], message.get("params", {}))
        else:
            self._notification(message["method"], message.get("params", {}))

    def _notification(self, method: str, params: dict[str, Any]) -> None:
        if method == "cancel":
            self._cancel(params.get("id"))
        elif method == "shutdown":
            self.stop()
        elif method in protocol.METHODS:
            self._refuse(None, protocol.INVALID_REQUEST, f'The request "{method}" has no id.')
        else:
            log.info("Unknown notification %.80r is ignored.", method)

    def _cancel(self, request_id: object) -> None:
        with self._lock:
            job = self._current
            if job is None or type(request_id) is not type(job.id) or request_id != job.id:
                log.info("Nothing to cancel: %.80r is not running.", request_id)
                return
            job.cancelled_at = min(job.cancelled_at, time.monotonic())
            job.cancelled.set()
        self._wake.set()

    def _request(self, request_id: int | str, method: str, params: dict[str, Any]) -> None:
        handlers: dict[str, Callable[[int | str, dict[str, Any]], None]] = {
            "hello": self._hello,
            "ping": self._ping,
            "analyze": self._analyze,
            "align": self._align,
            "render": self._render,
            "import": self._import,
            "export": self._export,
            "free_gpu": self._free_gpu,
        }
        if method not in handlers:
            known = ", ".join(protocol.METHODS)
            text = f'There is no method "{method[:80]}".'
            self._refuse(request_id, protocol.METHOD_NOT_FOUND, text, f"Known are: {known}.")
        elif not self._greeted and method != "hello":
            text = f'"{method}" came before "hello".'
            self._refuse(request_id, protocol.INVALID_REQUEST, text, "Send hello first.")
        else:
            handlers[method](request_id, params)

    def _hello(self, request_id: int | str, params: dict[str, Any]) -> None:
        theirs = params.get("protocol")
        if isinstance(theirs, bool) or not isinstance(theirs, int):
            text = f"hello.protocol is {str(theirs)[:60]!r}."
            self._refuse(request_id, protocol.INVALID_PARAMS, text, "It must be a whole number.")
            return
        if theirs != protocol.PROTOCOL_VERSION:
            self._outbox.send(failure_line(request_id, version_mismatch(theirs)))
            return
        from . import registry

        log.info("Hello from %.80r.", params.get("client"))
        self._greeted = True
        value = {
            "protocol": protocol.PROTOCOL_VERSION,
            "version": __version__,
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "home": encodable(str(home())),
            "renderers": registry.listing(registry.RENDERERS),
            "styles": registry.listing(registry.STYLES),
        }
        self._outbox.send(protocol.result(request_id, value))

    def _ping(self, request_id: int | str, params: dict[str, Any]) -> None:
        uptime_s = time.monotonic() - self._started
        value = {"uptime_s": round(uptime_s, 3), "busy": self._current is not None}
        self._outbox.send(protocol.result(request_id, value))

    def _analyze(self, request_id: int | str, params: dict[str, Any]) -> None:
        image, landmarks = params.get("image"), params.get("landmarks")
        for name, value in (("image", image), ("landmarks", landmarks)):
            fits = isinstance(value, str) and value.strip() and "\0" not in value
            if not fits and (name == "image" or value is not None):
                text = f"analyze.{name} is {str(value)[:60]!r}."
                self._refuse(request_id, protocol.INVALID_PARAMS, text, "It must be a path.")
                return

        def work(job: Job) -> dict[str, Any]:
            from .pipeline import analysis_to_json

            points = Path(landmarks) if landmarks else None
            portrait = self._open_studio().analyze(
                Path(str(image)), points, job.report, self._is_cancelled(job)
            )
            return analysis_to_json(portrait)

        self._start(request_id, work)

    def _align(self, request_id: int | str, params: dict[str, Any]) -> None:
        texts = params.get("transcript"), params.get("language", "en")
        if not all(isinstance(text, str) for text in texts):
            text = f"align.transcript or .language is {str(texts)[:60]}."
            self._refuse(request_id, protocol.INVALID_PARAMS, text, "Both must be texts.")
            return

        def work(job: Job) -> dict[str, Any]:
            from .spec import parse_voice
            from .transcript import align

            audio, _, _ = parse_voice(params.get("audio"), 0, {})
            return align(audio, str(texts[0]), str(texts[1]), self._is_cancelled(job))

        self._start(request_id, work)

    def _import(self, request_id: int | str, params: dict[str, Any]) -> None:
        def work(job: Job) -> dict[str, Any]:
            from .exchange import import_file

            return import_file(params.get("file"), params.get("fps"), params.get("n_frames"))

        self._start(request_id, work)

    def _export(self, request_id: int | str, params: dict[str, Any]) -> None:
        def work(job: Job) -> dict[str, Any]:
            from .exchange import export_take

            return export_take(params.get("take"), params.get("format"), params.get("file"))

        self._start(request_id, work)

    def _render(self, request_id: int | str, params: dict[str, Any]) -> None:
        document = params.get("spec")
        if not isinstance(document, dict):
            text = f"render.spec is {str(document)[:60]!r}."
            self._refuse(request_id, protocol.INVALID_PARAMS, text, "It must be an object.")
            return

        def work(job: Job) -> dict[str, Any]:
            from .spec import parse_spec

            spec = parse_spec(document)
            take = self._open_studio().render(spec, job.report, self._is_cancelled(job))
            return {
                "take": str(take.path),
                "n_frames": take.n_frames,
                "rendered": len(take.rendered),
                "reused": len(take.reused),
                "warnings": list(take.warnings),
                "seconds": dict(take.seconds),
            }

        self._start(request_id, work)

    def _free_gpu(self, request_id: int | str, params: dict[str, Any]) -> None:
        def work(job: Job) -> dict[str, Any]:
            from .device import free_gpu

            if self._studio is not None:
                self._studio.forget()
            return {"freed_bytes": free_gpu()}

        self._start(request_id, work)

    def _open_studio(self) -> Studio:
        if self._studio is None:
            from .pipeline import Studio

            self._studio = Studio()
        return self._studio

    def _is_cancelled(self, job: Job) -> Callable[[], bool]:
        return lambda: job.cancelled.is_set() or self._stop.is_set()

    def _start(self, request_id: int | str, work: Callable[[Job], dict[str, Any]]) -> None:
        job = Job(request_id, work, Reporter(request_id, self._outbox))
        with self._lock:
            running = self._current
            if running is None:
                self._current = job
        if running is not None:
            failure = Busy(f"Request {running.id!r} is still running.", "Wait for it or cancel it.")
            self._outbox.send(failure_line(request_id, failure))
            return
        self._queue.put(job)
        self._wake.set()

    def _work(self) -> None:
        """Worker thread: one job after the other."""
        while True:
            job = self._queue.get()
            if job.answered:  # cancelled while an abandoned job was still in its last step
                continue
            try:
                line = protocol.result(job.id, job.work(job))
            except AnimatePortraitError as failure:
                line = failure_line(job.id, failure)
            except Exception as failure:
                log.exception("Request %r failed", job.id)
                line = internal_error_line(job.id, failure)
            self._answer(job, line)

    def _answer(self, job: Job, line: bytes) -> None:
        """Answer a job, once; what it does afterwards nobody hears."""
        with self._lock:
            if job.answered:
                return
            job.answered = True
            job.report.close()
            self._outbox.send(line)
            self._last_message = time.monotonic()
            if self._current is job:
                self._current = None
        self._wake.set()

    def _refuse(self, request_id: int | str | None, code: int, text: str, hint: str = "") -> None:
        line = protocol.error(request_id, code, encodable(text), ProtocolError.__name__, hint)
        self._outbox.send(line)


def serve(idle_timeout_s: float = IDLE_TIMEOUT_S) -> None:
    """Serve this process's stdin and stdout; does not return."""
    source, target = guard()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    server = Server(source, target, idle_timeout_s)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: server.stop())
    status = server.run()
    log.info("Bye.")
    logging.shutdown()
    # Not sys.exit: a thread in a native call, or a pool of it, would keep the process alive.
    os._exit(status)
