"""Idle head sway: noise through a critically damped oscillator.

Prosody does not predict head motion (aligned sound did no better than mismatched sound on 39
speakers), so the sway is drawn, with the speeds that talking heads were measured to have. Its
amplitude is half of theirs: a portrait that sways as far as a live speaker looks restless.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .seeded import white
from .voice import STEPS_PER_S

STD_DEG = (2.5, 2.0, 1.5)  # yaw, pitch, roll while speaking
SPEED = (3.5, 3.9, 2.6)  # rad/s; speed / amplitude of yaw, pitch, roll
_IN_SILENCE = 0.65  # of the amplitude while speaking
_SETTLE_S = 1.0  # over which the amplitude follows speech
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
) -> npt.NDArray[np.float64]:
    """Yaw, pitch and roll in degrees, (M, 3), every 10 ms.

    Args:
        speaking: (M,) from voice.speaking.
        start_s: where the stretch begins in the sound.
        seed: of the shot.
        std_deg: of yaw, pitch, roll while speaking.
        speed: rad/s, speed over amplitude of each.
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
    return angles * _amplitude(speaking)[:, None]


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


def _amplitude(speaking: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    reach = round(_SETTLE_S * STEPS_PER_S)
    window = np.hanning(2 * reach + 1)
    padded = np.pad(speaking.astype(np.float64), reach, mode="edge")
    share = np.convolve(padded, window / window.sum(), "valid")
    return _IN_SILENCE + (1 - _IN_SILENCE) * share
