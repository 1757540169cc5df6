"""Time of the styles on one core: `python -m tests.bench.styles`; prints CPU ms per call."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from inference_server.styles.ink import Ink

ASTRONAUT = Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png"
CROP = (103, 0, 344, 241)  # px of the photo: square around the face
PATCH = (170, 190, 330, 300)  # px of a 512 px crop: 160 x 110 around an eye


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    """Least CPU time of a call, ms, after one call that compiles."""
    call()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def figures(photo: Image.Image, size: int) -> str:
    """One line: the whole picture, what is measured once, and the patch of every frame."""
    ink, scale = Ink(), size / 512
    picture = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC))
    tuned = dict(ink.tuning(picture, scale))
    x0, y0, x1, y1 = (round(scale * v) for v in PATCH)
    patch = np.ascontiguousarray(picture[y0:y1, x0:x1])
    whole_ms = cpu_ms(lambda: ink.apply(picture, scale, 0, tuned), 5)
    tuning_ms = cpu_ms(lambda: ink.tuning(picture, scale), 3)
    patch_ms = cpu_ms(lambda: ink.apply(patch, scale, 0, tuned), 10)
    return (
        f"ink {size:4d} px: whole {whole_ms:6.1f} ms, tuning {tuning_ms:5.1f} ms,"
        f" patch {x1 - x0}x{y1 - y0} {patch_ms:5.1f} ms"
    )


def main() -> None:
    """All sizes."""
    cv2.setNumThreads(1)
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    for size in (256, 512, 1024, 2048):
        print(figures(photo, size))


if __name__ == "__main__":
    main()
