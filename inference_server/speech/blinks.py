"""When the eyes blink, and how the lids move."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from .seeded import draws
from .voice import STEPS_PER_S

_CLOSE_S, _SHUT_S, _OPEN_S = 0.08, 0.04, 0.17  # measured on talking heads
PER_MINUTE = 20.0  # of people in conversation, from the literature
_SPREAD = 0.65  # of the log-normal spacing
_CLOSEST_S = 0.45
_PHRASE_END_S = 0.4  # a blink this near to the end of a phrase moves there
_NOT_BEFORE_S = 0.3  # of the shot: its first frame shows the portrait's own eyes
_STREAM = 20


def lids(
    speaking: npt.NDArray[np.bool_],
    start_s: float,
    fps: Fraction,
    n_frames: int,
    seed: int,
    amount: float,
) -> npt.NDArray[np.float64]:
    """How far the lids are shut, (N,), 0 open .. 1 shut.

    Every blink shuts the eyes wholly on one frame, at any frame rate.

    Args:
        speaking: (M,) from voice.speaking, every 10 ms.
        start_s: where the stretch begins in the sound.
        fps: frames per second.
        n_frames: N.
        seed: of the shot.
        amount: 1 blinks 20 times a minute; 0 never.
    """
    shut = np.zeros(n_frames)
    if amount <= 0 or n_frames == 0:
        return shut
    rate = float(fps)
    ends_s = np.flatnonzero(speaking[:-1] & ~speaking[1:]) / STEPS_PER_S
    times_s = np.arange(n_frames) / rate
    for blink_s in _moments(start_s, start_s + n_frames / rate, seed, amount):
        due_s = blink_s - start_s
        if len(ends_s):
            end_s = ends_s[np.abs(ends_s - due_s).argmin()]
            due_s = end_s if abs(end_s - due_s) < _PHRASE_END_S else due_s
        due_s = round(due_s * rate) / rate
        if due_s - _CLOSE_S >= _NOT_BEFORE_S:
            shut = np.maximum(shut, _shape(times_s - due_s))
    return shut


def _moments(start_s: float, end_s: float, seed: int, amount: float) -> list[float]:
    """Blinks between two moments of the sound, in seconds of the sound."""
    median_s = 60 / (PER_MINUTE * amount) / np.exp(_SPREAD**2 / 2)
    moments: list[float] = []
    now_s = 0.0
    for draw in draws(seed, _STREAM):
        now_s += max(_CLOSEST_S, median_s * float(np.exp(_SPREAD * draw.normal())))
        if now_s >= end_s + _OPEN_S:
            return moments
        if now_s >= start_s - _OPEN_S:
            moments.append(now_s)
    return moments


def _shape(since_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lid closure around a blink; wholly shut for _SHUT_S around 0."""
    closing = 1 + (since_s + _SHUT_S / 2) / _CLOSE_S
    opening = 1 - (since_s - _SHUT_S / 2) / _OPEN_S
    share = np.clip(np.minimum(closing, opening), 0, 1)
    return share * share * (3 - 2 * share)
