"""Speech to motion by the bundled network: lips as measured on speakers, in any language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from inference_server.datatypes import Speech
from inference_server.registry import Heed, SpokenMotion, unheeded

from . import blocks, contacts, head, hearing, lip_fit, phones, recogniser, words
from .face import Amounts, complete
from .features import RATE, log_mel, normalise
from .frames import Frames
from .mouth import activity
from .style import NOBODY, VoiceStyle, read_style
from .voice import STEPS_PER_S, speaking

Curve = npt.NDArray[np.float64]

LIFE_SIZE = 1.9  # the network is careful: what it hears is that much smaller than life
# how careful depends on how well it knows the kind of voice, and how far people open their mouths
# is not in the sound (correlation -0.16 over 19 tracked speakers): everybody opens as usual
_USUAL_OPENING = 0.055 / LIFE_SIZE  # outer-eye distances, deviation; GRID 0.056, others 0.061
_EVEN_REACH_S = 10.0
_DOUBT_S = 2.0  # of usual speech, counted in
_LEAST_EVENED, _MOST_EVENED = 0.5, 1.8
_AT_ONCE_S = 0.06  # a voice that is heard by then begins with the sound
# lips part well before a voice is heard and take their time after it: closing them at once in
# every pause costs 0.08 of the correlation of opening and half of the closures on GRID's speakers
_BEFORE_S, _AFTER_S, _RAMP_S = 0.45, 0.3, 0.25
_TALKS = 0.5  # of that activity
_SMOOTH = 1.0  # frames of 20 ms
_N_LIPS = 40
_BLOCK = 2000  # frames fitted at a time
_OPENING_TO_JAW = 3.0  # jawOpen for one outer-eye distance of opening, about


class Neural:
    """Motion source that hears with a small network, and with pocketsphinx where it is there."""

    def __init__(self) -> None:
        ears = recogniser.version()
        self.version = f"1, {recogniser.PACKAGE} {ears}" if ears else "1"
        self._warnings = () if ears else (recogniser.MISSING,)

    def motion(
        self,
        speech: Speech,
        fps: Fraction,
        n_frames: int,
        seed: int,
        params: Mapping[str, Any],
        heed: Heed = unheeded,
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
        style = read_style(Path(chosen), hearing.bundled()) if chosen else NOBODY
        at = Frames(fps, n_frames, speech.before_s)
        script = words.script(params.get("words", ()), speech.before_s)
        spoken, swell, *answers, known = blocks.joined(
            _heard(block, style, script) for block in blocks.blocks(speech, heed)
        )
        heard, audible = hearing.Heard(*answers), blocks.audible(speech, spoken)
        voice = heard
        if script.words:
            size = style.gain * LIFE_SIZE
            heard, known, audible = words.acted(
                heard, known, audible, script, hearing.bundled(), size
            )
        origin_s = speech.start_s - speech.before_s
        said = express(
            heard,
            known,
            spoken,
            at,
            style,
            amounts,
            origin_s,
            seed,
            audible=audible,
            voice=voice,
            swell=swell,
        )
        return replace(said, warnings=(*self._warnings, *style.warnings))


def _heard(
    block: blocks.Block, style: VoiceStyle, said: words.Script
) -> tuple[npt.NDArray[Any], ...]:
    """Of one block: speech, sway of the head, what the network hears, and the recogniser."""
    spoken = speaking(block.samples)
    heard, known = listen(block.samples, spoken, style, said.after(block.begin_s))
    answers = (heard.coefficients, heard.closed, heard.visemes, known)
    steps = spoken, head.swell(block.samples, spoken)
    return (
        *(block.own(rows, STEPS_PER_S) for rows in steps),
        *(block.own(rows, RATE) for rows in answers),
    )


def listen(
    samples: npt.NDArray[np.float32],
    spoken: npt.NDArray[np.bool_],
    style: VoiceStyle = NOBODY,
    said: words.Script = words.NOTHING,
) -> tuple[hearing.Heard, phones.Phones]:
    """What network and recogniser hear, U frames at 50 Hz each.

    Args:
        samples: (T,) 16 kHz.
        spoken: (M,) from voice.speaking.
        style: whose mouth.
        said: words that are known.
    """
    mel = normalise(log_mel(samples), spoken)
    known = words.told(phones.heard(samples, spoken), samples, said)
    heard = attend(style.adapt(hearing.bundled()), mel, known, spoken, style)
    return heard, known[: len(heard.closed)]


def attend(
    network: hearing.Network,
    mel: npt.NDArray[np.float32],
    known: phones.Phones,
    spoken: npt.NDArray[np.bool_],
    style: VoiceStyle = NOBODY,
) -> hearing.Heard:
    """What a network makes of spectra and phones: smooth, and as large as usual.

    Args:
        network: which one.
        mel: (M, 64) normalised spectra at 100 Hz.
        known: (U, 16) of the recogniser.
        spoken: (M,) from voice.speaking.
        style: whose mouth; a learned one knows how large it is.
    """
    heard = hearing.hear(network, mel, known)
    coefficients = smoothed(heard.coefficients)
    if style is NOBODY:
        mouth = lip_fit.opening(network.points(coefficients).astype(np.float64))
        talks = activity_of(spoken)[:: STEPS_PER_S // RATE] > _TALKS
        coefficients *= evened(mouth, talks[: len(mouth)]).astype(np.float32)[:, None]
    return replace(heard, coefficients=coefficients)


def express(
    heard: hearing.Heard,
    known: phones.Phones,
    spoken: npt.NDArray[np.bool_],
    at: Frames,
    style: VoiceStyle,
    amounts: Amounts,
    start_s: float,
    seed: int,
    network: hearing.Network | None = None,
    audible: npt.NDArray[np.bool_] | None = None,
    voice: hearing.Heard | None = None,
    swell: Curve | None = None,
) -> SpokenMotion:
    """The motion of a face that says what was heard.

    Args:
        heard: from `attend`, U frames.
        known: (U, 16) of the recogniser.
        spoken: (M,) from voice.speaking.
        at: the frames of the shot.
        style: whose mouth and habits.
        amounts: of each movement.
        start_s: where the stretch begins in the sound.
        seed: of the random part.
        network: that heard it; the bundled one.
        audible: (M,) where the shot lets one hear that; everywhere.
        voice: in which stresses are heard, where words were moved in `heard`.
        swell: (M,) from head.swell; nowhere.
    """
    missing = (0, at.missing_steps(len(spoken)))
    active = activity_of(np.pad(spoken if audible is None else audible, missing))
    swell = np.pad(np.zeros(len(spoken)) if swell is None else swell, missing)
    spoken = np.pad(spoken, missing)
    active_50 = active[:: STEPS_PER_S // RATE][: len(known)]
    life = at(active) * amounts.lips
    expression, missed = _fitted(at(heard.coefficients, RATE), life, style, network)
    touching = contacts.touch(heard, known) * active_50[:, None]
    contacts.show(expression, at(touching, RATE) * min(1.0, amounts.lips))
    begins = start_s + at.begin_s == 0 and bool(spoken[: round(_AT_ONCE_S * STEPS_PER_S)].any())
    gaps = contacts.closures(heard, known, active_50, begins)
    opening = _opening(voice or heard, style, activity_of(spoken), network)
    native = {"lips": missed}
    habits = style.habits
    motion = complete(
        expression, opening, spoken, swell, start_s, at, seed, amounts, habits, native
    )
    return SpokenMotion(motion, at(active) == 0, at.windows(gaps))


def evened(opening: Curve, talks: npt.NDArray[np.bool_]) -> Curve:
    """(U,) factor that makes the mouth open as far as people do, on average within 10 s.

    Args:
        opening: (U,) that the network hears, outer-eye distances.
        talks: (U,) where that counts.
    """
    width = 2 * round(_EVEN_REACH_S * RATE) + 1

    def near(values: Curve) -> Curve:
        total: Curve = width * scipy.ndimage.uniform_filter1d(values, width, mode="constant")
        return total

    weight = talks.astype(np.float64)
    count, total, squares = near(weight), near(weight * opening), near(weight * opening**2)
    spread = np.maximum(0, squares - total**2 / np.maximum(count, 1))
    doubt = _DOUBT_S * RATE
    deviation = np.sqrt((spread + doubt * _USUAL_OPENING**2) / (count + doubt))
    return np.clip(_USUAL_OPENING / deviation, _LEAST_EVENED, _MOST_EVENED)


def activity_of(spoken: npt.NDArray[np.bool_]) -> Curve:
    """(M,) 1 where the mouth moves, 0 where it rests, every 10 ms."""
    return activity(spoken, _BEFORE_S, _AFTER_S, _RAMP_S)


def smoothed(coefficients: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(U, K) without jitter beyond that of tracked faces."""
    smooth: npt.NDArray[Any] = scipy.ndimage.gaussian_filter1d(
        coefficients, _SMOOTH, axis=0, mode="nearest"
    )
    return smooth


def mouth_points(
    coefficients: npt.NDArray[np.floating],
    style: VoiceStyle = NOBODY,
    network: hearing.Network | None = None,
) -> Curve:
    """(U, 45, 3) displacement of lips and chin from closed lips, as large as life.

    Args:
        coefficients: (U, 12) of the network.
        style: whose mouth.
        network: that heard them; the bundled one.
    """
    network = network or hearing.bundled()
    points = network.points(coefficients.astype(np.float32)).astype(np.float64)
    points *= style.gain * LIFE_SIZE
    points -= network.rest if style.closed is None else style.closed
    return points


def _fitted(
    coefficients: Curve, life: Curve, style: VoiceStyle, network: hearing.Network | None
) -> tuple[Curve, npt.NDArray[np.float32]]:
    """ARKit weights (N, 52), and how far their lips (N, 40, 3) are from those that were heard.

    Args:
        coefficients: (N, 12) of the network, at the frames.
        life: (N,) how large the mouth moves; 0 is at rest.
        style: whose mouth.
        network: that heard it.
    """
    expression, missed = [], []
    for first in range(0, len(coefficients), _BLOCK):
        block = slice(first, first + _BLOCK)
        lips = mouth_points(coefficients[block], style, network) * life[block, None, None]
        weights = lip_fit.fit(lips, np.minimum(1.0, life[block]))
        expression.append(lip_fit.spread(weights))
        lips -= np.tensordot(weights, lip_fit.shapes(), 1)
        missed.append(lips[:, :_N_LIPS].astype(np.float32))
    if not expression:
        return np.zeros((0, 52)), np.zeros((0, _N_LIPS, 3), np.float32)
    return np.concatenate(expression), np.concatenate(missed)


def _opening(
    heard: hearing.Heard, style: VoiceStyle, active: Curve, network: hearing.Network | None
) -> Curve:
    """(M,) opening of the mouth as the jaw makes it, every 10 ms; for stresses."""
    unit = np.vstack([np.zeros(12), np.eye(12)])
    still, *per_component = lip_fit.opening(mouth_points(unit, style, network))
    opening = heard.coefficients @ (np.array(per_component) - still) + still
    opening = np.repeat(np.maximum(0, opening), STEPS_PER_S // RATE)[: len(active)]
    return np.pad(opening, (0, len(active) - len(opening))) * active * _OPENING_TO_JAW
