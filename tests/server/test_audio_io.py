"""Sounds of every kind come in as 16 kHz mono, at the right time and the right level."""

import re
import subprocess
import tracemalloc
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import scipy.signal
import soundfile

from inference_server.audio_io import duration_s, read_speech
from inference_server.datatypes import AudioRange, Speech
from inference_server.errors import AudioUnreadable

SECONDS = 3.0


def chirp(rate: int, seconds: float = SECONDS) -> np.ndarray:
    """300 to 3000 Hz: every moment sounds different, so a shift shows."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.5 * scipy.signal.chirp(time, 300, seconds, 3000)


def delay_samples(heard: np.ndarray, expected: np.ndarray) -> int:
    match = scipy.signal.correlate(heard, expected, "full", "fft")
    return int(match.argmax()) - (len(expected) - 1)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def read(path: Path, *span) -> np.ndarray:
    speech = read_speech(AudioRange(path, *span))
    assert speech.samples.dtype == np.float32
    assert speech.samples.ndim == 1
    assert speech.duration_s == len(speech.samples) / Speech.SAMPLE_RATE
    return speech.samples


@pytest.mark.parametrize(
    ("name", "rate", "subtype"),
    [
        ("a.wav", 8000, "PCM_U8"),
        ("a.wav", 11025, "PCM_16"),
        ("a.wav", 16000, "ULAW"),
        ("a.wav", 22050, "ALAW"),
        ("a.wav", 44100, "PCM_24"),
        ("a.wav", 44101, "PCM_16"),
        ("a.wav", 48000, "PCM_32"),
        ("a.wav", 96000, "FLOAT"),
        ("a.wav", 192000, "DOUBLE"),
        ("a.flac", 44100, "PCM_16"),
        ("a.ogg", 44100, "VORBIS"),
        ("a.opus", 48000, "OPUS"),
        ("a.mp3", 44100, "MPEG_LAYER_III"),
        ("a.aiff", 32000, "PCM_16"),
        ("a.w64", 32000, "PCM_16"),
        ("a.caf", 32000, "PCM_16"),
    ],
)
def test_every_rate_and_encoding_is_in_time_and_on_level(tmp_path, name, rate, subtype):
    path = tmp_path / name
    fmt = {"opus": "OGG"}.get(name.split(".")[1])
    soundfile.write(path, chirp(rate), rate, subtype=subtype, format=fmt)
    samples = read(path)
    assert len(samples) == pytest.approx(SECONDS * 16000, abs=2)
    assert abs(delay_samples(samples, chirp(16000))) <= 1
    assert rms(samples) == pytest.approx(rms(chirp(16000)), rel=0.06)
    assert duration_s(path) == pytest.approx(SECONDS, abs=1e-3)
    part = read(path, 1.234, 0.5)
    assert len(part) == 8000
    assert np.abs(part - samples[19744:27744])[400:].max() < 0.01  # the high-pass settles first


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_m4a_is_read_in_time(tmp_path, codec):
    soundfile.write(tmp_path / "a.wav", chirp(44100), 44100)
    path = tmp_path / "wörter & 'more'.m4a"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-i", tmp_path / "a.wav", "-c:a", codec, path]
    subprocess.run(command, check=True)
    samples = read(path)
    assert abs(delay_samples(samples, chirp(16000))) <= 1
    for start_s in (0.4, 1.7, 2.2):
        part = read(path, start_s, 0.5)
        assert len(part) == 8000
        first = round(start_s * 16000)
        assert abs(delay_samples(part, samples[first : first + 8000])) <= 1
    assert duration_s(path) == pytest.approx(SECONDS, abs=0.05)


def test_a_movie_without_sound_says_so(tmp_path):
    path = tmp_path / "silent.mp4"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    source = ["-f", "lavfi", "-i", "testsrc=d=0.2:s=64x64"]
    subprocess.run([ffmpeg, "-v", "error", *source, path], check=True)
    with pytest.raises(AudioUnreadable, match=r'"silent.mp4" has no sound track'):
        read(path)


@pytest.mark.parametrize("channel", [0, 1])
def test_one_sided_recording_keeps_its_level(tmp_path, channel):
    stereo = np.zeros((48000, 2))
    stereo[:, channel] = chirp(16000)
    soundfile.write(tmp_path / "a.wav", stereo, 16000)
    assert rms(read(tmp_path / "a.wav")) == pytest.approx(rms(stereo[:, channel]), rel=0.01)


def test_a_side_recorded_upside_down_does_not_cancel(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.stack([chirp(16000), -chirp(16000)], axis=1), 16000)
    assert rms(read(tmp_path / "a.wav")) == pytest.approx(rms(chirp(16000)), rel=0.01)


def test_surround_keeps_the_centre_and_drops_the_bass(tmp_path):
    surround = np.zeros((48000, 6))
    surround[:, 2] = chirp(16000)
    surround[:, 3] = np.sin(np.arange(48000) * 2 * np.pi * 40 / 16000)
    soundfile.write(tmp_path / "a.wav", surround, 16000)
    assert rms(read(tmp_path / "a.wav")) == pytest.approx(rms(chirp(16000)), rel=0.01)


def test_offset_is_removed_and_quiet_sound_is_not_lost(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(16000) * 0.01 + 0.4, 16000, subtype="FLOAT")
    samples = read(tmp_path / "a.wav")
    assert abs(samples.mean()) < 1e-4
    assert rms(samples[1600:]) == pytest.approx(rms(chirp(16000)) * 0.01, rel=0.02)


def test_nan_and_infinity_become_silence(tmp_path):
    values = chirp(16000)
    values[1000:1100] = np.nan
    values[2000] = np.inf
    soundfile.write(tmp_path / "a.wav", values, 16000, subtype="FLOAT")
    samples = read(tmp_path / "a.wav")
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() < 1


def test_floats_on_an_integer_scale_come_down_to_full_scale(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(16000) * 32768, 16000, subtype="FLOAT")
    assert np.abs(read(tmp_path / "a.wav")).max() == pytest.approx(1, abs=0.01)


def test_header_that_promises_more_than_there_is(tmp_path):
    soundfile.write(tmp_path / "whole.wav", chirp(16000), 16000)
    raw = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(raw[: 44 + 32000])
    assert len(read(tmp_path / "cut.wav")) == 16000


def test_hole_in_the_middle_is_bridged(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 44100 * 6)
    soundfile.write(tmp_path / "a.flac", noise, 44100)
    raw = bytearray((tmp_path / "a.flac").read_bytes())
    raw[200_000:210_000] = bytes(10_000)
    (tmp_path / "a.flac").write_bytes(raw)
    assert len(read(tmp_path / "a.flac")) > 5 * 16000


def test_range_is_cut_and_filled_with_silence(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(16000), 16000)
    speech = read_speech(AudioRange(tmp_path / "a.wav", 2.5, 2.0))
    samples = speech.samples
    assert len(samples) == 32000
    assert rms(samples[:8000]) > 0.3
    assert not samples[8000:].any()
    assert speech.warnings == ('"a.wav" ends 1.500 s before the range does: the rest is silence.',)
    less_than_a_frame_of_film = AudioRange(tmp_path / "a.wav", 2.5, 0.54)
    assert read_speech(less_than_a_frame_of_film).warnings == ()


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.wav", "PCM_16"), ("a.wav", "PCM_U8"), ("a.wav", "ULAW"), ("a.wav", "FLOAT")],
)
def test_clipped_sound_is_told_with_its_share(tmp_path, name, subtype):
    """A sine is cut off at half of its height for two thirds of the time."""
    sine = np.sin(2 * np.pi * 220 * np.arange(44100) / 44100)
    cut = np.stack([np.clip(2 * sine, -1, 1), 0.1 * sine], axis=1)
    soundfile.write(tmp_path / name, np.concatenate([0.4 * cut, cut]), 44100, subtype)
    loud = AudioRange(tmp_path / name, 1.0, 1.0)
    [warning] = read_speech(loud).warnings
    found = re.fullmatch(r'"a.wav" is clipped: (.*)% of its samples are at full scale. .*', warning)
    assert found
    assert float(found[1]) == pytest.approx(66.7, abs=1.5)
    assert read_speech(AudioRange(tmp_path / name, 0.0, 0.99)).warnings == ()
    assert read_speech(loud, (0.0, None)).warnings == (warning,)
    whole = read_speech(AudioRange(tmp_path / name)).warnings[0]
    assert float(whole.split()[3][:-1]) == pytest.approx(33.3, abs=1)


def test_what_is_loud_but_whole_is_not_told_as_clipped(tmp_path):
    """Peaks at full scale, and floats above it that nothing has cut off."""
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 0.2, 44100)
    for name, subtype, peak in (("a.wav", "PCM_16", 1.0), ("b.wav", "FLOAT", 1.6)):
        soundfile.write(tmp_path / name, voice / np.abs(voice).max() * peak, 44100, subtype)
        assert read_speech(AudioRange(tmp_path / name)).warnings == ()


def test_same_range_same_key_and_other_range_other_key(tmp_path):
    soundfile.write(tmp_path / "a.wav", chirp(16000), 16000)
    keys = [read_speech(AudioRange(tmp_path / "a.wav", s, 1.0)).key for s in (0.0, 0.0, 0.5)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ((7.5,), "starts at 7.5 s, but .* only 3.000 s"),
        ((3.0, 1.0), "starts at 3 s, but .* only 3.000 s"),
        ((-1.0,), "starts at -1.0 s"),
        ((float("nan"),), "starts at nan s"),
        ((0.0, 0.0), "0.0 s long"),
        ((0.0, -2.0), "-2.0 s long"),
        ((0.0, float("inf")), "inf s long"),
    ],
)
def test_impossible_range_is_explained(tmp_path, span, message):
    soundfile.write(tmp_path / "a.wav", chirp(16000), 16000)
    with pytest.raises(AudioUnreadable, match=message) as caught:
        read(tmp_path / "a.wav", *span)
    assert caught.value.hint


def test_what_is_not_a_sound_is_explained(tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("not a sound\n" * 200)
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(100_000))
    soundfile.write(tmp_path / "header.wav", np.zeros(0), 16000)
    (tmp_path / "folder.wav").mkdir()
    for name, message in (
        ("empty.wav", r"is empty \(0 bytes\)"),
        ("text.wav", "is not a sound"),
        ("noise.mp3", "no sound|not a sound"),
        ("header.wav", "holds no sound: 0 samples"),
        ("folder.wav", "Cannot read"),
        ("absent.wav", "Cannot read .*absent.wav.*No such file"),
    ):
        for reader in (read, duration_s):
            with pytest.raises(AudioUnreadable, match=message) as caught:
                reader(tmp_path / name)
            assert caught.value.hint, name


def test_ten_minutes_cost_only_their_result_in_memory(tmp_path):
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 44100, 2) as file:
        minute = np.repeat(chirp(44100, 60)[:, None] * 0.3, 2, axis=1)
        for _ in range(10):
            file.write(minute)
    del minute
    tracemalloc.start()
    samples = read(tmp_path / "long.flac")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(samples) == pytest.approx(600 * 16000, abs=2)
    assert peak_bytes < 2.2 * samples.nbytes


def test_mp3_in_blocks_is_the_mp3_in_one_piece(tmp_path):
    soundfile.write(tmp_path / "a.mp3", chirp(16000, 12.0), 16000)
    whole, _ = soundfile.read(tmp_path / "a.mp3", dtype="float32")
    assert np.abs(read(tmp_path / "a.mp3") - whole)[8000:].max() < 0.08  # high-pass
