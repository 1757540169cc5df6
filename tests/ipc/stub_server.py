"""The real server process with a stub in place of the pipeline; the shot's name says what it does.

Started by the tests as a script. Everything but the drawing is real: pipes, threads, dispatch.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

from inference_server.datatypes import ShotSpec
from inference_server.errors import Cancelled, NoFaceFound
from inference_server.events import FramesReady, Notice, Progress
from inference_server.serve import serve


class StubStudio:
    """Acts out one behaviour per request."""

    def forget(self) -> None:
        pass

    def analyze(self, image: Path, landmarks: Any, on_event: Any, cancelled: Any) -> Any:
        raise NoFaceFound(f'No face found in "{image.name}" (1x1).', "Place points by hand.")

    def render(self, spec: ShotSpec, on_event: Any, cancelled: Any) -> Any:
        getattr(self, spec.shot_id)(on_event, cancelled)
        return types.SimpleNamespace(
            path=spec.out_dir, n_frames=3, rendered=(0, 1), reused=(2,), warnings=(), seconds={}
        )

    def quick(self, on_event: Any, cancelled: Any) -> None:
        on_event(Progress("render", 1, 1))

    def flood(self, on_event: Any, cancelled: Any) -> None:
        """2000 frames in about two seconds."""
        on_event(Notice("warning", "Something to read."))
        for frame in range(2000):
            time.sleep(0.001)
            on_event(FramesReady((frame,)))
            on_event(Progress("render", frame + 1, 2000, 0.0))

    def slow(self, on_event: Any, cancelled: Any) -> None:
        """Runs for a minute, looks at the cancel often."""
        for step in range(6000):
            if cancelled():
                raise Cancelled("The job was cancelled.")
            on_event(Progress("render", step, 6000))
            time.sleep(0.01)

    def stuck(self, on_event: Any, cancelled: Any) -> None:
        """A long step that does not look at the cancel."""
        on_event(Progress("portrait", 0, 1))
        time.sleep(4)
        on_event(Progress("portrait", 1, 1))

    def crash(self, on_event: Any, cancelled: Any) -> None:
        raise ZeroDivisionError("a fault of ours")

    def unencodable(self, on_event: Any, cancelled: Any) -> None:
        raise NoFaceFound("File \udcff.png", "\ud800")

    def leave(self, on_event: Any, cancelled: Any) -> None:
        raise SystemExit(3)

    def die(self, on_event: Any, cancelled: Any) -> None:
        os._exit(7)

    def chatter(self, on_event: Any, cancelled: Any) -> None:
        """Prints in every way that a library can."""
        sys.stdout.write("python print\n")
        sys.stdout.flush()
        sys.__stdout__.write("original stdout\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]
        os.write(1, b'{"jsonrpc":"2.0","id":1,"result":"forged"}\n')
        libc = ctypes.CDLL(None)
        libc.puts(b"native puts")
        libc.fflush(None)
        subprocess.run([sys.executable, "-c", "print('child', repr(input()))"], check=False)


stub = types.ModuleType("inference_server.pipeline")
stub.Studio = StubStudio  # type: ignore[attr-defined]
stub.analysis_to_json = lambda portrait: {}  # type: ignore[attr-defined]
sys.modules["inference_server.pipeline"] = stub

if __name__ == "__main__":
    serve(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
