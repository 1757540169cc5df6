"""When the eyes blink."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference_server.motion.lids import CLOSE_S

from .frames import Frames
from .seeded import draws
from .voice import STEPS_PER_S

PER_MINUTE = 20.0  # of people in conversation, from the literature
_SPREAD = 0.65  # of the log-normal spacing
_CLOSEST_S = 0.45
_PHRASE_END_S = 0.4  # a blink this near to the end of a phrase moves there
_NOT_BEFORE_S = 0.3  # of the shot: its first frame shows the portrait's own eyes
_STREAM = 20


def frames(
    speaking: npt.NDArray[np.bool_],
    start_s: float,
    at: Frames,
    seed: int,
    amount: float,
) -> list[int]:
    """Frames on which the eyes are wholly shut, inside the shot.

    Args:
        speaking: (M,) from voice.speaking, every 10 ms.
        start_s: where that stretch begins in the sound.
        at: the frames of the shot.
        seed: of the shot.
        amount: 1 blinks 20 times a minute; 0 never.
    """
    if amount <= 0:
        return []
    rate, n_frames = float(at.fps), len(at.times_s)
    ends_s = np.flatnonzero(speaking[:-1] & ~speaking[1:]) / STEPS_PER_S
    first = (_NOT_BEFORE_S + CLOSE_S) * rate
    found: list[int] = []
    begin_s = start_s + at.begin_s
    for blink_s in _moments(begin_s, begin_s + n_frames / rate, seed, amount):
        due_s = blink_s - start_s
        if len(ends_s):
            end_s = ends_s[np.abs(ends_s - due_s).argmin()]
            due_s = end_s if abs(end_s - due_s) < _PHRASE_END_S else due_s
        frame = round((due_s - at.begin_s) * rate)
        apart = not found or frame - found[-1] >= _CLOSEST_S * rate
        if first <= frame < n_frames and apart:
            found.append(frame)
    return found


def _moments(start_s: float, end_s: float, seed: int, amount: float) -> list[float]:
    """Blinks between two moments of the sound, in seconds of the sound."""
    median_s = 60 / (PER_MINUTE * amount) / np.exp(_SPREAD**2 / 2)
    moments: list[float] = []
    now_s = 0.0
    for draw in draws(seed, _STREAM):
        now_s += max(_CLOSEST_S, median_s * float(np.exp(_SPREAD * draw.normal())))
        if now_s >= end_s + _PHRASE_END_S:
            return moments
        if now_s >= start_s - _PHRASE_END_S:
            moments.append(now_s)
    return moments
