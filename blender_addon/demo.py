"""The main job as a script: `python install.py demo` runs it inside a Blender without a window.

    blender --background --python demo.py -- --portrait P.png --speech S.wav --out FOLDER

It makes what an artist makes, through the add-on's own operators: a sound strip, a portrait, the
button; then a .blend, a movie with sound and a contact sheet. The add-on must be installed in the
Blender that runs it; nothing imports this file.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np

EXTENSION = "bl_ext.user_default.animate_portrait"
FPS = 24
COLUMNS, ROWS, TILE_PX = 6, 4, 256  # of the contact sheet


def main() -> None:
    """Reads the arguments and does everything, step by step."""
    wanted = _arguments()
    out: Path = wanted.out
    clock = _Clock()
    _open_video_editing()
    import addon_utils  # the bpy module makes it importable

    if addon_utils.enable(EXTENSION, default_set=True) is None:
        sys.exit("Error: the add-on could not be enabled; its reason is above.")
    bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1
    for source in (wanted.portrait, wanted.speech):
        shutil.copy2(source, out / source.name)
    blend = out / "demo.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))  # before, so that all paths are relative
    scene = _scene_with_sound(out / wanted.speech.name)
    scene.animportrait.image = bpy.path.relpath(str(out / wanted.portrait.name))
    clock.say("Blender, add-on and sound strip are ready")

    if bpy.ops.animportrait.animate() != {"FINISHED"}:
        sys.exit("Error: Animate Portrait did not finish; its reason is above.")
    shot = _shot(scene)
    seconds = clock.say(f"Animated: {len(shot.elements)} frames at {FPS} fps")
    take = json.loads((Path(bpy.path.abspath(shot.directory)) / "take.json").read_text("utf-8"))
    _tell_stages(take, seconds)

    width, height = take["size"]
    movie = out / "demo.mp4"
    _set_output(scene, width, height, movie)
    bpy.ops.wm.save_mainfile()
    movie.unlink(missing_ok=True)
    bpy.ops.render.render(animation=True)
    if not movie.is_file():
        sys.exit(f"Error: Blender wrote no {movie.name}.")
    clock.say("Rendered the movie")
    sheet = out / "contact_sheet.png"
    _write_contact_sheet(shot, sheet)
    clock.say("Wrote the contact sheet")
    names = "\n".join(f"  {path}" for path in (blend, movie, sheet))
    _write(f"\nBlender {bpy.app.version_string} made\n{names}\n")


class _Clock:
    """Says what was done, and how long it took."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def say(self, what: str) -> float:
        """Returns the seconds since the last time."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        _write(f"{what} ({seconds:.1f} s)\n")
        return seconds


def _arguments() -> argparse.Namespace:
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(description="The main job of Animate Portrait as a script.")
    for name in ("portrait", "speech", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return parser.parse_args(words)


def _open_video_editing() -> None:
    """A new file that opens on the sequencer; an empty one where the template is missing."""
    try:
        bpy.ops.wm.read_homefile(app_template="Video_Editing", use_factory_startup=True)
    except RuntimeError:
        bpy.ops.wm.read_factory_settings(use_empty=True)


def _scene_with_sound(speech: Path) -> Any:
    """The scene, as long as the speech on its channel 1."""
    strips = importlib.import_module(f"{EXTENSION}.strips")
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    scene.view_settings.view_transform = "Standard"  # pixels as they are in the frames
    if hasattr(bpy.context.workspace, "sequencer_scene"):  # 5.0
        for workspace in bpy.data.workspaces:
            workspace.sequencer_scene = scene
    editor = scene.sequence_editor or scene.sequence_editor_create()
    path = bpy.path.relpath(str(speech))
    sound = strips.top_level(editor).new_sound("Speech", path, 1, 1)
    strips.make_active(scene, sound)
    scene.frame_start, scene.frame_end = 1, strips.handles(sound).end - 1
    scene.frame_set(1)
    return scene


def _shot(scene: Any) -> Any:
    """The image strip that the button has made."""
    strips = importlib.import_module(f"{EXTENSION}.strips")
    shots = importlib.import_module(f"{EXTENSION}.shots")
    made = [strip for strip in strips.every(scene) if shots.is_shot(strip)]
    if len(made) != 1:
        sys.exit(f"Error: {len(made)} animated strips are on the timeline instead of 1.")
    return made[0]


def _tell_stages(take: dict[str, Any], seconds: float) -> None:
    for stage, spent in take["seconds"].items():
        _write(f"  {stage:10} {spent:7.2f} s\n")
    if take["reused"]:
        _write(f"  {len(take['reused'])} frames were taken over from an earlier take\n")
    n_frames = len(take["rendered"])
    drawing = take["seconds"].get("render", 0.0)
    if n_frames and drawing:
        _write(f"  {n_frames / drawing:.1f} frames per second drawn, ")
        _write(f"{n_frames / seconds:.1f} with everything from button to strip\n")


def _set_output(scene: Any, width: int, height: int, movie: Path) -> None:
    """H.264 with AAC sound."""
    render = scene.render
    render.resolution_x, render.resolution_y = width, height
    render.resolution_percentage = 100
    render.filepath = bpy.path.relpath(str(movie))
    if hasattr(render.image_settings, "media_type"):  # 5.0
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"
    render.ffmpeg.audio_codec = "AAC"
    render.ffmpeg.audio_bitrate = 192


def _write_contact_sheet(shot: Any, path: Path) -> None:
    """Frames from the whole shot in a grid, in reading order."""
    names = [element.filename for element in shot.elements]
    picked = np.linspace(0, len(names) - 1, COLUMNS * ROWS).round().astype(int)
    sheet = np.zeros((ROWS * TILE_PX, COLUMNS * TILE_PX, 4), dtype=np.float32)
    folder = Path(bpy.path.abspath(shot.directory))
    for place, index in enumerate(picked):
        row, column = divmod(place, COLUMNS)
        tile = _tile(folder / names[index])
        top = (ROWS - 1 - row) * TILE_PX  # Blender's pictures begin at the bottom
        left = column * TILE_PX
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    image = bpy.data.images.new("contact sheet", sheet.shape[1], sheet.shape[0])
    image.pixels.foreach_set(sheet.ravel())
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    image.save()
    bpy.data.images.remove(image)


def _tile(path: Path) -> np.ndarray:
    """A frame made to fit: (h, w, 4) float32, the longer side TILE_PX."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    scale = TILE_PX / max(width, height)
    image.scale(max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = np.empty(image.size[0] * image.size[1] * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    tile = pixels.reshape(image.size[1], image.size[0], 4)
    bpy.data.images.remove(image)
    return tile


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
