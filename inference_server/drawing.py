"""Draws the frames that are missing, several at a time, and writes each as soon as it is drawn."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import numpy.typing as npt

from .datatypes import Motion
from .errors import Cancelled
from .events import FramesReady, OnEvent, Progress
from .registry import Renderer
from .take_folder import NO_LAYERS, TakeFolder

MAX_WORKERS = 16
_BATCH = 4  # frames that one task draws: spreads the cost of a call, keeps cancel quick
_TASKS_PER_WORKER = 2  # in flight: bounds memory whatever the length of the shot

_Layered = tuple[npt.NDArray[np.uint8], Mapping[str, npt.NDArray[np.uint8]]]


def n_workers() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    return min(MAX_WORKERS, os.cpu_count() or 1)


class Drawing:
    """One run over the missing frames of a take.

    Args:
        renderer: may draw in several threads when `renderer.parallel`.
        prepared: what the renderer has made of portrait and look.
        motion: rounded.
        alpha: write RGBA; otherwise RGB.
        folder: where frames go.
        twins: frame to draw -> frames that are equal to it and are linked to it.
    """

    def __init__(
        self,
        renderer: Renderer,
        prepared: Any,
        motion: Motion,
        alpha: bool,
        folder: TakeFolder,
        twins: Mapping[int, Sequence[int]],
    ) -> None:
        self._renderer = renderer
        self._prepared = prepared
        self._motion = motion
        self._alpha = alpha
        self._folder = folder
        self._twins = twins
        self._stopped = threading.Event()
        self._turn = threading.Lock()  # of a renderer that draws in one thread at a time

    def run(self, on_event: OnEvent, cancelled: Callable[[], bool]) -> None:
        """Draw everything.

        Raises:
            Cancelled: `cancelled()` became true; frames written so far stay.
            AnimatePortraitError: the first error of any frame.
        """
        frames = sorted(self._twins)
        workers = n_workers() if self._renderer.parallel else 2  # one draws, one writes
        batch = max(1, min(_BATCH, len(frames) // (2 * workers)))
        batches = [frames[at : at + batch] for at in range(0, len(frames), batch)]
        tally = _Tally(sum(1 + len(twins) for twins in self._twins.values()), on_event)
        running: set[Future[list[int]]] = set()
        with ThreadPoolExecutor(workers, thread_name_prefix="draw") as pool:
            try:
                while batches or running:
                    while batches and len(running) < workers * _TASKS_PER_WORKER:
                        running.add(pool.submit(self._draw, batches.pop(0), cancelled))
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        tally.add(future.result())
            finally:
                self._stopped.set()

    def _draw(self, frames: Sequence[int], cancelled: Callable[[], bool]) -> list[int]:
        """One task: draw, write and link; returns what is on disk."""
        on_disk: list[int] = []
        if self._stopped.is_set() or cancelled():
            raise Cancelled("The job was cancelled.")
        for frame, (rgba, layers) in zip(frames, self._pictures(frames), strict=True):
            if self._stopped.is_set() or cancelled():
                raise Cancelled("The job was cancelled.")
            self._folder.write(frame, rgba if self._alpha else rgba[..., :3], layers)
            for twin in self._twins[frame]:
                self._folder.link(twin, self._folder.frame_path(frame))
            on_disk += [frame, *self._twins[frame]]
        return on_disk

    def _pictures(self, frames: Sequence[int]) -> Iterable[_Layered]:
        if self._renderer.parallel:
            return self._layered(frames)
        with self._turn:
            return list(self._layered(frames))

    def _layered(self, frames: Sequence[int]) -> Iterable[_Layered]:
        if self._folder.layers:
            return self._renderer.render_layers(self._prepared, self._motion, frames)
        drawn = self._renderer.render(self._prepared, self._motion, frames)
        return ((rgba, NO_LAYERS) for rgba in drawn)


class _Tally:
    """Counts frames and estimates the time left."""

    def __init__(self, total: int, on_event: OnEvent) -> None:
        self._total = total
        self._on_event = on_event
        self._done = 0
        self._start = time.monotonic()

    def add(self, frames: list[int]) -> None:
        self._done += len(frames)
        elapsed_s = time.monotonic() - self._start
        eta_s = round(elapsed_s / self._done * (self._total - self._done), 1)
        self._on_event(FramesReady(tuple(frames)))
        self._on_event(Progress("render", self._done, self._total, eta_s))
