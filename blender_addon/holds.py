"""Which frames share one drawing (no bpy)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .timing import Span

Holds = int | Sequence[int]  # on ones, twos, threes; or the frames that start a drawing, 0 first


def starts(holds: Holds, n_frames: int) -> npt.NDArray[np.int64]:
    """The frames of a shot at which a new drawing starts, ascending."""
    if isinstance(holds, int):
        return np.arange(0, n_frames, holds)
    return np.array([frame for frame in holds if frame < n_frames], np.int64)


def drawing(holds: Holds, n_frames: int, frame: int) -> Span:
    """The frames that show the same drawing as this one."""
    first = starts(holds, n_frames)
    index = int(np.searchsorted(first, frame, side="right"))
    end = int(first[index]) if index < len(first) else n_frames
    return Span(int(first[index - 1]), end)


def groups(holds: Holds, n_frames: int) -> npt.NDArray[np.int64]:
    """(N,) number of the drawing that each frame shows."""
    return np.searchsorted(starts(holds, n_frames), np.arange(n_frames), side="right") - 1
