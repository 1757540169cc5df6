"""Smoothing of trajectories: Kalman filter and Rauch-Tung-Striebel pass over a random walk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PROCESS_VARIANCE = 1e-5  # of a step of the walk; S3 section 6
OBSERVATION_VARIANCE = 3e-7
_FIRST_VARIANCE = 1.0


def smooth(
    track: npt.NDArray[np.floating], observation_variance: float = OBSERVATION_VARIANCE
) -> npt.NDArray[np.floating]:
    """The likeliest path behind noisy samples, each number on its own.

    All numbers share their variances, so the gains are computed once for all.

    Args:
        track: (N, ...) samples.
        observation_variance: of the noise.

    Returns:
        The shape and dtype of `track`.
    """
    estimates = track.astype(np.float64)
    if len(track) == 0:
        return track.copy()
    variances = np.empty(len(track))
    expected = _FIRST_VARIANCE
    for i in range(len(track)):
        gain = expected / (expected + observation_variance)
        if i:
            before = estimates[i - 1]
            estimates[i] = before + gain * (estimates[i] - before)
        variances[i] = (1 - gain) * expected
        expected = variances[i] + PROCESS_VARIANCE
    for i in range(len(track) - 2, -1, -1):
        gain = variances[i] / (variances[i] + PROCESS_VARIANCE)
        estimates[i] += gain * (estimates[i + 1] - estimates[i])
    return estimates.astype(track.dtype)
