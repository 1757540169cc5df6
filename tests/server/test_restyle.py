"""Drawn patches: what lies under an open mouth, and drawings that stay where the face is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from inference_server import registry
from inference_server.renderers.mesh_warp import restyle
from inference_server.renderers.mesh_warp.restyle import Medium

LIPS = np.float64([[20, 30], [40, 24], [60, 30], [40, 36]])  # px: corners first and third
CORNER = (10, 5)


@pytest.fixture
def medium() -> Medium:
    """A medium whose grain tells where it was taken from."""
    y, x = np.mgrid[:120, :140]
    around = np.dstack([x, y, 0 * x]).astype(np.uint8)
    style: Any = registry.load(registry.STYLES, "pencil")
    return Medium(style, 1.0, 0, {}, around, around, around, None)


def under(medium: Medium, lips: np.ndarray) -> np.ndarray:
    seen = np.full((60, 80, 4), 200, np.uint8)
    rest = LIPS + [30, 20]  # the texture begins 30 px left of the square and 20 px above it
    return restyle.grain_under(medium, seen, CORNER, lips, rest)


def test_inside_an_open_mouth_the_grain_is_not_stretched(medium: Medium) -> None:
    grain = under(medium, LIPS + [3, 2])  # the face has moved by (3, 2)
    x, y = 43, 32  # px of the square, inside the lips
    found = grain[y - CORNER[1], x - CORNER[0]]
    assert found[:2].tolist() == [x + 30 - 3, y + 20 - 2]
    assert np.all(grain[:10] == 200)
    assert np.all(grain[:, -15:] == 200)


def test_a_shut_mouth_keeps_the_grain_of_the_skin(medium: Medium) -> None:
    shut = LIPS.copy()
    shut[:, 1] = 30
    changed = np.any(under(medium, shut) != 200, axis=2)
    assert np.flatnonzero(changed.any(axis=1)).tolist() in ([], [30 - CORNER[1]])  # the seam


def test_the_reach_of_a_medium_follows_the_frame_size(medium: Medium) -> None:
    assert replace(medium, scale=2.0).reach == 2 * medium.reach == 2 * medium.style.reach
