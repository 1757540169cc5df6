"""The rules of lip sync from sound to motion, at every frame rate and at both ends of a shot."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from inference_server.audio_io import read_speech
from inference_server.datatypes import ARKIT_INDEX, AudioRange, Speech
from inference_server.motion.channels import LIPS_MEET, measure
from inference_server.motion.closures import enforce
from inference_server.motion.report import report
from inference_server.registry import MOTION_SOURCES, SpokenMotion, load
from inference_server.speech.contacts import closures, show, touch
from inference_server.speech.features import RATE
from inference_server.speech.frames import Frames
from inference_server.speech.hearing import Heard
from inference_server.speech.visemes import CLOSED, VISEMES

FIXTURE = Path(__file__).parents[1] / "fixtures" / "speech.wav"
RATES = (
    12, 15, Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 48, 50,
    Fraction(60000, 1001), 60,
)  # fmt: skip


@pytest.fixture(scope="module")
def speech() -> Speech:
    return read_speech(AudioRange(FIXTURE))


def said(speech: Speech, fps: Fraction) -> SpokenMotion:
    n_frames = round(speech.duration_s * fps)
    return load(MOTION_SOURCES, "neural").motion(speech, fps, n_frames, 0, {})


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.2f}")
def test_lips_meet_where_sounds_shut_them_and_rest_in_silence(speech, rate):
    fps = Fraction(rate)
    spoken = said(speech, fps)
    motion = enforce(spoken)
    found = report(motion, spoken.silent, spoken.closures)
    assert found.breaches == ()
    assert found.silence_motion == 0
    assert found.closure_hits == found.closure_total >= 10
    at_60 = said(speech, Fraction(60)).closures
    lip_open = measure(motion)["lip_open"]
    for first, last in at_60:  # those of the finest rate are shut on the nearest frames of all
        low, high = int(first / 60 * fps), round(last / 60 * fps) + 1
        assert lip_open[low : high + 1].min() <= LIPS_MEET


def heard(n_frames: int, shut: slice, chance: float) -> tuple[Heard, np.ndarray]:
    """A mouth that shuts for a while, as network and recogniser hear it."""
    visemes = np.zeros((n_frames, len(VISEMES)), np.float32)
    visemes[:, VISEMES.index("A")] = 1
    visemes[shut] = 0
    visemes[shut, CLOSED] = chance
    closed = np.zeros(n_frames, np.float32)
    closed[shut] = chance
    return Heard(np.zeros((n_frames, 12), np.float32), closed, visemes), visemes


def test_a_stop_that_begins_the_sound_is_shut_on_frame_0():
    sure = heard(50, slice(0, 3), 0.1)
    everywhere = np.ones(50)
    assert closures(*sure, everywhere, begins=True) == [(0, 0)]
    assert closures(*sure, everywhere, begins=False) == []
    assert closures(*heard(50, slice(0, 3), 0.02), everywhere, begins=True) == []
    plain = heard(50, slice(0, 3), 0.9)
    assert closures(*plain, everywhere, begins=True) == [(0, 2 / RATE)]


def test_an_f_does_not_shut_the_lips():
    """Its lip is at the teeth, which looks closed to a camera."""
    ears, phones = heard(50, slice(20, 26), 0.5)
    everywhere = np.ones(50)
    assert closures(ears, phones, everywhere) == [(0.4, 0.5)]
    for known in (ears.visemes, phones):
        known[18:28, VISEMES.index("FV")] = 0.6
    assert closures(ears, phones, everywhere) == []


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.2f}")
def test_a_stop_between_the_last_frame_and_the_end_is_shut_on_the_last_frame(rate):
    at = Frames(Fraction(rate), 10)
    end_s = 10 / float(rate)
    assert at.windows([(end_s - 0.002, end_s + 0.01)]) == ((9, 9),)
    assert at.windows([(end_s + 0.002, end_s + 0.01)]) == ()
    assert at.windows([(-0.03, 0.001)]) == ((0, 0),)


def test_a_sound_that_is_cut_to_a_stop_begins_with_lips_that_meet(speech):
    met = []
    for first, last in said(speech, Fraction(60)).closures[::2]:
        cut = round((first + last) / 2 / 60 * Speech.SAMPLE_RATE)
        samples = speech.samples[cut:]
        trimmed = Speech(samples, 0.0, len(samples) / Speech.SAMPLE_RATE, "cut")
        lip_open = measure(enforce(said(trimmed, Fraction(24))))["lip_open"]
        met.append(lip_open[0] <= LIPS_MEET)
    assert np.mean(met) > 0.75


def test_a_u_is_round_and_its_jaw_stays_up():
    hearing, phones = heard(10, slice(0, 0), 0)
    hearing.visemes[4:, VISEMES.index("A")] = 0
    hearing.visemes[4:, VISEMES.index("U")] = 1
    expression = np.zeros((10, len(ARKIT_INDEX)))
    wide_open = expression[:, ARKIT_INDEX["jawOpen"]], expression[:, ARKIT_INDEX["mouthSmileLeft"]]
    for column in wide_open:
        column += 0.6
    show(expression, touch(hearing, phones))
    for name in ("mouthPucker", "mouthFunnel"):
        column = expression[:, ARKIT_INDEX[name]]
        assert column[:2].max() < 0.01
        assert column[7:].min() > 0.3
    for column in wide_open:
        assert column[:2].min() > 0.59
        assert column[7:].max() < 0.3
