"""Blender as a Python module, each version in its own environment: for the tests and the demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from . import blenders
from .children import Children
from .console import Console, InstallError
from .interpreters import Interpreter, usable
from .packages import Venv
from .workplace import ROOT, Workplace, need_space, remove_tree

VERSIONS = ("4.2", "4.5", "5.0")
WITH_SOUND = "5.0"  # the wheel of 4.2 is built without an audio library
NEEDED_PYTHON = ((3, 11),)  # what these wheels were built for
WHEEL_GB = 1.9  # one environment, its download included
_PREPARED = "animate-portrait.json"  # written last, says what is inside


def interpreter() -> Interpreter:
    """A Python that the wheels fit.

    Raises:
        InstallError: there is none.
    """
    return next(usable(NEEDED_PYTHON, blenders.programs()))


class BpyWheels:
    """Makes the environments, and tells what became of them."""

    def __init__(self, place: Workplace, console: Console, children: Children) -> None:
        self._place = place
        self._console = console
        self._children = children
        self._problems: dict[str, InstallError] = {}
        self._thread: threading.Thread | None = None

    def start(self, versions: Sequence[str]) -> None:
        """Begins to make the environments of `versions`, one after the other, in the background."""

        def make_all() -> None:
            for version in versions:
                try:
                    self.make(version, tests=True)
                except InstallError as error:
                    self._problems[version] = error
                except OSError as error:
                    self._problems[version] = InstallError(f"{error}.")

        self._thread = threading.Thread(target=make_all)
        self._thread.start()

    def wait(self) -> dict[str, InstallError]:
        """Until all are made; what went wrong, by version."""
        if self._thread is not None:
            self._thread.join()
        return self._problems

    def make(self, version: str, tests: bool = False) -> Path:
        """Makes one environment unless it is there; returns its Python.

        Args:
            version: one of VERSIONS.
            tests: with pytest and what else the add-on's tests need.
        """
        folder = self._place.bpy(version)
        scratch = self._place.scratch_of(f"bpy-{version}")
        venv = Venv(folder, scratch, self._console, self._children, show=not tests)
        inside = {"bpy": version, "tests": tests}
        if (
            self._holds(folder, inside)
            and venv.ask("import bpy, json; print(json.dumps({}))") == {}
        ):
            return venv.python
        need_space(self._place.home, WHEEL_GB, f"Blender {version} as a Python module")
        done = False
        try:
            self._console.say(f"Installing Blender {version} as a Python module (bpy) ...")
            venv.make(interpreter())
            tools = ("--group", "blender-tests") if tests else ("numpy<2",)
            venv.pip("install", f"bpy=={version}.*", *tools, cwd=ROOT)
            if venv.ask("import bpy, json; print(json.dumps({}))") is None:
                raise InstallError(
                    f"Blender {version} as a Python module does not load: see "
                    f"{self._place.log_path}.",
                    "On a bare Linux: sudo apt install libx11-6 libxi6 libxkbcommon0 libsm6 libgl1",
                )
            (folder / _PREPARED).write_text(json.dumps(inside), encoding="utf-8")
            done = True
        finally:
            remove_tree(scratch)
            if not done:
                remove_tree(folder)
        return venv.python

    def _holds(self, folder: Path, inside: dict[str, object]) -> bool:
        """Whether the environment is finished and has at least what is asked for."""
        try:
            there = json.loads((folder / _PREPARED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return there == inside or there == {**inside, "tests": True}
