"""Papagayo's project (.pgo) and the switch data that it writes for Moho (.dat).

Both count frames, and name the ten shapes of Preston Blair. A .dat begins with "MohoSwitch1" and
counts from 1; it knows no frame rate, and ends with a rest. A .pgo counts from 0: voices hold
phrases, phrases words, words phonemes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from .timing import (
    BLAIR,
    REST,
    Mark,
    Timing,
    checked,
    n_frames_of,
    round_half_up,
    unreadable,
    whole,
)

_SWITCH = "MohoSwitch1"
_PROJECT = "lipsync version 1"


def read_dat(path: Path, text: str, fps: Fraction) -> Timing:
    """Moho switch data, on frames of `fps`."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != _SWITCH:
        raise unreadable(path, f'does not begin with "{_SWITCH}"')
    marks = []
    frame = 0
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 2:
            raise unreadable(path, f'has "{line[:30]}" in line {number}, not a frame and a shape')
        frame = max(0, whole(path, parts[0], f"line {number}") - 1)
        marks.append(Mark(frame / fps, parts[1]))
    end_s = (frame + 1) / fps
    if len(marks) > 1 and marks[-1].shape == REST[BLAIR]:
        end_s = marks.pop().start_s
    return checked(path, Timing(BLAIR, tuple(marks), end_s))


def write_dat(timing: Timing, fps: Fraction) -> str:
    """What `read_dat` reads at the same `fps`."""
    lines = [f"{round_half_up(mark.start_s * fps) + 1} {mark.shape}" for mark in timing.marks]
    end = f"{n_frames_of(timing, fps) + 1} {REST[BLAIR]}"
    return "\n".join([_SWITCH, *lines, end]) + "\n"


def read_pgo(path: Path, text: str) -> Timing:
    """The first voice of a project that says anything; between words the mouth rests."""
    lines = _Lines(path, text)
    if lines.next() != _PROJECT:
        raise unreadable(path, f'does not begin with "{_PROJECT}"')
    lines.next()  # where the sound is
    fps = Fraction(lines.whole())
    if fps <= 0:
        raise unreadable(path, "has 0 frames per second")
    n_frames = lines.whole()
    for _ in range(lines.whole()):
        placed = dict(_voice(lines))
        placed = {f: s for f, s in placed.items() if f < n_frames or s != REST[BLAIR]}
        if placed:
            marks = tuple(Mark(frame / fps, shape) for frame, shape in sorted(placed.items()))
            end_s = max(n_frames, max(placed) + 1) / fps
            return checked(path, Timing(BLAIR, marks, end_s))
    raise unreadable(path, "holds no mouth cues")


def write_pgo(timing: Timing, fps: Fraction, sound: str) -> str:
    """What `read_pgo` reads: one voice, one phrase, one word.

    Papagayo knows whole frame rates only: others become the nearest whole one.
    """
    rate = Fraction(max(1, round_half_up(fps)))
    n_frames = n_frames_of(timing, rate)
    cues = [(round_half_up(mark.start_s * rate), mark.shape) for mark in timing.marks]
    end = n_frames - 1
    lines = [_PROJECT, sound, str(rate), str(n_frames), "1", "\tVoice 1", "\tcues", "\t1"]
    lines += ["\t\tcues", "\t\t0", f"\t\t{end}", "\t\t1", f"\t\t\tcues 0 {end} {len(cues)}"]
    lines += [f"\t\t\t\t{frame} {shape}" for frame, shape in cues]
    return "\n".join(lines) + "\n"


def _voice(lines: _Lines) -> Iterator[tuple[int, str]]:
    """(frame, shape) of every phoneme, and rest behind every word."""
    lines.next()  # name
    lines.next()  # text
    for _ in range(lines.whole()):  # phrases
        lines.next()
        lines.next()
        lines.next()
        for _ in range(lines.whole()):  # words
            *_, end, n_phonemes = lines.parts(4)
            yield lines.number(end) + 1, REST[BLAIR]
            for _ in range(lines.number(n_phonemes)):
                frame, shape = lines.parts(2)
                yield lines.number(frame), shape


class _Lines:
    """The lines of a file, one after another."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._at = 0

    def next(self) -> str:
        """The next line without the white space around it."""
        if self._at >= len(self._lines):
            raise unreadable(self._path, f"ends after {self._at} lines, in the middle")
        self._at += 1
        return self._lines[self._at - 1].strip()

    def whole(self) -> int:
        """The next line as a whole number."""
        return self.number(self.next())

    def parts(self, count: int) -> list[str]:
        """The words of the next line."""
        found = self.next().rsplit(maxsplit=count - 1)
        if len(found) != count:
            raise unreadable(self._path, f'has "{" ".join(found)[:30]}" in line {self._at}')
        return found

    def number(self, text: str) -> int:
        """A whole number of the line that was read last."""
        return whole(self._path, text, f"line {self._at}")
