"""Tracked clips as training examples: whose face, which licence, how late the sound."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference_server.speech import phones as recogniser
from inference_server.speech.features import RATE, log_mel, normalise
from inference_server.speech.voice import speaking

log = logging.getLogger(__name__)

INNER_UPPER, INNER_LOWER = (36, 35, 37), (24, 23, 25)  # of the 40 lip points: centre, sides
DEPTH_WEIGHT = 0.5  # the tracker's depth is its least certain coordinate
CLOSED_BELOW = 0.12  # of the clip's 95th percentile of opening
CLOSED_AT_LEAST = 0.015  # outer-eye distances
LARGEST_LAG = 15  # steps of 20 ms
TRUSTED_CORRELATION = 0.25  # a clip whose best lag correlates less is not used to train

Array = npt.NDArray[np.float32]

# Clips that may teach a shipped model, by the start of their name -> (person, licence).
LICENSED = {
    "grid_man_red": ("grid_x1", "CC BY 4.0, GRID corpus (Cooke et al. 2006)"),
    "grid_woman_grey": ("grid_x2", "CC BY 4.0, GRID corpus (Cooke et al. 2006)"),
    "grid_woman_green": ("grid_x3", "CC BY 4.0, GRID corpus (Cooke et al. 2006)"),
    "grid_woman_pink": ("grid_x4", "CC BY 4.0, GRID corpus (Cooke et al. 2006)"),
    "grid_man_s2": ("grid_s2", "CC BY 4.0, GRID corpus (Cooke et al. 2006)"),
    "obama_weeklyaddress": (
        "obama",
        "US government work in the public domain, if it is, as it looks, a White House address",
    ),
}
# How late the sound of a teaching clip is, steps of 20 ms: told by a network tuned on GRID alone.
# GRID itself was recorded in sync.
SOUND_LATE = {"obama_weeklyaddress": 2}
GRID_S1 = ("grid_s1", "CC BY 4.0, GRID corpus (Cooke et al. 2006)")
SAME_PERSON = {
    "obama": "obama", "more_obama": "obama", "may": "may", "more_aoc": "aoc",
    "more_trump": "trump", "mead_m030": "mead_m030",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One talking clip, ready to train on or to be judged by."""

    name: str
    person: str
    licence: str  # empty: measure with it, never ship what learned from it
    fps: float
    lips: Array  # (T, 40, 3) outer-eye distances, head-stabilised
    mel: Array  # (2 U, 64) normalised, 100 Hz
    phones: Array  # (U, 16) what the recogniser heard
    spoken: npt.NDArray[np.bool_]  # (2 U,) where somebody speaks
    target: Array  # (U, 135) lips and chin minus their mean, depth weighted, 50 Hz
    closed: Array  # (U,) 1 where the lips touch
    lag: int  # steps of 20 ms by which the sound is late, already removed from mel


def identity(name: str) -> tuple[str, str]:
    """Person and licence of a clip, from its file name."""
    for start, known in LICENSED.items():
        if name.startswith(start):
            return known
    for start, person in SAME_PERSON.items():
        if name.startswith(start):
            return person, ""
    # the files of grid_s1/ are six-letter codes of the sentence
    return GRID_S1 if len(name) == 6 else (name, "")


def resample(values: Array, fps: float) -> Array:
    """(T, ...) at `fps` -> (U, ...) at RATE, linearly."""
    flat = values.reshape(len(values), -1)
    times = np.arange(int(len(values) / fps * RATE)) / RATE * fps
    columns = [np.interp(times, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns, 1).reshape(-1, *values.shape[1:]).astype(np.float32)


def opening(lips: Array) -> Array:
    """(T, 40, 3) -> (T,) height of the inner lip opening, as the evaluation measures it."""
    gaps = lips[:, INNER_LOWER, 1] - lips[:, INNER_UPPER, 1]
    return np.asarray(gaps @ np.array([0.5, 0.25, 0.25], np.float32), np.float32)


def listen(samples: Array, kept: Path) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Normalised log-mel (M, 64), the recogniser's phones (U, 16), and where somebody speaks (M,).

    The last two are kept in a file.
    """
    if not kept.exists():
        spoken = speaking(samples)
        heard = recogniser.heard(samples, spoken)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, spoken=spoken, phones=heard.astype(np.float16))
    with np.load(kept) as data:
        spoken = data["spoken"]
        return normalise(log_mel(samples), spoken), data["phones"].astype(np.float32), spoken


def read_clip(path: Path, heard_dir: Path) -> Clip:
    """A clip as speech_tracks wrote it; what was heard in it is kept in `heard_dir`."""
    with np.load(path) as data:
        fps, lips, chin = float(data["fps"]), data["lips"], data["chin"]
        samples = data["samples"].astype(np.float32) / 32768
    points = np.concatenate([lips, chin], 1) * np.array([1, 1, DEPTH_WEIGHT], np.float32)
    flat = points.reshape(len(points), -1)
    gap = opening(lips)
    threshold = max(CLOSED_AT_LEAST, CLOSED_BELOW * float(np.percentile(gap, 95)))
    target = resample(flat - flat.mean(0), fps)
    mel, phones, spoken = listen(samples, heard_dir / path.name)
    length = min(len(target), len(mel) // 2, len(phones))
    person, licence = identity(path.stem)
    clip = Clip(
        name=path.stem,
        person=person,
        licence=licence,
        fps=fps,
        lips=lips,
        mel=mel[: 2 * length],
        phones=phones[:length],
        spoken=spoken[: 2 * length],
        target=target[:length],
        closed=(resample(gap[:, None], fps)[:length, 0] < threshold).astype(np.float32),
        lag=0,
    )
    late = next((lag for start, lag in SOUND_LATE.items() if path.stem.startswith(start)), 0)
    return shift_sound(clip, late) if late else clip


def shift_sound(clip: Clip, lag: int) -> Clip:
    """The clip with its sound moved earlier by `lag` steps of 20 ms."""
    rows = np.clip(np.arange(len(clip.mel)) + 2 * lag, 0, len(clip.mel) - 1)
    phones = clip.phones[np.clip(np.arange(len(clip.phones)) + lag, 0, len(clip.phones) - 1)]
    spoken = clip.spoken[rows]
    return replace(clip, mel=clip.mel[rows], phones=phones, spoken=spoken, lag=clip.lag + lag)


def best_lag(predicted: Array, clip: Clip) -> tuple[int, float]:
    """Lag of the sound, from a prediction made from it: (steps of 20 ms, correlation there).

    Opening, lower lip, width and upper lip are compared, as in the study behind this model.
    """

    def curves(flat: Array) -> Array:
        points = flat.reshape(len(flat), -1, 3)
        width = points[:, 10, 0] - points[:, 0, 0]
        return np.stack([opening(points), points[:, 5, 1], width, -points[:, 15, 1]], 1)

    heard, seen = curves(predicted), curves(clip.target)
    length = min(len(heard), len(seen))
    best = (0, -1.0)
    for lag in range(-LARGEST_LAG, LARGEST_LAG + 1):
        a = heard[max(lag, 0) : length + min(lag, 0)]
        b = seen[max(-lag, 0) : length + min(-lag, 0)]
        pairs = zip(a.T, b.T, strict=True)
        correlation = float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs]))
        if correlation > best[1]:
            best = (lag, correlation)
    return best
