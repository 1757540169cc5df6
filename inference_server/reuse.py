"""What of a take is already there: frames to link, and rows of numbers to copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .takes import BaseTake

_ROWS_AT_ONCE = 250  # frames; bounds memory, and how late a cancel is heard

Row = npt.NDArray[np.float32]


class Rows:
    """One row per frame: of the base take where it has the frame, computed where it has not."""

    def __init__(self, known: Mapping[int, Row], n_frames: int) -> None:
        self._known = known
        self._n_frames = n_frames
        self.missing = [frame for frame in range(n_frames) if frame not in known]
        self.n_blocks = -(-n_frames // _ROWS_AT_ONCE)

    def blocks(self, compute: Callable[[list[int]], Row]) -> Iterator[Row]:
        """All rows in order, some at a time; `compute` is asked for frames that are missing."""
        for first in range(0, self._n_frames, _ROWS_AT_ONCE):
            frames = range(first, min(first + _ROWS_AT_ONCE, self._n_frames))
            missing = [frame for frame in frames if frame not in self._known]
            computed = iter(compute(missing)) if missing else iter(())
            yield np.stack([self._known[f] if f in self._known else next(computed) for f in frames])


def plan_frames(
    keys: tuple[str, ...], kept: set[int], base: BaseTake
) -> tuple[dict[int, Path], dict[int, list[int]]]:
    """Which frames to link from the base take, and which to draw with which twins.

    Args:
        keys: of every frame.
        kept: frames that are in the folder already.
        base: may be empty.

    Returns:
        frame -> picture to link; and frame to draw -> equal frames to link to it.
    """
    linked: dict[int, Path] = {}
    drawn_for: dict[str, int] = {}
    twins: dict[int, list[int]] = {}
    for frame, key in enumerate(keys):
        if frame in kept:
            continue
        source = base.path_of(key)
        if source is not None:
            linked[frame] = source
        elif key in drawn_for:
            twins[drawn_for[key]].append(frame)
        else:
            drawn_for[key] = frame
            twins[frame] = []
    return linked, twins


def rows_from_base(base: BaseTake, keys: tuple[str, ...], file: str, name: str) -> Rows:
    """Rows of one array of the base take, for frames whose key it has."""
    rows = base.array(file, name)
    known: dict[int, Row] = {}
    if rows is not None:
        for frame, key in enumerate(keys):
            at = base.frame_of(key)
            if at is not None:
                known[frame] = rows[at]
    return Rows(known, len(keys))
