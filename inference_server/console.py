"""The terminal of a command: libraries are kept off it, so that it holds only what we say."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

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


def _private(descriptor: int) -> TextIO:
    """A text stream of its own on what a descriptor leads to now."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return os.fdopen(os.dup(descriptor), "w", encoding=encoding, errors="backslashreplace")
