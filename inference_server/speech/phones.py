"""What a phone recogniser hears: the model of pocketsphinx, which knows US English, at 50 Hz.

The recogniser is a second pair of ears for the network: it was taught by many real voices. Its
model is inside the package; here it is heard by our own code, which weighs all phones at every
moment (forward and backward through the sound) where pocketsphinx keeps the best path only. That is
three times as fast and helps the network more. Pauses are cut out before it listens.

Where the package is missing the network hears alone; so it does, by degrees, where the sounds are
far from those of English: the mean log likelihood of the phones while somebody speaks tells. It is
-13.4 to -15.4 in 61 English recordings of all qualities; in other languages -14.5 (German), -15.0
(Japanese, Russian), -15.5 to -16.5 (Mandarin), -15.8 (French), -16.4 (Czech), -17.5 (Spanish). Of
an English and a foreign recording the foreign one lies farther 7 times in 8; languages that overlap
with English pass, and their phones help as well. Formant synthesis (-17 to -19) does not pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from inference_server.datatypes import Speech

from . import acoustics, recogniser
from .acoustics import STATES, Acoustics
from .cepstra import HOP, WINDOW, cepstra
from .features import RATE
from .visemes import VISEMES, of_arpabet
from .voice import STEPS_PER_S

log = logging.getLogger(__name__)

Phones = npt.NDArray[np.float32]  # (U, V visemes) 0..1, every 20 ms

_PASSAGE_S = 20.0  # heard together: long enough to learn the voice's mean spectrum
_SHORTEST_S = 0.1
_MARGIN_S = 0.12  # of silence kept around speech
_PEAK = 0.8  # of full scale, to which a passage is brought
_QUIETEST = 0.003  # of full scale; what is below is not amplified further
_BLUR = 1.2  # frames of 20 ms, standard deviation: phone borders are uncertain
_ENGLISH, _FOREIGN = -15.5, -17.5  # log likelihood at which phones begin to fade, and are gone
_LEAST = 1e-30


def available() -> bool:
    """Whether the recogniser is installed."""
    return bool(recogniser.version())


def heard(samples: npt.NDArray[np.float32], speaking: npt.NDArray[np.bool_]) -> Phones:
    """How sure each viseme is, (U, V); all zero where nobody speaks or without the recogniser.

    Args:
        samples: (T,) 16 kHz.
        speaking: (M,) from voice.speaking, every 10 ms.
    """
    n_frames = len(samples) * RATE // Speech.SAMPLE_RATE + 1
    sure = np.zeros((n_frames, len(VISEMES)), np.float32)
    if not available():
        log.warning(recogniser.MISSING)
        return sure
    for spans in _passages(speaking):
        passage = np.concatenate([samples[first:last] for first, last in spans])
        if len(passage) < _SHORTEST_S * Speech.SAMPLE_RATE:
            continue
        chances = _chances(passage)
        begin = 0
        for first, last in spans:
            frames = np.arange(first * RATE, last * RATE, Speech.SAMPLE_RATE) // Speech.SAMPLE_RATE
            moments = frames * (Speech.SAMPLE_RATE // RATE) - first + begin
            sure[frames] = _at(chances, (moments - WINDOW / 2) / HOP)
            begin += last - first
    return scipy.ndimage.gaussian_filter1d(sure, _BLUR, axis=0)


def _passages(speaking: npt.NDArray[np.bool_]) -> Iterator[list[tuple[int, int]]]:
    """Stretches of speech, [first, last) samples, gathered to passages of some 20 s."""
    margin = round(_MARGIN_S * STEPS_PER_S)
    wide = scipy.ndimage.binary_dilation(speaking, iterations=margin)
    borders = np.flatnonzero(np.diff(np.concatenate([[0], wide, [0]]))).reshape(-1, 2)
    step = Speech.SAMPLE_RATE // STEPS_PER_S
    longest = round(_PASSAGE_S * STEPS_PER_S)
    gathered: list[tuple[int, int]] = []
    length = 0
    for begin, end in borders.tolist():
        for first in range(begin, end, longest):
            last = min(first + longest, end)
            if length + last - first > longest:
                yield gathered
                gathered, length = [], 0
            gathered.append((first * step, last * step))
            length += last - first
    if gathered:
        yield gathered


def _chances(passage: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(T, V) chance of each viseme, every 10 ms from the middle of the first window on.

    They sum to one, or to less where the sound is not English.
    """
    model = acoustics.bundled()
    logs = likelihoods(passage, model)
    states = state_chances(logs, model)
    return states @ _visemes(model.names) * englishness(logs, states, model)


def likelihoods(passage: npt.NDArray[np.float32], model: Acoustics) -> npt.NDArray[np.float32]:
    """(T, K * 3) log likelihood of each state, whatever the level of the passage."""
    loudest = max(_QUIETEST, float(np.abs(passage).max()))
    return model.likelihoods(cepstra(passage * (_PEAK / loudest)))


def englishness(
    logs: npt.NDArray[np.float32], states: npt.NDArray[np.float64], model: Acoustics
) -> float:
    """How near the sounds of a passage are to those of English, 0..1.

    Args:
        logs: (T, K * 3) likelihoods.
        states: (T, K * 3) chances.
        model: of the K phones.
    """
    first = model.silence * STATES
    talking = states[:, first : first + STATES].sum(1) < 0.5
    if not talking.any():
        return 1.0
    near = float((states[talking] * logs[talking]).sum(1).mean())
    return float(np.clip((near - _FOREIGN) / (_ENGLISH - _FOREIGN), 0, 1))


def state_chances(logs: npt.NDArray[np.float32], model: Acoustics) -> npt.NDArray[np.float64]:
    """(T, K * 3) chance of each state in the light of the whole passage, from likelihoods."""
    likely = np.exp(logs.astype(np.float64) - logs.max(1, keepdims=True)) + _LEAST
    onward, back = model.steps, np.ascontiguousarray(model.steps.T)
    past, future = np.empty_like(likely), np.empty_like(likely)
    now = np.zeros(likely.shape[1])
    now[model.silence * STATES] = 1
    for i in range(len(likely)):
        now = (now @ onward if i else now) * likely[i]
        now /= now.sum()
        past[i] = now
    now = np.ones(likely.shape[1])
    for i in reversed(range(len(likely))):
        future[i] = now
        now = (now * likely[i]) @ back
        now /= now.sum()
    both = past * future
    return both / both.sum(1, keepdims=True)


@lru_cache(maxsize=1)
def _visemes(names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """(K * 3, V) what the lips do in each state: diphthongs change on the way."""
    shares = np.zeros((len(names), STATES, len(VISEMES)))
    for phone, name in enumerate(names):
        shapes = of_arpabet(name)
        for state, late in enumerate(np.linspace(0, 1, STATES)):
            shares[phone, state, shapes[0]] += 1 - late
            shares[phone, state, shapes[-1]] += late
    return shares.reshape(-1, len(VISEMES))


def _at(curve: npt.NDArray[np.float64], places: npt.NDArray[np.float64]) -> Phones:
    """The rows of a curve at fractional places, its ends beyond them."""
    rows = np.arange(len(curve))
    return np.stack([np.interp(places, rows, column) for column in curve.T], 1).astype(np.float32)
