"""How strong the voice is in eight frequency bands, whatever the microphone and the level.

The borders follow what the mouth does to a voice: the first formant (300 to 1000 Hz) rises as the
jaw opens, the second (800 to 2500 Hz) falls as the lips round, and hissing lies above 3 kHz.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .voice import STEP, STEPS_PER_S

BORDERS_HZ = (80, 300, 600, 1000, 1500, 2200, 3200, 5000, 7600)
N_BANDS = len(BORDERS_HZ) - 1

_WINDOW = 400  # samples = 25 ms
_N_FFT = 512
_BLOCK = 500  # steps = 5 s at a time
_RANGE = 6.0  # nats below the loud level that count as nothing; chosen on GRID among 5 to 9
_NARROWEST = 2.0  # nats; a band that varies less carries no voice (telephone, 8 kHz files)
_ABOVE_NOISE = 0.7  # nats
_LOUD_PERCENT, _NOISE_PERCENT = 90, 10
_REACH_S = 4.0  # loud level and noise are those within this distance
_NEAR_S = 0.25  # background is judged this near to speech: silence that was added has none
_SMOOTH = 1.0  # steps, standard deviation


def band_levels(
    samples: npt.NDArray[np.float32], speaking: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Strength of each band, (M, N_BANDS), every 10 ms: 0 noise or nothing, 1 a loud vowel.

    Each band is measured against its own loud level in the speech around and against its own
    background noise, so a muffled or noisy recording gives much the same values as a clean one.

    Args:
        samples: (T,) 16 kHz.
        speaking: (M,) from voice.speaking; M = T / 160 + 1.
    """
    levels = np.log(_band_power(samples) + 1e-12)
    near = scipy.ndimage.binary_dilation(speaking, iterations=round(_NEAR_S * STEPS_PER_S))
    for band in range(N_BANDS):
        loud = _running_percentile(levels[:, band], speaking, _LOUD_PERCENT)
        noise = _running_percentile(levels[:, band], near, _NOISE_PERCENT)
        floor = np.maximum(loud - _RANGE, noise + _ABOVE_NOISE)
        spread = loud - floor
        share = np.where(spread > 0, (levels[:, band] - floor) / np.maximum(spread, _NARROWEST), 0)
        levels[:, band] = np.clip(share, 0, 1.2)
    return scipy.ndimage.gaussian_filter1d(levels, _SMOOTH, axis=0, mode="nearest")


def _band_power(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Power in each band, (M, N_BANDS); row i is centred at i * 10 ms."""
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
    bins_hz = np.arange(_N_FFT // 2 + 1) * (STEP * STEPS_PER_S / _N_FFT)
    borders = np.array(BORDERS_HZ)
    members = (bins_hz[:, None] >= borders[:-1]) & (bins_hz[:, None] < borders[1:])
    n_steps, half = len(samples) // STEP + 1, _WINDOW // 2
    power = np.empty((n_steps, N_BANDS), np.float32)
    for first in range(0, n_steps, _BLOCK):
        last = min(first + _BLOCK, n_steps) - 1
        begin, end = first * STEP - half, last * STEP + half
        heard = samples[max(0, begin) : end]
        heard = np.pad(heard, (max(0, -begin), max(0, end - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(heard, _WINDOW)[::STEP]
        spectrum = np.fft.rfft(frames * window, _N_FFT, axis=1)
        power[first : last + 1] = np.square(np.abs(spectrum)) @ members
    return power


def _running_percentile(
    values: npt.NDArray[np.float32], counted: npt.NDArray[np.bool_], percent: float
) -> npt.NDArray[np.float32]:
    """Percentile of the counted values within _REACH_S; found ten times a second, (M,)."""
    every = STEPS_PER_S // 10
    reach = round(_REACH_S * 10)
    coarse = np.where(counted, values, np.nan)[::every]
    around = np.lib.stride_tricks.sliding_window_view(
        np.pad(coarse, reach, constant_values=np.nan), 2 * reach + 1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # windows in which nothing counts
        found = np.nanpercentile(around, percent, axis=1)
    known = np.flatnonzero(~np.isnan(found))
    if len(known) == 0:
        return np.zeros(len(values), np.float32)
    steps = np.arange(len(values)) / every
    return np.interp(steps, known, found[known]).astype(np.float32)
