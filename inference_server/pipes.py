"""The pipes between add-on and server: guarded descriptors, bounded lines, a writer thread."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator

from .protocol import MAX_LINE_BYTES

MAX_UNREAD_BYTES = 64 * 1024 * 1024  # a client that leaves this much unread is taken for dead
_CHUNK_BYTES = 1 << 16

log = logging.getLogger(__name__)


def guard() -> tuple[int, int]:
    """Take stdin and stdout away from everybody else.

    Libraries print, native code prints, and an ffmpeg child would read our requests. From here on
    descriptor 0 is empty and descriptor 1 is stderr, for this process and its children.

    Returns:
        Private descriptors of the real (stdin, stdout); children do not inherit them.
    """
    source, target = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # started without a stderr
        os.dup2(null, 1)
        os.dup2(null, 2)
    os.close(null)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (source, target):
            msvcrt.setmode(descriptor, os.O_BINARY)  # no newline translation, no Ctrl-Z
    return source, target


def read_lines(descriptor: int) -> Iterator[bytes | None]:
    """Lines of a pipe without their newline, until its end; None for a line that is too long.

    A line that the end of file cuts off is dropped: its sender is gone.
    """
    pending = bytearray()
    skipping = False
    while chunk := _read(descriptor):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            pending += part
            if skipping:
                skipping = False
            elif len(pending) > MAX_LINE_BYTES:
                yield None
            else:
                yield bytes(pending)
            pending.clear()
        if not skipping:
            pending += rest
            if len(pending) > MAX_LINE_BYTES:  # answered at once, then skipped to its end
                yield None
                skipping = True
        if skipping:
            pending.clear()


def _read(descriptor: int) -> bytes:
    """The next bytes; none at the end of file and when the pipe breaks."""
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except OSError as failure:
        log.info("Input broke: %s", failure)
        return b""


class Outbox:
    """Writes lines in order from a thread of its own, so that a slow reader holds nobody up.

    Args:
        descriptor: where to write.
        on_broken: called once, from any thread, when the reader is gone or has stopped reading.
    """

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._lines: deque[bytes] = deque()
        self._unread_bytes = 0
        self._broken = False
        self._changed = threading.Condition()
        # daemon: a write to a pipe that nobody reads can block for ever
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    def send(self, line: bytes) -> None:
        """Queue one line, newline included."""
        with self._changed:
            if self._broken:
                return
            self._lines.append(line)
            self._unread_bytes += len(line)
            overflow = self._unread_bytes > MAX_UNREAD_BYTES
            self._changed.notify_all()
        if overflow:
            self._break(f"{MAX_UNREAD_BYTES} bytes were not read")

    def flush(self, timeout_s: float) -> None:
        """Wait until everything is written, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unread_bytes or self._broken, timeout_s)

    def _write(self) -> None:
        while not self._broken:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._broken)
                if self._broken:
                    return
                line = self._lines.popleft()
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as failure:
                self._break(str(failure))
                return
            with self._changed:
                self._unread_bytes -= len(line)
                self._changed.notify_all()

    def _break(self, reason: str) -> None:
        with self._changed:
            if self._broken:
                return
            self._broken = True
            self._lines.clear()
            self._changed.notify_all()
        log.info("Output broke: %s", reason)
        self._on_broken()
