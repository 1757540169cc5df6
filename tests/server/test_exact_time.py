"""A frame shows the moment that it should, at any rate, also after an hour."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import FIXTURES
from hypothesis import given
from hypothesis import strategies as st

from inference_server.audio_io import read_speech
from inference_server.cache import Cache
from inference_server.datatypes import AudioRange, Speech
from inference_server.motion.channels import MOUTH_COLUMNS
from inference_server.parts import Parts, count_frames
from inference_server.speech.frames import Frames

NTSC = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)]
HOUR_S = 3600
RATE = 8000


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """61 minutes of silence in which somebody speaks after two minutes and after an hour."""
    samples, rate = soundfile.read(FIXTURES / "speech.wav", dtype="float32")
    voice = samples[:: round(rate / RATE)]
    sound = np.zeros(61 * 60 * RATE, np.float32)
    for begin_s in (120, HOUR_S):
        sound[begin_s * RATE :][: len(voice)] = voice
    path = tmp_path_factory.mktemp("hour") / "hour.flac"
    soundfile.write(path, sound, RATE)
    return path


@given(st.sampled_from([*NTSC, Fraction(24), Fraction(25), Fraction(12)]), st.integers(0, 110_000))
def test_a_frame_is_where_it_is_to_a_millionth_of_a_second(fps: Fraction, frame: int) -> None:
    at = Frames(fps, frame + 1, begin_s=7.25)
    assert abs(Fraction(at.times_s[-1]) - (Fraction(29, 4) + frame / fps)) < Fraction(1, 10**6)


@pytest.mark.parametrize("fps", NTSC)
def test_a_moment_after_an_hour_is_less_than_half_a_frame_off(fps: Fraction) -> None:
    at = Frames(fps, count_frames(Fraction(HOUR_S + 1), fps))
    for moment in np.linspace(HOUR_S - 1, HOUR_S + 0.9, 77):
        ((first, last),) = at.windows([(moment, moment)])
        assert first == last
        assert abs(Fraction(first) / fps - Fraction(moment)) <= Fraction(1, 2) / fps
    assert len(at.times_s) == int((HOUR_S + 1) * fps + Fraction(1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("fps", NTSC)
def test_the_same_words_move_the_mouth_the_same_after_two_minutes_and_after_an_hour(
    hour: Path, tmp_path: Path, fps: Fraction
) -> None:
    parts = Parts(Cache(tmp_path))
    mouths = []
    for begin_s in (118, HOUR_S - 2):
        audio = AudioRange(hour, float(begin_s), 6.0)
        spoken, _ = parts.spoken(audio, fps, None, 0, {"mouth": "rules"}, lambda: False)
        mouths.append(spoken.motion.expression[:, MOUTH_COLUMNS])
        assert spoken.motion.n_frames == int(6 * fps + Fraction(1, 2))
    assert mouths[0].max() > 0.1
    assert mouths[0] == pytest.approx(mouths[1], abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("begin_s", [0.0, 1.5, 119.96, 137.0 + 1001 / 30000])
def test_ranges_are_accurate_to_the_sample(tmp_path: Path, rate: int, begin_s: float) -> None:
    click_s = 140.0
    sound = np.zeros(142 * rate, np.float32)
    sound[round(click_s * rate)] = 0.9
    soundfile.write(tmp_path / "click.wav", sound, rate)
    speech = read_speech(AudioRange(tmp_path / "click.wav", begin_s, 142.0 - begin_s))
    found = int(np.abs(speech.samples).argmax())
    assert abs(found - (click_s - begin_s) * Speech.SAMPLE_RATE) <= 0.5 + 16_000 / rate / 2
