"""A screen without a monitor (Xvfb), a mouse and a keyboard (xdotool), and a camera (import)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image

WIDTH, HEIGHT = 1600, 1000  # px


class Desktop:
    """An X display of its own; leaving the `with` block ends it."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        screen = f"{WIDTH}x{HEIGHT}x24"
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", screen, "-nolisten", "tcp"]
            + ["-noreset", "+extension", "GLX"],
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()  # Xvfb picks a free one, and says so when it is up
        if not number:
            raise RuntimeError(f"Xvfb ended with exit code {self._server.wait()}")
        self.display = f":{number}"

    def __enter__(self) -> Desktop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.terminate()
        self._server.wait(10)

    def move(self, x: float, y: float) -> None:
        """Moves the pointer; the second, smaller step makes Blender look at what is below it."""
        self._xdotool("mousemove", x + 3, y + 2, "mousemove", x, y)

    def click(self, x: float, y: float) -> None:
        """Presses and releases the left button there."""
        self.move(x, y)
        self._xdotool("sleep", 0.05, "click", 1)

    def hold(self, x: float, y: float, to_x: float, to_y: float, key: str = "") -> None:
        """Drags with the left button; a key may be pressed before it is let go."""
        self._xdotool("mousemove", x, y, "mousedown", 1)
        for step in np.linspace(0.2, 1.0, 5):
            self._xdotool("mousemove", x + step * (to_x - x), y + step * (to_y - y), "sleep", 0.03)
        if key:
            self._xdotool("sleep", 0.1, "key", key, "sleep", 0.1)
        self._xdotool("mouseup", 1)

    def scroll(self, x: float, y: float, turns: int) -> None:
        """Turns the mouse wheel there, towards the end when positive."""
        self.move(x, y)
        self._xdotool("click", "--delay", "8", "--repeat", abs(turns), 5 if turns > 0 else 4)

    def press(self, *keys: str) -> None:
        """Types keys by their X names, such as `Escape` or `ctrl+z`."""
        self._xdotool("key", *keys)

    def picture(self) -> npt.NDArray[np.uint8]:
        """What the screen shows: (H, W, 3) uint8 RGB."""
        words = ["import", "-display", self.display, "-window", "root", "rgb:-"]
        raw = subprocess.run(
            [*words[:-1], "-depth", "8", words[-1]], check=True, timeout=30, stdout=subprocess.PIPE
        ).stdout
        return np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3)

    def save(self, path: Path) -> npt.NDArray[np.uint8]:
        """Writes what the screen shows to a PNG, and returns it."""
        picture = self.picture()
        Image.fromarray(picture).save(path, compress_level=6)
        return picture

    def _xdotool(self, *words: str | float) -> None:
        environment = {**os.environ, "DISPLAY": self.display}
        command = ["xdotool", *(w if isinstance(w, str) else f"{w:g}" for w in words)]
        subprocess.run(command, env=environment, check=True, timeout=20)
