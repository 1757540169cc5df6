"""Log-mel spectrum at 100 Hz, made independent of recording level."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000  # Hz
N_FFT = 512
WINDOW = 400  # samples = 25 ms
HOP = 160  # samples = 10 ms
RATE = 50  # Hz: what the network says, once for two frames of the spectrum
N_MELS = 64
LOWEST_HZ, HIGHEST_HZ = 40.0, 7600.0
BLOCK = 500  # frames = 5 s at a time, so that memory does not grow with length
LOUD_REACH, LOUD_STEP = 1000, 50  # frames
DYNAMIC_RANGE = 14.0  # nats below the loud level at which everything counts as silence

Mel = npt.NDArray[np.float32]


@lru_cache(maxsize=1)
def _filterbank() -> Mel:
    """(N_MELS, N_FFT / 2 + 1) triangles, equally spaced on the HTK mel scale."""
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, N_MELS + 2) / 2595) - 1)
    bins = np.arange(N_FFT // 2 + 1) * SAMPLE_RATE / N_FFT
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return (np.clip(np.minimum(rise, fall), 0, None) / 100).astype(np.float32)


def log_mel(samples: npt.NDArray[np.float32]) -> Mel:
    """Log power in mel bands.

    Args:
        samples: (T,) 16 kHz.

    Returns:
        (T / 160 + 1, 64) nats; row i is centred at i * 10 ms.
    """
    window = np.zeros(N_FFT, np.float32)
    window[(N_FFT - WINDOW) // 2 : (N_FFT + WINDOW) // 2] = np.hanning(WINDOW + 1)[:-1]
    n_frames = len(samples) // HOP + 1
    mel = np.empty((n_frames, N_MELS), np.float32)
    for first in range(0, n_frames, BLOCK):
        last = min(first + BLOCK, n_frames)
        begin, end = first * HOP - N_FFT // 2, (last - 1) * HOP + N_FFT // 2
        heard = samples[max(0, begin) : end]
        heard = np.pad(heard, (max(0, -begin), max(0, end - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(heard, N_FFT)[::HOP]
        spectrum = np.fft.rfft(frames * window, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        mel[first:last] = np.log(power @ _filterbank().T + 1e-9)
    return mel


def normalise(mel: Mel, speaking: npt.NDArray[np.bool_]) -> Mel:
    """Bring the loud level of the voice to 1.25; the floor lies 14 nats below it.

    The loud level is the 95th percentile of the frame peaks of speech within 10 s, so that two
    speakers, or a speaker who turns away, are heard alike.

    Args:
        mel: (M, 64) from `log_mel`.
        speaking: (M,) from voice.speaking; where nobody speaks at all every frame counts.
    """
    peaks = mel.max(1)
    counted = speaking if speaking.any() else np.ones(len(mel), bool)
    loud = _running_loudness(peaks, counted)[:, None]
    normal = mel - loud
    np.maximum(normal, -DYNAMIC_RANGE, out=normal)
    normal += 5
    normal /= 4
    return normal


def _running_loudness(
    peaks: npt.NDArray[np.float32], counted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """(M,) percentile of the counted frames within REACH, found twice a second."""
    knots = np.arange(0, len(peaks) + LOUD_STEP, LOUD_STEP)
    found = np.full(len(knots), np.nan)
    for i, knot in enumerate(knots):
        around = slice(max(0, knot - LOUD_REACH), knot + LOUD_REACH)
        near = peaks[around][counted[around]]
        if len(near):
            found[i] = np.percentile(near, 95)
    known = np.flatnonzero(~np.isnan(found))
    return np.interp(np.arange(len(peaks)), knots[known], found[known]).astype(np.float32)
