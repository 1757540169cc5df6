"""Fit the network to one speaker: amplitude, posture and a change of its last layer.

Little is learned from little. The change of the last layer is a ridge regression of what the
network missed; how much it is doubted is chosen on parts of the clip that were left out, and
within one standard error of the best the least change is taken, down to none. On the mean of ten
halves of clips of strangers no score of the other half got worse; single ones did (opening by up
to .04 of correlation, width by .11). What is slower than two seconds is posture, or a head that
was not wholly taken out of the tracked points: it is kept out of the regression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .features import RATE
from .hearing import DEPTH_WEIGHT, Network
from .lip_fit import opening

Array = npt.NDArray[np.float64]

_DOUBTS = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0, np.inf)  # frames' worth; inf: no change
_FOLDS = 8
_POSTURE_S = 2.0
_PEOPLE_DIFFER = 0.3  # standard deviation of the log of amplitude, over 12 tracked people
_MOST_GAIN = np.log(2.5)
_POSTURE_DOUBT_S = 10.0  # of speech, that people in general are worth
_CLOSED_SHARE = 0.1  # of the frames, the most closed ones: they show where closed lips lie
_LEFT, _RIGHT = 10, 0  # mouth corners


@dataclass(frozen=True, slots=True, eq=False)
class Teaching:
    """A speaker's lips beside what the network heard, U frames at 50 Hz."""

    hidden: Array  # (U, H) what goes into the network's last layer, smoothed like its answer
    heard: Array  # (U, K) its components
    seen: Array  # (U, 45, 3) the speaker's, minus their mean, outer-eye distances
    talks: npt.NDArray[np.bool_]  # (U,)


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """What makes the network speak like somebody; see style.VoiceStyle."""

    gain: float  # with the change of the last layer
    plain_gain: float  # without
    weight: Array  # (K, H)
    bias: Array  # (K,)
    closed: Array  # (45, 3)
    fits: dict[str, tuple[float, float]]  # correlation on parts left out, before and after


def adapt(network: Network, teaching: Teaching, life_size: float) -> Adaptation:
    """Learn from a teaching.

    Args:
        network: that heard it.
        teaching: at least some seconds.
        life_size: what the network's answers are multiplied with.
    """
    talks = teaching.talks if teaching.talks.any() else np.ones(len(teaching.talks), bool)
    scale = np.array([1, 1, DEPTH_WEIGHT])
    wanted = (teaching.seen * scale).reshape(len(talks), -1) @ network.basis.T / network.deviation
    known, before, after = (
        without_posture(each)[talks] for each in (teaching.hidden, teaching.heard, wanted)
    )
    views = _views(network)
    doubt, guess = _choose_doubt(known, after - before, after, views)
    change = _solve(known, after - before, doubt)
    styled = before + guess
    gain = _gain(after @ views[0], styled @ views[0], life_size)
    share = talks.sum() / (talks.sum() + _POSTURE_DOUBT_S * RATE)
    off = wanted[talks].mean(0) / (gain * life_size) - teaching.heard[talks].mean(0)
    return Adaptation(
        gain=gain,
        plain_gain=_gain(after @ views[0], before @ views[0], life_size),
        weight=change.T,
        bias=share * off - teaching.hidden[talks].mean(0) @ change,
        closed=share * _closed(teaching.seen) + (1 - share) * network.rest,
        fits={
            name: (
                likeness((after @ view)[:, 0], (before @ view)[:, 0]),
                likeness((after @ view)[:, 0], (styled @ view)[:, 0]),
            )
            for name, view in zip(("opening", "width"), views, strict=False)
        },
    )


def without_posture(values: Array) -> Array:
    """(U, ...) minus its mean over two seconds: how a jaw is set is no movement."""
    size = round(_POSTURE_S * RATE) | 1
    slow: Array = scipy.ndimage.uniform_filter1d(values, size, axis=0, mode="nearest")
    return values - slow


def _views(network: Network) -> tuple[Array, Array, Array]:
    """What an error is measured in: (K, 1) opening, (K, 1) width and (K, K) all points."""
    units = network.points(np.eye(len(network.deviation), dtype=np.float32)).astype(np.float64)
    width = units[:, _LEFT, 0] - units[:, _RIGHT, 0]
    return opening(units)[:, None], width[:, None], np.diag(network.deviation).astype(np.float64)


def _solve(known: Array, missed: Array, doubt: float) -> Array:
    """(H, K) change of the weights that explains (U, K) at the least size."""
    if np.isinf(doubt):
        return np.zeros((known.shape[1], missed.shape[1]))
    return np.linalg.solve(known.T @ known + doubt * np.eye(known.shape[1]), known.T @ missed)


def _choose_doubt(
    known: Array, missed: Array, wanted: Array, views: tuple[Array, ...]
) -> tuple[float, Array]:
    """The doubt, and what it lets (U, K) parts be changed by that were left out."""
    folds = np.arange(len(known)) * _FOLDS // len(known)
    guesses, errors = [], []
    for doubt in _DOUBTS:
        guess = np.empty_like(missed)
        for fold in range(_FOLDS):
            out = folds == fold
            guess[out] = known[out] @ _solve(known[~out], missed[~out], doubt)
        guesses.append(guess)
        shares = [
            np.square((missed - guess) @ view).sum(1) / np.square(wanted @ view).sum()
            for view in views
        ]
        errors.append(np.bincount(folds, np.mean(shares, 0), _FOLDS))
    table = np.array(errors)
    best = int(table.sum(1).argmin())
    worse = table - table[best]
    doubtful = worse.std(1, ddof=1) * np.sqrt(_FOLDS)  # standard error of the sum over folds
    chosen = int(np.flatnonzero(worse.sum(1) <= doubtful + 1e-12).max())
    return _DOUBTS[chosen], guesses[chosen]


def _gain(wanted: Array, guessed: Array, life_size: float) -> float:
    """Amplitude on top of life size, nearer to 1 the less certain it is; (U, 1) openings."""
    logs = [
        np.log((a.std() + 1e-9) / (life_size * b.std() + 1e-9))
        for a, b in zip(
            np.array_split(wanted, _FOLDS), np.array_split(guessed, _FOLDS), strict=True
        )
    ]
    uncertain = np.var(logs, ddof=1) / _FOLDS
    whole = np.log((wanted.std() + 1e-9) / (life_size * guessed.std() + 1e-9))
    trusted = whole * _PEOPLE_DIFFER**2 / (_PEOPLE_DIFFER**2 + uncertain)
    return float(np.exp(np.clip(trusted, -_MOST_GAIN, _MOST_GAIN)))


def _closed(seen: Array) -> Array:
    """(45, 3) mean of the frames in which the lips are nearest to each other."""
    gaps = opening(seen)
    mean: Array = seen[gaps <= np.quantile(gaps, _CLOSED_SHARE)].mean(0)
    return mean


def likeness(a: Array, b: Array) -> float:
    """Correlation of two curves (U,); 0 where one stands still."""
    if min(a.std(), b.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
