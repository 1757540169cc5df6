"""The stages of a job: timed, reported, and left between two of them when it is cancelled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .errors import Cancelled
from .events import Notice, OnEvent, Progress

Block = TypeVar("Block")


class Stages:
    """Times the stages of a job, reports them and stops between them."""

    def __init__(self, on_event: OnEvent, cancelled: Callable[[], bool]) -> None:
        self.on_event = on_event
        self.cancelled = cancelled
        self.seconds: dict[str, float] = {}
        self.warnings: list[str] = []

    def check(self) -> None:
        """Raise Cancelled when the job has been cancelled."""
        if self.cancelled():
            raise Cancelled("The job was cancelled.")

    def warn(self, message: str) -> None:
        """Tell the artist, now and in `take.json`."""
        self.warnings.append(message)
        self.on_event(Notice("warning", message))

    @contextlib.contextmanager
    def clock(self, name: str) -> Iterator[None]:
        """Time a stage that reports by itself."""
        self.check()
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 4)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time and report a stage that is one step."""
        with self.clock(name):
            self.on_event(Progress(name, 0, 1))
            yield
            self.on_event(Progress(name, 1, 1))

    def telling(self, name: str) -> Callable[[int, int], None]:
        """Something that reports how much of a stage is done of how much."""
        return lambda done, total: self.on_event(Progress(name, done, total))

    def heeding(self, name: str, blocks: Iterator[Block], total: int) -> Iterator[Block]:
        """The same blocks of a stage, told one by one, with a look at the cancel before each."""
        for done, block in enumerate(blocks):
            self.check()
            self.on_event(Progress(name, done, total))
            yield block
