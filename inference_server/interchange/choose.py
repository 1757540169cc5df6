"""From dense lip curves to some five cues a second that a cue-based animator can work with.

The shapes are chosen together: the sequence is sought that is nearest to the curves when every
change of shape costs something (Viterbi 1967). How much it costs is raised until there are few
enough cues. Lips that meet in the curves meet in the cues.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from inference_server.motion.channels import LIPS_MEET

from .timing import CLOSED, REST, RHUBARB, Mark, Timing, poses

MOST_PER_S = 5.0
_WEIGHTS = {"lip_open": 1.0, "lip_width": 0.5, "lip_round": 0.7, "smile": 0.0}
_MOVES = 0.03  # of a channel: less is rest
_PAUSE_S = 0.25  # closed for longer is rest
_NUDGE = 0.002  # squared distance, towards rest in pauses
_NEVER = 1e6
_CHEAPEST, _DEAREST = 1e-3, 4.0  # of one change, in squared distances times frames
_TRIES = 24

Rows = npt.NDArray[np.float64]


def choose(channels: Mapping[str, npt.NDArray[np.float64]], fps: Fraction) -> Timing:
    """Rhubarb's shapes for the lip channels of a take.

    Args:
        channels: name -> (N,), as in take.json.
        fps: of the take.
    """
    names = list(_WEIGHTS)
    curves = np.stack([channels[name] for name in names], 1)
    shapes = list(poses()[RHUBARB])
    table = np.array([[poses()[RHUBARB][shape][name] for name in names] for shape in shapes])
    away = np.square((curves[:, None] - table) * list(_WEIGHTS.values())).sum(2)
    n_closed = _keep_closures(away, curves[:, 0], shapes, fps)
    n_frames = len(curves)
    at_rest = np.abs(curves).max(1) < _MOVES
    speech_s = np.count_nonzero(~at_rest) / float(fps)
    most = max(MOST_PER_S * speech_s, 2 * n_closed + 1)  # between closures the mouth opens
    found = np.zeros(n_frames, int)
    for price in np.geomspace(_CHEAPEST, _DEAREST, _TRIES):
        found = _cheapest(away, float(price))
        if 1 + np.count_nonzero(np.diff(found)) <= most:
            break
    starts = [0, *(np.flatnonzero(np.diff(found)) + 1).tolist()]
    marks = tuple(Mark(frame / fps, shapes[found[frame]]) for frame in starts)
    return Timing(RHUBARB, marks, n_frames / fps)


def _keep_closures(away: Rows, lip_open: Rows, shapes: list[str], fps: Fraction) -> int:
    """Make every run of closed lips show closed lips, in place; says how many there are."""
    closed = lip_open <= LIPS_MEET
    meet, rest = shapes.index(CLOSED[RHUBARB]), shapes.index(REST[RHUBARB])
    away[~closed, rest] = _NEVER  # rest is for pauses
    borders = np.flatnonzero(np.diff(np.concatenate([[0], closed, [0]]))).reshape(-1, 2)
    for first, last in borders.tolist():
        pause = last - first > _PAUSE_S * fps
        if pause:
            away[first:last, meet] += _NUDGE
        else:
            away[first:last, rest] = _NEVER
        middle = (first + last - 1) // 2
        kept_on = slice(first, last) if pause else slice(middle, middle + 1)
        away[kept_on, [shape for shape in range(len(shapes)) if shape not in (meet, rest)]] = _NEVER
    return len(borders)


def _cheapest(away: Rows, price: float) -> npt.NDArray[np.int64]:
    """The shape of each frame, (N,): least distance (N, S) plus a price for every change."""
    total = away[0].copy()
    came_from = np.zeros(away.shape, np.int64)
    stay = np.arange(away.shape[1])
    for frame in range(1, len(away)):
        best = int(total.argmin())
        changes = total[best] + price < total
        came_from[frame] = np.where(changes, best, stay)
        total = np.minimum(total, total[best] + price) + away[frame]
    found = np.empty(len(away), np.int64)
    found[-1] = total.argmin()
    for frame in range(len(away) - 1, 0, -1):
        found[frame - 1] = came_from[frame, found[frame]]
    return found
