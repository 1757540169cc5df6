"""Gaps in the voice at which lips may meet."""

import subprocess
import sys

import numpy as np
import pytest

from inference_server.speech.stops import closures


def gaps(voice: np.ndarray) -> list[tuple[float, float]]:
    """What is found in a voice of this strength every 10 ms, without hiss or burst."""
    levels = np.zeros((len(voice), 8), np.float32)
    levels[:, 1:5] = voice[:, None]
    return closures(levels, np.ones(len(voice), bool))


def dip(bottom: float, left: float = 0.8, right: float = 0.8) -> np.ndarray:
    """A second of voice with a gap of 0.1 s in its middle."""
    return np.concatenate([np.full(45, left), np.full(10, bottom), np.full(45, right)])


def test_a_gap_is_found_where_it_is():
    [found] = gaps(dip(0.1))
    assert found == pytest.approx((0.45, 0.55), abs=0.011)
    assert len(gaps(np.concatenate([dip(0.1), dip(0.2)]))) == 2


@pytest.mark.parametrize(
    "voice",
    [
        dip(0.42, 0.5, 0.5),  # shallow
        dip(0.6),  # still loud
        dip(0.1, 0.3, 0.8),  # no voice before
        dip(0.1, 0.8, 0.1),  # the voice ends
        np.full(100, 0.4),
        np.zeros(0),
    ],
)
def test_what_is_no_gap_is_not_found(voice):
    assert gaps(voice) == []


def test_of_ripples_in_a_gap_only_the_lowest_counts():
    voice = dip(0.2)
    voice[49] = 0.1
    voice[52] = 0.15
    assert len(gaps(voice)) == 1


def test_dips_are_those_of_scipy_which_is_not_loaded():
    from scipy.signal import find_peaks

    from inference_server.speech import stops

    rng = np.random.default_rng(0)
    for length in range(60):
        voice = (rng.integers(0, 9, length) / 8).astype(np.float32)
        found = [int(step) for step in stops._dips(voice) if stops._is_deep(voice, step)]
        assert found == find_peaks(-voice, prominence=stops._DEPTH)[0].tolist()


def test_the_rules_need_no_signal_processing_of_scipy():
    """It takes some 45 MB: with it ten minutes of sound need more than 400 MB."""
    script = "import sys, inference_server.speech.rules; print('scipy.signal' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
