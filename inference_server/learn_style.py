"""Learn how one person speaks from a video of them: mouth habits, rest, head motion, blinks.

The network stays as it is; what is learned is a change of its last layer (ridge regression on its
hidden values, so that little sound changes little), the amplitude, where the lips rest, and the
statistics of head and lids.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from . import audio_io
from .datatypes import AudioRange
from .errors import ClipUnusable, NoFaceFound
from .portrait import video
from .speech import head, hearing, neural, voice
from .speech.blinks import PER_MINUTE
from .speech.face import Habits
from .speech.features import RATE, log_mel, normalise
from .speech.lip_fit import opening
from .speech.phones import heard as recognise
from .speech.style import VoiceStyle

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

_SHORTEST_S, _LONGEST_S = 5.0, 300.0
_FACE_SHARE = 0.6  # of the frames
_LARGEST_LAG = 15  # steps of 20 ms
_FITS = 0.25  # correlation at the best lag, of opening, lower lip and width
_RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)  # frames' worth of doubt
_FOLDS = 4
_GAIN_RANGE = (0.5, 1.6)
_CLOSED_SHARE = 0.1  # of the frames, the most closed ones: they show where the lips rest
_SWAY_SHARE = 0.5  # of a live speaker's sway: a portrait that sways as far looks restless
_LID_SHUT = 0.6  # of the median opening
_DOUBT_MINUTES = 0.5  # worth of what is known of people in general


@dataclass(frozen=True, slots=True)
class Lesson:
    """What came of a clip."""

    style: VoiceStyle
    minutes: float
    lag_ms: int  # of the sound, corrected
    fit_before: float  # correlation of mouth opening on parts left out, without the style
    fit_after: float  # with it


def learn(clip: Path) -> Lesson:
    """The style of the speaker in a clip of 5 s to 5 minutes; longer ones are cut.

    Raises:
        NoFaceFound: no face in most of its frames.
        AudioUnreadable: no sound.
        ImageUnreadable: no pictures.
        ClipUnusable: too short, or the sound does not belong to the lips.
    """
    speech = audio_io.read_speech(AudioRange(clip, 0.0, None))
    mesh, found, fps = video.track(clip, _LONGEST_S)
    if found.mean() < _FACE_SHARE or not len(found):
        text = f'A face is seen in {found.sum()} of {len(found)} frames of "{clip.name}".'
        raise NoFaceFound(text, "Film one face from the front, well lit, for 10 to 60 s.")
    if len(found) / fps < _SHORTEST_S:
        text = f'"{clip.name}" is {len(found) / fps:.1f} s long.'
        raise ClipUnusable(text, "10 to 60 s of speech are needed.")
    points = video.stabilise(mesh, found)[:, (*video.LIPS, *video.CHIN)]
    return learn_from(points, fps, speech.samples, clip.name, _habits(mesh, found, fps))


def learn_from(
    points: Array, fps: float, samples: npt.NDArray[np.float32], name: str, habits: Habits
) -> Lesson:
    """The style of tracked lips.

    Args:
        points: (T, 45, 3) lips and chin of video.stabilise.
        fps: of the points.
        samples: the sound, 16 kHz.
        name: for messages.
        habits: of head and lids.
    """
    seen = _resample(points - points.mean(0), fps)
    network = hearing.bundled()
    spoken = voice.speaking(samples)
    hidden, shapes = _hidden(network, samples, spoken)
    lag, likeness = _best_lag(shapes, seen)
    if likeness < _FITS:
        text = f'The sound of "{name}" does not fit the lips (best likeness {likeness:.2f}).'
        raise ClipUnusable(text, "Check that sound and picture belong together and are in step.")
    hidden, seen, talks = _overlap(hidden, seen, spoken[::2], lag)
    wanted = (seen * [1, 1, hearing.DEPTH_WEIGHT]).reshape(len(seen), -1) @ network.basis.T
    wanted = wanted / network.deviation
    last = network.net.mouth[-1]
    assert isinstance(last, torch.nn.Linear)
    weight, bias = (each.detach().cpu().numpy()[:-1] for each in (last.weight, last.bias))
    before = hidden @ weight.T + bias
    known = np.concatenate([hidden, np.ones((len(hidden), 1))], 1)
    ridge, left_out = _choose_ridge(known[talks], (wanted - before)[talks], before[talks])
    change = _solve(known[talks], (wanted - before)[talks], ridge)
    gain, fits = _gain_and_fit(network, wanted[talks], before[talks], left_out)
    rest = _rest(seen)
    style = VoiceStyle(
        habits=habits,
        gain=gain,
        rest=(network.rest - rest).astype(np.float32),
        weight=np.pad(change[:-1].T, ((0, 1), (0, 0))).astype(np.float32),
        bias=np.pad(change[-1], (0, 1)).astype(np.float32),
    )
    return Lesson(style, len(seen) / RATE / 60, 20 * lag, *fits)


def _resample(values: Array, fps: float) -> Array:
    """(T, ...) at `fps` -> (U, ...) at RATE, linearly."""
    flat = values.reshape(len(values), -1)
    times = np.arange(int(len(values) / fps * RATE)) / RATE * fps
    columns = [np.interp(times, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns, 1).reshape(-1, *values.shape[1:])


def _hidden(
    network: hearing.Network, samples: npt.NDArray[np.float32], spoken: npt.NDArray[np.bool_]
) -> tuple[Array, Array]:
    """What goes into the network's last layer (U, 96), and the mouth (U, 45, 3) it makes of it."""
    kept: list[npt.NDArray[np.float32]] = []

    def keep(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        kept.append(inputs[0][0].cpu().numpy())

    last: torch.nn.Module = network.net.mouth[-1]
    hook = last.register_forward_pre_hook(keep)
    mel = normalise(log_mel(samples), spoken)
    try:
        heard = hearing.hear(network, mel, recognise(samples, spoken), chunk=len(mel))
    finally:
        hook.remove()
    return kept[0].astype(np.float64), network.points(heard.coefficients).astype(np.float64)


def _curves(points: Array) -> Array:
    """(U, 3) opening, lower lip and width."""
    width = points[:, 10, 0] - points[:, 0, 0]
    return np.stack([opening(points), points[:, 5, 1], width], 1)


def _best_lag(heard: Array, seen: Array) -> tuple[int, float]:
    """Steps of 20 ms by which the sound is late, and the likeness of the lips there."""
    best = (0, -1.0)
    for lag in range(-_LARGEST_LAG, _LARGEST_LAG + 1):
        a, b = _shifted(_curves(heard), _curves(seen), lag)
        likeness = [float(np.corrcoef(x, y)[0, 1]) for x, y in zip(a.T, b.T, strict=True)]
        if np.mean(likeness) > best[1]:
            best = (lag, float(np.mean(likeness)))
    return best


def _shifted(heard: Array, seen: Array, lag: int) -> tuple[Array, Array]:
    length = min(len(heard), len(seen))
    return (
        heard[max(lag, 0) : length + min(lag, 0)],
        seen[max(-lag, 0) : length + min(-lag, 0)],
    )


def _overlap(
    hidden: Array, seen: Array, spoken: npt.NDArray[np.bool_], lag: int
) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    a, b = _shifted(hidden, seen, lag)
    shifted, _ = _shifted(spoken.astype(np.float64), seen, lag)
    talks = np.pad(shifted, (0, max(0, len(a) - len(shifted))))[: len(a)] > 0
    return a, b, talks if talks.any() else np.ones(len(a), bool)


def _solve(known: Array, wanted: Array, ridge: float) -> Array:
    """(97, 12) change of weights and bias that explains (U, 12) at the least size."""
    gram = known.T @ known + ridge * np.eye(known.shape[1])
    return np.linalg.solve(gram, known.T @ wanted)


def _choose_ridge(known: Array, wanted: Array, before: Array) -> tuple[float, Array]:
    """The doubt that predicts parts left out best, and the prediction (U, 12) of those parts."""
    folds = np.arange(len(known)) * _FOLDS // len(known)
    best = (np.inf, _RIDGES[-1], before)
    for ridge in _RIDGES:
        guess = before.copy()
        for fold in range(_FOLDS):
            out = folds == fold
            guess[out] += known[out] @ _solve(known[~out], wanted[~out], ridge)
        error = float(np.square(guess - before - wanted).sum())
        if error < best[0]:
            best = (error, ridge, guess)
    return best[1], best[2]


def _gain_and_fit(
    network: hearing.Network, wanted: Array, before: Array, after: Array
) -> tuple[float, tuple[float, float]]:
    """Amplitude on top of life size, and correlations of opening without and with the change."""
    real, old, new = (
        opening(network.points(c.astype(np.float32)).astype(np.float64))
        for c in (wanted, before, after)
    )
    life, guessed = _without_posture(real).std(), _without_posture(new).std()
    gain = float(np.clip(life / (neural.LIFE_SIZE * guessed + 1e-9), *_GAIN_RANGE))
    fits = tuple(float(np.corrcoef(real, guess)[0, 1]) for guess in (old, new))
    return gain, (fits[0], fits[1])


def _without_posture(curve: Array) -> Array:
    """The curve minus its mean over a second: how the jaw is set is no amplitude."""
    return (
        curve
        - np.convolve(np.pad(curve, RATE // 2, mode="edge"), np.ones(RATE) / RATE, "same")[
            RATE // 2 : RATE // 2 + len(curve)
        ]
    )


def _rest(seen: Array) -> Array:
    """(45, 3) mean of the frames in which the lips are nearest to each other."""
    gaps = opening(seen)
    return seen[gaps <= np.quantile(gaps, _CLOSED_SHARE)].mean(0)


def _habits(mesh: Array, found: npt.NDArray[np.bool_], fps: float) -> Habits:
    """Head motion and blinks."""
    angles = video.head_angles(mesh, found)
    smooth = np.stack([np.convolve(a, np.ones(5) / 5, "valid") for a in angles.T], 1)
    deviation = smooth.std(0)
    speed = np.diff(smooth, axis=0).std(0) * fps / np.maximum(deviation, 1e-3)
    minutes = len(mesh) / fps / 60
    lids = video.eyes_open(mesh, found)
    shut = lids < _LID_SHUT * np.median(lids)
    blinks = int((np.diff(shut.astype(int)) == 1).sum())
    often = (blinks + PER_MINUTE * _DOUBT_MINUTES) / (minutes + _DOUBT_MINUTES)
    sway = np.clip(_SWAY_SHARE * deviation, 0.2, 6.0).round(3).tolist()
    rates = np.clip(speed, 0.5 * np.array(head.SPEED), 2 * np.array(head.SPEED)).round(3).tolist()
    return Habits(tuple(sway), tuple(rates), round(float(np.clip(often, 2, 50)), 1))


def style_path(text: str) -> Path:
    """Where a style is saved: with the ending .safetensors."""
    return Path(text if re.search(r"\.safetensors$", text) else f"{text}.safetensors").absolute()
