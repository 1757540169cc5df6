"""How steady the styles are in motion: `python -m tests.bench.coherence [--portraits ...]`.

Two ways to the same shot: the product's own (drawn once, warped, mouth and eyes drawn anew) and
every photo frame drawn by itself on a still grain. Motion is that of people in driving clips. The
optical flow is DIS, from the photo frames, so that it is not the warp that drew them. SSIM of
neighbouring frames as they are is what Animating Portrait Line Drawings (SIGGRAPH 2022) reports,
0.974 at 62.5 frames a second: `--fps 62.5`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mediapipe.python.solutions.face_mesh import FaceMesh

from inference_server import registry
from inference_server.datatypes import Motion
from inference_server.portrait import face_mesh
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp, rig
from tests.bench.picture import MEDIA, fitted, neutral_of, track
from tests.bench.styles import look

PORTRAITS = (
    "photo_woman_astronaut_collins_smile_teeth.png", "photo_man_obama_official_halfbody.jpg",
    "photo_woman_studio_wide_closedmouth.png", "photo_bw_man_moustache.jpg",
    "painting_monalisa.jpg", "cartoon3d_boy.jpg",
)  # fmt: skip
CLIPS = ("woman_shake_nod_d3.mp4", "man_singing_d20.mp4", "aoc_speech_pose_8s.mp4")
Frames = list[npt.NDArray[np.uint8]]  # (H, W, 3) each
STYLES = tuple(entry.name for entry in registry.STYLES)
POP = 24  # of 255: a change that is seen as a pop
_TRUSTED_PX = 0.7  # there and back again: flow that is further off is not believed


@dataclass(frozen=True)
class Steadiness:
    """Means over the pairs of neighbouring frames."""

    ssim: float  # of the pair as it is
    warped_ssim: float  # of a frame and the one before, moved along the flow
    error: float  # mean difference after that, 0..255
    popping: float  # % of pixels that differ by more than POP


def ssim_map(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Structural similarity of two grey pictures per pixel (Wang et al. 2004, sigma 1.5)."""
    x, y = a.astype(np.float64), b.astype(np.float64)

    def mean(field: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(field, (11, 11), 1.5))

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))


def grey(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))


def flows(photos: Frames) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
    """For each frame but the first: where its pixels were before, (H, W, 2) px, and if to trust."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = photos[0].shape[:2]
    grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    found = []
    for before, after in zip(photos, photos[1:], strict=False):
        back = dis.calc(grey(after), grey(before), None)
        forth = dis.calc(grey(before), grey(after), None)
        source = grid + back
        again = cv2.remap(forth, source[..., 0], source[..., 1], cv2.INTER_LINEAR)
        found.append((source, np.linalg.norm(back + again, axis=2) < _TRUSTED_PX))
    return found


def steadiness(frames: Frames, found: list[Any]) -> Steadiness:
    """Measures of one way to draw a shot; `found` are the flows of its photos."""
    rows = []
    for k, (source, trusted) in enumerate(found):
        before, after = frames[k], frames[k + 1]
        moved = cv2.remap(
            before, source[..., 0], source[..., 1], cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        off = np.abs(after.astype(np.int16) - moved).max(axis=2)[trusted]
        rows.append(
            (
                ssim_map(grey(before), grey(after)).mean(),
                ssim_map(grey(moved), grey(after))[trusted].mean(),
                off.mean(),
                100 * (off > POP).mean(),
            )
        )
    return Steadiness(*np.mean(rows, axis=0).tolist())


def driven(clip: Path, n_frames: int, fps: float) -> Motion:
    """The first `n_frames` of a person in a clip, at another frame rate."""
    reader, meshes = cv2.VideoCapture(str(clip)), []
    rate = reader.get(cv2.CAP_PROP_FPS)
    wanted = int(np.ceil(n_frames * rate / fps)) + 1
    with FaceMesh(static_image_mode=False, refine_landmarks=True) as tracker:
        while len(meshes) < wanted:
            found, frame = reader.read()
            if not found:
                break
            meshes.append(track(tracker, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    seen = [mesh for mesh in meshes if mesh is not None]
    source = seen[neutral_of(seen)]
    fit = face_mesh.fit(source)
    person = SimpleNamespace(rig=rig.build(fit.canonical, fit.rotation[:2]))
    moves = [fitted(person, source, mesh)[0] for mesh in seen]  # type: ignore[arg-type]
    at = np.arange(n_frames) * rate / fps

    def rows(name: str) -> npt.NDArray[np.float32]:
        values = np.concatenate([getattr(move, name) for move in moves])
        # a tracker trembles, a face does not
        values = cv2.GaussianBlur(values, (1, 5), 0, sigmaY=1.0, borderType=cv2.BORDER_REPLICATE)
        columns = [np.interp(at, np.arange(len(values)), column) for column in values.T]
        return np.stack(columns, axis=1).astype(np.float32)

    return Motion(
        Fraction(fps).limit_denominator(1000), rows("expression"), rows("head"), rows("gaze")
    )


def shots(
    path: Path, name: str, size: int, motion: Motion, photos: Frames
) -> tuple[Frames, Frames]:
    """A shot drawn once and warped, and the same shot with every photo drawn by itself."""
    portrait = analyze(path)
    prepared = MeshWarp().prepare(portrait, crop_face(portrait, 0, size), look(name, size))
    every = range(motion.n_frames)
    warped = [frame[..., :3] for frame in MeshWarp().render(prepared, motion, every)]
    if not prepared.drawn:
        return warped, warped
    medium = prepared.drawn[0].medium
    pad, (height, width) = prepared.scene.pad, prepared.scene.shape
    grain = None
    if medium.grain is not None:
        grain = np.ascontiguousarray(medium.grain[pad : pad + height, pad : pad + width])
    return warped, [medium.redraw(photo, grain, (0, 0)) for photo in photos]


def main() -> None:
    """A row per style, means over all portraits and clips."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, nargs="+",
                        default=[MEDIA / "portraits" / name for name in PORTRAITS])  # fmt: skip
    parser.add_argument("--clips", type=Path, nargs="+",
                        default=[MEDIA / "driving" / name for name in CLIPS])  # fmt: skip
    parser.add_argument("--styles", nargs="+", default=STYLES, choices=STYLES)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--fps", type=float, default=25.0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    motions = [driven(clip, options.frames, options.fps) for clip in options.clips]
    table: dict[tuple[str, str], list[Steadiness]] = {}
    for path in options.portraits:
        for motion in motions:
            photos, _ = shots(path, "photo", options.size, motion, [])
            found = flows(photos)
            for name in options.styles:
                ways = shots(path, name, options.size, motion, photos)
                for way, frames in zip(("warped", "each"), ways, strict=True):
                    table.setdefault((name, way), []).append(steadiness(frames, found))
    print(
        f"{len(options.portraits)} portraits x {len(motions)} clips, {options.frames} frames of"
        f" {options.size} px at {options.fps:g} fps"
    )
    print("style        way     SSIM   warped SSIM   error   popping %")
    for (name, way), measures in table.items():
        if name == "photo" and way == "each":
            continue
        means = np.mean([[m.ssim, m.warped_ssim, m.error, m.popping] for m in measures], axis=0)
        print("{:12s} {:7s} {:.3f}      {:.3f}      {:5.2f}    {:6.2f}".format(name, way, *means))


if __name__ == "__main__":
    main()
