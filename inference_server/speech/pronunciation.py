"""How words are pronounced, in phones that the recogniser knows.

English words come from the dictionary of pocketsphinx; what it lacks is put together from words
that it has, or spelt by rules. Words of other languages are transcribed by Epitran (Mortensen,
Dalmia & Littell, LREC 2018), whose tables are inside its package, and each sound is stood for by
the nearest one of US English.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from inference_server.errors import SpecInvalid, TranscriptUnusable

from . import recogniser
from .visemes import of_arpabet, of_ipa

ENGLISH = "en"
_CODES = {  # language -> what Epitran calls it
    "cs": "ces-Latn", "de": "deu-Latn", "es": "spa-Latn", "fr": "fra-Latn", "it": "ita-Latn",
    "ja": "jpn-Hira", "ko": "kor-Hang", "nl": "nld-Latn", "pl": "pol-Latn", "pt": "por-Latn",
    "ru": "rus-Cyrl", "sv": "swe-Latn", "tr": "tur-Latn", "uk": "ukr-Cyrl", "zh": "cmn-Latn",
}  # fmt: skip
LANGUAGES = (ENGLISH, *_CODES)

# the nearest sound of US English; a segment is looked up whole, then by its first symbol
_NEAREST = {
    phone: name
    for name, phones in {
        "AA": "ɑ ɒ a ɐ", "AE": "æ", "AH": "ʌ ə ɘ ɵ ɜ", "AO": "ɔ", "EH": "e ɛ œ ø", "IH": "ɪ ɨ",
        "IY": "i y", "UH": "ʊ ʏ", "UW": "u ɯ ʉ", "OW": "o ɤ", "ER": "ɚ ɝ", "P": "p ɸ", "B": "b β ɓ",
        "M": "m ɱ", "F": "f", "V": "v ʋ", "TH": "θ", "DH": "ð", "T": "t ʈ", "D": "d ɖ ɗ",
        "N": "n ɳ ɲ ȵ", "L": "l ɫ ɭ ʎ ɬ", "S": "s", "Z": "z", "SH": "ʃ ɕ ʂ ç", "ZH": "ʒ ʑ ʐ",
        "CH": "tʃ tɕ ʈʂ tʂ c", "JH": "dʒ dʑ ɖʐ ɟ", "K": "k q", "G": "g ɡ", "HH": "h x χ ħ ɦ",
        "NG": "ŋ", "R": "r ɹ ɾ ʀ ʁ ɻ ɽ ɣ", "W": "w ɰ", "Y": "j ɥ",
    }.items()
    for phone in phones.split()
}  # fmt: skip
_TWO_SOUNDS = {"ts": ("T", "S"), "dz": ("D", "Z"), "pf": ("P", "F")}

_SPELT = {  # letters of English words that no dictionary knows, the longest first
    "tion": "SH AH N", "ough": "AO", "augh": "AO", "eigh": "EY", "igh": "AY", "tch": "CH",
    "sch": "SH", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K", "ng": "NG",
    "qu": "K W", "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW", "ai": "EY",
    "ay": "EY", "oa": "OW", "oi": "OY", "oy": "OY", "au": "AO", "aw": "AO", "ie": "IY",
    "ei": "EY", "ey": "IY", "ar": "AA R", "er": "ER", "ir": "ER", "or": "AO R", "ur": "ER",
    "ce": "S EH", "ci": "S IH", "cy": "S IY", "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH",
    "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N",
    "o": "AA", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W",
    "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
_SHORTEST_PART = 3  # letters of a word that is part of another
_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = [
    "zero",
    "ten",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]


@dataclass(frozen=True, slots=True)
class Phone:
    """One sound of a word."""

    name: str  # ARPAbet: as what it is heard
    visemes: tuple[int, ...]  # what the lips do, one after the other


Pronunciation = tuple[Phone, ...]


def words_of(transcript: str) -> list[str]:
    """The words of a text, without punctuation.

    Raises:
        TranscriptUnusable: there are none.
    """
    words = []
    for token in unicodedata.normalize("NFC", transcript).replace("’", "'").split():
        start = 0
        for end in range(len(token) + 1):
            if end == len(token) or not _is_letter(token, end):
                if end > start:
                    words.append(token[start:end])
                start = end + 1
    if not words:
        raise TranscriptUnusable("The transcript holds no words.", "Type what is said.")
    return words


def _is_letter(token: str, at: int) -> bool:
    """Letters, marks and digits; an apostrophe between letters too."""
    if token[at] == "'":
        return 0 < at < len(token) - 1 and token[at - 1].isalpha() and token[at + 1].isalpha()
    return unicodedata.category(token[at])[0] in "LMN"


def pronounce(words: Sequence[str], language: str) -> list[Pronunciation]:
    """Each word in phones; empty for what cannot be pronounced.

    Raises:
        SpecInvalid: the language is unknown.
        TranscriptUnusable: what pronounces it is not installed.
    """
    if language not in LANGUAGES:
        text = f"language is {language[:20]!r}."
        raise SpecInvalid(text, f"It must be one of {', '.join(LANGUAGES)}.")
    if not recogniser.version():
        raise TranscriptUnusable("pocketsphinx is not installed.", "Run install.py again.")
    return _english(words) if language == ENGLISH else _foreign(words, language)


def _english(words: Sequence[str]) -> list[Pronunciation]:
    spoken = [_number(word) if word.isdecimal() else _plain(word) for word in words]
    known = _dictionary(frozenset(part for text in spoken for part in _parts(text)))
    return [
        tuple(
            Phone(name, of_arpabet(name))
            for part in text.split()
            for name in _of_english(part, known)
        )
        for text in spoken
    ]


def _plain(word: str) -> str:
    """Lower case, without accents."""
    letters = unicodedata.normalize("NFD", word.lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _number(digits: str) -> str:
    """A number in words: up to 9999 as a number, longer ones by digit."""
    value = int(digits)
    if len(digits) > 4:
        return " ".join(_ONES[int(digit)] for digit in digits)
    text = []
    if value >= 1000:
        text.append(f"{_ONES[value // 1000]} thousand")
    if value % 1000 >= 100:
        text.append(f"{_ONES[value % 1000 // 100]} hundred")
    rest = value % 100
    if rest >= 20:
        text.append(_TENS[rest // 10])
        rest %= 10
    if rest or not text:
        text.append(_ONES[rest])
    return " ".join(text)


def _parts(text: str) -> list[str]:
    """The words of a text and all that they may be made of."""
    found = text.split()
    for word in text.split():
        cuts = range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1)
        found += [part for cut in cuts for part in (word[:cut], word[cut:])]
        found += [word.removesuffix(end) for end in ("'s", "s", "ed", "ing")]
    return found


@lru_cache(maxsize=8)
def _dictionary(wanted: frozenset[str]) -> Mapping[str, tuple[str, ...]]:
    """The first pronunciation of those words that the dictionary knows."""
    import pocketsphinx

    known = {}
    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, _, phones = line.partition(" ")
            if word in wanted:
                known[word] = tuple(phones.split())
    return known


def _of_english(word: str, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    if word in known:
        return known[word]
    for ending, sound in (("'s", "Z"), ("s", "Z"), ("ed", "D"), ("ing", "IH NG")):
        stem = word.removesuffix(ending)
        if stem != word and stem in known:
            return (*known[stem], *sound.split())
    for cut in range(len(word) - _SHORTEST_PART, _SHORTEST_PART - 1, -1):
        if word[:cut] in known and word[cut:] in known:
            return (*known[word[:cut]], *known[word[cut:]])
    return _spelt(word)


def _spelt(word: str) -> tuple[str, ...]:
    phones: list[str] = []
    silent_e = word.endswith("e") and sum(word.count(vowel) for vowel in "aeiouy") > 1
    rest = word[:-1] if silent_e else word
    while rest:
        size = next((n for n in (4, 3, 2, 1) if rest[:n] in _SPELT), 0)
        sounds = _SPELT[rest[:size]].split() if size else []
        if sounds[:1] != phones[-1:]:
            phones += sounds
        rest = rest[max(1, size) :]
    return tuple(phones)


def _foreign(words: Sequence[str], language: str) -> list[Pronunciation]:
    transcriber = _transcriber(_CODES[language])
    return [
        tuple(
            phone
            for segment in transcriber.trans_list(word.lower())
            for phone in _of_segment(segment)
        )
        for word in words
    ]


@lru_cache(maxsize=2)
def _transcriber(code: str) -> Any:
    try:
        import epitran
    except ImportError as failure:
        text = "Languages other than English need Epitran, which is not installed."
        raise TranscriptUnusable(text, "Run install.py again.") from failure
    return epitran.Epitran(code)


def _of_segment(segment: str) -> list[Phone]:
    plain = "".join(
        symbol
        for symbol in unicodedata.normalize("NFD", segment)
        if unicodedata.category(symbol)[0] == "L" and symbol not in "ʰʲʷˠˤːʼ"
    )
    if plain in _TWO_SOUNDS:
        return [Phone(name, of_arpabet(name)) for name in _TWO_SOUNDS[plain]]
    name = _NEAREST.get(plain) or _NEAREST.get(plain[:1])
    return [Phone(name, of_ipa(plain))] if name else []
