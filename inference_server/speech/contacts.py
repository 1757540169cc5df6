"""What lips, teeth and tongue must show: closures for P, B, M; F, V, TH, L; a round U and W."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from inference_server.datatypes import ARKIT_INDEX

from .features import RATE
from .hearing import Heard
from .phones import Phones
from .visemes import VISEMES

Curve = npt.NDArray[np.float64]

_WIDE = ("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight")
_PBM, _FV, _TH, _L, _U = (VISEMES.index(name) for name in ("PBM", "FV", "TH", "L", "U"))
_SURE_PHONE = 0.5  # of `sure`: 78 % of such frames are a P, B or M, and 91 % of all are found
_POSSIBLE = 0.25  # chance of closed lips that such a phone needs from the network
_SURE_CLOSED = 0.6  # chance of closed lips that needs no phone
_SURE_TEETH = 0.3  # chance of an F or V that is surer than P, B and M
_ONSET, _SURE_ONSET = 5, 0.12  # frames; chances of phone and closed lips together
_LONGEST_S = 0.3  # longer ones are rests, which silence makes
_TEETH_ROLL, _TEETH_LIP_UP, _TEETH_JAW = 0.5, 0.12, 0.10  # weights of a full F
_BEGINS, _FULL = 0.3, 0.55  # of `sure`, where teeth and tongue begin to show, and are in full view
_TONGUE_TH, _TONGUE_L = 0.15, 0.06  # tongueOut
_SOFT_S = 0.02
# weights of a full U, which the network's mean of many people draws as wide and open as an E; of
# seven settings a middle one: width follows GRID's six speakers better (.47 instead of .43), the
# fourteen wild ones worse (.56 instead of .58)
_ROUND_PUCKER, _ROUND_FUNNEL, _ROUND_JAW = 0.45, 0.35, 0.25
_ROUND_BEGINS, _ROUND_FULL = 0.15, 0.45  # of `sure`


def closures(
    heard: Heard, phones: Phones, active: Curve, begins: bool = False
) -> list[tuple[float, float]]:
    """Spans (begin, end) in seconds in which the lips must meet once.

    A P, B or M that begins a sound is heard only as it opens, which sounds like little: half of
    them are cut off. There less is asked for, and the lips meet at the very beginning. An F or V
    brings the lip to the teeth instead.

    Args:
        heard: of the network, U frames.
        phones: (U, 16) of the recogniser.
        active: (U,) 0 where nobody speaks.
        begins: whether the sound begins with a voice.
    """
    shown = sure(heard, phones)
    shut = (shown[:, _PBM] > _SURE_PHONE) & (heard.closed > _POSSIBLE)
    shut |= heard.closed > _SURE_CLOSED
    shut &= active > 0.5
    borders = np.flatnonzero(np.diff(np.concatenate([[0], shut, [0]]))).reshape(-1, 2)
    found = [
        (first / RATE, (last - 1) / RATE)
        for first, last in borders.tolist()
        if last - first <= _LONGEST_S * RATE and not _bites(shown[max(0, first - 2) : last + 2])
    ]
    onset = shown[:_ONSET, _PBM] + heard.closed[:_ONSET]
    if begins and not shut[0] and onset.max() > _SURE_ONSET:
        found.insert(0, (0.0, 0.0))
    return found


def _bites(shown: Curve) -> bool:
    """Whether these frames are an F or V rather than a P, B or M."""
    teeth: float = shown[:, _FV].max()
    return teeth > max(_SURE_TEETH, float(shown[:, _PBM].max()))


def sure(heard: Heard, phones: Phones) -> Curve:
    """(U, 16) chance of each viseme: the mean of network and recogniser.

    Where the recogniser says less, because it is not installed or the language is not its own,
    the network counts for more.
    """
    said = np.minimum(1, phones.sum(1, keepdims=True, dtype=np.float64))
    both: Curve = (phones + heard.visemes * (2 - said)) / 2
    return both


def touch(heard: Heard, phones: Phones) -> Curve:
    """(U, 4) how much the frame is an F or V, a TH, an L, and a U or W; 0..1."""
    shown = sure(heard, phones)[:, (_FV, _TH, _L, _U)]
    begins = np.array([_BEGINS, _BEGINS, _BEGINS, _ROUND_BEGINS])
    full = np.array([_FULL, _FULL, _FULL, _ROUND_FULL])
    sharp = np.clip((shown - begins) / (full - begins), 0, 1)
    return scipy.ndimage.gaussian_filter1d(sharp, _SOFT_S * RATE, axis=0)


def show(expression: Curve, touching: Curve) -> None:
    """Lay the lip against the teeth for F and V, show the tongue, round the lips; in place.

    Args:
        expression: (N, 52) ARKit weights.
        touching: (N, 4) of `touch`, at the frames.
    """
    teeth, between, behind, rounded = touching.T
    jaw = expression[:, ARKIT_INDEX["jawOpen"]]
    for share, most in ((teeth, _TEETH_JAW), (rounded, _ROUND_JAW)):
        np.minimum(jaw, 1 - share * (1 - most), out=jaw)
    for name, weight in (("mouthPucker", _ROUND_PUCKER), ("mouthFunnel", _ROUND_FUNNEL)):
        column = expression[:, ARKIT_INDEX[name]]
        np.maximum(column, weight * rounded, out=column)
    for name in _WIDE:
        expression[:, ARKIT_INDEX[name]] *= 1 - rounded
    for name in ("mouthLowerDownLeft", "mouthLowerDownRight"):
        expression[:, ARKIT_INDEX[name]] *= 1 - teeth
    for name in ("mouthUpperUpLeft", "mouthUpperUpRight"):
        column = expression[:, ARKIT_INDEX[name]]
        expression[:, ARKIT_INDEX[name]] = np.maximum(column, _TEETH_LIP_UP * teeth)
    roll = ARKIT_INDEX["mouthRollLower"]
    expression[:, roll] = np.maximum(expression[:, roll], _TEETH_ROLL * teeth)
    tongue = np.maximum(_TONGUE_TH * between, _TONGUE_L * behind)
    expression[:, ARKIT_INDEX["tongueOut"]] = tongue
