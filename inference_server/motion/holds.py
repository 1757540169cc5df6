"""Animation on twos and threes: neighbouring frames share one pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Motion

from .channels import EYE_COLUMNS, LIPS_MEET, LOOK_COLUMNS, MOUTH_COLUMNS, measure
from .closures import nearest_to_shut

_BLINK = 0.35  # eye_open below it reads as a blink


def hold(motion: Motion, holds: int, closures: tuple[tuple[int, int], ...]) -> Motion:
    """The motion with one pose for each group of `holds` frames.

    The pose of a group is that of its frame with most mouth energy; but the frame in which a
    closure shuts the lips wins its group. A blink within the group shuts the eyes of its pose.
    Head and gaze are those of the group's middle frame, so that they move evenly.

    Args:
        motion: N frames.
        holds: 1, 2 or 3 frames for each pose; 1 changes nothing.
        closures: [first, last] frames in which the lips meet.
    """
    if holds == 1:
        return motion
    groups = np.arange(motion.n_frames) // holds
    mouth = _mouth_frames(motion, holds, closures)
    middle = np.minimum(np.arange(len(mouth)) * holds + holds // 2, motion.n_frames - 1)
    expression = motion.expression[mouth]
    expression[:, LOOK_COLUMNS] = motion.expression[middle][:, LOOK_COLUMNS]
    values = measure(motion)
    for name, columns in EYE_COLUMNS.items():
        eyes = _eye_frames(values[name], holds, mouth)
        expression[:, columns] = motion.expression[eyes][:, columns]
    return replace(
        motion,
        expression=expression[groups],
        head=motion.head[middle][groups],
        gaze=motion.gaze[middle][groups],
        native={name: array[mouth][groups] for name, array in motion.native.items()},
    )


def _mouth_frames(
    motion: Motion, holds: int, closures: tuple[tuple[int, int], ...]
) -> npt.NDArray[np.int64]:
    """For each group the frame whose mouth it shows."""
    energy = np.square(motion.expression[:, MOUTH_COLUMNS]).sum(axis=1)
    starts = range(0, motion.n_frames, holds)
    frames = np.array([start + int(energy[start : start + holds].argmax()) for start in starts])
    lip_open = measure(motion)["lip_open"]
    for first, last in closures:
        shut = nearest_to_shut(lip_open, first, last)
        shown = frames[first // holds : last // holds + 1]
        if not (lip_open[shown] <= LIPS_MEET).any():
            frames[shut // holds] = shut
    return frames


def _eye_frames(
    eye_open: npt.NDArray[np.float64], holds: int, mouth: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """For each group the frame whose eyelid it shows."""
    frames = mouth.copy()
    for group, start in enumerate(range(0, len(eye_open), holds)):
        lowest = start + int(eye_open[start : start + holds].argmin())
        if eye_open[lowest] < _BLINK:
            frames[group] = lowest
    return frames
