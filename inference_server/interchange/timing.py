"""Mouth cues: which named shape is seen from which moment on; and the shapes themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from inference_server.errors import TimingUnreadable

POSES_FILE = Path(__file__).with_name("poses.json")
RHUBARB, BLAIR = "Rhubarb", "Preston Blair"
CLOSED = {RHUBARB: "A", BLAIR: "MBP"}  # lips that meet for p, b, m
REST = {RHUBARB: "X", BLAIR: "rest"}
LONGEST_S = 100_000  # 27 hours; a time beyond it is no time
_TO_BLAIR = {
    "A": "MBP", "B": "etc", "C": "E", "D": "AI", "E": "O", "F": "U", "G": "FV", "H": "L",
    "X": "rest",
}  # fmt: skip
_TO_RHUBARB = {
    "AI": "D", "E": "C", "O": "E", "U": "F", "L": "H", "WQ": "F", "MBP": "A", "FV": "G", "etc": "B",
    "rest": "X",
}  # fmt: skip

Edits = dict[str, dict[int, float]]  # channel -> frame -> value


@dataclass(frozen=True, slots=True)
class Mark:
    """A shape, seen from a moment on until the next mark."""

    start_s: Fraction
    shape: str


@dataclass(frozen=True, slots=True)
class Timing:
    """The cues of a sound, in order."""

    shapes: str  # set of poses.json: RHUBARB or BLAIR
    marks: tuple[Mark, ...]
    end_s: Fraction  # when the last one ends


@lru_cache(maxsize=1)
def poses() -> dict[str, dict[str, dict[str, float]]]:
    """Set -> shape -> lip channel -> value."""
    sets = json.loads(POSES_FILE.read_bytes())["sets"]
    return {
        name: {
            shape: {channel: value for channel, value in pose.items() if channel != "label"}
            for shape, pose in shapes.items()
        }
        for name, shapes in sets.items()
    }


def translated(timing: Timing, shapes: str) -> Timing:
    """The same cues in the shapes of another set."""
    if timing.shapes == shapes:
        return timing
    names = _TO_BLAIR if shapes == BLAIR else _TO_RHUBARB
    marks = tuple(Mark(mark.start_s, names[mark.shape]) for mark in timing.marks)
    return Timing(shapes, marks, timing.end_s)


def keys(timing: Timing, fps: Fraction, n_frames: int) -> dict[int, str]:
    """Frame -> the shape that begins there, in order of frames; behind the end the mouth rests.

    Of several cues on one frame the last is seen; but lips that meet are never left out: what
    follows them waits one frame.
    """
    placed: dict[int, str] = {}
    closed = CLOSED[timing.shapes]
    for mark in timing.marks:
        frame = max(round_half_up(mark.start_s * fps), max(placed, default=0))
        if placed.get(frame) == closed and mark.shape != closed:
            frame += 1
        placed[frame] = mark.shape
    end = max(round_half_up(timing.end_s * fps), max(placed, default=0) + 1)
    placed[end] = REST[timing.shapes]
    return {frame: shape for frame, shape in placed.items() if frame < n_frames}


def edits(timing: Timing, fps: Fraction, n_frames: int) -> Edits:
    """The lip channels of a shot whose mouth is held from cue to cue, as edits of every frame."""
    shapes = poses()[timing.shapes]
    rest = REST[timing.shapes]
    starts = keys(timing, fps, n_frames)
    channels: Edits = {name: {} for name in shapes[rest]}
    shape = rest
    for frame in range(n_frames):
        shape = starts.get(frame, shape)
        for name, value in shapes[shape].items():
            channels[name][frame] = value
    return channels


def n_frames_of(timing: Timing, fps: Fraction) -> int:
    """How many frames the cues last."""
    return max(1, round_half_up(timing.end_s * fps))


def round_half_up(number: Fraction) -> int:
    """The nearest whole number."""
    return int((number + Fraction(1, 2)) // 1)


def checked(path: Path, timing: Timing) -> Timing:
    """The timing, when its shapes are known and its times are in order.

    Raises:
        TimingUnreadable: names the first cue that is wrong.
    """
    known = poses()[timing.shapes]
    if not timing.marks:
        raise unreadable(path, "holds no mouth cues")
    before = Fraction(0)
    for number, mark in enumerate(timing.marks, 1):
        if mark.shape not in known:
            names = ", ".join(known)
            shown = mark.shape[:20]
            raise unreadable(path, f'has the shape "{shown}" in cue {number}; known are {names}')
        if not before <= mark.start_s <= LONGEST_S:
            moment = f"{float(mark.start_s):g} s"
            raise unreadable(path, f"has cue {number} at {moment}, before the one before it")
        before = mark.start_s
    if not before <= timing.end_s <= LONGEST_S:
        raise unreadable(path, f"ends at {float(timing.end_s):g} s, before its last cue")
    return timing


def seconds(path: Path, text: object, place: str) -> Fraction:
    """A time as it is written in a file.

    Raises:
        TimingUnreadable: no number, or out of range.
    """
    try:
        found = Fraction(str(text).strip())
    except (ValueError, ZeroDivisionError) as failure:
        raise unreadable(path, f'has "{str(text)[:20]}" for a time in {place}') from failure
    if not 0 <= found <= LONGEST_S:
        raise unreadable(path, f"has the time {str(text)[:20]} in {place}")
    return found


def whole(path: Path, text: object, place: str) -> int:
    """A whole number as it is written in a file.

    Raises:
        TimingUnreadable: something else.
    """
    shown = str(text).strip()
    if not (shown.isascii() and shown.isdigit() and len(shown) < 10):
        raise unreadable(path, f'has "{shown[:20]}" for a number in {place}')
    return int(shown)


def unreadable(path: Path, what: str) -> TimingUnreadable:
    """The error of a file that is not what it should be."""
    hint = "Give a file of Rhubarb (tsv, json, xml), Papagayo (pgo, dat) or ARKit (csv, json)."
    return TimingUnreadable(f'"{path.name}" {what}.', hint)
