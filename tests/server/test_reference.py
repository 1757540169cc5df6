"""What a reference picture lends: its palette and its strokes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from stylised import ASTRONAUT, CROP, redrawn, sitter

from inference_server import registry
from inference_server.datatypes import Sitter
from inference_server.errors import ImageUnreadable
from inference_server.styles import reference

Picture = npt.NDArray[np.uint8]
PAINTERS = ("cartoon", "oil", "watercolour")


@pytest.fixture(scope="module")
def crop() -> Picture:
    photo = Image.open(ASTRONAUT).convert("RGB").crop(CROP)
    return np.asarray(photo.resize((256, 256), Image.Resampling.BICUBIC))


def dabs(size: int, seed: int = 0) -> Picture:
    """Blue and green strokes of a width, all level."""
    random = np.random.default_rng(seed)
    canvas = np.full((384, 384, 3), (40, 70, 120), np.uint8)
    for _ in range(60_000 // size**2):
        x, y = random.integers(0, 384, 2).tolist()
        colour = tuple(int(v) for v in random.normal((50, 100, 150), 30).clip(0, 255))
        cv2.line(canvas, (x, y), (x + 5 * size, y), colour, size, cv2.LINE_AA)
    return canvas


def painted(name: str, crop: Picture, who: Sitter, path: str) -> Picture:
    style = registry.load(registry.STYLES, name)
    params = {"style_image": path}
    params = {**params, **style.tuning(crop, 0.5, who, params)}
    grain = style.grain(crop, 0.5, 0, params, who)
    return redrawn(style, crop, 0.5, 0, params if grain is None else {**params, "grain": grain})


@pytest.mark.parametrize("name", PAINTERS)
def test_a_portrait_takes_the_palette_of_its_reference(
    name: str, crop: Picture, tmp_path: Path
) -> None:
    path = tmp_path / "blue.png"
    Image.fromarray(dabs(6)).save(path)
    plain, blue = (painted(name, crop, sitter(256), file) for file in ("", str(path)))
    warmth = [float((p[..., 0].astype(float) - p[..., 2]).mean()) for p in (plain, blue)]
    assert warmth[1] < warmth[0] - 25
    grey = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).ravel() for p in (plain, blue)]
    assert np.corrcoef(*grey)[0, 1] > 0.8  # the same face


def test_broader_strokes_are_measured_as_broader() -> None:
    sizes = [reference.brush(dabs(size)).size for size in (3, 6, 12)]
    assert sizes[0] < sizes[1] < sizes[2]
    faint = (dabs(6).astype(float) * 0.2 + 90).astype(np.uint8)
    assert reference.brush(faint).contrast < reference.brush(dabs(6)).contrast


@pytest.mark.parametrize("name", PAINTERS)
def test_an_unreadable_reference_is_named(name: str, crop: Picture, tmp_path: Path) -> None:
    text = tmp_path / "words.png"
    text.write_text("no picture")
    style = registry.load(registry.STYLES, name)
    for path in (text, tmp_path / "missing.png"):
        with pytest.raises(ImageUnreadable, match=path.name):
            style.tuning(crop, 0.5, None, {"style_image": str(path)})
