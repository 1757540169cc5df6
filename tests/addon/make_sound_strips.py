"""Makes tests/fixtures/sound_strip_4_2.blend: scenes with sound strips, for Blender 4.2's wheel.

That wheel is built without audio and cannot make a sound strip, but it opens one. Run with the
Python of a bpy 4.5 wheel (4.2 opens what 4.5 has saved):

    python tests/addon/make_sound_strips.py tests/fixtures/sound_strip_4_2.blend

Scenes, all at 24 fps with 3 s of sound: "Speech" has it at frame 11, "Packed" has it packed into
the file, "Meta" has it in a meta strip. The sound file `voice.wav` lies beside the .blend.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
import tempfile
import wave
from pathlib import Path

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp()
import bpy  # noqa: E402  the variable must be there first

RATE = 16_000  # Hz


def main(target: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    voice = folder / "voice.wav"
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack("<h", 1000) * (3 * RATE))
    shutil.copy(voice, folder / "packed.wav")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.name = "Speech"
    for name in ("Speech", "Packed", "Meta"):
        scene = bpy.data.scenes.get(name) or bpy.data.scenes.new(name)
        strips = scene.sequence_editor_create().strips
        path = folder / ("packed.wav" if name == "Packed" else "voice.wav")
        sound = strips.new_sound("voice", str(path), 1, 11)
        if name == "Packed":
            sound.sound.pack()
        if name == "Meta":
            sound.move_to_meta(strips.new_meta("meta", 2, 11))
    saved = folder / "saved.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(saved), compress=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(saved, target)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
