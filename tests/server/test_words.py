"""Words of a transcript: found in real speech, moved, stretched and replaced."""

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from inference_server.audio_io import read_speech
from inference_server.datatypes import ARKIT_INDEX, AudioRange, Word
from inference_server.directions import parse_words, words_to_json
from inference_server.errors import Cancelled, SpecInvalid, TranscriptUnusable
from inference_server.keys import frame_keys, rounded
from inference_server.motion.channels import MOUTH_COLUMNS, measure
from inference_server.motion.closures import enforce
from inference_server.registry import MOTION_SOURCES, load
from inference_server.speech import acoustics, alignment, phones, voice
from inference_server.speech.pronunciation import LANGUAGES, pronounce, words_of
from inference_server.transcript import align

SPEECH = Path(__file__).parents[1] / "fixtures" / "inaugural.flac"
TEXT = (
    "And so, my fellow Americans: ask not what your country can do for you -- "
    "ask what you can do for your country."
)
FPS = 50

pytestmark = pytest.mark.skipif(not phones.available(), reason="pocketsphinx is not installed")


@pytest.fixture(scope="module")
def speech():
    return read_speech(AudioRange(SPEECH))


@pytest.fixture(scope="module")
def found():
    return align(AudioRange(SPEECH), TEXT)


@pytest.fixture(scope="module")
def words(found):
    return parse_words(found["words"])


@pytest.fixture(scope="module")
def plain(speech, words):
    return move(speech, words)


def move(speech, words):
    source = load(MOTION_SOURCES, "neural")
    n_frames = round(speech.duration_s * FPS)
    return source.motion(speech, Fraction(FPS), n_frames, 0, {"words": words})


def changed(words, place, **fields):
    return tuple(replace(word, **fields) if i == place else word for i, word in enumerate(words))


def different_s(a, b):
    """Seconds of the frames whose keys differ."""
    keys = [frame_keys("", rounded(enforce(each)), 0) for each in (a, b)]
    return np.array([i for i, (x, y) in enumerate(zip(*keys, strict=True)) if x != y]) / FPS


def test_words_are_found_where_they_are_said(found, speech):
    spoken = voice.speaking(speech.samples)
    starts = np.flatnonzero(spoken[1:] & ~spoken[:-1]) / voice.STEPS_PER_S
    said = found["words"]
    assert [each["word"] for each in said] == words_of(TEXT)
    assert len(said) == 22
    for after_a_pause in (5, 14):  # both times "ask"
        assert np.abs(starts - said[after_a_pause]["start_s"]).min() < 0.1
    for before, after in zip(said, said[1:], strict=False):
        assert before["start_s"] < before["end_s"] <= after["start_s"]
    assert found["approximate"] is False
    assert not found["warnings"]


def test_a_wrong_word_is_named():
    found = align(AudioRange(SPEECH), TEXT.replace("fellow Americans", "purple elephants"))
    wrong = {found["words"][i]["word"] for i in found["doubtful"]}
    assert {"purple", "elephants"} & wrong
    assert len(wrong) <= 3
    assert "do not seem to be what is said: " in found["warnings"][0]


def test_a_transcript_of_something_else_is_said_not_to_fit():
    found = align(AudioRange(SPEECH), "Fish and chips with mushy peas, please, and a pot of tea.")
    assert found["warnings"][0].startswith("The transcript does not fit the sound: ")


def test_too_long_a_transcript_is_refused():
    with pytest.raises(TranscriptUnusable, match="440 words do not fit into 11.0 s"):
        align(AudioRange(SPEECH), TEXT * 20)


def test_a_text_without_words_is_refused():
    with pytest.raises(TranscriptUnusable, match="no words"):
        align(AudioRange(SPEECH), " -- ... !")


def test_an_unknown_language_is_named():
    with pytest.raises(SpecInvalid, match="language is 'tlh'"):
        align(AudioRange(SPEECH), TEXT, "tlh")


@pytest.mark.slow
def test_other_languages_are_approximate():
    found = align(AudioRange(SPEECH), "Guten Morgen, liebe Freunde", "de")
    assert found["approximate"] is True
    assert "their times are approximate" in found["warnings"][-1]


@pytest.mark.slow
def test_a_long_sound_is_aligned_in_windows(speech, found):
    times = 9
    samples = np.tile(speech.samples, times)
    sounds = pronounce(words_of(TEXT) * times, "en")
    starts = np.array([word.start_s for word in alignment.align(samples, sounds)])
    once = np.array([word["start_s"] for word in found["words"]])
    apart = starts.reshape(times, -1) - once - speech.duration_s * np.arange(times)[:, None]
    assert np.median(np.abs(apart)) < 0.02
    assert np.abs(apart).max() < 0.3


def test_a_cancel_is_heeded(speech):
    with pytest.raises(Cancelled):
        alignment.align(speech.samples, pronounce(["ask"], "en"), lambda: True)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "animate", "AE N AH M AH T"),
        ("en", "2026", "T UW TH AW Z AH N D T W EH N T IY S IH K S"),
        ("en", "portraits'", "P AO R T R AH T S"),
        ("en", "sunflowerpot", "S AH N F L AW ER P AA T"),
        ("en", "zzyx", "Z IY K S"),
        pytest.param(*("de", "Wasser", "V AA S AA"), marks=pytest.mark.slow),
        pytest.param(*("fr", "bonjour", "B AO ZH UW R"), marks=pytest.mark.slow),
        pytest.param(*("es", "chico", "CH IY K OW"), marks=pytest.mark.slow),
        pytest.param(*("ru", "мама", "M AA M AA"), marks=pytest.mark.slow),
    ],
)
def test_words_are_pronounced(language, text, expected):
    (sound,) = pronounce(words_of(text), language)
    assert " ".join(phone.name for phone in sound) == expected


@pytest.mark.slow
def test_every_language_speaks_phones_of_the_model():
    texts = {"ru": "хлеб щётка", "uk": "їжак", "ja": "こんにちは", "ko": "안녕하세요"}
    known = set(acoustics.bundled().names)
    for language in LANGUAGES:
        for sound in pronounce(texts.get(language, "bonjour zwölf").split(), language):
            assert sound
            assert {phone.name for phone in sound} <= known


def test_known_words_close_lips_where_they_must(plain, words):
    """The M of "my" and of "Americans", the P, B and M that a recogniser may miss."""
    spans = [(first / FPS, last / FPS) for first, last in plain.closures]
    for place in (2, 4):
        word = words[place]
        assert any(word.start_s - 0.1 < last and first < word.end_s for first, last in spans)


def test_a_moved_word_takes_the_mouth_along(speech, words, plain):
    place = 5  # "ask", between two pauses
    word = words[place]
    later = changed(words, place, start_s=word.start_s - 0.2, end_s=word.end_s - 0.2)
    moved = move(speech, later)
    differ_s = different_s(plain, moved)
    assert len(differ_s)
    assert differ_s.min() > words[place - 1].end_s - 0.05
    assert differ_s.max() < words[place + 1].start_s + 0.05
    before, after = (measure(each.motion)["lip_open"] for each in (plain, moved))
    first, last = round(word.start_s * FPS) + 2, round(word.end_s * FPS) - 2
    assert after[first - 10 : last - 10] == pytest.approx(before[first:last], abs=0.06)
    still = np.setdiff1d(np.arange(52), [*MOUTH_COLUMNS, ARKIT_INDEX["tongueOut"]])
    assert (moved.motion.head == plain.motion.head).all()
    assert (moved.motion.expression[:, still] == plain.motion.expression[:, still]).all()


def test_a_stretched_word_is_slower(speech, words, plain):
    place = 4
    word = words[place]
    long = changed(words, place, end_s=word.end_s + 0.6)
    slow = move(speech, long)
    differ_s = different_s(plain, slow)
    assert differ_s.min() > word.start_s - 0.05
    assert differ_s.max() < words[place + 1].start_s + 0.05
    speed = (word.end_s + 0.6 - word.start_s) / (word.end_s - word.start_s)
    before, after = (measure(each.motion)["lip_open"] for each in (plain, slow))
    moments_s = np.linspace(word.start_s, word.end_s, 12)[1:-1]
    times_s = np.arange(len(before)) / FPS
    was = np.interp(moments_s, times_s, before)
    now = np.interp(word.start_s + (moments_s - word.start_s) * speed, times_s, after)
    assert now == pytest.approx(was, abs=0.08)


def test_a_replaced_word_is_respoken(speech, words, plain):
    place = 9  # "country"
    word = words[place]
    other = move(speech, changed(words, place, word="papaya"))
    differ_s = different_s(plain, other)
    assert differ_s.min() > word.start_s - 0.15
    assert differ_s.max() < word.end_s + 0.15
    spans = [(first / FPS, last / FPS) for first, last in other.closures]
    inside = [span for span in spans if word.start_s - 0.05 < span[0] < word.end_s]
    assert len(inside) == 2  # both P
    opening = measure(
        enforce(other).motion if hasattr(enforce(other), "motion") else enforce(other)
    )
    lips = opening["lip_open"][round(word.start_s * FPS) : round(word.end_s * FPS)]
    assert lips.max() > 0.15
    assert lips.min() < 0.02


def test_words_survive_json(words):
    moved = changed(words, 3, word="dear", start_s=1.0, end_s=1.5)
    assert parse_words(words_to_json(moved)) == moved
    assert parse_words(None) == ()
    assert words_to_json(()) is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "words is {}"),
        ([{"word": "a"}], r"words\[0\].start_s"),
        ([{"word": " ", "start_s": 0, "end_s": 1}], r"words\[0\].word"),
        ([{"word": "a", "start_s": 1, "end_s": 1}], r"words\[0\].end_s is 1.0"),
        ([{"word": "a", "start_s": 0, "end_s": 1, "from_start_s": 3}], r"from_end_s is 1.0"),
        ([{"word": "a", "start_s": 0, "end_s": 1, "colour": "red"}], "unknown field"),
    ],
)
def test_wrong_words_are_named(document, said):
    with pytest.raises(SpecInvalid, match=said):
        parse_words(document)


def test_words_in_an_unknown_language_are_refused(speech):
    with pytest.raises(SpecInvalid, match="language is 'tlh'"):
        move(speech, (Word("ask", 0.0, 1.0, 0.0, 1.0, "ask", "tlh"),))


def test_the_command_line_aligns(tmp_path):
    text = tmp_path / "said.txt"
    text.write_text(TEXT, encoding="utf-8")

    def program(*arguments):
        command = [sys.executable, "-m", "inference_server", "align", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    done = program(SPEECH, "--transcript", text, "--json")
    assert json.loads(done.stdout)["words"][5]["word"] == "ask"
    done = program(SPEECH, "--transcript", tmp_path / "no.txt")
    assert done.returncode == 1
    assert done.stderr.startswith("error: Cannot read the transcript")
