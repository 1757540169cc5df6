"""What the installer tells: lines for people, or one JSON object per line for the add-on; a log."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import IO

# Share of a whole installation, in percent; measured on a 2-core machine with a fast network.
STAGES = {
    "python": 1,
    "venv": 7,
    "torch": 30,
    "packages": 40,
    "models": 6,
    "server": 8,
    "check": 8,
}
MAX_LOG_BYTES = 4_000_000  # an older log is started anew


class InstallError(Exception):
    """Something that the user must know or do.

    Args:
        message: what happened, with the value, as one sentence.
        hint: what to do about it, as one sentence; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """One line for a terminal."""
        return f"{self.message} {self.hint}".strip()


class CancelledByUser(InstallError):
    """Ctrl+C, SIGTERM, or the add-on's cancel button."""


class Console:
    """Stages, lines and errors, to stdout and to the log.

    With `as_json`, stdout carries one object per line and nothing else:
        {"stage", "done", "total", "message"}   done of total (100) of the whole installation
        {"ok": true}  or  {"error": {"message", "hint"}}   the last line
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._log: IO[str] | None = None
        self._stage = ""
        self._started = time.monotonic()
        self._last_shown = 0.0
        self._transient = False
        if hasattr(sys.stdout, "reconfigure"):  # a Windows code page may lack a letter of a path
            sys.stdout.reconfigure(errors="backslashreplace")

    def open_log(self, path: Path) -> None:
        """Starts to write down everything that is said, and pip's output, in `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not path.exists() or path.stat().st_size > MAX_LOG_BYTES
        self._log = path.open("w" if fresh else "a", encoding="utf-8", errors="replace")
        self.note(f"\n== {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}")

    def close_log(self) -> None:
        """Lets go of the log file, so that its folder can be removed."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def note(self, text: str) -> None:
        """A line for the log alone."""
        if self._log is not None:
            self._log.write(text.rstrip("\n") + "\n")
            self._log.flush()

    def say(self, text: str = "") -> None:
        """A line for people; in JSON mode only the log gets it."""
        self.note(text)
        if not self.as_json:
            self._write(text + "\n")

    def stage(self, name: str, message: str) -> None:
        """A new stage of the installation begins; `name` is a key of STAGES."""
        self._stage = name
        self.note(f"-- {name}: {message} ({time.monotonic() - self._started:.1f} s)")
        if self.as_json:
            self._emit_progress(0.0, message)
        else:
            self._write(f"{message} ...\n")

    def progress(self, fraction: float, message: str) -> None:
        """How far the stage has come, 0 to 1; shown at most five times a second."""
        if time.monotonic() - self._last_shown < 0.2:
            return
        self._last_shown = time.monotonic()
        if self.as_json:
            self._emit_progress(min(max(fraction, 0.0), 1.0), message)
        elif sys.stdout.isatty():
            sys.stdout.write(f"\r\x1b[K  {message}")
            sys.stdout.flush()
            self._transient = True

    def finish(self) -> None:
        """The last line when all went well."""
        self.note("-- ok")
        if self.as_json:
            self._emit({"ok": True})

    def fail(self, error: InstallError) -> None:
        """The last line when it did not."""
        self.note(f"-- error: {error}")
        if self.as_json:
            self._emit({"error": {"message": error.message, "hint": error.hint}})
        else:
            self._clear_transient()
            sys.stderr.write(f"Error: {error}\n")

    def _emit_progress(self, fraction: float, message: str) -> None:
        names = list(STAGES)
        before = names[: names.index(self._stage)] if self._stage in STAGES else names
        done = sum(STAGES[name] for name in before) + fraction * STAGES.get(self._stage, 0)
        self._emit({"stage": self._stage, "done": round(done, 1), "total": 100, "message": message})

    def _emit(self, message: dict[str, object]) -> None:
        self._write(json.dumps(message) + "\n")

    def _write(self, text: str) -> None:
        self._clear_transient()
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # nobody reads any more; the log still does
            sys.stdout = open_null()

    def _clear_transient(self) -> None:
        if self._transient:
            sys.stdout.write("\r\x1b[K")
            self._transient = False


def open_null() -> IO[str]:
    """A place for words that nobody reads."""
    return Path("nul" if sys.platform == "win32" else "/dev/null").open("w", encoding="utf-8")
