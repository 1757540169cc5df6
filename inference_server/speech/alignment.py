"""When each word of a transcript is said: the best path of its phones through the sound.

The phones of the words stand in a row, with pauses allowed between words. A window of 30 s at a
time is searched, from the last word that is certain to as many words as fit; so memory does not
grow with the length of the sound. The acoustic model is that of pocketsphinx.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Speech
from inference_server.errors import Cancelled, TranscriptUnusable

from . import acoustics, phones
from .acoustics import STATES, Acoustics
from .cepstra import HOP, WINDOW
from .pronunciation import Pronunciation
from .voice import STEPS_PER_S, speaking

Array = npt.NDArray[np.float64]

_WINDOW_S = 30.0
_UNCERTAIN_S = 4.0  # before the end of a window: words there are looked at again
_PER_S = 6.0  # words that are said at the very most
_OFF = -1e9
_LATE_S = WINDOW / 2 / Speech.SAMPLE_RATE - 0.5 / STEPS_PER_S  # of the begin of a frame
_PAUSE_PENALTY = -6.0  # log likelihood per frame of a phone where nobody speaks
_AWAY_S = 0.15  # from speech, before that counts
_LEAST_AGREEMENT = 0.3
_MOST_DEFICIT = 4.0  # such words were 9 in 10 of wrong words of GRID and 1 in 10 of right ones


@dataclass(frozen=True, slots=True)
class Aligned:
    """One word in the sound."""

    start_s: float
    end_s: float
    borders_s: tuple[float, ...]  # of its phones, one more than there are
    agreement: float  # 0..1 of what is heard there with its phones
    deficit: float  # log likelihood per frame below that of the likeliest phones

    @property
    def doubtful(self) -> bool:
        """Whether something else may be said there."""
        return self.agreement < _LEAST_AGREEMENT and self.deficit > _MOST_DEFICIT


def align(
    samples: npt.NDArray[np.float32],
    words: Sequence[Pronunciation],
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Aligned]:
    """When each word is said.

    Args:
        samples: (T,) 16 kHz.
        words: none of them empty.
        cancelled: asked before each window.

    Raises:
        TranscriptUnusable: the sound is too short for the words, or holds no speech.
        Cancelled.
    """
    length_s = len(samples) / Speech.SAMPLE_RATE
    done: list[Aligned] = []
    start_s = 0.0
    while len(done) < len(words):
        if cancelled():
            raise Cancelled("The job was cancelled.")
        is_last = start_s + _WINDOW_S >= length_s
        end_s = length_s if is_last else start_s + _WINDOW_S
        count = len(words) if is_last else len(done) + round(_WINDOW_S * _PER_S)
        found = _in_window(samples, words[len(done) : count], start_s, end_s, is_last)
        certain = found
        if not is_last:
            certain = [word for word in found if word.end_s < end_s - _UNCERTAIN_S]
        done += certain
        start_s = certain[-1].end_s if certain else end_s - _UNCERTAIN_S
        if is_last and len(done) < len(words):
            raise _too_short(len(words), length_s)
    return done


def _too_short(n_words: int, length_s: float) -> TranscriptUnusable:
    text = f"{n_words} words do not fit into {length_s:.1f} s of sound."
    return TranscriptUnusable(text, "Type only what is said in the sound of this shot.")


def _in_window(
    samples: npt.NDArray[np.float32],
    words: Sequence[Pronunciation],
    start_s: float,
    end_s: float,
    whole: bool,
) -> list[Aligned]:
    """The words of a window; if not `whole`, as many of them as it holds."""
    rate = Speech.SAMPLE_RATE
    piece = samples[round(start_s * rate) : round(end_s * rate)]
    model = acoustics.bundled()
    if len(piece) < WINDOW + HOP:
        raise _too_short(len(words), len(samples) / rate)
    heard = phones.likelihoods(piece, model)
    chances = phones.state_chances(heard, model)
    spoken = speaking(piece)[: len(heard)]
    if not spoken.any():
        return []
    logs = _quiet_elsewhere(heard, spoken, model)
    row = _Row(words, model)
    path = _best_path(logs, row, whole)
    return _words_on(path, row, logs, chances, start_s + _LATE_S)


def within(
    samples: npt.NDArray[np.float32], spans: Sequence[tuple[float, float, Pronunciation]]
) -> list[list[float]]:
    """The borders in seconds of the phones of words whose begin and end are known.

    Args:
        samples: (T,) 16 kHz.
        spans: begin and end in seconds, and the phones.
    """
    if not spans or len(samples) < WINDOW + HOP:
        return [np.linspace(begin, end, len(word) + 1).tolist() for begin, end, word in spans]
    model = acoustics.bundled()
    logs = phones.likelihoods(samples, model).astype(np.float64)
    found = []
    for begin, end, word in spans:
        first = min(max(0, round((begin - _LATE_S) * STEPS_PER_S)), len(logs) - 1)
        last = max(first + 1, round((end - _LATE_S) * STEPS_PER_S))
        row = _Row([word], model, pauses=False)
        borders = np.linspace(begin, end, len(word) + 1)
        if len(logs[first:last]) >= len(row.column):
            path = _best_path(logs[first:last], row, True)
            starts = np.searchsorted(row.phone[path], np.arange(1, len(word)))
            borders[1:-1] = (first + starts) / STEPS_PER_S + _LATE_S
        found.append(borders.tolist())
    return found


def _quiet_elsewhere(
    logs: npt.NDArray[np.float32], spoken: npt.NDArray[np.bool_], model: Acoustics
) -> Array:
    """Likelihoods in which only silence is likely away from speech."""
    moments = np.flatnonzero(spoken)
    frames = np.arange(len(logs))
    after = np.searchsorted(moments, frames)
    gap = np.minimum(
        np.abs(frames - moments[np.minimum(after, len(moments) - 1)]),
        np.abs(frames - moments[np.maximum(after - 1, 0)]),
    )
    quiet = gap > _AWAY_S * STEPS_PER_S
    first = model.silence * STATES
    adjusted = logs.astype(np.float64)
    best = adjusted[quiet].max(1, keepdims=True)
    adjusted[quiet] = np.minimum(adjusted[quiet], best) + _PAUSE_PENALTY
    adjusted[quiet, first : first + STATES] = best
    return adjusted


class _Row:
    """The states of words in a row: a pause that may be left out, then the phones, and so on."""

    def __init__(
        self, words: Sequence[Pronunciation], model: Acoustics, pauses: bool = True
    ) -> None:
        pause = [model.silence * STATES + state for state in range(STATES)] if pauses else []
        nobody = [-1] * len(pause)
        column, word_of, phone_of, begins = [], [], [], []
        for number, word in enumerate(words):
            column += pause
            word_of += nobody
            phone_of += nobody
            begins.append(len(column))
            for place, phone in enumerate(word):
                base = model.names.index(phone.name) * STATES
                column += [base + state for state in range(STATES)]
                word_of += [number] * STATES
                phone_of += [place] * STATES
        column += pause
        self.pause = len(pause)
        self.column = np.array(column)
        self.word = np.array([*word_of, *nobody])
        self.phone = np.array([*phone_of, *nobody])
        self.sizes = [len(word) for word in words]
        stay = np.diag(model.steps)[self.column]
        self.stay = np.log(stay)
        self.leave = np.log(1 - stay)
        # the first state of a word may also come right after the word before it
        self.after_word = np.zeros(len(self.column), bool)
        self.after_word[begins] = True


def _best_path(logs: Array, row: _Row, whole: bool) -> npt.NDArray[np.int32]:
    """(T,) the state of each frame on the best path."""
    n_frames, n_states = len(logs), len(row.column)
    score = np.full(n_states, _OFF)
    score[[0, row.pause]] = 0.0  # the pause, or the first word at once
    came = np.zeros((n_frames, n_states), np.uint8)  # 0 stayed, 1 from the state before, 2 skipped
    for t in range(n_frames):
        if t:
            leaving = score + row.leave
            options = np.full((3, n_states), _OFF)
            options[0] = score + row.stay
            options[1, 1:] = leaving[:-1]
            if row.pause:
                options[2, row.pause + 1 :] = leaving[: -row.pause - 1]
                options[2, ~row.after_word] = _OFF
            choice = options.argmax(0)
            came[t] = choice
            score = options[choice, np.arange(n_states)]
        score = score + logs[t, row.column]
    state = n_states - 1
    if not whole:
        state = int(score.argmax())
    elif score[-row.pause - 1] > score[-1]:  # no pause at the end
        state -= row.pause
    path = np.empty(n_frames, np.int32)
    for t in reversed(range(n_frames)):
        path[t] = state
        state -= (0, 1, row.pause + 1)[came[t, state]]
    return path


def _words_on(
    path: npt.NDArray[np.int32], row: _Row, logs: Array, chances: Array, offset_s: float
) -> list[Aligned]:
    """The words that a path runs through to their ends."""
    words = []
    numbers = row.word[path]
    for number, size in enumerate(row.sizes):
        frames = np.flatnonzero(numbers == number)
        if not len(frames) or row.phone[path[frames[-1]]] < size - 1:
            break
        begins = [int(frames[0])]
        places = row.phone[path[frames]]
        begins += [int(frames[int(np.argmax(places >= place))]) for place in range(1, size)]
        borders = np.array([*begins, int(frames[-1]) + 1]) / STEPS_PER_S + offset_s
        states = row.column[path[frames]]
        agreement = float(chances[frames, states].mean())
        deficit = float((logs[frames].max(1) - logs[frames, states]).mean())
        times = [round(float(each), 3) for each in np.maximum(0, borders)]
        words.append(Aligned(times[0], times[-1], tuple(times), agreement, deficit))
    return words
