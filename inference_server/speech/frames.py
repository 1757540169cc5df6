"""From moments of the sound to frames of the shot."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from .voice import STEPS_PER_S

Curve = npt.NDArray[np.float64]  # (M, ...)


class Frames:
    """Takes curves with even steps to the frames of a shot.

    Args:
        fps: frames per second, exact.
        n_frames: N.
        begin_s: moment of the curves that frame 0 shows; frame i shows what is i / fps later.
    """

    def __init__(self, fps: Fraction, n_frames: int, begin_s: float = 0.0) -> None:
        self.fps = fps
        self.begin_s = begin_s
        self.times_s = begin_s + np.arange(n_frames) * fps.denominator / fps.numerator

    def __call__(self, curve: npt.NDArray[np.floating[Any]], per_s: int = STEPS_PER_S) -> Curve:
        """The curve at each frame, (N, ...), linearly; its last value holds beyond its end."""
        at = np.clip(self.times_s * per_s, 0, len(curve) - 1)
        below = np.minimum(at.astype(int), max(0, len(curve) - 2))
        share = (at - below).reshape(-1, *[1] * (curve.ndim - 1))
        above = np.minimum(below + 1, len(curve) - 1)
        return curve[below] * (1 - share) + curve[above] * share

    def windows(self, spans_s: list[tuple[float, float]]) -> tuple[tuple[int, int], ...]:
        """Spans of time as [first, last] frames, each at least the nearest; those in the shot.

        The last frame is seen until the next would come: what happens by then is in the shot.
        """
        found = []
        seen_s = self.times_s[-1] + 1 / float(self.fps) if len(self.times_s) else 0.0
        for begin_s, end_s in spans_s:
            first, last = np.searchsorted(self.times_s, (begin_s, end_s))
            last = int(np.searchsorted(self.times_s, end_s, side="right")) - 1
            middle_s = (begin_s + end_s) / 2
            if first <= last:
                found.append((int(first), last))
            elif self.times_s[0] <= end_s and begin_s < seen_s:
                nearest = round((middle_s - self.begin_s) * float(self.fps))
                nearest = min(max(0, nearest), len(self.times_s) - 1)
                found.append((nearest, nearest))
        return tuple(found)

    def missing_steps(self, n_steps: int) -> int:
        """Steps of 10 ms that a curve of `n_steps` lacks to reach beyond the last frame."""
        needed = math.ceil((self.begin_s + len(self.times_s) / self.fps) * STEPS_PER_S)
        return max(0, needed - n_steps) + 1
