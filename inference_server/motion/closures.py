"""Makes the lips meet where the speech shuts them, and keeps them still where nobody speaks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Motion
from inference_server.registry import SpokenMotion

from .channels import LIPS_MEET, MOUTH_COLUMNS, close_lips, measure

_APPROACH_PER_S = 12.0  # lip_open per second on the way into and out of a closure
_SETTLE_S = 0.08  # the mouth comes to rest within this time after the last sound


def enforce(spoken: SpokenMotion) -> Motion:
    """The motion with every closure shut on at least one frame, and silence at rest.

    A closure that the source shuts already is left alone. Otherwise the frame of its window
    where the lips are nearest to each other is closed, and its neighbours are held below a slope,
    so that the lips do not snap.
    """
    return _shut(_rest(spoken.motion, spoken.silent), spoken.closures)


def nearest_to_shut(lip_open: npt.NDArray[np.float64], first: int, last: int) -> int:
    """The frame from `first` to `last` with the smallest opening; the middle one of equals."""
    window = lip_open[first : last + 1]
    equals = np.flatnonzero(window <= window.min() + 1e-9)
    return first + int(equals[len(equals) // 2])


def _shut(motion: Motion, closures: tuple[tuple[int, int], ...]) -> Motion:
    lip_open = measure(motion)["lip_open"]
    expression = motion.expression.copy()
    reach = int(np.ceil(float(motion.fps) / _APPROACH_PER_S))
    for first, last in closures:
        middle = nearest_to_shut(lip_open, first, last)
        if lip_open[middle] <= LIPS_MEET:
            continue
        for frame in range(max(0, middle - reach), min(motion.n_frames, middle + reach + 1)):
            most = abs(frame - middle) * _APPROACH_PER_S / float(motion.fps)
            expression[frame] = close_lips(expression[frame], min(1.0, most))
    return replace(motion, expression=expression)


def _rest(motion: Motion, silent: npt.NDArray[np.bool_]) -> Motion:
    """Fade the mouth out within silent runs; a mouth at rest already keeps its bytes."""
    if not silent.any():
        return motion
    amount = rest_envelope(silent, motion.fps)
    expression = motion.expression.copy()
    expression[:, MOUTH_COLUMNS] *= amount[:, None].astype(np.float32)
    return replace(motion, expression=expression)


def still(silent: npt.NDArray[np.bool_], fps: Fraction) -> npt.NDArray[np.bool_]:
    """Frames of silence in which the mouth is at rest, (N,): not those on the way there."""
    return rest_envelope(silent, fps) == 0


def rest_envelope(silent: npt.NDArray[np.bool_], fps: Fraction) -> npt.NDArray[np.float64]:
    """How much of the mouth's motion is let through, (N,): 1 in speech, 0 at rest in silence."""
    frames = np.arange(len(silent))
    speaking = np.flatnonzero(~silent)
    if len(speaking) == 0:
        return np.zeros(len(silent))
    after = np.searchsorted(speaking, frames)
    following = speaking[np.minimum(after, len(speaking) - 1)]
    previous = speaking[np.maximum(after - 1, 0)]
    distance = np.minimum(np.abs(following - frames), np.abs(frames - previous))
    distance = np.where(silent, distance, 0)
    return np.clip(1 - distance / max(1.0, _SETTLE_S * float(fps)), 0, 1)
