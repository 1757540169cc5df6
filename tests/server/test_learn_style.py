"""A style learned from a speaker who is made here: the network's own lips, smaller and late."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.errors import ClipUnusable, NoFaceFound
from inference_server.learn_style import learn, learn_from
from inference_server.speech import neural, voice
from inference_server.speech.face import Habits
from inference_server.speech.style import read_style, write_style

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech.wav"
HABITS = Habits((1.0, 2.0, 0.5), (3.0, 3.0, 3.0), 12.0)


@pytest.fixture(scope="module")
def samples():
    return read_speech(AudioRange(SPEECH)).samples


@pytest.fixture(scope="module")
def speaker(samples):
    """(U, 45, 3) at 50 Hz: a mouth that opens half as far as life and hangs a little open."""
    heard, _ = neural.listen(samples, voice.speaking(samples))
    return 0.5 * neural.mouth_points(heard.coefficients) + [0.0, 0.3, 0.0]


def test_amplitude_lag_and_habits_are_learned(speaker, samples, tmp_path):
    late = np.roll(speaker, -4, axis=0)  # the sound comes 80 ms after the lips
    lesson = learn_from(late, 50.0, samples, "made", HABITS)
    assert lesson.lag_ms == 80
    assert lesson.style.gain == pytest.approx(0.5, abs=0.1)
    assert lesson.fit_after > 0.9
    path = tmp_path / "speaker.safetensors"
    write_style(lesson.style, path, "made in a test")
    again = read_style(path)
    assert again.habits == HABITS
    assert again.gain == lesson.style.gain
    assert (again.rest == lesson.style.rest).all()
    heard, _ = neural.listen(samples, voice.speaking(samples), again)
    styled = neural.mouth_points(heard.coefficients, again)
    plain = neural.mouth_points(neural.listen(samples, voice.speaking(samples))[0].coefficients)
    ratio = styled[..., 1].std(0).mean() / plain[..., 1].std(0).mean()
    assert ratio == pytest.approx(0.5, abs=0.15)


def test_sound_of_somebody_else_is_refused(speaker, samples):
    with pytest.raises(ClipUnusable, match="does not fit"):
        learn_from(speaker[::-1], 50.0, samples, "made", HABITS)


def test_a_clip_without_a_face_is_refused(tmp_path):
    clip = tmp_path / "bars.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    command += ["-f", "lavfi", "-i", "testsrc=duration=6:size=160x120:rate=5"]
    command += ["-i", str(SPEECH), "-t", "6", str(clip)]
    subprocess.run(command, check=True)
    with pytest.raises(NoFaceFound, match=r"0 of 30 frames"):
        learn(clip)
