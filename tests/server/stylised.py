"""What tests of styles share: the fixture's portrait as a style sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Sitter
from inference_server.portrait.analysis import analyze
from inference_server.registry import Style

ASTRONAUT = Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png"
CROP = (103, 0, 344, 241)  # px of the photo: square around the face


def redrawn(
    style: Style, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
) -> npt.NDArray[np.uint8]:
    """An (H, W, 3) picture in a style."""
    return style.develop(style.plate(image, scale, seed, params), scale, params)


@cache
def _mesh() -> npt.NDArray[np.float64]:
    """(478, 2) px of the photo."""
    return analyze(ASTRONAUT).faces[0].mesh[:, :2].astype(np.float64)


def sitter(size: int) -> Sitter:
    """Who is seen in the crop at `size` px; the matte is not known."""
    zoom = size / (CROP[2] - CROP[0])
    return Sitter((_mesh() - CROP[:2] + 0.5) * zoom - 0.5, None)
