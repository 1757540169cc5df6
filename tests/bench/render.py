"""CPU milliseconds per frame of mesh_warp, stage by stage, on one core; and of torch beside it.

python tests/bench/render.py [--sizes 512 1024] [--repeat 40]

torch draws on the graphics card where there is one (wall time counts there), else on the processor
with one thread, which says nothing about a card but that its frames are right.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from inference_server.datatypes import ARKIT_INDEX, Look, Motion
from inference_server.device import for_drawing
from inference_server.motion.body import follow
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp, eyes, mouth, painting
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.raster import backward_map
from inference_server.renderers.mesh_warp.shape import shape_of

ASTRONAUT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"

BATCH = 8  # frames


@dataclass(frozen=True)
class Cost:
    """Thread CPU time of one stage, ms."""

    median: float
    best: float


def cost(work: Callable[[], object], repeat: int) -> Cost:
    work()
    spent = []
    for _ in range(repeat):
        start = time.thread_time()
        work()
        spent.append(1e3 * (time.thread_time() - start))
    return Cost(float(np.median(spent)), min(spent))


def busy_motion() -> Motion:
    """One frame in which everything moves: open mouth, half-shut eyes, gaze and head."""
    expression = np.zeros((1, 52), np.float32)
    for name, weight in (("jawOpen", 0.5), ("eyeBlinkLeft", 0.5), ("eyeBlinkRight", 0.5),
                         ("mouthSmileLeft", 0.3), ("mouthSmileRight", 0.3)):  # fmt: skip
        expression[0, ARKIT_INDEX[name]] = weight
    head = np.array([[6, 4, 2, 0, 0, 0]], np.float32)
    motion = Motion(Fraction(24), expression, head, np.array([[8, 3]], np.float32))
    return follow(motion, breathing=1.0, seed=0, begin_s=0.5, shown=np.array([0]))


def stages(prepared: Prepared, motion: Motion, repeat: int) -> dict[str, Cost]:
    shape = shape_of(prepared, motion, 0)
    head, scene = prepared.head, prepared.scene
    canvas = np.empty((*scene.shape, 4), np.uint8)

    def coarse() -> object:
        return backward_map(shape.refined, head.uv, head.triangles, scene.shape, prepared.step)

    seen = coarse()

    def draw_eyes() -> None:
        for eye, lids, gaze, blink in zip(
            prepared.eyes, head.eye_rims, shape.gaze, shape.blinks, strict=True
        ):
            outline = shape.refined[lids, :2]
            eyes.draw(canvas, (0, 0), eye, outline, gaze, blink, shape.pose, prepared.fit)

    def draw_mouth() -> None:
        lips = shape.refined[head.mouth_rim, :2]
        mouth.draw(canvas, (0, 0), prepared.mouth, lips, shape.jaw, shape.pose, prepared.fit)

    def fine() -> None:
        for part in painting.fine_maps(prepared, shape):
            x, y = part.corner
            view = canvas[y : y + part.x.shape[0], x : x + part.x.shape[1]]
            painting.compose_part(part, prepared.photo, view, part.corner)

    work: dict[str, Callable[[], object]] = {
        "geometry": lambda: shape_of(prepared, motion, 0),
        "raster": coarse,
        "sample and composite": lambda: painting.compose_part(seen, prepared.photo, canvas, (0, 0)),
        "lips and eyes, fine": fine,
        "eyes": draw_eyes,
        "mouth": draw_mouth,
        "shade": lambda: painting.shade(prepared, shape, canvas, seen),
        "whole frame": lambda: list(MeshWarp("cpu").render(prepared, motion, [0])),
    }
    return {name: cost(run, repeat) for name, run in work.items()}


def torch_line(prepared: Prepared, motion: Motion, repeat: int) -> str:
    """What torch takes for a frame, and how near its frames are to those of the processor."""
    import torch

    from inference_server.renderers.mesh_warp import torch_raster

    torch.set_num_threads(1)
    device = for_drawing()
    shape = shape_of(prepared, motion, 0)

    def batch() -> list[painting.Figure]:
        return torch_raster.figures(prepared, [shape] * BATCH, device)

    spent = []
    for _ in range(1 + max(3, repeat // BATCH)):
        start = time.perf_counter()
        made = batch()
        spent.append(1e3 * (time.perf_counter() - start) / BATCH)
    off = made[0].canvas.astype(float) - painting.figure(prepared, shape).canvas
    db = 10 * np.log10(255**2 / max(float((off**2).mean()), 1e-9))
    median = float(np.median(spent[1:]))
    return f"torch on {device}, figure in batches of {BATCH}: {median:.2f} wall, PSNR {db:.1f} dB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--repeat", type=int, default=40)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    portrait = analyze(ASTRONAUT)
    for size in arguments.sizes:
        crop = crop_face(portrait, 0, size)
        for style, alpha in (("photo", False), ("photo", True), ("ink", False)):
            look = Look(size=size, style=style, framing="crop", alpha=alpha, seed=0)
            start = time.perf_counter()
            prepared = MeshWarp("cpu").prepare(portrait, crop, look)
            seconds = time.perf_counter() - start
            named = f"{style}{', RGBA' if alpha else ''}"
            print(f"{size} px, {named}: prepared in {seconds:.2f} s; CPU ms: median (best)")
            for name, spent in stages(prepared, busy_motion(), arguments.repeat).items():
                if style == "photo" or name == "whole frame":
                    print(f"    {name:22s}{spent.median:8.2f}  ({spent.best:.2f})")
            if not alpha:
                print("   ", torch_line(prepared, busy_motion(), arguments.repeat))


if __name__ == "__main__":
    main()
