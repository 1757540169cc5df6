"""From the sound of a voice to the shape of the mouth, by rules of phonetics.

    open    first formant: strong at 600 to 1000 Hz and weak below and above means a low jaw;
            energy above 2 kHz (bright vowels, hissing) also parts the lips
    wide    second formant: above 1500 Hz as in "ee", below it as in "oo"
    round   the opposite of wide, while a voice sounds

The numbers were fitted to 63 clips of the GRID corpus (Cooke, Barker, Cunningham, Shao, JASA 120,
2006; CC BY 4.0) tracked with MediaPipe, and rounded; nothing else was used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .bands import N_BANDS
from .voice import STEPS_PER_S

Curve = npt.NDArray[np.float64]  # (M,), every 10 ms

# lip opening in outer-eye distances per unit of each band, 80-300 Hz first
_OPEN_OF_BAND = np.array([0.035, -0.035, 0.055, -0.040, 0.020, 0.028, 0.040, 0.006])
_WIDE_OF_BAND = np.array([0.0, 0.0, -0.3, -0.3, 0.3, 0.3, 0.0, 0.0])  # lip_width; not fitted
_JAW_PER_OPENING = 5.0  # jawOpen for one outer-eye distance, so that speech is as large as life
_OPEN_LEAD_S = 0.02  # the mouth is ahead of its sound
_OPEN_SMOOTH_S, _SHAPE_SMOOTH_S = 0.025, 0.05
_PLAY = 0.015  # changes smaller than this do not move the jaw: no quiver
_BEFORE_S, _AFTER_S = 0.10, 0.12  # the mouth moves this long before and after its sound
_RAMP_S = 0.08


@dataclass(frozen=True, slots=True, eq=False)
class Mouth:
    """Mouth shape every 10 ms; M values each."""

    opening: Curve  # 0 shut .. 1, as jawOpen
    width: Curve  # -1 narrow .. 1 wide, as lip_width
    rounding: Curve  # 0..1, as lip_round
    parting: Curve  # 0..1, lower lip down to show the teeth, in hissing sounds
    active: Curve  # 0 at rest .. 1 speaking


def mouth(levels: npt.NDArray[np.float32], speaking: npt.NDArray[np.bool_]) -> Mouth:
    """The shape of the mouth for a stretch of sound.

    Args:
        levels: (M, N_BANDS) from bands.band_levels.
        speaking: (M,) from voice.speaking.
    """
    assert levels.shape[1] == N_BANDS
    active = activity(speaking)
    opening = _smooth(levels @ _OPEN_OF_BAND * _JAW_PER_OPENING, _OPEN_SMOOTH_S)
    opening = _ahead(_play(np.clip(opening, 0, 1), _PLAY), _OPEN_LEAD_S)
    voiced = np.clip(levels[:, :5].mean(axis=1) * 2, 0, 1)
    wide = _smooth(levels @ _WIDE_OF_BAND * voiced, _SHAPE_SMOOTH_S)
    hissing = np.clip(levels[:, 6:].mean(axis=1) - levels[:, 1:4].mean(axis=1), 0, 1)
    return Mouth(
        opening=opening * active,
        width=np.clip(wide, -0.25, 0.6) * active,
        rounding=np.clip(-2.5 * wide - 0.1, 0, 0.8) * active,
        parting=_smooth(0.6 * hissing, _OPEN_SMOOTH_S) * active,
        active=active,
    )


def activity(
    speaking: npt.NDArray[np.bool_],
    before_s: float = _BEFORE_S,
    after_s: float = _AFTER_S,
    ramp_s: float = _RAMP_S,
) -> Curve:
    """1 while somebody speaks, down to 0 a moment before and after, (M,).

    The way is a smooth step of `ramp_s`, so the lips are at rest `before_s` before the sound and
    `after_s` after it.
    """
    before = _seconds_to(speaking[::-1])[::-1] - (before_s - ramp_s)
    after = _seconds_to(speaking) - (after_s - ramp_s)
    outside = np.clip(np.minimum(before, after) / ramp_s, 0, 1)
    away: Curve = outside * outside * (3 - 2 * outside)
    return 1 - away


def _seconds_to(speaking: npt.NDArray[np.bool_]) -> Curve:
    """Seconds since somebody last spoke; 0 in speech, large before the first."""
    steps = np.arange(len(speaking))
    last = np.maximum.accumulate(np.where(speaking, steps, -(10**6)))
    return (steps - last) / STEPS_PER_S


def _smooth(curve: Curve, sigma_s: float) -> Curve:
    return scipy.ndimage.gaussian_filter1d(
        curve.astype(np.float64), sigma_s * STEPS_PER_S, axis=0, mode="nearest"
    )


def _ahead(curve: Curve, seconds: float) -> Curve:
    """The curve, earlier in time."""
    steps = round(seconds * STEPS_PER_S)
    return np.concatenate([curve[steps:], np.repeat(curve[-1:], min(steps, len(curve)))])


def _play(curve: Curve, play: float) -> Curve:
    """Follow a curve like a hook with some play: small wobbles stop, large moves come through."""
    followed = np.empty_like(curve)
    at = 0.0
    for index, wanted in enumerate(curve.tolist()):
        at = min(max(at, wanted - play), wanted + play)
        followed[index] = at
    return np.maximum(0, followed)
