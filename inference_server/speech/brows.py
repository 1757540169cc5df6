"""A small lift of the brows on stressed syllables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .voice import STEPS_PER_S

Curve = npt.NDArray[np.float64]

_LIFT = 0.22  # of the channel's range, on the strongest stress
_SYLLABLE_S, _PHRASE_S = 0.09, 0.6
_LEAST = 0.08  # how much a syllable stands out before the brows notice


def stress(opening: Curve) -> Curve:
    """How far a syllable opens wider than its phrase, (M,), every 10 ms, 0..1."""
    syllable = _smooth(opening, _SYLLABLE_S)
    return np.clip((syllable - _smooth(opening, _PHRASE_S) - _LEAST) / 0.2, 0, 1)


def lift(stressed: Curve) -> Curve:
    """Raised brows, (M,), 0..1, of `stress`."""
    return _LIFT * _smooth(stressed, _SYLLABLE_S)


def _smooth(curve: Curve, sigma_s: float) -> Curve:
    return scipy.ndimage.gaussian_filter1d(curve, sigma_s * STEPS_PER_S, mode="nearest")
