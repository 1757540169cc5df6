"""The terminal of a command: libraries are kept off it, so that it holds only what we say."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from .events import Event, Progress
from .home import home

_MAX_LOG_BYTES = 4 * 1024 * 1024


class Console:
    """Private streams to the real stdout and stderr; descriptors 1 and 2 lead to a log file.

    Native libraries print to both: progress would be torn, JSON spoilt and an error buried.
    """

    def __init__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.out = _private(1)
        self.err = _private(2)
        self.log_path: Path | None = home() / "logs" / "command.log"
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            large = self.log_path.exists() and self.log_path.stat().st_size > _MAX_LOG_BYTES
            flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if large else os.O_APPEND)
            log_file = os.open(self.log_path, flags, 0o644)
        except OSError:
            self.log_path = None
            log_file = os.open(os.devnull, os.O_WRONLY)
        os.dup2(log_file, 1)
        os.dup2(log_file, 2)
        os.close(log_file)
        logging.basicConfig(
            stream=sys.stderr,
            level=logging.INFO,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )

    def say(self, text: str) -> None:
        """A line on stdout; a reader that has gone away is no error."""
        self._write(self.out, text)

    def fail(self, text: str) -> None:
        """One line on stderr, whatever the text holds."""
        self._write(self.err, f"error: {' '.join(text.split())}")

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError:
            logging.getLogger(__name__).info("Nobody reads the output.")


class Bar:
    """Draws the events of a job as a progress bar, where stderr is a terminal."""

    def __init__(self, console: Console, shown: bool) -> None:
        self._bar: Any = None
        if shown and console.err.isatty():
            from tqdm import tqdm

            form = "{desc:8} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
            self._bar = tqdm(total=1, file=console.err, bar_format=form, leave=False)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def on_event(self, event: Event) -> None:
        """Follow a job."""
        if isinstance(event, Progress):
            self.show(event.stage, event.done, event.total)

    def on_bytes(self, name: str, done: int, total: int) -> None:
        """Follow a download, in MB."""
        self.show(name, done >> 20, max(total, done) >> 20)

    def show(self, what: str, done: int, total: int) -> None:
        """Draw the bar anew."""
        if self._bar is None:
            return
        if self._bar.desc != what:
            self._bar.reset(total)
            self._bar.set_description_str(what)
        self._bar.update(done - self._bar.n)


def _private(descriptor: int) -> TextIO:
    """A text stream of its own on what a descriptor leads to now."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return os.fdopen(os.dup(descriptor), "w", encoding=encoding, errors="backslashreplace")
