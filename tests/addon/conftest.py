"""Fixtures: the add-on inside `bpy`, and its bpy-free modules without it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import struct
import sys
import tempfile
import types
import wave
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
EXTENSION = "bl_ext.user_default.animate_portrait"
REAL_HOME = os.environ.get("ANIMATE_PORTRAIT_HOME")  # of the installed server, before we change it
SOUND_STRIPS = REPOSITORY / "tests/fixtures/sound_strip_4_2.blend"
RATE = 16_000  # Hz of the test sounds
FIRST = 11  # scene frame of the sound strip
N_FRAMES = 72  # 3 s at 24 fps


def pure(name: str) -> types.ModuleType:
    """A module of the add-on that needs no bpy, loaded without the add-on's __init__."""
    if "portrait_addon" not in sys.modules:
        package = types.ModuleType("portrait_addon")
        package.__path__ = [str(REPOSITORY / "blender_addon")]
        sys.modules["portrait_addon"] = package
    return importlib.import_module(f"portrait_addon.{name}")


def addon(name: str) -> types.ModuleType:
    """A module of the enabled add-on."""
    return importlib.import_module(f"{EXTENSION}.{name}")


def write_tone(path: Path, seconds: float) -> Path:
    """A mono 16-bit sound; what is in it does not matter to the add-on."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack("<h", 1000) * round(seconds * RATE))
    return path


@pytest.fixture(scope="session")
def bpy() -> Any:
    """bpy with the extension enabled from these sources, in a user folder of its own."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("bpy is not installed: run with the Python of a bpy wheel")
    user = Path(tempfile.mkdtemp(prefix="portrait-user-"))
    os.environ["BLENDER_USER_RESOURCES"] = str(user)  # before the import
    os.environ["ANIMATE_PORTRAIT_HOME"] = str(user / "home")
    link = user / "extensions" / "user_default" / "animate_portrait"
    link.parent.mkdir(parents=True)
    link.symlink_to(REPOSITORY / "blender_addon", target_is_directory=True)
    module = importlib.import_module("bpy")
    import addon_utils

    assert addon_utils.enable(EXTENSION, default_set=True) is not None
    yield module
    addon_utils.disable(EXTENSION, default_set=True)
    shutil.rmtree(user, ignore_errors=True)


@pytest.fixture
def home(bpy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which the fake server is installed."""
    folder = tmp_path / "home with spaces é"
    folder.mkdir()
    record = {"version": "0.0.fake", "command": [sys.executable, str(HERE / "fake_server.py")]}
    (folder / "install.json").write_text(json.dumps(record))
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(folder))
    monkeypatch.delenv("FAKE_SERVER", raising=False)
    yield folder
    addon("jobs").JOBS.stop()
    addon("jobs").JOBS.list.clear()


class Stage:
    """A saved .blend with one sound strip, and shortcuts for what tests do with it."""

    def __init__(self, bpy: Any, folder: Path, scene: Any) -> None:
        self.bpy = bpy
        self.folder = folder
        self.name = scene.name
        self.picture = folder / "face é.png"
        shutil.copy(REPOSITORY / "tests/fixtures/astronaut.png", self.picture)

    @property
    def scene(self) -> Any:
        return self.bpy.data.scenes[self.name]

    @property
    def strips(self) -> list[Any]:
        return addon("strips").every(self.scene)

    @property
    def sound(self) -> Any:
        return next(strip for strip in self.strips if strip.type == "SOUND")

    @property
    def shots(self) -> list[Any]:
        return [strip for strip in self.strips if addon("shots").is_shot(strip)]

    @property
    def shot(self) -> Any:
        return addon("strips").named(self.scene, self.shots[0].name)

    def animate(self, **settings: Any) -> Any:
        """Presses Animate Portrait, as a script does; returns the new or changed strip."""
        for name, value in {"image": str(self.picture), **settings}.items():
            setattr(self.scene.animportrait, name, value)
        assert self.bpy.ops.animportrait.animate() == {"FINISHED"}
        return addon("strips").active(self.scene)

    def render_edits(self) -> Any:
        assert self.bpy.ops.animportrait.render_edits() == {"FINISHED"}
        return addon("strips").active(self.scene)

    def curve(self, strip: Any, channel: str) -> Any:
        path = addon("shots").channel_path(strip, channel)
        return addon("fcurves").find(self.scene, path)

    def key(self, strip: Any, channel: str, shot_frame: int, value: float) -> None:
        """What the artist does with "I" over a slider."""
        setattr(strip, f"animportrait_{channel}", value)
        frame = addon("strips").origin(strip) + shot_frame
        assert strip.keyframe_insert(f"animportrait_{channel}", frame=frame)

    def select(self, strip: Any | None) -> None:
        for other in self.strips:
            other.select = False
        if strip is not None:
            addon("strips").make_active(self.scene, strip)

    def grey(self, scene_frame: int) -> int:
        """The pixel that Blender renders from the sequencer."""
        scene = self.scene
        scene.render.resolution_x = scene.render.resolution_y = 16
        scene.view_settings.view_transform = "Standard"
        scene.frame_set(scene_frame)
        scene.render.filepath = str(self.folder / "pixel.png")
        self.bpy.ops.render.render(write_still=True, scene=scene.name)
        image = self.bpy.data.images.load(scene.render.filepath)
        grey = round(image.pixels[(8 * 16 + 8) * 4] * 255)
        self.bpy.data.images.remove(image)
        return grey

    def sequencer(self) -> Any:
        """A context with a sequencer area, for Blender's own operators."""
        window = self.bpy.context.window
        if hasattr(self.bpy.context.workspace, "sequencer_scene"):
            self.bpy.context.workspace.sequencer_scene = self.scene
        area = window.screen.areas[-1]
        area.type = "SEQUENCE_EDITOR"
        region = next(region for region in area.regions if region.type == "WINDOW")
        return self.bpy.context.temp_override(window=window, area=area, region=region)

    def push(self, message: str = "test") -> None:
        self.bpy.ops.ed.undo_push(message=message)

    def undo(self) -> None:
        with self.sequencer():
            self.bpy.ops.ed.undo()

    def redo(self) -> None:
        with self.sequencer():
            self.bpy.ops.ed.redo()


def open_stage(bpy: Any, tmp_path: Path, scene: str = "Speech") -> Stage:
    """The fixture file, opened from a folder of its own beside its sound."""
    folder = tmp_path / "film ü 1"
    folder.mkdir(exist_ok=True)
    write_tone(folder / "voice.wav", 3.0)
    blend = folder / "film.blend"
    shutil.copy(SOUND_STRIPS, blend)
    bpy.ops.wm.open_mainfile(filepath=str(blend), load_ui=False)
    bpy.context.window.scene = bpy.data.scenes[scene]
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = bpy.data.scenes[scene]
    return Stage(bpy, folder, bpy.data.scenes[scene])


@pytest.fixture
def stage(bpy: Any, home: Path, tmp_path: Path) -> Stage:
    """A sound strip of 72 frames at frame 11, 24 fps, in a saved file."""
    return open_stage(bpy, tmp_path)
