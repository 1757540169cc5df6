"""Time of the styles on one core: `python -m tests.bench.styles`; prints CPU ms per call.

Frames are those of the fixture's speech, warp included; the grain is drawn once per shot.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from inference_server import registry
from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange, Look, Motion
from inference_server.pipeline import look_of
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.spec import parse_spec

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
ASTRONAUT, SPEECH = FIXTURES / "astronaut.png", FIXTURES / "speech.wav"
CROP = (103, 0, 344, 241)  # px of the photo: square around the face
PATCH = (170, 190, 330, 300)  # px of a 512 px crop: 160 x 110 around an eye
STYLES = tuple(entry.name for entry in registry.STYLES)
BUDGET_MS = {"photo": 9, "ink": 20, "pencil": 20, "cartoon": 25, "oil": 40, "watercolour": 40}


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    """Least CPU time of a call, ms, after one call that compiles."""
    call()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def calls(name: str, photo: Image.Image, size: int) -> str:
    """What is done once, and the patch of every frame."""
    style, scale = registry.load(registry.STYLES, name), size / 512
    picture = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC))
    params = dict(style.tuning(picture, scale))
    tuning_ms = cpu_ms(lambda: style.tuning(picture, scale), 2)
    grain_ms = cpu_ms(lambda: style.grain(picture, scale, 0, params), 2)
    grain = style.grain(picture, scale, 0, params)
    x0, y0, x1, y1 = (round(scale * v) for v in PATCH)
    part = dict(params)
    if grain is not None:
        params["grain"] = grain
        part["grain"] = np.ascontiguousarray(grain[y0:y1, x0:x1])
    patch = np.ascontiguousarray(picture[y0:y1, x0:x1])
    whole_ms = cpu_ms(lambda: style.plate(picture, scale, 0, params), 2)
    patch_ms = cpu_ms(lambda: style.develop(style.plate(patch, scale, 0, part), scale, part), 8)
    return (
        f"{name:12s}{size:5d} px: tuning {tuning_ms:6.1f}, grain {grain_ms:6.1f},"
        f" whole {whole_ms:6.1f}, patch {x1 - x0}x{y1 - y0} {patch_ms:5.1f} ms"
    )


def spoken(n_frames: int) -> Motion:
    """The first frames of the fixture's speech at 25 fps."""
    source = registry.load(registry.MOTION_SOURCES, "rules")
    speech = read_speech(AudioRange(SPEECH))
    motion: Motion = source.motion(speech, Fraction(25), n_frames, 0, {}).motion
    return motion


def look(name: str, size: int) -> Look:
    """The look of a shot whose settings are as they come."""
    spec = parse_spec(
        {"shot_id": "bench", "image": str(ASTRONAUT), "audio": {"path": str(SPEECH)},
         "fps": [25, 1], "size": size, "style": name, "out_dir": "/nowhere"}
    )  # fmt: skip
    return look_of(spec)


def frames(name: str, size: int, motion: Motion) -> str:
    """CPU ms of one frame, mean over a shot."""
    portrait = analyze(ASTRONAUT)
    crop = crop_face(portrait, 0, size)
    start = time.thread_time()
    prepared = MeshWarp().prepare(portrait, crop, look(name, size))
    prepare_ms = 1000 * (time.thread_time() - start)
    indices = range(motion.n_frames)
    for _ in MeshWarp().render(prepared, motion, [0, 1]):
        pass
    spent = []
    for index in indices:
        start = time.thread_time()
        for _ in MeshWarp().render(prepared, motion, [index]):
            pass
        spent.append(1000 * (time.thread_time() - start))
    budget = f" (at most {BUDGET_MS[name]})" if size == 512 else ""
    return (
        f"{name:12s}{size:5d} px: prepare {prepare_ms:6.0f} ms, frame {np.mean(spent):5.1f} ms mean"
        f"{budget}, {np.percentile(spent, 95):5.1f} ms at 95 %"
    )


def main() -> None:
    """All styles at all sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--styles", nargs="+", default=STYLES, choices=STYLES)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--frames", type=int, default=50)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    motion = spoken(options.frames)
    for size in options.sizes:
        for name in options.styles:
            print(calls(name, photo, size))
        for name in options.styles:
            print(frames(name, size, motion))


if __name__ == "__main__":
    main()
