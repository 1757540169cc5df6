"""A sound is heard in blocks that lie fast in its file, each with the sound around it.

What is heard at a moment then depends on the file alone, not on where a shot begins and ends: a
range that is trimmed keeps its motion to the last bit, but for a moment near the cut. It also
bounds memory, whatever the length of the range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import AudioRange, Speech
from inference_server.registry import Heed, unheeded

from .features import RATE

LENGTH_S = 60  # with what is around it 1.4 times the work, of a long sound
AROUND_S = 12  # levels and phones are judged by the sound within 10 s; a voice detector warms up
STEPS_PER_S = 100  # of voice.speaking
_GRID = Speech.SAMPLE_RATE // RATE  # samples: every analysis has a step here


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block, and where in `samples` it lies."""

    samples: npt.NDArray[np.float32]  # (T,) 16 kHz, with what is around
    first: int  # sample, on the grid
    last: int | None  # behind the last sample; None: to the end
    begin_s: float = 0.0  # where `samples` begins in those of the sound

    def own(self, rows: npt.NDArray[Any], per_s: int) -> npt.NDArray[Any]:
        """Those rows of an analysis of `samples`, `per_s` a second, that belong to the block."""
        step = Speech.SAMPLE_RATE // per_s
        return rows[self.first // step : None if self.last is None else self.last // step]


def around(audio: AudioRange) -> tuple[float, float | None]:
    """The seconds of the file that a range must be read with; None: to its end."""
    begin = LENGTH_S * math.floor(audio.start_s / LENGTH_S) - AROUND_S
    if audio.duration_s is None:
        return max(0, begin), None
    blocks = math.ceil((audio.start_s + audio.duration_s) / LENGTH_S)
    return max(0, begin), LENGTH_S * blocks + AROUND_S


def blocks(speech: Speech, heed: Heed = unheeded) -> Iterator[Block]:
    """The blocks of a sound, in order; together they cover all of its samples."""
    rate = Speech.SAMPLE_RATE
    begin_s = speech.start_s - speech.before_s
    end_s = begin_s + len(speech.samples) / rate

    def place(seconds: float) -> int:
        return round((seconds - begin_s) * rate / _GRID) * _GRID

    end_of_range_s = speech.start_s + speech.duration_s
    first_block = math.floor(speech.start_s / LENGTH_S)
    last_block = max(first_block + 1, math.ceil(end_of_range_s / LENGTH_S))
    for number in range(first_block, last_block):
        heed(number - first_block, last_block - first_block)
        first = 0 if number == first_block else place(number * LENGTH_S)
        last = None if number == last_block - 1 else place((number + 1) * LENGTH_S)
        low = max(0, place(number * LENGTH_S - AROUND_S))
        high = place(min(end_s, (number + 1) * LENGTH_S + AROUND_S) + 1 / RATE)
        ends = None if last is None else last - low
        yield Block(speech.samples[low:high], first - low, ends, low / rate)


def joined(pieces: Iterable[tuple[npt.NDArray[Any], ...]]) -> list[npt.NDArray[Any]]:
    """What was heard in each block, one array after another, as whole arrays."""
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def audible(speech: Speech, speaking: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(M,) whether somebody speaks in the range itself: what is around it is not heard.

    Args:
        speech: the range.
        speaking: (M,) from voice.speaking, in all of its samples.
    """
    moments_s = np.arange(len(speaking)) / STEPS_PER_S
    end_s = speech.before_s + speech.duration_s
    return speaking & (moments_s >= speech.before_s) & (moments_s <= end_s)
