"""Whether a sound was recorded too loud: how many of its samples are at full scale.

They are counted as they are in the file; mixing and resampling would hide them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .datatypes import AudioRange

# The highest value of mu-law is 0.980, of 8 bits 0.992. Floats above 1 are whole: nothing cut them.
_FULL_FROM, _FULL_TO = 0.98, 1.001
_CLIPPED = 0.005  # share of the samples; sound recordings reach 0.001 at their peaks


@dataclass(slots=True)
class Meter:
    """Counts the frames of a range that are at full scale in any channel."""

    first: int  # frame of the file at which the range begins
    last: float  # and ends
    frame: int  # of the file, that is heard next
    heard: int = 0
    full: int = 0

    @staticmethod
    def of(audio: AudioRange, rate: int, frame: int) -> Meter:
        """For a range of a file that is read from `frame` on, at `rate` Hz."""
        first = round(audio.start_s * rate)
        length = math.inf if audio.duration_s is None else round(audio.duration_s * rate)
        return Meter(first, first + length, frame)

    def hear(self, block: npt.NDArray[np.float32]) -> None:
        """Count the next (n, channels) frames."""
        begin = max(0, self.first - self.frame)
        end = max(0, min(len(block), self.last - self.frame))
        self.frame += len(block)
        peaks = np.abs(block[begin : int(end)]).max(axis=1, initial=0)
        self.heard += len(peaks)
        self.full += int(np.count_nonzero((peaks >= _FULL_FROM) & (peaks <= _FULL_TO)))

    def warnings(self, name: str) -> tuple[str, ...]:
        """What to say about a file of this name; nothing if it is as it should be."""
        share = self.full / max(1, self.heard)
        if share < _CLIPPED:
            return ()
        return (
            f'"{name}" is clipped: {share:.1%} of its samples are at full scale. '
            "Mouths may open too little; record it again at a lower level.",
        )
