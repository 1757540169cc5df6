"""How eyelids move in a blink: measured on talking heads, the same for any way of placing it."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import numpy.typing as npt

CLOSE_S, OPEN_S = 0.08, 0.17  # on the way down, on the way up
_SHUT_S = 0.04
_REACH_S = 0.2  # a blink is over within this time


def lids(blinks: Iterable[int], fps: Fraction, n_frames: int) -> npt.NDArray[np.float64]:
    """How far the lids are shut, (N,), 0 open .. 1 shut.

    Every blink shuts the eyes wholly on one frame, at any frame rate.

    Args:
        blinks: frames of the fullest closure.
        fps: frames per second.
        n_frames: N.
    """
    shut = np.zeros(n_frames)
    reach = int(_REACH_S * fps) + 1
    for blink in blinks:
        frames = np.arange(max(0, blink - reach), min(n_frames, blink + reach + 1))
        shut[frames] = np.maximum(shut[frames], _shape((frames - blink) / float(fps)))
    return shut


def _shape(since_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lid closure around a blink; wholly shut for _SHUT_S around 0."""
    closing = 1 + (since_s + _SHUT_S / 2) / CLOSE_S
    opening = 1 - (since_s - _SHUT_S / 2) / OPEN_S
    share = np.clip(np.minimum(closing, opening), 0, 1)
    return share * share * (3 - 2 * share)
