"""Finds the installed server, and installs it with install.py in the background (no bpy)."""

from __future__ import annotations

import glob
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import client

DOWNLOAD = "about 500 MB to download, 2 GB on disk; 2 to 10 minutes"
FITTING = ((3, 10), (3, 11), (3, 12))  # Python versions that MediaPipe has wheels for
_CANCEL_GRACE_S = 15.0  # install.py ends a download and removes what is half-made
_RECORD_AGE_S = 2.0  # how long install.json is believed without looking
_PROBE = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
_GET_PYTHON = "Install Python 3.11 or 3.12 from python.org, then press Set Up again."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far the installation has come."""

    name: str
    done: float
    total: float
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the installation ended."""

    ok: bool
    message: str
    hint: str = ""


def home() -> Path:
    """Where the server is installed: ANIMATE_PORTRAIT_HOME or the platform's data folder."""
    chosen = os.environ.get("ANIMATE_PORTRAIT_HOME")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "animate-portrait"


def install_record() -> dict[str, Any] | None:
    """What install.json says; None when nothing is installed. Cheap enough for a panel."""
    global _known
    path = home() / "install.json"
    if _known is None or _known[0] != path or time.monotonic() - _known[1] > _RECORD_AGE_S:
        _known = (path, time.monotonic(), _read_record(path))
    return _known[2]


def forget_record() -> None:
    """The installation has just changed."""
    global _known
    _known = None


def command_of(program: str) -> tuple[str, ...]:
    """The command that serves, from what a person types: a Python or an animate-portrait."""
    if Path(program).stem.lower().startswith("python"):
        return (program, "-m", "inference_server", "serve")
    return (program, "serve")


def install_script() -> Path | None:
    """install.py: in the extension's zip, or beside the sources that the extension links to."""
    here = Path(__file__).resolve().parent
    candidates = (here / "server" / "install.py", here.parent / "install.py")
    return next((path for path in candidates if path.is_file()), None)


def interpreters() -> Iterator[list[str]]:
    """Commands that may start a Python, Blender's own first."""
    if Path(sys.executable).stem.lower().startswith("python"):
        yield [sys.executable]
    for minor in (11, 12, 10):
        if found := shutil.which(f"python3.{minor}"):
            yield [found]
        if sys.platform == "win32" and (launcher := shutil.which("py")):
            yield [launcher, f"-3.{minor}"]
    for name in ("python3", "python"):
        if found := shutil.which(name):
            yield [found]
    if uv := shutil.which("uv"):
        yield [uv, "run", "--no-project", "--python", "3.11", "python"]
    for pattern in _blender_pythons():
        for found in sorted(glob.glob(pattern), reverse=True):
            yield [found]


def fits(command: list[str]) -> bool:
    """True when the Python behind a command is of a fitting version and can make a venv."""
    try:
        done = subprocess.run(
            [*command, "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            env=_environment(),
            **client.new_process_group(),
        )
    except (OSError, subprocess.TimeoutExpired) as failure:
        log.info("%s: %s", command, failure)
        return False
    words = done.stdout.split()
    return done.returncode == 0 and len(words) == 2 and tuple(map(int, words)) in FITTING


class SetUp:
    """One run of install.py."""

    def __init__(self, script: Path, log_path: Path) -> None:
        """Nothing runs yet.

        Args:
            script: install.py.
            log_path: everything that is said goes there.
        """
        self._script = script
        self.log_path = log_path
        self.stage = Stage("start", 0, 1, "Looking for a Python")
        self.outcome: Outcome | None = None  # None while it runs
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = threading.Event()

    def start(self) -> None:
        """Begins in the background."""
        threading.Thread(target=self._run, name="portrait-set-up", daemon=True).start()

    def cancel(self) -> None:
        """Asks install.py to stop and clean up; it is killed after 15 s. Returns at once."""
        self._cancelled.set()
        process = self._process
        if process is not None and process.stdin is not None:
            threading.Thread(target=self._end, args=(process,), daemon=True).start()

    def kill(self) -> None:
        """Ends it now: Blender quits."""
        self._cancelled.set()
        if self._process is not None:
            client.end_process(self._process)

    def _run(self) -> None:
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("wb") as output:
                self.outcome = self._install(output)
        except OSError as failure:
            self.outcome = Outcome(False, f"Set Up cannot run: {failure}.", "Look at the folder.")

    def _install(self, output: IO[bytes]) -> Outcome:
        python = next(
            (each for each in interpreters() if self._cancelled.is_set() or fits(each)), None
        )
        if self._cancelled.is_set():
            return Outcome(False, "Cancelled")
        if python is None:
            return Outcome(False, "No Python 3.10, 3.11 or 3.12 was found.", _GET_PYTHON)
        process = self._process = subprocess.Popen(
            [*python, str(self._script), "--progress-json"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=_environment(),
            **client.new_process_group(),
        )
        if process.stdout is None:
            raise AssertionError("stdout is a pipe")
        said: Outcome | None = None
        for line in process.stdout:
            output.write(line)
            output.flush()
            said = self._heard(line) or said
        code = process.wait()
        if self._cancelled.is_set():
            return Outcome(False, "Cancelled")
        if said is not None:
            return said
        return Outcome(False, f"install.py stopped: {client.exit_in_words(code)}.", "See the log.")

    def _heard(self, line: bytes) -> Outcome | None:
        try:
            message = json.loads(line)
            if "stage" in message:
                self.stage = Stage(
                    str(message["stage"]),
                    float(message["done"]),
                    float(message["total"]),
                    str(message["message"]),
                )
            elif message.get("ok"):
                return Outcome(True, "The server is set up.")
            elif "error" in message:
                error = message["error"]
                return Outcome(False, str(error["message"]), str(error.get("hint", "")))
        except (ValueError, KeyError, TypeError, AttributeError):
            log.info("install.py said %r", line)
        return None

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Thread: end of file first, then force."""
        try:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(_CANCEL_GRACE_S)
        except (OSError, subprocess.TimeoutExpired):
            client.end_process(process)


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_bytes())
        command = record["command"]
        listed = isinstance(command, list) and bool(command)
        return record if listed and all(isinstance(word, str) for word in command) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _environment() -> dict[str, str]:
    """Ours without what Blender may have set for its own Python."""
    env = {name: value for name, value in os.environ.items() if name not in client.BLENDERS_OWN}
    return {**env, "PYTHONUTF8": "1"}


def _blender_pythons() -> tuple[str, ...]:
    if sys.platform == "win32":
        programs = os.environ.get("PROGRAMFILES", r"C:\Program Files")
        return (rf"{programs}\Blender Foundation\*\*\python\bin\python.exe",)
    if sys.platform == "darwin":
        return ("/Applications/Blender*.app/Contents/Resources/*/python/bin/python3.*",)
    home_folder = os.path.expanduser("~")
    folders = ("/opt", home_folder, os.path.join(home_folder, "Applications"))
    return tuple(f"{folder}/[Bb]lender*/*/python/bin/python3.*" for folder in folders)


_known: tuple[Path, float, dict[str, Any] | None] | None = None
