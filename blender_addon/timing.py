"""Scene frame <-> shot frame <-> seconds, in exact fractions (no bpy).

A shot frame is a 0-based index inside the shot; a scene frame is Blender's. Blender plays
`render.fps / render.fps_base` frames a second and keeps `fps_base` as a float32, so 1.001 arrives
here as 1.00100004673: the fraction that was meant has to be found again, or an hour drifts.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

_LARGEST_DENOMINATOR = 10_000_000  # a float32 has 24 bits


@dataclass(frozen=True, slots=True)
class Span:
    """Scene frames from `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of frames; 0 when the span is empty."""
        return max(0, self.end - self.start)

    def __contains__(self, frame: int) -> bool:
        return self.start <= frame < self.end

    def overlap(self, other: Span) -> Span:
        """The frames that both have."""
        return Span(max(self.start, other.start), min(self.end, other.end))


@dataclass(frozen=True, slots=True)
class SoundRange:
    """The part of a sound file that a strip plays."""

    start_s: Fraction  # in the file
    duration_s: Fraction
    frames: Span  # where it plays


def exact(value: float) -> Fraction:
    """The simplest fraction that a float32 can stand for: 1.00100004673 is 1001/1000."""
    limit = 1
    while limit < _LARGEST_DENOMINATOR:
        fraction = Fraction(value).limit_denominator(limit)
        if _float32(float(fraction)) == _float32(value):
            return fraction
        limit *= 10
    return Fraction(value)


def scene_fps(fps: int, fps_base: float) -> Fraction:
    """Frames a second of a scene: (24, 1.001) is 24000/1001."""
    return Fraction(fps) / exact(fps_base)


def seconds(frames: Fraction | int, fps: Fraction) -> Fraction:
    """How long so many frames last."""
    return Fraction(frames) / fps


def sound_range(
    content_start: float,
    content_length: float,
    handles: Span,
    fps: Fraction,
    sound_offset_s: float = 0.0,
    cut: int = 0,
) -> SoundRange | None:
    """What an un-retimed sound strip plays; None when the handles show nothing of the sound.

    Args:
        content_start: scene frame at which the content begins; may have a fraction.
        content_length: frames of the content: the whole file, less what hard splits cut off.
        handles: visible frames of the strip.
        fps: of the scene.
        sound_offset_s: the strip's own delay (Blender 4.3+): 0.25 plays the file 0.25 s later.
        cut: frames of the file before the content, cut off by a hard split.
    """
    origin = exact(content_start) + exact(sound_offset_s) * fps
    content = Span(math.floor(origin), math.ceil(origin + exact(content_length)))
    frames = handles.overlap(content)
    if frames.length == 0:
        return None
    start_s = max(Fraction(0), seconds(frames.start - origin + cut, fps))
    return SoundRange(start_s, seconds(frames.length, fps), frames)


def clock(total_s: float) -> str:
    """A duration as people read it: 7 s, 1:05, 1:02:03."""
    whole = max(0, math.ceil(total_s))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d}"
    return f"{minutes}:{rest:02d}" if minutes else f"{rest} s"


def _float32(value: float) -> bytes:
    return struct.pack("<f", value)
