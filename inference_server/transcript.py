"""A typed transcript on its sound: when each word is said, and which words do not seem to fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from . import audio_io
from .datatypes import AudioRange
from .errors import TranscriptUnusable
from .speech import alignment
from .speech.pronunciation import ENGLISH, pronounce, words_of

log = logging.getLogger(__name__)

MOST_CHARACTERS = 1_000_000
_NAMED = 12  # doubtful words in a warning
_MOSTLY = 0.5  # of the words


def align(
    audio: AudioRange,
    transcript: str,
    language: str = ENGLISH,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """When each word is said, as the protocol's `align` answers; see protocol.py.

    Raises:
        AudioUnreadable, SpecInvalid, TranscriptUnusable, Cancelled.
    """
    if len(transcript) > MOST_CHARACTERS:
        text = f"The transcript has {len(transcript)} characters."
        raise TranscriptUnusable(text, f"At most {MOST_CHARACTERS} can be aligned at once.")
    words = words_of(transcript)
    sounds = pronounce(words, language)
    spoken = [(word, sound) for word, sound in zip(words, sounds, strict=True) if sound]
    if not spoken:
        text = f'None of the words of the transcript can be pronounced as "{language}".'
        hint = "Choose the language that is spoken; Japanese in kana, Chinese in pinyin."
        raise TranscriptUnusable(text, hint)
    speech = audio_io.read_speech(audio)
    found = alignment.align(speech.samples, [sound for _, sound in spoken], cancelled)
    doubtful = [i for i, each in enumerate(found) if each.doubtful]
    silent = [word for word, sound in zip(words, sounds, strict=True) if not sound]
    placed = [
        {"word": word, "start_s": each.start_s, "end_s": each.end_s}
        for (word, _), each in zip(spoken, found, strict=True)
    ]
    return {
        "words": placed,
        "doubtful": doubtful,
        "language": language,
        "approximate": language != ENGLISH,
        "warnings": [*speech.warnings, *_warnings(placed, doubtful, silent, language)],
    }


def _warnings(
    placed: Sequence[dict[str, Any]], doubtful: Sequence[int], silent: Sequence[str], language: str
) -> list[str]:
    found = []
    if silent:
        found.append(f"Left out, since they cannot be pronounced: {_listed(silent)}.")
    if doubtful:
        named = [f"{placed[i]['word']} at {placed[i]['start_s']:.1f} s" for i in doubtful]
        start = f"{len(doubtful)} of {len(placed)} words do not seem to be what is said"
        if len(doubtful) > _MOSTLY * len(placed):
            start = f"The transcript does not fit the sound: {start}"
        found.append(f"{start}: {_listed(named)}.")
    if language != ENGLISH:
        text = f'Words in "{language}" are aligned by the sounds of English'
        found.append(f"{text}: their times are approximate.")
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
