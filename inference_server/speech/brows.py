"""A small lift of the brows on stressed syllables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .mouth import Mouth
from .voice import STEPS_PER_S

_LIFT = 0.22  # of the channel's range, on the strongest stress
_SYLLABLE_S, _PHRASE_S = 0.09, 0.6
_LEAST = 0.08  # how much a syllable stands out before the brows notice


def lift(mouth: Mouth) -> npt.NDArray[np.float64]:
    """Raised brows, (M,), every 10 ms, 0..1; where a syllable opens wider than its phrase."""
    syllable = _smooth(mouth.opening, _SYLLABLE_S)
    stands_out = np.clip((syllable - _smooth(mouth.opening, _PHRASE_S) - _LEAST) / 0.2, 0, 1)
    return _LIFT * _smooth(stands_out, _SYLLABLE_S)


def _smooth(curve: npt.NDArray[np.float64], sigma_s: float) -> npt.NDArray[np.float64]:
    return scipy.ndimage.gaussian_filter1d(curve, sigma_s * STEPS_PER_S, mode="nearest")
