"""Head, lids, brows and gaze over ten minutes, against what talking heads were measured to do."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.ndimage
from conftest import FIXTURES

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange, Speech
from inference_server.motion.lids import lids
from inference_server.registry import MOTION_SOURCES, load
from inference_server.speech import blinks, brows, gaze, head
from inference_server.speech.frames import Frames
from inference_server.speech.voice import STEP, STEPS_PER_S

TEN_MINUTES = 600 * STEPS_PER_S
TALKING = np.ones(TEN_MINUTES, bool)


@pytest.fixture(scope="module")
def opening() -> np.ndarray:
    """Syllables of all sizes, five a second."""
    rng = np.random.default_rng(0)
    steps = np.arange(TEN_MINUTES)
    sizes = rng.beta(1.5, 3, 600 * 5 + 2)
    return sizes[steps // 20] * np.sin(np.pi * (steps % 20) / 20)


def e_fold_s(angle: np.ndarray) -> float:
    """When a curve's correlation with itself has fallen to 1/e."""
    for lag in range(1, 3 * STEPS_PER_S):
        if np.corrcoef(angle[lag:], angle[:-lag])[0, 1] < np.exp(-1):
            return lag / STEPS_PER_S
    return np.inf


def test_the_head_forgets_as_fast_as_heads_do():
    """Talking heads: 0.64 s, over yaw, pitch and roll."""
    angles = head.sway(TALKING, 0.0, 3)
    assert np.mean([e_fold_s(angle) for angle in angles.T]) == pytest.approx(0.64, rel=0.2)
    assert np.abs(angles.mean(0)).max() < 0.3
    between = np.abs(np.corrcoef(angles.T)[np.triu_indices(3, 1)])
    assert between.max() < 0.15


def test_the_head_sways_less_in_pauses_and_at_the_same_places():
    speaking = np.arange(TEN_MINUTES) % 2000 < 1000  # ten seconds each
    angles, all_talk = head.sway(speaking, 0.0, 3), head.sway(TALKING, 0.0, 3)
    share = angles / all_talk
    talk, pause = slice(400, 600), slice(1400, 1600)
    assert share[talk] == pytest.approx(1, abs=1e-6)
    assert share[pause] == pytest.approx(0.65, abs=1e-6)


def test_the_sway_swells_with_the_voice_whatever_the_gain_and_on_average_not_at_all():
    speaking = np.arange(6000) % 2000 < 1500  # pauses of five seconds
    loud = np.arange(6000) % 500 < 250
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 6000 * STEP) * np.repeat(np.where(loud, 1, 0.4), STEP)
    samples = (sound * np.repeat(np.where(speaking, 1, 0.01), STEP))[:-1].astype(np.float32)
    swell = head.swell(samples, speaking)
    middle = scipy.ndimage.binary_erosion(loud, iterations=80)
    assert swell[middle & speaking].min() > 0.1
    soft = scipy.ndimage.binary_erosion(~loud & speaking, iterations=80)
    assert swell[soft].max() < -0.1
    assert swell[speaking].mean() == pytest.approx(0, abs=0.02)
    assert np.abs(swell).max() <= 0.4
    assert not swell[1610:1890].any()
    assert head.swell(samples / 100, speaking) == pytest.approx(swell, abs=1e-3)
    plain = head.sway(speaking, 0.0, 3)
    assert head.sway(speaking, 0.0, 3, swell=swell) == pytest.approx(plain * (1 + swell)[:, None])


def test_a_scream_and_a_whisper_stay_within_bounds():
    gain = np.repeat(10.0 ** -np.array([3, 0, 3, 1]), 400 * STEP)
    samples = (np.random.default_rng(0).normal(0, 0.3, 1600 * STEP) * gain).astype(np.float32)
    swell = head.swell(samples[:-1], np.ones(1600, bool))
    assert (swell.min(), swell.max()) == pytest.approx((-0.4, 0.4))


@pytest.mark.parametrize("source", ["rules", "neural"])
def test_louder_passages_of_a_file_move_the_head_more(source):
    """The same sentence four times, the later two at a third of the amplitude."""
    once = read_speech(AudioRange(FIXTURES / "speech.wav")).samples
    moves = load(MOTION_SOURCES, source).motion

    def turning(*gains: float) -> np.ndarray:
        samples = np.concatenate([once * np.float32(gain) for gain in gains])
        speech = Speech(samples, 0.0, len(samples) / Speech.SAMPLE_RATE, "")
        n_frames = int(speech.duration_s * 25)
        return moves(speech, Fraction(25), n_frames, 3, {"nod_amount": 0.0}).motion.head

    alike = np.abs(turning(0.9, 0.9, 0.9, 0.9))
    unlike, softly = np.abs(turning(0.9, 0.9, 0.3, 0.3)), np.abs(turning(0.09, 0.09, 0.03, 0.03))
    half, near = len(alike) // 2, 125
    assert unlike[half - near : half].sum() > 1.1 * alike[half - near : half].sum()
    assert unlike[half : half + near].sum() < 0.9 * alike[half : half + near].sum()
    assert softly.sum(1) == pytest.approx(unlike.sum(1), rel=0.1, abs=0.2)


def test_nods_fall_on_strong_stresses_only(opening):
    stress = brows.stress(opening)
    pitch = head.nods(stress)[:, 1]
    lowest = np.flatnonzero((pitch[1:-1] < pitch[:-2]) & (pitch[1:-1] <= pitch[2:])) + 1
    lowest = lowest[pitch[lowest] < -1]
    assert 5 < len(lowest) / 10 < 40  # a minute
    strongest = scipy.ndimage.maximum_filter1d(stress, 21)
    assert strongest[lowest - 6].min() > 0.25
    assert pitch.max() <= 0
    assert not head.nods(np.full(1000, 0.2)).any()


def test_blinks_are_spaced_as_people_blink():
    """Log-normal: most gaps are shorter than the mean, a few are long."""
    at = Frames(Fraction(100), TEN_MINUTES)
    gaps_s = np.concatenate(
        [np.diff(blinks.frames(TALKING, 0.0, at, seed, 1.0)) / 100 for seed in range(5)]
    )
    assert np.mean(gaps_s) == pytest.approx(3.0, rel=0.15)
    assert np.median(gaps_s) < 0.9 * np.mean(gaps_s)
    assert np.log(gaps_s).std() == pytest.approx(0.65, rel=0.15)
    assert gaps_s.min() >= 0.45


def test_lids_fall_faster_than_they_rise():
    """Measured: down in 80 ms, up in 170 ms, closed (by half or more) for 150 to 200 ms."""
    shut = lids([50], Fraction(100), 100)
    assert shut[50] == 1
    down, up = np.flatnonzero(shut > 0.02)[[0, -1]]
    assert (up - 50) / (50 - down) == pytest.approx(190 / 100, rel=0.2)
    assert 0.12 < (shut > 0.5).sum() / 100 < 0.2
    for rate in (12, 15, Fraction(24000, 1001), 25, 60):
        assert lids([20], Fraction(rate), 60)[20] == 1


def test_blinks_do_not_know_the_lips(opening):
    """Where lips meet for P, B and M, blinks are as likely as anywhere."""
    at = Frames(Fraction(100), TEN_MINUTES)
    closures = np.arange(37, TEN_MINUTES, 83)
    frames = np.concatenate([blinks.frames(TALKING, 0.0, at, seed, 1.0) for seed in range(5)])
    near = np.abs(frames[:, None] - closures).min(1) <= 4
    assert near.mean() == pytest.approx(9 / 83, rel=0.35)


def test_brows_rise_a_little_with_stress(opening):
    stress = brows.stress(opening)
    lift = brows.lift(stress)
    assert 0.05 < lift.max() < 0.25
    assert np.corrcoef(lift, stress)[0, 1] > 0.7
    assert not brows.lift(brows.stress(np.full(1000, 0.5))).any()


def test_the_gaze_rests_and_jumps():
    look = gaze.fixations(TEN_MINUTES, 0.0, 1)
    moving = np.abs(np.diff(look, axis=0)).max(1) > 1e-9
    assert moving.mean() < 0.06  # the rest is fixation
    jumps = np.flatnonzero(np.diff(moving.astype(int)) == 1)
    gaps_s = np.diff(jumps) / STEPS_PER_S
    assert gaps_s.min() > 0.35
    assert gaps_s.mean() == pytest.approx(1.5, rel=0.15)
    assert np.abs(look.mean(0)).max() < 0.25
    assert look.std(0) == pytest.approx([1.5, 0.83], rel=0.25)
    assert np.abs(look[:, 0]).max() > 4  # now and then a look away


def test_eyes_hold_on_while_the_head_turns():
    angles = head.sway(TALKING, 0.0, 2)
    still = gaze.holding_on(np.zeros((TEN_MINUTES, 2)), angles)
    in_the_world = still + angles[:, :2]
    assert in_the_world.std(0) == pytest.approx(0.3 * angles[:, :2].std(0), rel=0.01)
