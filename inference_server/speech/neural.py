"""Speech to motion by the bundled network: lips as measured on speakers, in any language."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Speech
from inference_server.registry import SpokenMotion

from . import contacts, hearing, lip_fit, phones
from .face import Amounts, complete
from .features import RATE, log_mel, normalise
from .frames import Frames
from .mouth import activity
from .style import NOBODY, VoiceStyle, read_style
from .voice import STEPS_PER_S, speaking

Curve = npt.NDArray[np.float64]

LIFE_SIZE = 1.8  # the network is careful: what it hears is that much smaller than life
_N_LIPS = 40
_OPENING_TO_JAW = 3.0  # jawOpen for one outer-eye distance of opening, about


class Neural:
    """Motion source that hears with a small network, and with pocketsphinx where it is there."""

    version = "1"

    def motion(
        self, speech: Speech, fps: Fraction, n_frames: int, seed: int, params: Mapping[str, Any]
    ) -> SpokenMotion:
        """Motion of `n_frames` frames; frame i shows the sound at i / fps seconds.

        Args:
            speech: the sound.
            fps: frames per second, exact.
            n_frames: N; frames beyond the sound are silent.
            seed: of the random part.
            params: those of face.Amounts, and voice_style.
        """
        amounts = Amounts.of(params)
        chosen = params.get("voice_style", "")
        style = read_style(Path(chosen)) if chosen else NOBODY
        at = Frames(fps, n_frames)
        spoken = speaking(speech.samples)
        heard, known = listen(speech.samples, spoken, style)
        spoken = np.pad(spoken, (0, at.missing_steps(len(spoken))))
        active = activity(spoken)
        active_50 = active[:: STEPS_PER_S // RATE]
        missing = max(0, len(active_50) - len(heard.closed))
        lips = mouth_points(heard, style)
        lips = np.pad(lips, ((0, missing), (0, 0), (0, 0)), mode="edge")
        lips = lips * (active_50[: len(lips), None, None] * amounts.lips)
        opening = np.maximum(0, lip_fit.opening(lips)) * _OPENING_TO_JAW
        wanted = at(lips, RATE)
        weights = lip_fit.fit(wanted, at(active) * min(1.0, amounts.lips))
        missed = wanted - np.tensordot(weights, lip_fit.shapes(), 1)
        expression = lip_fit.spread(weights)
        touching = contacts.touch(heard, known) * active_50[: len(known), None]
        contacts.show(expression, at(touching, RATE) * min(1.0, amounts.lips))
        gaps = contacts.closures(heard, known, active_50[: len(known)])
        motion = complete(
            expression,
            np.repeat(opening, STEPS_PER_S // RATE)[: len(spoken)],
            spoken,
            speech.start_s,
            at,
            seed,
            amounts,
            style.habits,
            {"lips": missed[:, :_N_LIPS].astype(np.float32)},
        )
        return SpokenMotion(motion, at(active) == 0, at.windows(gaps))


def listen(
    samples: npt.NDArray[np.float32], spoken: npt.NDArray[np.bool_], style: VoiceStyle = NOBODY
) -> tuple[hearing.Heard, phones.Phones]:
    """What network and recogniser hear, U frames at 50 Hz each.

    Args:
        samples: (T,) 16 kHz.
        spoken: (M,) from voice.speaking.
        style: whose mouth.
    """
    mel = normalise(log_mel(samples), spoken)
    known = phones.heard(samples, spoken)
    network = style.adapt(hearing.bundled())
    heard = hearing.hear(network, mel, known)
    return heard, known[: len(heard.closed)]


def mouth_points(heard: hearing.Heard, style: VoiceStyle = NOBODY) -> Curve:
    """(U, 45, 3) displacement of lips and chin from closed lips, as large as life."""
    network = hearing.bundled()
    points = network.points(heard.coefficients).astype(np.float64)
    return style.gain * LIFE_SIZE * points - network.rest + style.rest
