"""Random numbers that belong to a moment of the sound, not to a shot.

Trimming a shot, changing its frame rate or asking for more of it leaves what was drawn for the
same second of the sound as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BLOCK = 256


def white(seed: int, stream: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """Normal noise number `first` and following of an endless sequence, (count,).

    Args:
        seed: of the shot.
        stream: one number for each use, so that uses are independent.
        first: may be negative: before the sound begins.
        count: how many.
    """
    blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
    noise = [
        np.random.default_rng([abs(seed), seed < 0, stream, abs(block), block < 0]).normal(
            size=_BLOCK
        )
        for block in blocks
    ]
    begin = first - blocks.start * _BLOCK
    return np.concatenate(noise)[begin : begin + count] if noise else np.zeros(0)


def draws(seed: int, stream: int) -> Iterator[np.random.Generator]:
    """One generator after another, for events that follow each other from the sound's beginning."""
    index = 0
    while True:
        yield np.random.default_rng([abs(seed), seed < 0, stream, index])
        index += 1
