"""A style learned from a speaker who is made here: the network's own lips, smaller and late."""

import json
import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.errors import AudioUnreadable, ClipUnusable, NoFaceFound, WeightsCorrupt
from inference_server.learn_style import learn, learn_from
from inference_server.speech import hearing, lip_fit, neural, voice
from inference_server.speech.face import Habits
from inference_server.speech.style import NOBODY, fingerprint, read_style, write_style

FIXTURES = Path(__file__).parents[1] / "fixtures"
SPEECH, FACE = FIXTURES / "speech.wav", FIXTURES / "astronaut.png"
HABITS = Habits((1.0, 2.0, 0.5), (3.0, 3.0, 3.0), 12.0)


@pytest.fixture(scope="module")
def samples():
    return read_speech(AudioRange(SPEECH)).samples


def lips_of(samples, style=NOBODY):
    """(U, 45, 3) at 50 Hz that the network hears."""
    heard, _ = neural.listen(samples, voice.speaking(samples), style)
    return neural.mouth_points(heard.coefficients, style)


@pytest.fixture(scope="module")
def speaker(samples):
    """(U, 45, 3) at 50 Hz: a mouth that opens half as far as usual, and less wide than high."""
    return 0.5 * lips_of(samples) * [0.6, 1.0, 1.0] + [0.0, 0.3, 0.0]


@pytest.fixture(scope="module")
def lesson(speaker, samples):
    """The sound comes 80 ms after the lips."""
    return learn_from(np.roll(speaker, -4, axis=0), 50.0, samples, "made", HABITS)


def misfit(lips, speaker):
    """How far lips are from the speaker's, in the speaker's own movement."""
    length = min(len(lips), len(speaker))
    a, b = (each[:length] - each[:length].mean(0) for each in (lips, speaker))
    return np.sqrt(np.square(a - b).mean() / np.square(b).mean())


def test_the_mouth_of_a_speaker_is_learned(lesson, speaker, samples):
    assert lesson.lag_ms == 80
    styled = lips_of(samples, lesson.style)
    assert misfit(styled, speaker) < 0.35 < 0.8 < misfit(lips_of(samples), speaker)
    amplitude = lip_fit.opening(styled).std() / lip_fit.opening(speaker).std()
    assert amplitude == pytest.approx(1, abs=0.15)
    assert lesson.fits["width"][1] > 0.9


def test_a_speaker_who_speaks_as_usual_is_left_as_usual(samples):
    rng = np.random.default_rng(0)
    unsteady = lips_of(samples)
    noise = rng.normal(0, 0.04, (len(unsteady) // 5 + 1, 45, 3)).repeat(5, 0)[: len(unsteady)]
    lesson = learn_from(unsteady + noise, 50.0, samples, "made", HABITS)
    assert misfit(lips_of(samples, lesson.style), unsteady) < 0.35


def test_findings_are_words(lesson):
    words = " ".join(lesson.findings)
    assert "Mouth opens" in words
    assert "% less than usual" in words
    assert "Head sways 1.0 / 2.0 / 0.5 degrees" in words
    assert "Eyes blink 12 times a minute (usual 20)." in words


def test_a_style_is_kept_in_a_file(lesson, tmp_path):
    path = tmp_path / "speaker.safetensors"
    write_style(lesson.style, path, "made in a test")
    again = read_style(path, hearing.bundled())
    for name in ("habits", "gain", "plain_gain", "network", "warnings"):
        assert getattr(again, name) == getattr(lesson.style, name)
    for name in ("weight", "bias", "closed"):
        assert (getattr(again, name) == getattr(lesson.style, name)).all()


def test_with_another_network_amplitude_and_habits_remain(lesson, tmp_path):
    path = tmp_path / "speaker.safetensors"
    write_style(lesson.style, path, "made in a test")
    change = {"weight": np.ones_like(lesson.style.weight), "bias": np.ones_like(lesson.style.bias)}
    change = {name: np.concatenate([a, a[:1]]) for name, a in change.items()}
    other = hearing.with_last_layer(hearing.bundled(), change)
    assert fingerprint(other) != fingerprint(hearing.bundled())
    style = read_style(path, other)
    assert style.habits == HABITS
    assert style.gain == lesson.style.plain_gain < 0.8
    assert style.weight is None
    assert "learned with another speech network" in style.warnings[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "1"}, "is of version 1, not 2"),
        ({"kind": "somebody else's"}, "is no voice style"),
        ({"gain": "much"}, "is damaged"),
        ({"plain_gain": "nan"}, "is damaged"),
        ({"habits": json.dumps({"sway_deg": [1, 2]})}, "is damaged"),
    ],
)
def test_a_wrong_file_is_refused(lesson, tmp_path, change, said):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    write_style(lesson.style, good, "made in a test")
    length = int.from_bytes(good.read_bytes()[:8], "little")
    header = json.loads(good.read_bytes()[8 : 8 + length])["__metadata__"]
    save_file(load_file(good), bad, {**header, **change})
    with pytest.raises(WeightsCorrupt, match=said):
        read_style(bad, hearing.bundled())


def test_a_file_cut_short_is_refused(lesson, tmp_path):
    path = tmp_path / "speaker.safetensors"
    write_style(lesson.style, path, "made in a test")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsCorrupt, match="is no voice style"):
        read_style(path, hearing.bundled())


def test_sound_of_somebody_else_is_refused(speaker, samples):
    with pytest.raises(ClipUnusable, match=r"does not fit .* \(likeness 0\.\d\d, 0\.3 is needed"):
        learn_from(speaker[::-1], 50.0, samples, "made", HABITS)


def test_sound_far_out_of_step_is_refused(speaker, samples):
    early = np.concatenate([np.repeat(speaker[:1], 40, 0), speaker])
    with pytest.raises(ClipUnusable, match="800 ms early; up to 500 ms"):
        learn_from(early, 50.0, samples, "made", HABITS)


def film(tmp_path, pictures, seconds=11, sound=("-stream_loop", "-1", "-i", str(SPEECH))):
    """A clip of pictures beside each other."""
    clip = tmp_path / "clip.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    for picture in pictures:
        command += ["-loop", "1", "-framerate", "5", "-i", str(picture)]
    scaled = "".join(
        f"[{i}:v]crop=iw*0.5:ih*0.5:iw*0.2:0,scale=256:256[s{i}];" for i in range(len(pictures))
    )
    beside = "".join(f"[s{i}]" for i in range(len(pictures)))
    beside += f"hstack=inputs={len(pictures)}" if len(pictures) > 1 else "null"
    command += [*sound, "-filter_complex", scaled + beside, "-t", str(seconds), str(clip)]
    subprocess.run(command, check=True)
    return clip


def test_a_clip_without_a_face_is_refused(tmp_path):
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((64, 64, 3), 90, np.uint8))
    with pytest.raises(NoFaceFound, match=r"0 of 55 frames"):
        learn(film(tmp_path, [blank]))


def test_a_short_clip_is_refused(tmp_path):
    with pytest.raises(ClipUnusable, match=r"is 6\.0 s long"):
        learn(film(tmp_path, [FACE], seconds=6))


def test_lips_that_stand_still_are_refused(tmp_path):
    with pytest.raises(ClipUnusable, match="does not fit the lips"):
        learn(film(tmp_path, [FACE]))


def test_two_faces_that_may_both_speak_are_refused(tmp_path):
    with pytest.raises(ClipUnusable, match=r"2 faces .* which one speaks cannot be told"):
        learn(film(tmp_path, [FACE, FACE]))


def test_a_clip_without_speech_is_refused(tmp_path):
    hum = ("-f", "lavfi", "-i", "sine=frequency=100")
    with pytest.raises(ClipUnusable, match=r"Only 0\.0 s of .* are speech"):
        learn(film(tmp_path, [FACE], sound=hum))


def test_a_clip_without_sound_is_refused(tmp_path):
    with pytest.raises(AudioUnreadable, match="no sound track"):
        learn(film(tmp_path, [FACE], sound=()))
