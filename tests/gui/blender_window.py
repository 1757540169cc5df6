"""Blender in a real window inside the Debian root, driven by mouse, keyboard and JSON commands."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .desktop import HEIGHT, WIDTH, Desktop
from .processes import Process, descendants

START_TIMEOUT_S = 90  # the first start of all compiles shaders and fonts: 20 s on a busy machine
ANSWER_TIMEOUT_S = 20
_WHOLE_SIDEBAR, _HALF_PAGE = 40, 8  # turns of the mouse wheel
_STEP = 13  # px, less than the height of any widget
_last_seen: dict[tuple[str, str, str], tuple[int, int]] = {}  # where to look first


class BlenderFailed(Exception):
    """Blender did not do as told; the text holds its last output."""


class BlenderWindow:
    """One running Blender.

    Attributes:
        inside: the test's folder as Blender sees it; `outside` is the same as this machine sees it.
        pid: of Blender itself.
    """

    def __init__(
        self, root: Path, desktop: Desktop, name: str, environment: dict[str, str], *words: str
    ) -> None:
        """Starts it and waits until it answers.

        Args:
            root: the Debian root.
            desktop: where the window opens.
            name: of a new folder for this run's files, `/srv/<name>` inside the root.
            environment: added variables.
            words: further words of the command line.
        """
        self.desktop = desktop
        self.inside = Path("/srv") / name
        self.outside = root / "srv" / name
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("driver.py"), self.outside)
        self._numbers = itertools.count(1)
        self._log = self.outside / "blender.log"
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",  # chroot itself is in /usr/sbin
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DISPLAY": desktop.display,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "XDG_RUNTIME_DIR": "/tmp",
            **environment,
        }
        command = ["blender", "--no-window-focus", "-p", "0", "0", str(WIDTH), str(HEIGHT)]
        command += [*words, "--python", f"{self.inside}/driver.py", "--", str(self.inside)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["chroot", str(root), *command],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid  # chroot replaces itself with Blender
        self.wait(lambda: (self.outside / "ready.json").exists(), "an open window", START_TIMEOUT_S)

    def log(self) -> str:
        """All that Blender has printed."""
        return self._log.read_text(errors="replace")

    def ask(self, source: str, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """Runs Python inside Blender; see driver.py for what it may say."""
        number = next(self._numbers)
        command = self.outside / "command.json"
        answer = self.outside / f"answer-{number}.json"
        command.with_suffix(".part").write_text(json.dumps({"id": number, "source": source}))
        os.replace(command.with_suffix(".part"), command)
        self.wait(answer.exists, f"an answer to {source!r}", timeout_s)
        reply = json.loads(answer.read_text())
        if "error" in reply:
            raise BlenderFailed(f"{source}\n{reply['error']}")
        return reply["value"]

    def wait(
        self, condition: Callable[[], Any], wanted: str, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> Any:
        """The first true value of `condition`; fails when Blender ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            if self._process.poll() is not None:
                ended = f"Blender ended with exit code {self._process.returncode}"
                raise BlenderFailed(f"{ended} before {wanted}:\n{self.log()[-3000:]}")
            if time.monotonic() > deadline:
                late = f"No {wanted} within {timeout_s} s"
                raise BlenderFailed(f"{late}; Blender's output:\n{self.log()[-3000:]}")
            time.sleep(0.02)
        return value

    def find(self, wanted: str, kind: str = "UI", place: str = "SEQUENCER") -> tuple[int, int]:
        """Where on the screen the widget is that calls or edits `wanted`.

        Goes down the middle of the region with the pointer and reads what each widget does; scrolls
        when it is not in sight.

        Args:
            wanted: part of an operator call or a data path, such as `animportrait.animate`.
            kind: of the region.
            place: of the area.
        """
        left, top, right, bottom = self.ask(f"box({kind!r}, {place!r})")
        x, middle = (left + right) // 2, (top + bottom) // 2
        look = f"under_pointer({kind!r}, {place!r})"
        known = _last_seen.get((wanted, kind, place))
        if known is not None and self._still(*known, look, wanted):
            return known
        seen: list[str] = []
        for turns in (-_WHOLE_SIDEBAR, _HALF_PAGE, _HALF_PAGE, _HALF_PAGE):
            self.desktop.scroll(x, middle, turns)
            self.desktop.move(x, bottom - 2)
            self._settle(look)
            for y in range(top + 6, bottom - 4, _STEP):
                self.desktop.move(x, y)
                seen.append(self.ask(look))
                if wanted in seen[-1] and self._still(x, y, look, wanted):
                    _last_seen[wanted, kind, place] = x, y
                    return x, y
        raise BlenderFailed(f"No widget for {wanted!r}; there are {sorted(set(seen))}")

    def _settle(self, look: str) -> None:
        """Waits until no widget of an earlier place of the pointer is still under it."""
        deadline = time.monotonic() + 0.5  # a widget at the very end of the region stays
        while self.ask(look) and time.monotonic() < deadline:
            time.sleep(0.02)

    def _still(self, x: int, y: int, look: str, wanted: str) -> bool:
        """Whether the widget is there after Blender has had time to handle the movement."""
        self.desktop.move(x, y)
        time.sleep(0.1)
        return wanted in self.ask(look)

    def click(self, wanted: str) -> None:
        """Clicks the widget that calls `wanted` with the mouse."""
        self.desktop.click(*self.find(wanted))

    def preview(self) -> npt.NDArray[np.uint8]:
        """What the sequencer's preview shows of the scene's picture: (h, w, 3) uint8 RGB."""
        x0, y0, x1, y1 = (round(v) for v in self.ask("picture_box()"))
        return self.desktop.picture()[y0:y1, x0:x1]

    def children(self) -> list[Process]:
        """The processes that Blender has started and that live."""
        return descendants(self.pid)

    def quit(self) -> int:
        """Closes the window as File > Quit does; the exit code."""
        self.ask("bpy.app.timers.register(lambda: bpy.ops.wm.quit_blender() and None)")
        return self._process.wait(ANSWER_TIMEOUT_S)

    def kill(self) -> None:
        """Ends Blender at once, as a crash would."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(ANSWER_TIMEOUT_S)
