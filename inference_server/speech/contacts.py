"""Where lips, teeth and tongue touch: closures for P, B, M, and F, V, TH, L made visible."""

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

_PBM, _FV, _TH = (VISEMES.index(name) for name in ("PBM", "FV", "TH"))
_SURE_PHONE = 0.45  # of recogniser or network, that it is a P, B or M
_POSSIBLE = 0.25  # chance of closed lips that such a phone needs from the network
_SURE_CLOSED = 0.6  # chance of closed lips that needs no phone
_LONGEST_S = 0.3  # longer ones are rests, which silence makes
_TEETH_ROLL, _TEETH_LIP_UP, _TEETH_JAW = 0.5, 0.12, 0.10  # weights of a full F
_TONGUE = 0.15  # tongueOut of a full TH
_SOFT_S = 0.02


def closures(heard: Heard, phones: Phones, active: Curve) -> list[tuple[float, float]]:
    """Spans (begin, end) in seconds in which the lips must meet once.

    Args:
        heard: of the network, U frames.
        phones: (U, 15) of the recogniser.
        active: (U,) 0 where nobody speaks.
    """
    phone = np.maximum(phones[:, _PBM], heard.visemes[:, _PBM])
    shut = (phone > _SURE_PHONE) & (heard.closed > _POSSIBLE)
    shut |= heard.closed > _SURE_CLOSED
    shut &= active > 0.5
    borders = np.flatnonzero(np.diff(np.concatenate([[0], shut, [0]]))).reshape(-1, 2)
    return [
        (first / RATE, (last - 1) / RATE)
        for first, last in borders.tolist()
        if last - first <= _LONGEST_S * RATE
    ]


def touch(heard: Heard, phones: Phones) -> Curve:
    """(U, 2) how much the frame is an F or V, and a TH; 0..1."""
    teeth = np.maximum(phones[:, _FV], heard.visemes[:, _FV])
    tongue = (phones[:, _TH] + heard.visemes[:, _TH]) / 2  # both must hear it: a tongue shows much
    sure = np.stack([teeth, tongue], 1).astype(np.float64)
    sharp = np.clip((sure - 0.35) / 0.3, 0, 1)
    return scipy.ndimage.gaussian_filter1d(sharp, _SOFT_S * RATE, axis=0)


def show(expression: Curve, touching: Curve) -> None:
    """Lay the lower lip against the teeth for F and V, show the tongue for TH; in place.

    Args:
        expression: (N, 52) ARKit weights.
        touching: (N, 2) of `touch`, at the frames.
    """
    teeth, tongue = touching.T
    jaw = ARKIT_INDEX["jawOpen"]
    expression[:, jaw] = np.where(
        teeth > 0, np.minimum(expression[:, jaw], 1 - teeth * (1 - _TEETH_JAW)), expression[:, jaw]
    )
    for name in ("mouthLowerDownLeft", "mouthLowerDownRight"):
        expression[:, ARKIT_INDEX[name]] *= 1 - teeth
    for name in ("mouthUpperUpLeft", "mouthUpperUpRight"):
        column = expression[:, ARKIT_INDEX[name]]
        expression[:, ARKIT_INDEX[name]] = np.maximum(column, _TEETH_LIP_UP * teeth)
    roll = ARKIT_INDEX["mouthRollLower"]
    expression[:, roll] = np.maximum(expression[:, roll], _TEETH_ROLL * teeth)
    expression[:, ARKIT_INDEX["tongueOut"]] = _TONGUE * tongue
