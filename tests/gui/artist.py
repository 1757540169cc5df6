"""What an artist does with the add-on in the window, and what there is to see afterwards."""

from __future__ import annotations

import json
import shutil
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import workspace
from .blender_window import BlenderWindow
from .processes import Process

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FPS = 24
JOB_TIMEOUT_S = 90  # the first job of all loads the packages and reads the portrait
BAR_BLUE = (71, 114, 179)  # of a progress bar in Blender's default theme
_JOBS = """
answer = [
    {"id": j.id, "state": j.state.value, "stage": j.stage, "done": j.done, "total": j.total,
     "message": j.message, "hint": j.hint}
    for j in ours("jobs").JOBS.list
]
"""


@dataclass(frozen=True)
class Job:
    """A job as the panel shows it."""

    id: int
    state: str
    stage: str
    done: int
    total: int
    message: str
    hint: str


class Artist:
    """Works in one Blender window.

    Attributes:
        blender: the window.
        file: the .blend, as Blender sees it.
    """

    def __init__(self, blender: BlenderWindow) -> None:
        self.blender = blender
        self.file = blender.inside / "shot.blend"

    def set_out(self, seconds: float, size: int) -> None:
        """An arranged window, a saved file, a sound of this length, a portrait chosen."""
        shutil.copy(FIXTURES / "astronaut.png", self.blender.outside)
        _write_speech(self.blender.outside / "speech.wav", seconds)
        workspace.arrange(self.blender)
        workspace.lay_sound(self.blender, self.blender.inside / "speech.wav", size, FPS)
        self.blender.ask(f"""
settings = bpy.context.scene.animportrait
settings.image = "{self.blender.inside}/astronaut.png"
settings.size = {size}
bpy.ops.wm.save_as_mainfile(filepath="{self.file}")
""")
        workspace.show_everything(self.blender)

    def open(self, file: Path) -> None:
        """Opens a .blend, which brings its own arrangement of the window."""
        self.blender.ask(f"bpy.ops.wm.open_mainfile(filepath={str(file)!r})", 30)
        workspace.show_tab(self.blender)

    def jobs(self) -> list[Job]:
        """All jobs that the panel lists, oldest first."""
        return [Job(**fields) for fields in self.blender.ask(_JOBS)]

    def start(self, button: str) -> None:
        """Clicks a button and sees that it has started a job."""
        before = [job.id for job in self.jobs()]
        self._leave_messages()
        self.blender.click(button)
        self.blender.wait(lambda: [j for j in self.jobs() if j.id not in before], "a new job")

    def _leave_messages(self) -> None:
        """A message about an earlier job lies under the pointer until that has moved well away."""
        left, top, right, bottom = self.blender.ask("box('WINDOW')")
        for share in (0.6, 0.9, 0.6):
            self.blender.desktop.move((left + right) / 2, top + share * (bottom - top))
            time.sleep(0.15)

    def wait_for_drawing(self) -> Job:
        """Waits until the newest job has drawn some frames."""

        def drawing() -> Job | None:
            job = self.jobs()[-1]
            assert job.state in ("queued", "running"), f"the job is {job}"
            return job if job.stage == "render" and job.done > 20 else None

        return self.blender.wait(drawing, "frames being drawn", JOB_TIMEOUT_S)

    def wait_for_end(self, timeout_s: float = JOB_TIMEOUT_S) -> Job:
        """Waits until the newest job has ended."""

        def ended() -> Job | None:
            job = self.jobs()[-1]
            return job if job.state in ("done", "failed", "cancelled") else None

        return self.blender.wait(ended, "end of the job", timeout_s)

    def server(self) -> Process:
        """The server's process."""
        found = [p for p in self.blender.children() if "inference_server" in p.command()]
        assert len(found) == 1, [p.command() for p in self.blender.children()]
        return found[0]

    def shots(self) -> list[dict[str, Any]]:
        """The shots on the timeline."""
        return self.blender.ask("""
answer = [
    {"name": s.name, "start": s.frame_final_start, "end": s.frame_final_end,
     "channel": s.channel, "take": str(ours("strips").shown_folder(s)),
     "elements": [e.filename for e in s.elements]}
    for s in ours("shots").all_shots()
]
""")

    def take(self) -> Path:
        """The folder of the take that the only shot shows, as this machine sees it."""
        (shot,) = self.shots()
        return self.blender.outside / Path(shot["take"]).relative_to(self.blender.inside)

    def report(self) -> dict[str, Any]:
        """take.json of the take that is shown."""
        return json.loads((self.take() / "take.json").read_text())

    def keys(self, channel: str) -> list[tuple[float, float, str]]:
        """The keys of a channel of the only shot: scene frame, value, type."""
        return self.blender.ask(f"""
strip = ours("shots").all_shots()[0]
curve = bpy.context.scene.animation_data.action.fcurves.find(
    ours("shots").channel_path(strip, {channel!r}))
answer = [(*k.co, k.type) for k in curve.keyframe_points] if curve else []
""")

    def dirty(self) -> int:
        """The number of frames to draw, as the panel shows it once it has looked."""

        def counted() -> list[int]:
            return self.blender.ask("""
status = ours("shots").status(ours("shots").all_shots()[0])
known = status is not None and not ours("shots").is_stale() and not ours("shots").is_looking()
answer = [status.dirty] if known else []
""")

        return self.blender.wait(counted, "a count of frames to draw")[0]

    def go_to(self, scene_frame: int) -> None:
        """Moves the playhead."""
        self.blender.ask(f"bpy.context.scene.frame_set({scene_frame})")

    def wait_for_picture(self, frame: int) -> None:
        """Waits until the preview shows this frame of the take that is shown."""
        self.blender.wait(lambda: self.difference(frame) < 6, f"frame {frame} in the preview")

    def difference(self, frame: int) -> float:
        """Mean difference (0..255) of the preview from a frame of the take, borders apart."""
        seen = self.blender.preview()
        height, width = seen.shape[:2]
        with Image.open(self.take() / f"{frame:06d}.png") as file:
            drawn = np.asarray(file.convert("RGB").resize((width, height), Image.Resampling.BOX))
        middle = (slice(height // 10, -height // 10), slice(width // 10, -width // 10))
        return float(np.abs(seen[middle].astype(int) - drawn[middle].astype(int)).mean())

    def type_value(self, channel: str, value: int) -> None:
        """Points at a slider, types one digit and presses I for a key."""
        prop = f"animportrait_{channel}"
        self.blender.desktop.move(*self.blender.find(prop))
        desktop, ask = self.blender.desktop, self.blender.ask
        desktop.press("Return", "ctrl+a", str(value), "Return")
        current = f"ours('shots').all_shots()[0].{prop}"
        self.blender.wait(lambda: abs(ask(current) - value) < 1e-6, f"{channel} at {value}")
        self.blender.desktop.move(*self.blender.find(prop))
        desktop.press("i")


def bar_pixels(picture: npt.NDArray[np.uint8], box: list[int]) -> int:
    """How many pixels in a box of the screen have the colour of a progress bar."""
    left, top, right, bottom = box
    region = picture[top:bottom, left:right].astype(int)
    return int((np.abs(region - BAR_BLUE).max(axis=-1) <= 3).sum())


def _write_speech(path: Path, seconds: float) -> None:
    """The sample speech, cut or repeated to a length."""
    with wave.open(str(FIXTURES / "speech.wav"), "rb") as source:
        parameters = source.getparams()
        data = source.readframes(parameters.nframes)
    wanted = round(seconds * parameters.framerate) * parameters.sampwidth * parameters.nchannels
    with wave.open(str(path), "wb") as target:
        target.setparams(parameters)
        target.writeframes((data * (wanted // len(data) + 1))[:wanted])
