"""A sound that is trimmed, slipped or replaced in part: what is far from the cut stays."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.audio_io import read_speech
from inference_server.cache import Cache
from inference_server.datatypes import AudioRange, Motion, Speech
from inference_server.errors import Cancelled
from inference_server.keys import frame_keys
from inference_server.parts import Parts
from inference_server.performance import perform
from inference_server.spec import parse_spec
from inference_server.speech import blocks

NEAR_S = 1.0  # lips and shoulders remember what was before a cut no longer


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 seconds: the sample sentence again and again, louder and softer, with pauses."""
    samples, rate = soundfile.read(FIXTURES / "speech.wav")
    rng = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < 75 * rate:
        parts += [samples * rng.uniform(0.2, 0.9), np.zeros(int(rng.uniform(0.2, 1.5) * rate))]
    path = tmp_path_factory.mktemp("sound") / "dialogue.flac"
    soundfile.write(path, np.concatenate(parts)[: 75 * rate], rate)
    return path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(Cache(tmp_path_factory.mktemp("cache")))


def motion_of(
    parts: Parts, path: Path, begin_s: float, n_frames: int, fps: Fraction, mouth: str = "neural"
) -> Motion:
    audio = {"path": str(path), "start_s": begin_s, "duration_s": float(n_frames / fps)}
    spec = parse_spec(
        {
            "image": "/a.png",
            "audio": audio,
            "fps": [fps.numerator, fps.denominator],
            "out_dir": "/t",
            "params": {"mouth": mouth},
        }
    )
    spoken, _ = parts.spoken(spec.audio, fps, n_frames, 3, spec.params, lambda: False)
    return perform(spec, spoken, lambda text: None).motion


def changed(old: Motion, first: int, new: Motion) -> list[int]:
    """Frames of `new` that differ from those of `old`, of which `first` is the first one shown."""
    was, now = frame_keys("", old, 0)[first:], frame_keys("", new, 0)
    return [frame for frame, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1]]


@pytest.mark.slow
@pytest.mark.parametrize("mouth", ["neural", "rules"])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30000, 1001)])
@pytest.mark.parametrize("begin_s", [3.2, 54.7, 61.0])  # the second lies over a border of blocks
def test_trimming_changes_frames_near_the_cut_only(
    parts: Parts, dialogue: Path, mouth: str, fps: Fraction, begin_s: float
) -> None:
    n = round(10 * fps)
    whole = motion_of(parts, dialogue, begin_s, n, fps, mouth)
    near = round(NEAR_S * fps)
    shorter = motion_of(parts, dialogue, begin_s, n - 10, fps, mouth)
    assert all(frame >= n - 10 - near for frame in changed(whole, 0, shorter))
    for off in (1, 10, n // 2):
        later_s = begin_s + float(off / fps)
        rest = motion_of(parts, dialogue, later_s, n - off, fps, mouth)
        slipped = motion_of(parts, dialogue, later_s, n, fps, mouth)
        assert all(frame <= near for frame in changed(whole, off, rest))
        assert all(not near < frame < n - off - near for frame in changed(whole, off, slipped))


@pytest.mark.slow
def test_a_file_changed_in_part_changes_frames_near_the_change_only(
    parts: Parts, dialogue: Path, tmp_path: Path
) -> None:
    samples, rate = soundfile.read(dialogue)
    samples[int(40 * rate) : int(41 * rate)] *= 0.1
    soundfile.write(tmp_path / "other.flac", samples, rate)
    fps = Fraction(24)
    before = motion_of(parts, dialogue, 0.0, 75 * 24, fps)
    after = motion_of(parts, tmp_path / "other.flac", 0.0, 75 * 24, fps)
    found = changed(before, 0, after)
    assert found
    assert all(18 * 24 <= frame < 72 * 24 for frame in found)  # blocks hear 12 s beyond themselves


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 70), st.floats(0.02, 20))
def test_ranges_that_overlap_have_equal_samples(
    dialogue: Path, begin_s: float, length_s: float
) -> None:
    audio = AudioRange(dialogue, begin_s, length_s)
    alone, wider = read_speech(audio), read_speech(audio, blocks.around(audio))
    before = round(begin_s * 16_000) - round((begin_s - wider.before_s) * 16_000)
    inside = wider.samples[before : before + len(alone.samples)]
    assert np.array_equal(inside, alone.samples[: len(inside)])
    assert not alone.samples[len(inside) :].any()  # what lies beyond the file
    assert (wider.start_s, wider.duration_s) == (alone.start_s, alone.duration_s)
    assert wider.warnings == alone.warnings
    assert begin_s - wider.before_s in {0, 18, 48}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 4000), st.integers(1, 6000), st.booleans())
def test_blocks_cover_a_sound_once(begin: int, length: int, in_a_file: bool) -> None:
    """Positions in steps of 20 ms."""
    audio = AudioRange(Path("a"), begin / 50, length / 50)
    low, high = blocks.around(audio) if in_a_file else (audio.start_s, begin / 50 + length / 50)
    assert high is not None
    samples = np.arange(round(low * 16_000), round(high * 16_000), dtype=np.float32)
    speech = Speech(samples, audio.start_s, length / 50, "", (), audio.start_s - low)
    found = list(blocks.blocks(speech))
    (joined,) = blocks.joined((block.own(block.samples[::320], 50),) for block in found)
    assert np.array_equal(joined, samples[::320])
    heard = [len(block.samples) / 16_000 for block in found]
    assert max(heard) <= blocks.LENGTH_S + 2 * blocks.AROUND_S + 0.02


def test_what_lies_around_a_range_is_not_heard_by_the_mouth(dialogue: Path) -> None:
    audio = AudioRange(dialogue, 10.0, 2.0)
    speech = read_speech(audio, blocks.around(audio))
    everywhere = np.ones(len(speech.samples) // 160 + 1, bool)
    heard = np.flatnonzero(blocks.audible(speech, everywhere))
    assert (heard[0], heard[-1]) == (1000, 1200)


def test_long_sound_is_told_block_by_block_and_may_be_cancelled(
    dialogue: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    parts = Parts(Cache(tmp_path))
    words = (AudioRange(dialogue), Fraction(24), None, 0, {"mouth": "rules"})
    with pytest.raises(Cancelled):
        parts.spoken(*words, lambda: bool(told), on_heard=_into(told))
    assert [done for done, _ in told] == [0]
    told.clear()
    parts.spoken(*words, lambda: False, on_heard=_into(told))
    total = math.ceil(75 / blocks.LENGTH_S)
    assert told == [(done, total) for done in range(total)]


def _into(told: list[tuple[int, int]]) -> Callable[[int, int], None]:
    return lambda done, total: told.append((done, total))
