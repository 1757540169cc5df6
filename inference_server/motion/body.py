"""What neck and shoulders do: they follow the head, late and a little, and they breathe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Motion

Rows = npt.NDArray[np.float64]

BODY = "body"  # in Motion.native: (N, 3) shift right and down in face widths, roll in degrees
LATE_S, REACH_S = 0.10, 0.5  # a body is this late, and has forgotten a pose after that time
_YAW_SHIFT = 0.12  # face widths per sine of the head's yaw: the shoulder behind comes forward
_YAW_ROLL, _ROLL = 0.06, 0.22  # degrees per degree
_SHIFT = 0.30
_BREATH = 0.010  # face widths that the shoulders rise
_BREATHS_HZ = (0.22, 0.30)
_INHALING = 0.4  # of a breath


def follow(
    motion: Motion, breathing: float, seed: int, begin_s: float, shown: npt.NDArray[np.int64]
) -> Motion:
    """The motion with a body, in `native`.

    A pure function of the poses of the last REACH_S: an edited pose changes no frame beyond.

    Args:
        motion: N frames.
        breathing: 0 none, 1 deep.
        seed: chooses rate and phase of the breath.
        begin_s: of the first frame in the sound, so that a trimmed shot breathes as before.
        shown: (N,) for each frame the one whose body it shows: the first of its drawing.
    """
    fps = float(motion.fps)
    head = _late(motion.head.astype(np.float64), fps)
    body = np.zeros((motion.n_frames, 3))
    body[:, 0] = _YAW_SHIFT * np.sin(np.radians(head[:, 0])) + _SHIFT * head[:, 3]
    body[:, 1] = _SHIFT * head[:, 4]
    body[:, 2] = _YAW_ROLL * head[:, 0] + _ROLL * head[:, 2]
    if breathing > 0:
        times = begin_s + np.arange(motion.n_frames) / fps
        body[:, 1] -= breathing * _BREATH * _breath(times, seed)
    return replace(motion, native={**motion.native, BODY: body[shown].astype(np.float32)})


def _late(rows: Rows, fps: float) -> Rows:
    """Rows (N, k) through the response of a critically damped body; before the shot it rests."""
    age = np.arange(int(REACH_S * fps) + 1) / fps
    share = (age + 0.5 / fps) * np.exp(-2 * age / LATE_S)
    share /= share.sum()
    before = np.repeat(rows[:1], len(age) - 1, axis=0)
    padded = np.concatenate([before, rows])
    late = np.zeros_like(rows)
    for k, each in enumerate(share):
        first = len(age) - 1 - k
        late += each * padded[first : first + len(rows)]
    return late


def _breath(times: Rows, seed: int) -> Rows:
    """(N,) 0 lungs empty, 1 full; in quickly, out slowly."""
    random = np.random.default_rng([seed, 0xB0D1])
    rate, phase = random.uniform(*_BREATHS_HZ), random.uniform()
    t = (times * rate + phase) % 1
    way = np.where(t < _INHALING, t / _INHALING, (1 - t) / (1 - _INHALING))
    return 0.5 - 0.5 * np.cos(np.pi * way)
