"""Learn how one person speaks from a video of them: mouth habits, rest, head motion, blinks.

What is wrong with the clip is said with its value before anything is learned. Everything that is
learned is drawn towards people in general, the more the shorter the clip is; see
speech.adaptation for the mouth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from . import audio_io
from .datatypes import AudioRange
from .errors import ClipUnusable, NoFaceFound
from .portrait import video
from .speech import adaptation, head, hearing, neural, voice
from .speech.blinks import PER_MINUTE
from .speech.face import Habits
from .speech.features import RATE, log_mel, normalise
from .speech.lip_fit import opening
from .speech.phones import heard as recognise
from .speech.style import VoiceStyle, fingerprint

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

SHORTEST_S, _LONGEST_S = 10.0, 300.0
_SHORTEST_SPEECH_S = 3.0
_FACE_SHARE = 0.6  # of the frames
_MOST_FACES = 3
_FARTHEST_LAG = 50  # steps of 20 ms that are searched
_LARGEST_LAG = 25  # and corrected
_FITS = 0.3  # correlation of opening, lower lip and width: 99 % of wrong sounds stay below it
_AS_GOOD = 0.01  # of that correlation
_CLEARLY = 0.12  # by which one face must fit the sound better than another
_SWAY_SHARE = 0.5  # of a live speaker's sway: a portrait that sways as far looks restless
_MOST_SWAY_DEG = 6.0
_PEOPLE_DIFFER = 0.6  # standard deviation of the log of sway and speed, over 15 tracked people
_MEMORY_S = 0.64  # after which a head has forgotten where it was
_LID_SHUT = 0.6  # of the median opening
_DOUBT_MINUTES = 0.5  # worth of what is known of people in general


@dataclass(frozen=True, slots=True)
class Lesson:
    """What came of a clip."""

    style: VoiceStyle
    seconds: float  # of lips and sound together
    lag_ms: int  # of the sound, corrected
    likeness: float  # of the lips that were heard to those that were seen, before learning
    fits: dict[
        str, tuple[float, float]
    ]  # correlation on parts left out, without and with the style
    findings: tuple[str, ...]  # for people


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """What the bundled network makes of a sound, every 20 ms."""

    hidden: Array  # (U, H) what goes into its last layer, smoothed
    components: Array  # (U, K)
    lips: Array  # (U, 45, 3)
    talks: Flags  # (U,)


def learn(clip: Path) -> Lesson:
    """The style of the speaker in a clip of 10 s to 5 minutes; longer ones are cut.

    Raises:
        NoFaceFound: no face in most of its frames.
        AudioUnreadable: no sound.
        ImageUnreadable: no pictures.
        ClipUnusable: too short, more than one possible speaker, or sound and lips do not fit.
    """
    speech = audio_io.read_speech(AudioRange(clip, 0.0, None))
    people, n_frames, fps = video.track_all(clip, _LONGEST_S, _MOST_FACES)
    seen = [(mesh, found) for mesh, found in people if found.sum() >= _FACE_SHARE * n_frames]
    if not seen:
        raise _no_face(clip.name, people, n_frames)
    if n_frames / fps < SHORTEST_S:
        text = f'"{clip.name}" is {n_frames / fps:.1f} s long.'
        raise ClipUnusable(text, "10 to 60 s of speech are needed.")
    samples = speech.samples[: round(n_frames / fps * speech.SAMPLE_RATE)]
    lips = [video.stabilise(*each)[:, (*video.LIPS, *video.CHIN)] for each in seen]
    speaker = _speaker(lips, fps, samples, clip.name) if len(seen) > 1 else 0
    habits = habits_of(*seen[speaker], fps)
    return learn_from(lips[speaker], fps, samples, clip.name, habits)


def _no_face(name: str, people: list[tuple[Array, Flags]], n_frames: int) -> NoFaceFound:
    advice = "Film one face from the front, well lit, in one take of 10 to 60 s."
    longest = int(people[0][1].sum()) if people else 0
    several = f"; {len(people)} faces take turns" if len(people) > 1 else ""
    text = f'A face is seen in {longest} of {n_frames} frames of "{name}"{several}.'
    return NoFaceFound(text, advice)


def _speaker(faces: list[Array], fps: float, samples: npt.NDArray[np.float32], name: str) -> int:
    """Which face the sound belongs to."""
    heard = _listen(samples, name)
    likeness = [_best_lag(heard, _seen(points, fps))[1] for points in faces]
    first, second = np.argsort(likeness)[::-1][:2]
    if likeness[first] < max(_FITS, likeness[second] + _CLEARLY):
        values = ", ".join(f"{value:.2f}" for value in likeness)
        text = f'{len(faces)} faces are seen in "{name}", and which one speaks cannot be told'
        advice = "Cut the picture so that only the speaker is in it."
        raise ClipUnusable(f"{text} (likeness to the sound: {values}).", advice)
    return int(first)


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

    Raises:
        ClipUnusable: hardly any speech, or the sound is not that of the lips.
    """
    heard, seen = _listen(samples, name), _seen(points, fps)
    lag, likeness = _best_lag(heard, seen)
    if likeness < _FITS:
        text = f'The sound of "{name}" does not fit the lips at any offset up to 1 s'
        advice = "Check that sound and picture belong together, and that the lips can be seen."
        raise ClipUnusable(f"{text} (likeness {likeness:.2f}, {_FITS} is needed).", advice)
    if abs(lag) > _LARGEST_LAG:
        late = "late" if lag > 0 else "early"
        text = f'The sound of "{name}" is {abs(lag) * 20} ms {late}'
        text = f"{text}; up to {_LARGEST_LAG * 20} ms can be corrected."
        raise ClipUnusable(text, "Move the sound in a video editor first.")
    hidden, components, lips = (
        _shifted(each, seen, lag)[0] for each in (heard.hidden, heard.components, heard.lips)
    )
    talks = _shifted(heard.talks, seen, lag)[0].astype(bool)
    seen = _shifted(heard.lips, seen, lag)[1]
    network = hearing.bundled()
    teaching = adaptation.Teaching(hidden, components, seen - seen.mean(0), talks)
    learned = adaptation.adapt(network, teaching, neural.LIFE_SIZE)
    style = VoiceStyle(
        habits=habits,
        gain=learned.gain,
        plain_gain=learned.plain_gain,
        network=fingerprint(network),
        weight=learned.weight.astype(np.float32),
        bias=learned.bias.astype(np.float32),
        closed=learned.closed.astype(np.float32),
    )
    styled = components + hidden @ learned.weight.T + learned.bias
    after = neural.mouth_points(styled, style)
    return Lesson(
        style,
        seconds=len(seen) / RATE,
        lag_ms=20 * lag,
        likeness=likeness,
        fits=learned.fits,
        findings=(*_of_mouth(lips[talks], after[talks], learned.fits), *_of_habits(habits)),
    )


def _listen(samples: npt.NDArray[np.float32], name: str) -> _Heard:
    """Let the bundled network listen, and keep what goes into its last layer."""
    spoken = voice.speaking(samples)
    speech_s = spoken.sum() / voice.STEPS_PER_S
    if speech_s < _SHORTEST_SPEECH_S:
        text = f'Only {speech_s:.1f} s of "{name}" are speech.'
        raise ClipUnusable(text, "10 to 60 s of speech are needed.")
    network = hearing.bundled()
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
    hidden, components = (
        neural.smoothed(each.astype(np.float64)) for each in (kept[0], heard.coefficients)
    )
    talks = np.resize(neural.activity_of(spoken)[::2] > 0, len(hidden))
    return _Heard(hidden, components, neural.mouth_points(components), talks)


def _seen(points: Array, fps: float) -> Array:
    """(T, ...) at `fps` -> (U, ...) at RATE, linearly."""
    flat = points.reshape(len(points), -1)
    times = np.arange(int(len(points) / fps * RATE)) / RATE * fps
    columns = [np.interp(times, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns, 1).reshape(-1, *points.shape[1:])


def _curves(points: Array) -> Array:
    """(U, 3) opening, lower lip and width, without posture."""
    width = points[:, 10, 0] - points[:, 0, 0]
    return adaptation.without_posture(np.stack([opening(points), points[:, 5, 1], width], 1))


def _best_lag(heard: _Heard, seen: Array) -> tuple[int, float]:
    """Steps of 20 ms by which the sound is late, and the likeness of the lips there.

    Of offsets that are as good as the best the smallest counts: most clips are in step.
    """
    length = min(len(heard.lips), len(seen))
    curves = _curves(heard.lips[:length]), _curves(seen[:length])
    likeness = {}
    for lag in sorted(range(-_FARTHEST_LAG, _FARTHEST_LAG + 1), key=abs):
        pairs = zip(*(each.T for each in _shifted(*curves, lag)), strict=True)
        likeness[lag] = float(np.mean([adaptation.likeness(a, b) for a, b in pairs]))
    enough = max(likeness.values()) - _AS_GOOD
    return next((lag, value) for lag, value in likeness.items() if value >= enough)


def _shifted(heard: npt.NDArray[Any], seen: Array, lag: int) -> tuple[npt.NDArray[Any], Array]:
    """Both without what the other lacks when the sound is `lag` steps late."""
    length = min(len(heard), len(seen))
    return (
        heard[max(lag, 0) : length + min(lag, 0)],
        seen[max(-lag, 0) : length + min(-lag, 0)],
    )


def _of_mouth(plain: Array, styled: Array, fits: dict[str, tuple[float, float]]) -> list[str]:
    """What the style does to the mouth; (U, 45, 3) while the speaker talks."""
    parts = {
        "opens": opening,
        "spreads and narrows": lambda p: p[:, 10, 0] - p[:, 0, 0],
        "pushes the lips forward": lambda p: p[:, (5, 15), 2].mean(1),
        "lifts the upper lip": lambda p: p[:, 15, 1],
        "moves the chin": lambda p: p[:, 40, 1],
    }
    found = []
    for what, part in parts.items():
        ratio = float(part(styled).std() / (part(plain).std() + 1e-9))
        if abs(np.log(ratio)) > np.log(1.1):
            amount = f"{abs(ratio - 1):.0%} {'more' if ratio > 1 else 'less'}"
            found.append(f"Mouth {what} {amount} than usual.")
    if all(before == after for before, after in fits.values()):
        found.append("Mouth habits are the usual ones: this clip does not tell others from chance.")
    else:
        each = ", ".join(f"{n} {after:.2f} (without {b:.2f})" for n, (b, after) in fits.items())
        found.append(f"Likeness of lips on parts of the clip that were left out: {each}.")
    return found


def _of_habits(habits: Habits) -> list[str]:
    sway = " / ".join(f"{each:.1f}" for each in habits.sway_deg)
    usual = " / ".join(f"{each:.1f}" for each in head.STD_DEG)
    pace = float(np.exp(np.mean(np.log(np.array(habits.sway_speed) / head.SPEED))))
    return [
        f"Head sways {sway} degrees (yaw, pitch, roll; usual {usual}), "
        f"{pace:.1f} times as fast as usual.",
        f"Eyes blink {habits.blinks_per_minute:.0f} times a minute (usual {PER_MINUTE:.0f}).",
    ]


def habits_of(mesh: Array, found: Flags, fps: float) -> Habits:
    """Head motion and blinks of a tracked face, drawn towards those of people in general."""
    angles = video.head_angles(mesh, found)
    smooth = np.stack([np.convolve(a, np.ones(5) / 5, "valid") for a in angles.T], 1)
    deviation = np.maximum(smooth.std(0), 1e-3)
    speed = np.diff(smooth, axis=0).std(0) * fps / deviation
    seconds = len(mesh) / fps
    trust = _PEOPLE_DIFFER**2 / (_PEOPLE_DIFFER**2 + _MEMORY_S / seconds)
    sway = head.STD_DEG * (np.maximum(0.2, _SWAY_SHARE * deviation) / head.STD_DEG) ** trust
    pace = np.array(head.SPEED) * (np.maximum(0.5, speed) / head.SPEED) ** trust
    lids = video.eyes_open(mesh, found)
    shut = lids < _LID_SHUT * np.median(lids)
    blinks = int((np.diff(shut.astype(int)) == 1).sum())
    minutes = seconds / 60
    often = (blinks + PER_MINUTE * _DOUBT_MINUTES) / (minutes + _DOUBT_MINUTES)
    return Habits(
        tuple(np.minimum(6.0, sway).round(3).tolist()),
        tuple(
            np.clip(pace, 0.5 * np.array(head.SPEED), 2 * np.array(head.SPEED)).round(3).tolist()
        ),
        round(float(np.clip(often, 2, 50)), 1),
    )


def style_path(text: str) -> Path:
    """Where a style is saved: with the ending .safetensors."""
    return Path(text if re.search(r"\.safetensors$", text) else f"{text}.safetensors").absolute()
