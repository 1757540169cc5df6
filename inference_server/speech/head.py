"""Idle head sway: noise through a critically damped oscillator.

Prosody does not predict head motion (aligned sound did no better than mismatched sound on 39
speakers), so the sway is drawn, with the speeds that talking heads were measured to have. Its
amplitude is half of theirs: a portrait that sways as far as a live speaker looks restless. It
sways more while the voice is louder than it usually is, at any level of the recording.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .seeded import white
from .voice import STEPS_PER_S, loudness

STD_DEG = (2.5, 2.0, 1.5)  # yaw, pitch, roll while speaking
SPEED = (3.5, 3.9, 2.6)  # rad/s; speed / amplitude of yaw, pitch, roll
_IN_SILENCE = 0.65  # of the amplitude while speaking
_SETTLE_S = 1.0  # over which the amplitude follows speech and its loudness
_MORE_PER_DB = 1 / 15  # of the amplitude, where the voice is louder than usual
_MOST_MORE = 0.4
_USUAL_REACH_S = 7.0  # what is usual is heard within this distance
_MEMORY_S = 5.0  # after which the oscillator has forgotten a push
_STREAM = 10
_NOD_DEG = 3.5  # down, on the strongest stress
_NOD_FROM = 0.25  # strong stresses only: some 30 nods a minute of a lively reading
_NOD_S = 0.16  # half length of a nod
_NOD_LATE_S = 0.06  # heads come down just after the stress


def sway(
    speaking: npt.NDArray[np.bool_],
    start_s: float,
    seed: int,
    std_deg: tuple[float, float, float] = STD_DEG,
    speed: tuple[float, float, float] = SPEED,
    swell: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Yaw, pitch and roll in degrees, (M, 3), every 10 ms.

    Args:
        speaking: (M,) from voice.speaking.
        start_s: where the stretch begins in the sound.
        seed: of the shot.
        std_deg: of yaw, pitch, roll while speaking.
        speed: rad/s, speed over amplitude of each.
        swell: (M,) how much larger the amplitude is where the voice is louder; nowhere.
    """
    n_steps = len(speaking)
    first = round(start_s * STEPS_PER_S)
    memory = round(_MEMORY_S * STEPS_PER_S)
    since_s = np.arange(memory) / STEPS_PER_S
    angles = np.empty((n_steps, 3))
    for axis, (deviation, rate) in enumerate(zip(std_deg, speed, strict=True)):
        response = since_s * np.exp(-rate * since_s)  # of x'' + 2 w x' + w^2 x = push
        response *= deviation / np.linalg.norm(response)
        pushes = white(seed, _STREAM + axis, first - memory + 1, n_steps + memory - 1)
        angles[:, axis] = np.convolve(pushes, response, "valid")
    amplitude = _IN_SILENCE + (1 - _IN_SILENCE) * _settled(speaking)
    if swell is not None:
        amplitude *= 1 + swell
    return angles * amplitude[:, None]


def swell(
    samples: npt.NDArray[np.float32], speaking: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """How much louder than usual the voice is, as a share of the sway, (M,), every 10 ms.

    It is between -0.4 and 0.4 and about 0 on average over speech, and 0 in silence.

    Args:
        samples: (T,) 16 kHz at any level.
        speaking: (M,) from voice.speaking.
    """
    share = _settled(speaking)
    power = _settled(np.where(speaking, 10 ** (loudness(samples) / 10), 0))
    level = 10 * np.log10(power / np.maximum(share, 1e-9) + 1e-12)
    width = 2 * round(_USUAL_REACH_S * STEPS_PER_S) + 1
    total, count = (
        scipy.ndimage.uniform_filter1d(values, width, mode="constant")
        for values in (np.where(speaking, level, 0), speaking.astype(np.float64))
    )
    usual = total / np.maximum(count, 0.5 / width)
    more: npt.NDArray[np.float64] = np.clip((level - usual) * _MORE_PER_DB, -_MOST_MORE, _MOST_MORE)
    return more * share


def nods(stress: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Small nods on stressed syllables: yaw, pitch and roll in degrees, (M, 3).

    Args:
        stress: (M,) from brows.stress, every 10 ms.
    """
    angles = np.zeros((len(stress), 3))
    reach = round(2 * _NOD_S * STEPS_PER_S)
    window = np.hanning(2 * reach + 1)
    late = round(_NOD_LATE_S * STEPS_PER_S)
    tops = _tops(stress, reach)
    pushes = np.zeros(len(stress))
    pushes[np.minimum(tops + late, len(stress) - 1)] = stress[tops]
    angles[:, 1] = -_NOD_DEG * np.convolve(pushes, window)[reach : reach + len(stress)]
    return angles


def _tops(stress: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.int64]:
    """Steps at which the stress is highest within `reach` on both sides; the middle of equals."""
    highest = stress == scipy.ndimage.maximum_filter1d(stress, 2 * reach + 1)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], highest & (stress > _NOD_FROM), [0]])))
    return borders.reshape(-1, 2).sum(1) // 2


def _settled(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The values around each moment, (M,), weighted by how near they are."""
    reach = round(_SETTLE_S * STEPS_PER_S)
    window = np.hanning(2 * reach + 1)
    padded = np.pad(values.astype(np.float64), reach, mode="edge")
    return np.convolve(padded, window / window.sum(), "valid")
