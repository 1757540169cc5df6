"""Width of drawn heads in turn against the ideal: an ellipsoid turned by the same angle.

python tests/bench/heads.py FOLDER_OF_PORTRAITS [--size 256]

Measured on the matte, between brows and nose, against the same portrait at rest. 1 is ideal, more
is a head that is stretched wide.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from inference_server.datatypes import Look, Motion
from inference_server.errors import AnimatePortraitError
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp
from inference_server.renderers.mesh_warp.pose import breadth, source_yaw_deg
from inference_server.renderers.mesh_warp.prepared import Prepared
from inference_server.renderers.mesh_warp.shape import shape_of

YAWS_DEG = (0, -20, -10, 10, 20, 30)


def motion() -> Motion:
    n_frames = len(YAWS_DEG)
    head = np.zeros((n_frames, 6), np.float32)
    head[:, 0] = YAWS_DEG
    still = np.zeros((n_frames, 52), np.float32), np.zeros((n_frames, 2), np.float32)
    return Motion(Fraction(24), still[0], head, still[1])


def width(figure: np.ndarray, rows: range, middle: int) -> float:
    """Mean px from edge to edge around column `middle` of a mask; nan where it is cut."""
    widths = []
    for row in figure[rows.start : rows.stop : 2]:
        left, right = np.flatnonzero(~row[:middle]), np.flatnonzero(~row[middle:])
        if row[middle] and len(left) and len(right):
            widths.append(middle + right[0] - left[-1] - 1)
    return float(np.mean(widths)) if widths else float("nan")


def ratios(prepared: Prepared) -> list[float]:
    """Drawn width over ideal width, for each of YAWS_DEG but the first."""
    moving, renderer = motion(), MeshWarp("cpu")
    rows = range(int(prepared.scene.mesh[9, 1]), int(prepared.scene.mesh[1, 1]))
    drawn = []
    for frame, rgba in enumerate(renderer.render(prepared, moving, range(len(YAWS_DEG)))):
        middle = int(shape_of(prepared, moving, frame).coarse[168, 0])
        drawn.append(width(rgba[..., 3] > 127, rows, middle))
    source = np.radians(source_yaw_deg(prepared.fit))
    ideal = [breadth(source + np.radians(yaw)) / breadth(source) for yaw in YAWS_DEG]
    return [a / drawn[0] / b for a, b in zip(drawn[1:], ideal[1:], strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("portraits", type=Path)
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    look = Look(size=arguments.size, style="photo", framing="crop", alpha=True, seed=0)
    every = []
    print(f"{'yaw':40s}" + "".join(f"{yaw:8d}" for yaw in YAWS_DEG[1:]))
    for path in sorted(arguments.portraits.iterdir()):
        try:
            portrait = analyze(path)
        except AnimatePortraitError:
            continue
        crop = crop_face(portrait, 0, arguments.size)
        every.append(ratios(MeshWarp("cpu").prepare(portrait, crop, look)))
        print(f"{path.name[:39]:40s}" + "".join(f"{ratio:8.3f}" for ratio in every[-1]))
    for name, of in (("mean", np.nanmean), ("widest", np.nanmax)):
        print(f"{name:40s}" + "".join(f"{ratio:8.3f}" for ratio in of(every, axis=0)))


if __name__ == "__main__":
    main()
