"""Tiles frames of takes for the eye: one row of frames per take, labelled.

python tests/contact_sheet.py OUT.png TAKE_DIR [TAKE_DIR ...] [--crop mouth|eyes|full] [--every N]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

LABEL_PX = 14
PAPER = (128, 128, 128)
IBUG = {"mouth": slice(48, 68), "eyes": slice(17, 48)}  # brows, nose and eyes together
MARGIN = {"mouth": 0.45, "eyes": 0.12}  # of the width of those points


def crop_box(points: npt.NDArray[np.float32], crop: str) -> tuple[int, int, int, int]:
    """Box in px around a part of the face over all frames of a take; (N, 68, 2) px."""
    part = points[:, IBUG[crop]].reshape(-1, 2)
    low, high = part.min(0), part.max(0)
    margin = MARGIN[crop] * (high[0] - low[0])
    x0, y0 = np.floor(low - margin).astype(int)
    x1, y1 = np.ceil(high + margin).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def row_of(take: Path, crop: str, every: int, height: int) -> Image.Image:
    """The frames of one take side by side, under its name and their numbers."""
    about = json.loads((take / "take.json").read_text(encoding="utf-8"))
    frames = range(0, about["n_frames"], every)
    box = (0, 0, *about["size"])
    if crop != "full":
        with np.load(take / "landmarks.npz") as points:
            box = crop_box(points["ibug"], crop)
    width = round(height * (box[2] - box[0]) / (box[3] - box[1]))
    row = Image.new("RGB", (len(frames) * width, height + 2 * LABEL_PX), PAPER)
    text = ImageDraw.Draw(row)
    spec = about["spec"]
    text.text((2, 1), f"{take.name}  {spec['style']} {about['size'][0]} px", "white")
    for k, frame in enumerate(frames):
        picture = Image.open(take / f"{frame:06d}.png").convert("RGBA").crop(box)
        tile = Image.new("RGBA", picture.size, (*PAPER, 255))
        tile.alpha_composite(picture)
        tile = tile.resize((width, height), Image.Resampling.LANCZOS)
        row.paste(tile.convert("RGB"), (k * width, 2 * LABEL_PX))
        text.text((k * width + 2, LABEL_PX + 1), f"{frame}", "white")
    return row


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("takes", type=Path, nargs="+", metavar="TAKE_DIR")
    parser.add_argument("--crop", choices=("full", "mouth", "eyes"), default="full")
    parser.add_argument("--every", type=int, default=5, help="show every Nth frame")
    parser.add_argument("--height", type=int, default=192, help="px of a tile")
    chosen = parser.parse_args()
    rows = [row_of(take, chosen.crop, chosen.every, chosen.height) for take in chosen.takes]
    sheet = Image.new(
        "RGB", (max(row.width for row in rows), sum(row.height for row in rows)), PAPER
    )
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    sheet.save(chosen.out)


if __name__ == "__main__":
    main()
