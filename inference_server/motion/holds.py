"""Animation on twos, threes or as listed: neighbouring frames share one pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Holds, Motion
from inference_server.registry import SpokenMotion

from .channels import EYE_COLUMNS, LIPS_MEET, LOOK_COLUMNS, MOUTH_COLUMNS, measure
from .closures import nearest_to_shut, still

Frames = npt.NDArray[np.int64]

_RESTS = 1 / 3  # share of a group: on threes no silent frame is left with an open mouth
_BLINK = 0.35  # eye_open below it reads as a blink


def hold(spoken: SpokenMotion, holds: Holds) -> Motion:
    """The motion with one pose for each group of frames.

    The pose of a group is that of its frame with most mouth energy; but the frame in which a
    closure shuts the lips wins its group, and so does rest where a third of it is silent. A blink
    within the group shuts the eyes of its pose. Head and gaze are those of the group's middle
    frame, so that they move evenly.

    Args:
        spoken: a motion whose closures are shut and whose silence is at rest; see `enforce`.
        holds: 1, 2 or 3 frames for each pose, 1 changes nothing; or the frames that begin one.
    """
    motion = spoken.motion
    starts = starts_of(holds, motion.n_frames)
    if len(starts) == motion.n_frames:
        return motion
    ends = np.append(starts[1:], motion.n_frames)
    group = np.repeat(np.arange(len(starts)), ends - starts)
    mouth = _mouth_frames(spoken, starts, group)
    middle = (starts + ends) // 2
    expression = motion.expression[mouth]
    expression[:, LOOK_COLUMNS] = motion.expression[middle][:, LOOK_COLUMNS]
    values = measure(motion)
    for name, columns in EYE_COLUMNS.items():
        eyes = _eye_frames(values[name], starts, mouth)
        expression[:, columns] = motion.expression[eyes][:, columns]
    return replace(
        motion,
        expression=expression[group],
        head=motion.head[middle][group],
        gaze=motion.gaze[middle][group],
        native={name: array[mouth][group] for name, array in motion.native.items()},
    )


def starts_of(holds: Holds, n_frames: int) -> Frames:
    """The frames at which a new pose begins, 0 first."""
    if isinstance(holds, int):
        return np.arange(0, n_frames, holds)
    return np.array([frame for frame in holds if frame < n_frames])


def first_frames(holds: Holds, n_frames: int) -> Frames:
    """(N,) for each frame the first one of its pose."""
    starts = starts_of(holds, n_frames)
    return starts[np.searchsorted(starts, np.arange(n_frames), side="right") - 1]


def _mouth_frames(spoken: SpokenMotion, starts: Frames, group: Frames) -> Frames:
    """For each group the frame whose mouth it shows."""
    motion = spoken.motion
    energy = np.square(motion.expression[:, MOUTH_COLUMNS]).sum(axis=1)
    frames = starts + [int(part.argmax()) for part in np.split(energy, starts[1:])]
    lip_open = measure(motion)["lip_open"]
    for first, last in spoken.closures:
        shut = nearest_to_shut(lip_open, first, last)
        shown = frames[group[first] : group[last] + 1]
        if not (lip_open[shown] <= LIPS_MEET).any():
            frames[group[shut]] = shut
    at_rest = np.split(still(spoken.silent, motion.fps), starts[1:])
    resting = np.array([part.mean() >= _RESTS for part in at_rest])
    return np.where(resting, starts + [int(part.argmax()) for part in at_rest], frames)


def _eye_frames(eye_open: npt.NDArray[np.float64], starts: Frames, mouth: Frames) -> Frames:
    """For each group the frame whose eyelid it shows."""
    lowest = starts + [int(part.argmin()) for part in np.split(eye_open, starts[1:])]
    return np.where(eye_open[lowest] < _BLINK, lowest, mouth)
