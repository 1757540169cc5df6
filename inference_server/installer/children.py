"""Child processes that end when the installer ends, however it ends, on every platform.

A child that runs a Python module (pip, venv) is started through a few lines that watch its stdin:
the installer holds the other end, and when that closes, by cancel or by death, the child is gone
at once. Signals, process groups and Windows job objects are not needed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from .console import CancelledByUser

_WATCHED_MODULE = """\
import os, runpy, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
# Would send pip or Python to another place than the venv; index addresses and proxies stay.
_MISLEADING = (
    *("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "__PYVENV_LAUNCHER__"),
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV"),
    *("PIP_NO_DEPS", "PIP_PYTHON", "PIP_DRY_RUN", "PIP_REQUIREMENT", "PIP_CONSTRAINT"),
    "VIRTUAL_ENV",
)


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would mislead a venv, plus `more`."""
    kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    return {**kept, "PYTHONNOUSERSITE": "1", **more}


class Children:
    """Runs child processes one at a time per thread; `cancel` ends them all."""

    def __init__(self) -> None:
        self._live: set[subprocess.Popen[str]] = set()
        self._lock = threading.RLock()  # a signal handler may come while it is held
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Ends every child and lets no new one start."""
        self._cancelled.set()
        with self._lock:
            for child in list(self._live):
                if child.stdin is not None:
                    with contextlib.suppress(OSError):  # it is gone already
                        child.stdin.close()
                else:
                    child.terminate()

    def check(self) -> None:
        """Raises CancelledByUser when `cancel` was called."""
        if self._cancelled.is_set():
            raise CancelledByUser(
                "Cancelled.", "Nothing half-made was left; run it again any time."
            )

    def run_module(
        self,
        python: Path | str,
        *words: str,
        on_line: Callable[[str], None],
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
    ) -> int:
        """Runs `python -m words...` apart from its surroundings; returns the exit status."""
        command = [str(python), "-I", "-X", "utf8", "-c", _WATCHED_MODULE, *words]
        return self.run(command, on_line, cwd, env, stdin=subprocess.PIPE)

    def run(
        self,
        command: list[str],
        on_line: Callable[[str], None],
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> int:
        """Runs a command, hands on each line of its output; returns the exit status."""
        child = self._start(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            cwd=cwd,
            env=env or clean_environment(),
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:
                on_line(line.rstrip("\n"))
            return child.wait()
        finally:
            self._finish(child)

    def run_in_terminal(self, command: list[str], cwd: Path, env: dict[str, str]) -> int:
        """Runs a command that speaks to the terminal itself; returns the exit status."""
        child = self._start(command, cwd=cwd, env=env)
        try:
            return child.wait()
        finally:
            self._finish(child)

    def _start(self, command: list[str], **options: Any) -> subprocess.Popen[str]:
        self.check()
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW if "stdin" in options else 0
        child: subprocess.Popen[str] = subprocess.Popen(command, **options)
        with self._lock:
            self._live.add(child)
        if self._cancelled.is_set():  # between the check and the start
            self.cancel()
        return child

    def _finish(self, child: subprocess.Popen[str]) -> None:
        if child.poll() is None:  # an exception on our side
            child.kill()
            child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with self._lock:
            self._live.discard(child)
        self.check()


def cancel_on_signals(children: Children) -> None:
    """Ctrl+C, SIGTERM and a closed terminal cancel instead of leaving things half-made."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        children.cancel()

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handler)


def cancel_when_stdin_closes(children: Children) -> None:
    """For a parent without signals (Windows, or a Blender that crashed): end of file cancels.

    Only a pipe counts: a stdin that is closed or the null device from the start says nothing.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            return
    except OSError:
        return

    def watch() -> None:
        while os.read(0, 1024):
            pass
        children.cancel()

    threading.Thread(target=watch, daemon=True).start()  # daemon: it waits for ever
