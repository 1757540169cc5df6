"""Where the eyes look: at the viewer, with the small jumps that living eyes make."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference_server.motion.amounts import HOLD_ON

from .seeded import draws
from .voice import STEPS_PER_S

_SHORTEST_S, _MEAN_S = 0.4, 1.1  # of a fixation: the shortest, and the mean beyond it
_SMALL_DEG = (1.0, 0.6)  # standard deviation of most fixations, x and y
_WIDE_DEG = (3.5, 1.8)  # of those that look away for a moment
_WIDE_SHARE = 0.12
_JUMP_S = 0.04
_STREAM = 30


def fixations(n_steps: int, start_s: float, seed: int) -> npt.NDArray[np.float64]:
    """Gaze in degrees, (M, 2), every 10 ms: x right of the picture, y up.

    Args:
        n_steps: M.
        start_s: where the stretch begins in the sound.
        seed: of the shot.
    """
    first = round(start_s * STEPS_PER_S)
    gaze = np.zeros((n_steps, 2))
    jump = round(_JUMP_S * STEPS_PER_S)
    now_s, looking = 0.0, np.zeros(2)
    for draw in draws(seed, _STREAM):
        begin = round(now_s * STEPS_PER_S) - first
        if begin >= n_steps:
            break
        deviation_deg = _WIDE_DEG if draw.random() < _WIDE_SHARE else _SMALL_DEG
        target = np.clip(draw.normal(size=2), -2, 2) * deviation_deg
        now_s += _SHORTEST_S + draw.exponential(_MEAN_S)
        end = min(n_steps, round(now_s * STEPS_PER_S) - first)
        steps = np.arange(max(0, begin), max(0, end))
        share = np.clip((steps - begin) / jump, 0, 1)[:, None]
        gaze[steps] = looking + (target - looking) * share
        looking = target
    return gaze


def holding_on(
    gaze: npt.NDArray[np.float64], head: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The gaze of eyes that stay on the viewer while the head turns, (M, 2) degrees.

    Args:
        gaze: (M, 2) from `fixations`.
        head: (M, 3) yaw, pitch, roll in degrees.
    """
    return gaze - HOLD_ON * head[:, :2]
