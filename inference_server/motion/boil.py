"""Boil: which of a few drawings of the same picture a frame shows, for a hand-made look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference_server.datatypes import Motion

BOIL = "boil"  # in Motion.native: (N, 1) number of the drawing
DRAWINGS = 3  # they follow each other in a circle
_EVERY = {"ones": 1, "twos": 2, "threes": 3}  # frames that a drawing is seen


def boiled(motion: Motion, how: str) -> Motion:
    """The motion with the drawing that each frame shows; `how` is "off" or a key of _EVERY."""
    if how not in _EVERY:
        return motion
    numbers = np.arange(motion.n_frames) // _EVERY[how] % DRAWINGS
    rows = numbers.astype(np.float32)[:, None]
    return replace(motion, native={**motion.native, BOIL: rows})


def drawing_of(motion: Motion, frame: int) -> int:
    """Number of the drawing that a frame shows."""
    return round(float(motion.native[BOIL][frame, 0])) if BOIL in motion.native else 0
