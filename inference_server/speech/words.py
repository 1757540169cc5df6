"""Words of a transcript in the speech stage: known, moved, stretched and replaced words.

Where a word is known its phones take the place of those that the recogniser hears. A word that was
moved or stretched takes what is heard in it along: the mouth is sampled at another moment of the
sound. A word that was replaced is spoken from its pronunciation with usual lengths and usual mouth
shapes. Everything away from changed words stays as it was, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from inference_server.datatypes import Speech, Word

from . import alignment
from .features import RATE
from .hearing import Heard, Network
from .lip_fit import opening
from .phones import Phones
from .pronunciation import Pronunciation, pronounce
from .visemes import CLOSED, VISEMES
from .voice import STEPS_PER_S

Array = npt.NDArray[np.float64]

# opening, width and forward movement of the lips against their mean, in outer-eye distances: mean
# of 367 tracked clips where the recogniser is sure, times 1.6, as sounds do not stand alone there
_SHAPES = {
    "silence": (-0.06, 0.0, 0.0), "PBM": (-0.085, -0.015, 0.005), "FV": (-0.06, -0.005, 0.01),
    "TH": (-0.01, 0.02, 0.005), "TDN": (0.0, 0.005, 0.0), "KGH": (0.02, 0.005, -0.005),
    "SH": (0.02, -0.03, 0.01), "SZ": (0.015, 0.02, 0.0), "R": (0.01, -0.045, 0.005),
    "A": (0.095, 0.01, -0.01), "E": (0.075, 0.05, -0.015), "I": (0.035, 0.03, -0.01),
    "O": (0.02, -0.09, 0.005), "U": (-0.03, -0.09, 0.005), "schwa": (0.02, 0.0, 0.0),
    "L": (0.015, 0.005, 0.0),
}  # fmt: skip
_VOWELS = frozenset(VISEMES.index(name) for name in ("A", "E", "I", "O", "U", "schwa"))
_VOWEL_LENGTH = 1.6  # of that of a consonant
_GLIDE = 9  # frames of 20 ms over which one shape becomes the next
_LEFT, _RIGHT, _LIP_MIDDLES = 10, 0, (5, 15)
_JUMP = 4.0  # frames; a word that is slowed down or sped up shifts by less from frame to frame
_SAME_S = 1e-4  # two moments nearer than this are one


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """The words of a shot, with their pronunciations; seconds count from the first sample."""

    words: tuple[Word, ...]
    sounds: tuple[Pronunciation, ...]  # of each word
    said: tuple[Pronunciation, ...]  # of what is said there in the sound

    @property
    def replaced(self) -> list[tuple[Word, Pronunciation]]:
        """Words that are not those in the sound."""
        both = zip(self.words, self.sounds, strict=True)
        return [(word, sound) for word, sound in both if sound and word.word != word.said]

    def after(self, begin_s: float) -> Script:
        """The same words, seconds counted from a later sample."""
        return Script(
            tuple(_delayed(word, -begin_s) for word in self.words), self.sounds, self.said
        )


NOTHING = Script((), (), ())


def script(words: Sequence[Word], before_s: float) -> Script:
    """The words of a shot; their seconds count from the start of its range.

    Args:
        words: of the spec.
        before_s: samples before the range.
    """
    placed = sorted((_delayed(word, before_s) for word in words), key=lambda word: word.start_s)
    return Script(
        tuple(placed),
        _pronounced([(word.word, word.language) for word in placed]),
        _pronounced([(word.said, word.language) for word in placed]),
    )


def _pronounced(words: Sequence[tuple[str, str]]) -> tuple[Pronunciation, ...]:
    """The pronunciation of each (word, language)."""
    known: dict[tuple[str, str], Pronunciation] = {}
    for language in sorted({language for _, language in words}):
        texts = sorted({text for text, each in words if each == language})
        for text, sound in zip(texts, pronounce(texts, language), strict=True):
            known[text, language] = sound
    return tuple(known[word] for word in words)


def _delayed(word: Word, by_s: float) -> Word:
    return replace(
        word,
        start_s=word.start_s + by_s,
        end_s=word.end_s + by_s,
        from_start_s=word.from_start_s + by_s,
        from_end_s=word.from_end_s + by_s,
    )


def told(known: Phones, samples: npt.NDArray[np.float32], said: Script) -> Phones:
    """Phones (U, V) of a stretch of sound, with those of known words in place of what was heard.

    Args:
        known: of the recogniser.
        samples: the stretch, 16 kHz.
        said: the words, in seconds of the stretch.
    """
    end_s = len(samples) / Speech.SAMPLE_RATE
    spans = [
        (word.from_start_s, word.from_end_s, sound)
        for word, sound in zip(said.words, said.said, strict=True)
        if sound and word.from_start_s >= 0 and word.from_end_s <= end_s
    ]
    if not spans:
        return known
    sure = np.zeros(known.shape)
    inside = np.zeros(len(known))
    for borders, sound in zip(
        alignment.within(samples, spans), (s for *_, s in spans), strict=True
    ):
        _lay(sure, inside, borders, sound)
    return _blend(known, _glide(sure), inside)


def acted(
    heard: Heard,
    known: Phones,
    audible: npt.NDArray[np.bool_],
    said: Script,
    network: Network,
    size: float,
) -> tuple[Heard, Phones, npt.NDArray[np.bool_]]:
    """What is heard, with replaced words in place and all words where the artist has put them.

    Args:
        heard: of the network, U frames.
        known: (U, V) of the recogniser.
        audible: (M,) every 10 ms, whether somebody speaks.
        said: the words.
        network: that heard it.
        size: what its answers are multiplied with.
    """
    heard = replace(heard, closed=_surely_closed(heard.closed, known, said))
    heard, known = _respoken(heard, known, said, network, size)
    audible = audible.copy()
    for word, _ in said.replaced:
        first, last = (round(each * STEPS_PER_S) for each in (word.from_start_s, word.from_end_s))
        audible[max(0, first) : last] = True
    tracks = [
        _moved(rows, RATE, said)
        for rows in (heard.coefficients, heard.closed, heard.visemes, known)
    ]
    return Heard(*tracks[:3]), tracks[3], _moved(audible, STEPS_PER_S, said)


def _surely_closed(
    closed: npt.NDArray[np.float32], known: Phones, said: Script
) -> npt.NDArray[np.float32]:
    """(U,) chance that the lips meet: no doubt is left in a P, B or M of the transcript."""
    sure = closed.copy()
    for word in said.words:
        span = slice(*(max(0, round(s * RATE)) for s in (word.from_start_s, word.from_end_s)))
        sure[span] = np.maximum(closed[span], known[span, CLOSED])
    return sure


def _respoken(
    heard: Heard, known: Phones, said: Script, network: Network, size: float
) -> tuple[Heard, Phones]:
    sure = np.zeros(known.shape)
    inside = np.zeros(len(known))
    for word, sound in said.replaced:
        _lay(sure, inside, _usual_borders(word, sound), sound)
    if not inside.any():
        return heard, known
    sure = _glide(sure)
    mouth = sure @ _components(network) / size
    return (
        Heard(
            _blend(heard.coefficients, mouth, inside),
            _blend(heard.closed, sure[:, CLOSED], inside),
            _blend(heard.visemes, sure, inside),
        ),
        _blend(known, sure, inside),
    )


def _moved(rows: npt.NDArray[Any], per_s: int, said: Script) -> npt.NDArray[Any]:
    """A track (U, ...), `per_s` a second, sampled where the words were taken from."""
    times_s = np.arange(len(rows)) / per_s
    shift_s = _shifts(times_s, said)
    changed = np.abs(shift_s) > _SAME_S
    if not changed.any():
        return rows
    places = np.clip((times_s + shift_s)[changed] * per_s, 0, len(rows) - 1)
    below = np.minimum(places.astype(int), max(0, len(rows) - 2))
    share = (places - below).reshape(-1, *[1] * (rows.ndim - 1))
    above = np.minimum(below + 1, len(rows) - 1)
    result = rows.copy()
    if rows.dtype == bool:
        result[changed] = np.where(share < 0.5, rows[below], rows[above])
    else:
        result[changed] = rows[below] * (1 - share) + rows[above] * share
        _soften(result, np.flatnonzero(np.abs(np.diff(shift_s)) > _JUMP / per_s))
    return result


def _soften(rows: npt.NDArray[Any], jumps: npt.NDArray[np.intp]) -> None:
    """Cross over within some frames where neighbours come from different moments; in place."""
    for jump in jumps.tolist():
        near = slice(max(0, jump - _GLIDE // 2), jump + _GLIDE // 2 + 2)
        rows[near] = scipy.ndimage.uniform_filter1d(rows[near], _GLIDE // 2, axis=0, mode="nearest")


def _shifts(times_s: Array, said: Script) -> Array:
    """(U,) how much later in the sound each moment is to be sampled.

    Between two words the shift changes evenly, or, where words have changed places, at once.
    """
    shift_s = np.zeros(len(times_s))
    end_s, before = 0.0, 0.0
    for word in said.words:
        begins = word.from_start_s - word.start_s
        ends = word.from_end_s - word.end_s
        gap = (times_s >= end_s) & (times_s < word.start_s)
        if word.start_s + begins >= end_s + before:
            shift_s[gap] = np.interp(times_s[gap], [end_s, word.start_s], [before, begins])
        else:
            shift_s[gap] = np.where(times_s[gap] < (end_s + word.start_s) / 2, before, begins)
        inside = (times_s >= word.start_s) & (times_s < word.end_s)
        shift_s[inside] = np.interp(times_s[inside], [word.start_s, word.end_s], [begins, ends])
        end_s, before = max(end_s, word.end_s), ends
    rest = times_s >= end_s
    if before and rest.any():  # what follows the last word comes back into step within a second
        shift_s[rest] = np.interp(
            times_s[rest], [end_s, end_s + max(1.0, 2 * abs(before))], [before, 0]
        )
    return shift_s


def _usual_borders(word: Word, sound: Pronunciation) -> list[float]:
    """Where the phones of a word would begin and end, in the sound."""
    lengths = [
        _VOWEL_LENGTH if any(shape in _VOWELS for shape in phone.visemes) else 1.0
        for phone in sound
    ]
    shares = np.concatenate([[0], np.cumsum(lengths)]) / sum(lengths)
    borders: list[float] = (
        word.from_start_s + (word.from_end_s - word.from_start_s) * shares
    ).tolist()
    return borders


def _lay(sure: Array, inside: Array, borders: Sequence[float], sound: Pronunciation) -> None:
    """Write the visemes of a word into a track, in place."""
    first, last = round(borders[0] * RATE), round(borders[-1] * RATE)
    inside[max(0, first) : last] = 1
    for phone, begin_s, end_s in zip(sound, borders, borders[1:], strict=False):
        edges = np.linspace(begin_s, end_s, len(phone.visemes) + 1) * RATE
        for shape, low, high in zip(phone.visemes, edges, edges[1:], strict=False):
            low_frame = min(max(0, round(low)), len(sure) - 1)
            sure[low_frame : max(low_frame + 1, round(high))] = 0
            sure[low_frame : max(low_frame + 1, round(high)), shape] = 1


def _glide(sure: Array) -> Array:
    """A track whose shapes flow into each other."""
    window = np.hanning(_GLIDE // 2 + 2)
    window /= window.sum()
    return np.stack([np.convolve(column, window, "same") for column in sure.T], 1)


def _blend(rows: npt.NDArray[np.float32], new: Array, inside: Array) -> npt.NDArray[np.float32]:
    """`new` inside, `rows` elsewhere, and a short way between them."""
    window = np.hanning(_GLIDE)
    share = np.convolve(inside, window / window.sum(), "same")
    share = share.reshape(-1, *[1] * (rows.ndim - 1))
    mixed = rows * (1 - share) + new * share
    blended: npt.NDArray[np.float32] = np.where(share > 0, mixed, rows).astype(np.float32)
    return blended


def _components(network: Network) -> Array:
    """(V, K) components that make the usual shape of each viseme, as small as they can be."""
    units = network.points(np.eye(len(network.deviation), dtype=np.float32)).astype(np.float64)
    measures = np.stack(
        [
            opening(units),
            units[:, _LEFT, 0] - units[:, _RIGHT, 0],
            -units[:, _LIP_MIDDLES, 2].mean(1),
        ],
        1,
    )
    wanted = np.array([_SHAPES[name] for name in VISEMES], np.float64)
    return np.asarray(wanted @ np.linalg.pinv(measures), np.float64)
