"""Makes docs/gallery.md: `python -m tests.gallery PORTRAIT... [--out docs] [--references ...]`.

Every portrait in every style and five poses, two clips that loop, and a picture of each setting of
the styles. Give it portraits that you may publish; what lies in docs/ is in the public domain.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from inference_server import protocol, registry
from inference_server.datatypes import ARKIT_INDEX, Look, Motion, Portrait
from inference_server.motion.boil import boiled
from inference_server.motion.ends import settle
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.mesh_warp import MeshWarp
from tests.bench.styles import look, spoken

Picture = npt.NDArray[np.uint8]
STYLES = tuple(entry.name for entry in registry.STYLES)
SIZE, TILE, GAP = 320, 208, 4  # px: of a frame, of its tile, between tiles
CLOSE_SIZE, CLOSE = 512, (110, 402)  # px: of frames that settings are shown on, and their middle
QUALITY = 78
POSES: tuple[dict[str, float], ...] = (
    {},
    {"jawOpen": 0.65},
    {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0, "mouthPucker": 0.9},
    {"yaw": 14.0, "mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
    {"yaw": -12.0, "pitch": 6.0, "roll": -4.0, "jawOpen": 0.3, "mouthFunnel": 0.5},
)
HEAD = {"yaw": 0, "pitch": 1, "roll": 2}
VALUES: dict[str, tuple[Any, ...]] = {  # what a picture of a setting shows, the default in it
    "line_weight": (0.4, 1.0, 2.5),
    "detail": (0.4, 1.0, 2.0),
    "palette_size": (4.0, 8.0, 16.0),
    "stroke_size": (0.6, 1.0, 2.2),
    "paper": (0.0, 1.0, 2.0),
    "background": (0.0, 0.25, 1.0),
    "ink_colour": ("#0e0e11", "#1c2f6b", "#6b2a1c"),
    "paper_colour": ("#fbf9f4", "#efe3c6", "#cfdde2"),
}
CLIP_FRAMES, CLIP_FPS = 60, 12


def posed(poses: Sequence[dict[str, float]]) -> Motion:
    """One frame for each pose: ARKit weights and head angles by name."""
    expression = np.zeros((len(poses), len(ARKIT_INDEX)), np.float32)
    head = np.zeros((len(poses), 6), np.float32)
    for frame, pose in enumerate(poses):
        for name, value in pose.items():
            if name in HEAD:
                head[frame, HEAD[name]] = value
            else:
                expression[frame, ARKIT_INDEX[name]] = value
    return Motion(Fraction(24), expression, head, np.zeros((len(poses), 2), np.float32))


def with_params(name: str, params: dict[str, Any]) -> Look:
    """The look of a style with some settings changed."""
    plain = look(name, CLOSE_SIZE if params else SIZE)
    return dataclasses.replace(plain, params={**plain.params, **params})


def frames(portrait: Portrait, wanted: Look, motion: Motion, close: bool = False) -> list[Picture]:
    """All frames of a motion, as tiles; `close`: only the face."""
    prepared = MeshWarp().prepare(portrait, crop_face(portrait, 0, wanted.size), wanted)
    drawn = MeshWarp().render(prepared, motion, range(motion.n_frames))
    part = np.s_[CLOSE[0] : CLOSE[1], CLOSE[0] : CLOSE[1], :3] if close else np.s_[..., :3]
    return [cv2.resize(frame[part], (TILE, TILE), interpolation=cv2.INTER_AREA) for frame in drawn]


def grid(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Tiles side by side, white between them."""

    def padded(tile: Picture) -> Picture:
        return np.pad(tile, ((0, GAP), (0, GAP), (0, 0)), constant_values=255)

    whole = np.vstack([np.hstack([padded(tile) for tile in row]) for row in rows])
    return whole[:-GAP, :-GAP]


def save(path: Path, picture: Picture) -> None:
    """Write a small WebP."""
    Image.fromarray(picture).save(path, quality=QUALITY, method=6)


def sheet(portrait: Portrait) -> Picture:
    """Every style down, every pose across."""
    motion = posed(POSES)
    return grid([frames(portrait, with_params(name, {}), motion) for name in STYLES])


def clip(path: Path, portrait: Portrait) -> None:
    """Write a clip that loops: all styles speak, on twos."""
    motion = settle(spoken(2 * CLIP_FRAMES), 0.4)
    twos = dataclasses.replace(
        motion, expression=motion.expression[::2], head=motion.head[::2], gaze=motion.gaze[::2],
        native={name: rows[::2] for name, rows in motion.native.items()},
    )  # fmt: skip
    ways = [frames(portrait, with_params(name, {}), twos) for name in STYLES]
    stills = [
        Image.fromarray(grid([[way[k] for way in ways[:3]], [way[k] for way in ways[3:]]]))
        for k in range(CLIP_FRAMES)
    ]
    stills[0].save(
        path, save_all=True, append_images=stills[1:], duration=round(1000 / CLIP_FPS), loop=0,
        quality=55, method=4,
    )  # fmt: skip


def setting(param: protocol.Param, portrait: Portrait, references: Sequence[Path]) -> Picture:
    """A row for each style that uses a setting, a column for each of its values."""
    rest, three = posed(POSES[:1]), boiled(posed(POSES[:1] * 3), "ones")
    rows = []
    for name in param.styles:
        if param.name == "boil":
            rows.append(frames(portrait, with_params(name, {"boil": "ones"}), three, close=True))
            continue
        values = VALUES.get(param.name) or ("", *(str(path) for path in references))
        looks = [with_params(name, {param.name: value}) for value in values]
        close = param.name != "background"
        rows.append([frames(portrait, wanted, rest, close)[0] for wanted in looks])
    return grid(rows)


def page(portraits: Sequence[Path], clips: Sequence[Path], params: Sequence[str]) -> str:
    """The text of gallery.md."""
    lines = [
        "# Gallery", "",
        "Made by `python -m tests.gallery`. From the top: " + ", ".join(STYLES) + ".", "",
    ]  # fmt: skip
    for path in clips:
        lines += [f"![{path.stem}, speaking](gallery/clip_{path.stem}.webp)", ""]
    for path in portraits:
        lines += [f"## {path.stem.replace('_', ' ')}", "", f"![](gallery/{path.stem}.webp)", ""]
    lines += ["# Settings of the styles", ""]
    for param in protocol.PARAMS:
        if param.name not in params:
            continue
        if param.name == "boil":
            across = "three drawings that follow each other"
        elif param.name in VALUES:
            across = ", ".join(f"{value}" for value in VALUES[param.name])
        else:
            across = "none, then portraits of this page"
        lines += [
            f"## {param.label} (`{param.name}`)", "",
            f"{param.description.capitalize()}. Across: {across}. Down: {', '.join(param.styles)}.",
            "", f"![](gallery/param_{param.name}.webp)", "",
        ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Draw everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("portraits", type=Path, nargs="+", metavar="PORTRAIT")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--references", type=Path, nargs=2, help="style images; else the last two")
    parser.add_argument("--only", nargs="+", help="names of portraits or settings to make anew")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    folder = options.out / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    references = options.references or options.portraits[-2:]
    found = {path: analyze(path) for path in options.portraits}
    params = [param for param in protocol.PARAMS if param.styles]
    clips = options.portraits[:2]
    for path, portrait in found.items():
        if not options.only or path.stem in options.only:
            save(folder / f"{path.stem}.webp", sheet(portrait))
            if path in clips:
                clip(folder / f"clip_{path.stem}.webp", portrait)
    first = found[options.portraits[0]]
    for param in params:
        if not options.only or param.name in options.only:
            save(folder / f"param_{param.name}.webp", setting(param, first, references))
    text = page(options.portraits, clips, [param.name for param in params])
    (options.out / "gallery.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
