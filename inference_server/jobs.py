"""One running request and what it reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import protocol
from .events import Event, FramesReady, Notice, Progress
from .messages import encodable
from .pipes import Outbox

EVENT_PERIOD_S = 0.1  # at most ten events of a kind a second


class Reporter:
    """Sends the events of one job, each kind at most ten times a second, the last one always."""

    def __init__(self, request_id: int | str, outbox: Outbox) -> None:
        self._id = request_id
        self._outbox = outbox
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._frames: list[int] = []
        self._progress_due = self._frames_due = 0.0  # time.monotonic()
        self._closed = False

    def __call__(self, event: Event) -> None:
        """Take one event; safe from any thread."""
        with self._lock:
            if self._closed:
                return
            if isinstance(event, Progress):
                self._progress = event
            elif isinstance(event, FramesReady):
                self._frames.extend(event.frames)
            else:
                self._send_notice(event)
            self._send_due(time.monotonic())

    def tick(self) -> None:
        """Send what was held back and is due."""
        with self._lock:
            if not self._closed:
                self._send_due(time.monotonic())

    def close(self) -> None:
        """Send what was held back, then take no more."""
        with self._lock:
            if not self._closed:
                self._send_due(float("inf"))
            self._closed = True

    def _send_due(self, now: float) -> None:
        if self._frames and now >= self._frames_due:
            frames, self._frames = self._frames, []
            params: dict[str, Any] = {"id": self._id, "frames": frames}
            self._outbox.send(protocol.notification("frames", params))
            self._frames_due = now + EVENT_PERIOD_S
        if self._progress and now >= self._progress_due:
            event, self._progress = self._progress, None
            params = {
                "id": self._id,
                "stage": event.stage,
                "done": event.done,
                "total": event.total,
                "eta_s": event.eta_s,
            }
            self._outbox.send(protocol.notification("progress", params))
            self._progress_due = now + EVENT_PERIOD_S

    def _send_notice(self, event: Notice) -> None:
        params = {"level": event.level, "message": encodable(event.message)}
        self._outbox.send(protocol.notification("log", params))


@dataclass(slots=True, eq=False)
class Job:
    """One request that takes time."""

    id: int | str
    work: Callable[[Job], dict[str, Any]]
    report: Reporter
    cancelled: threading.Event = field(default_factory=threading.Event)
    cancelled_at: float = float("inf")  # time.monotonic()
    answered: bool = False
