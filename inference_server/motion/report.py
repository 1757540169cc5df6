"""How well a mouth keeps the rules of lip sync that can be read off its motion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Breach, Motion, Report
from inference_server.protocol import CHANNELS

from .channels import LIPS_MEET, measure
from .closures import nearest_to_shut, still

_LIP_CHANNELS = ("lip_open", "lip_width", "lip_round", "smile")
_SAID = {
    "open_closure": "the lips stay open where a sound shuts them",
    "silence_motion": "the lips move in silence",
}
_MOVES = 0.01  # of a channel's range between two frames: 0.4 px at 512 px


def report(
    motion: Motion,
    silent: npt.NDArray[np.bool_],
    closures: tuple[tuple[int, int], ...],
) -> Report:
    """Lip motion in silence and closures that stay open.

    A frame moves when a lip channel differs from the frame before by more than 1 % of its range.
    The 80 ms after and before speech in which lips close and open are not counted as silence.

    Args:
        motion: N frames.
        silent: (N,) no speech in this frame.
        closures: [first, last] frames in which the lips must meet once.
    """
    values = measure(motion)
    moves = np.zeros(motion.n_frames, bool)
    for channel in CHANNELS:
        if channel.name in _LIP_CHANNELS:
            step = np.abs(np.diff(values[channel.name], prepend=values[channel.name][:1]))
            moves |= step > _MOVES * (channel.maximum - channel.minimum)
    resting = still(silent, motion.fps)
    judged = resting & np.concatenate([resting[:1], resting[:-1]])
    restless = moves & judged
    breaches = [Breach(int(frame), "silence_motion") for frame in np.flatnonzero(restless)]
    hits = 0
    for first, last in closures:
        nearest = nearest_to_shut(values["lip_open"], first, last)
        if values["lip_open"][nearest] <= LIPS_MEET:
            hits += 1
        else:
            breaches.append(Breach(nearest, "open_closure"))
    return Report(
        silence_motion=float(restless.sum() / judged.sum()) if judged.any() else 0.0,
        closure_hits=hits,
        closure_total=len(closures),
        breaches=tuple(sorted(breaches, key=lambda breach: (breach.frame, breach.kind))),
    )


def overrule(report: Report, frames: Collection[int]) -> Report:
    """The report with the breaches on some frames apart from the others."""
    return replace(
        report,
        breaches=tuple(breach for breach in report.breaches if breach.frame not in frames),
        overruled=tuple(breach for breach in report.breaches if breach.frame in frames),
    )


def sentences(report: Report) -> list[str]:
    """The report for people: a line for the shot, and one for each breach."""
    lines = [
        f"Lips: {report.closure_hits} of {report.closure_total} closures shut, "
        f"in motion on {report.silence_motion:.1%} of the silence."
    ]
    for breaches, note in ((report.breaches, ""), (report.overruled, " (overruled)")):
        lines += [f"  frame {at.frame}: {_SAID[at.kind]}{note}" for at in breaches]
    return lines
