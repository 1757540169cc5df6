"""Blinks and gaze that an artist has placed, put into a motion; and blinks read off one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, BlinkCue, Cue, GazeCue, Motion

from .channels import with_look
from .lids import lids

_SHUT = 0.999  # weight at which an eye is wholly shut
_JUMP_S = 0.04  # of the eyes, from one place to another
_BLINKS = {"l": ARKIT_INDEX["eyeBlinkLeft"], "r": ARKIT_INDEX["eyeBlinkRight"]}


def blinks_of(motion: Motion) -> tuple[BlinkCue, ...]:
    """The blinks in a motion: where an eye is wholly shut, in the middle of a longer stretch."""
    left, right = (_shut_frames(motion.expression[:, column]) for column in _BLINKS.values())
    both = [BlinkCue(frame) for frame in left & right]
    single = [BlinkCue(frame, "l") for frame in left - right]
    single += [BlinkCue(frame, "r") for frame in right - left]
    return tuple(sorted([*both, *single], key=lambda cue: (cue.frame, cue.eye)))


def used(motion: Motion, cues: tuple[Cue, ...] | None) -> tuple[BlinkCue, ...]:
    """The blinks in a motion on which `cues` were performed: those placed, or those generated."""
    placed = [cue for cue in cues or () if isinstance(cue, BlinkCue)]
    if not placed:
        return blinks_of(motion)
    inside = {cue for cue in placed if cue.frame < motion.n_frames}
    return tuple(sorted(inside, key=lambda cue: (cue.frame, cue.eye)))


def perform(motion: Motion, cues: tuple[Cue, ...] | None) -> Motion:
    """The motion with the blinks and the gaze of `cues`.

    None leaves it as it is. Any blink in the list replaces all that are generated, and so does an
    empty list. The gaze is as generated until the first gaze cue.

    Args:
        motion: N frames.
        cues: those behind the last frame show nothing.
    """
    if cues is None:
        return motion
    if not cues or any(isinstance(cue, BlinkCue) for cue in cues):
        motion = with_blinks(motion, [cue for cue in cues if isinstance(cue, BlinkCue)])
    gazes = [cue for cue in cues if isinstance(cue, GazeCue) and cue.frame < motion.n_frames]
    return _looking(motion, gazes) if gazes else motion


def with_blinks(motion: Motion, blinks: Iterable[BlinkCue]) -> Motion:
    """The motion with these blinks in place of its own."""
    blinks = [cue for cue in blinks if cue.frame < motion.n_frames]
    expression = motion.expression.copy()
    for eye, column in _BLINKS.items():
        frames = [cue.frame for cue in blinks if cue.eye in ("both", eye)]
        expression[:, column] = lids(frames, motion.fps, motion.n_frames)
    return replace(motion, expression=expression)


def _shut_frames(weight: npt.NDArray[np.float32]) -> set[int]:
    borders = np.flatnonzero(np.diff(np.concatenate([[0], weight > _SHUT, [0]])))
    return {int(first + last - 1) // 2 for first, last in borders.reshape(-1, 2)}


def _looking(motion: Motion, cues: list[GazeCue]) -> Motion:
    """The gaze goes to each target and has arrived on the frame of its cue."""
    wandering = motion.gaze.astype(np.float64)
    gaze = wandering.copy()
    times_s = np.arange(motion.n_frames) / float(motion.fps)
    for cue in sorted(cues, key=lambda each: each.frame):
        if cue.target == "wander":
            target = wandering
        else:
            point = (0.0, 0.0) if cue.target == "camera" else cue.target
            target = np.asarray(point) - motion.head[:, :2]
        since_s = times_s - cue.frame / float(motion.fps)
        share = np.clip(1 + since_s / _JUMP_S, 0, 1)[:, None]
        gaze = gaze + (target - gaze) * share
    looked = gaze.astype(np.float32)
    return replace(motion, gaze=looked, expression=with_look(motion.expression, looked))
