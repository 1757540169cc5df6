"""Which keys are the artist's, and where they go when a shot gets other frames (no bpy).

A frame is ours when exactly on it lies a key that is marked as generated and has the generated
value. Everything else is the artist's: changed, moved, added and deleted keys, keys between frames,
and the frames below a curve from which he has removed ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from .keys import Keys
from .timing import Span

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Move:
    """From the frames of one take to those of the next.

    Attributes:
        old: scene frames of the old take.
        new: scene frames of the new one.
        ratio: new frames per old frame; 1 unless the frame rate has changed.
        offset: new shot frame on which old shot frame 0 falls.
    """

    old: Span
    new: Span
    ratio: Fraction = Fraction(1)
    offset: int = 0

    def sources(self) -> npt.NDArray[np.int64]:
        """(M,) the old shot frame that each new one was; outside the old take where it is new."""
        back = (np.arange(self.new.length) - self.offset) / float(self.ratio)
        return np.round(back).astype(np.int64)

    def targets(self, frames: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Scene frames of keys in the new take.

        At another frame rate a key goes to the frame nearest to its time, or to its exact time
        where two keys would fall onto one frame.

        Args:
            frames: (n,) scene frames in the old take, ascending.
        """
        away = np.asarray(frames, np.float64) - self.old.start
        exact = away * float(self.ratio) + self.offset
        if self.ratio == 1:
            return exact + self.new.start
        snapped = np.where(away == np.round(away), np.round(exact), exact)
        values, counts = np.unique(snapped, return_counts=True)
        alone = ~np.isin(snapped, values[counts > 1])
        return np.where(alone, snapped, exact) + self.new.start


def ours(
    keys: Keys,
    first: int,
    generated: npt.NDArray[np.float64] | None,
    n_frames: int,
    mark: int,
    tolerance: float,
) -> Mask:
    """Which keys are as they were generated.

    Args:
        keys: of a channel.
        first: scene frame of shot frame 0.
        generated: (N,) values; None when nobody knows them any more, then the mark alone tells.
        n_frames: N.
        mark: number of the type of generated keys.
        tolerance: a value this near is the same.

    Returns:
        (n,) True for ours.
    """
    at = keys.frames.astype(np.float64) - first
    frame = np.round(at).astype(np.int64)
    on_frame = (at == frame) & (frame >= 0) & (frame < n_frames)
    found = on_frame & (keys.fields["type"] == mark)
    if generated is not None:
        found[found] = np.abs(keys.values[found] - generated[frame[found]]) <= tolerance
    return found


def artists_frames(keys: Keys, mine: Mask, first: int, n_frames: int) -> Mask:
    """(N,) True for the frames on which none of our keys (`mine`) lies."""
    free = np.ones(n_frames, bool)
    free[np.round(keys.frames[mine] - first).astype(np.int64)] = False
    return free


def moved_frames(move: Move, frames: Mask, targets: npt.NDArray[np.float64]) -> Mask:
    """The artist's frames in the new take.

    Args:
        move: from the old take.
        frames: (N,) his frames there.
        targets: (n,) scene frames of his keys in the new take.

    Returns:
        (M,) his frames in the new take: those that were his, and those with a key of his.
    """
    source = move.sources()
    inside = (source >= 0) & (source < len(frames))
    found = np.zeros(move.new.length, bool)
    found[inside] = frames[source[inside]]
    at = targets - move.new.start
    on_frame = at[(at == np.round(at)) & (at >= 0) & (at < len(found))]
    found[on_frame.astype(np.int64)] = True
    return found


def out_of_range(move: Move, frames: Mask) -> npt.NDArray[np.int64]:
    """The artist's old shot frames that the new take does not have."""
    new = np.round(np.flatnonzero(frames) * float(move.ratio)) + move.offset
    return np.flatnonzero(frames)[(new < 0) | (new >= move.new.length)]


def told(lost: Mapping[str, npt.NDArray[np.int64]], first: int) -> list[str]:
    """Lost frames in words, one line a channel.

    Args:
        lost: label of a channel -> old shot frames.
        first: scene frame of old shot frame 0.
    """
    lines = []
    for label, frames in lost.items():
        if len(frames) == 0:
            continue
        breaks = np.flatnonzero(np.diff(frames) > 1)
        starts = [frames[0], *frames[breaks + 1]]
        ends = [*frames[breaks], frames[-1]]
        spans = [
            f"{a + first}" if a == b else f"{a + first} to {b + first}"
            for a, b in zip(starts, ends, strict=True)
        ]
        shown = ", ".join(spans[:6]) + (f" and {len(spans) - 6} more" if len(spans) > 6 else "")
        lines.append(f"{label}: {shown}")
    return lines
