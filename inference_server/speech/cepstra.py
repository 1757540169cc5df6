"""Mel cepstra as the recogniser's model wants them: those of pocketsphinx, for a passage at once.

Log-mel spectrum with the noise floor taken out, cosine transform, mean of the passage removed, and
differences over time. Equal to those of pocketsphinx 5.0.4 with the parameters of its en-us model
(feat.params) within 1e-4, and six times as fast.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from inference_server.datatypes import Speech

HOP = 160  # samples = 10 ms
WINDOW = 410  # samples
CEPSTRA = 13

_N_FFT = 512
_N_BANDS = 25
_BLOCK = 250  # windows at a time
_LOWEST_HZ, _HIGHEST_HZ = 130.0, 6800.0
_PRE_EMPHASIS = 0.97
_LIFTER = 22
_FULL_SCALE = 32_768.0
_FLOOR = 1e-4  # of power, in units of int16 samples

# removal of noise, after Doblinger (Eurospeech 1995) and Kim & Stern's power-normalised cepstra
_SMOOTH = 0.7
_RISES, _FALLS = 0.995, 0.5  # what the floor keeps per frame
_FADES, _MASKED = 0.85, 0.2  # of a peak that masks what follows it
_MOST_GAIN = 20.0
_NEIGHBOURS = 4  # bands on either side over which gains are averaged

Curves = npt.NDArray[np.float64]


def cepstra(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Cepstra and their first and second differences, (3, T, 13) for T whole windows.

    Args:
        samples: at 16 kHz, at least WINDOW; full scale is 1.
    """
    power = _bands(np.asarray(samples, np.float64) * _FULL_SCALE)
    spectra = np.log(power * _gain(power) + _FLOOR)
    lift = 1 + _LIFTER / 2 * np.sin(np.arange(CEPSTRA) * np.pi / _LIFTER)
    still = scipy.fft.dct(spectra, norm="ortho", axis=1)[:, :CEPSTRA] * lift
    still -= still.mean(0)
    near = np.pad(still, ((3, 3), (0, 0)), mode="edge")
    once = near[5:-1] - near[1:-5]
    twice = near[6:] - near[2:-4] - near[4:-2] + near[:-6]
    return np.stack([still, once, twice]).astype(np.float32)


def _bands(samples: Curves) -> Curves:
    """Power in the mel bands, (T, 25)."""
    sharp = np.append(samples[:1], samples[1:] - _PRE_EMPHASIS * samples[:-1])
    windows = np.lib.stride_tricks.sliding_window_view(sharp, WINDOW)[::HOP]
    power = np.empty((len(windows), _N_BANDS))
    for first in range(0, len(windows), _BLOCK):
        block = windows[first : first + _BLOCK] * np.hamming(WINDOW)
        spectrum = scipy.fft.rfft(block, _N_FFT, axis=1)
        power[first : first + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ _filterbank()
    return power


@lru_cache(maxsize=1)
def _filterbank() -> Curves:
    """(257, 25) triangles of unit area, equally spaced in mel, with corners on the FFT's lines."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    line_hz = Speech.SAMPLE_RATE / _N_FFT
    corners = 700 * (10 ** (np.linspace(low, high, _N_BANDS + 2) / 2595) - 1)
    corners = np.floor(corners / line_hz + 0.5) * line_hz
    lines = np.arange(_N_FFT // 2 + 1)[:, None] * line_hz
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    sides = np.minimum((lines - left) / (middle - left), (right - lines) / (right - middle))
    return np.maximum(0, sides) * 2 / (right - left)


def _gain(power: Curves) -> Curves:
    """What is left of each band where noise and echoes are taken out, (T, 25)."""
    smooth = _follow(power, power[0], _SMOOTH, _SMOOTH)
    signal = np.maximum(1, smooth - _follow(smooth, power[0] / _MOST_GAIN, _RISES, _FALLS))
    floor = _follow(signal, power[0] / _MOST_GAIN, _RISES, _FALLS)
    ages = np.arange(len(power))[:, None] * np.log(_FADES)
    peaks = np.exp(np.maximum.accumulate(np.log(signal) - ages, axis=0) + ages)
    before = np.zeros_like(peaks)
    before[1:] = peaks[:-1] * _FADES
    signal = np.where(signal < _FADES * before, _MASKED * before, signal)
    heard = np.maximum(signal, floor) / np.maximum(smooth, _FLOOR)
    gain = np.clip(heard, 1 / _MOST_GAIN, _MOST_GAIN)
    band = np.arange(_N_BANDS)
    first, last = np.maximum(0, band - _NEIGHBOURS), np.minimum(band + _NEIGHBOURS + 1, _N_BANDS)
    sums = np.cumsum(np.pad(gain, ((0, 0), (1, 0))), axis=1)
    return (sums[:, last] - sums[:, first]) / (last - first)


def _follow(values: Curves, start: Curves, rising: float, falling: float) -> Curves:
    """A curve that keeps a share of itself in each frame, most where the values rise, (T, 25)."""
    slow, fast = (1 - rising) * values, (1 - falling) * values
    followed = np.empty_like(values)
    now = start
    for i in range(len(values)):
        now = np.minimum(rising * now + slow[i], falling * now + fast[i])
        followed[i] = now
    return followed
