"""The sound of a shot: which strip it is, whether it was edited, and how the shot follows it."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from . import shots, strips
from .carry import Move
from .strips import CannotUse
from .timing import SoundRange, Span, exact, seconds

_SAME_S = 1e-6


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a shot has to be, and which seconds it has to show, so that it fits its sound."""

    audio: Path
    start_s: float
    duration_s: float
    fps: Fraction
    shown: Span  # scene frames between the strip's handles
    move: Move  # from the frames that it has

    @property
    def n_frames(self) -> int:
        """Of the take."""
        return self.move.new.length

    def same_take(self, kept: shots.Record) -> bool:
        """True when the take that is there shows these seconds already."""
        return (
            self.audio == kept.audio.path()
            and self.n_frames == kept.n_frames
            and self.fps == Fraction(*kept.fps)
            and abs(self.start_s - kept.start_s) < _SAME_S
        )


def of_shot(shot: Any) -> Any | None:
    """The sound strip that a shot speaks.

    A selected one is meant; else a part of its own file: the one over which it lies the most, then
    the one that it was made from; else whatever sound lies below it.
    """
    scene = shot.id_data
    sounds = [strip for strip in strips.every(scene) if strip.type == "SOUND"]
    chosen = [strip for strip in sounds if strip.select]
    kept = shots.record(shot)
    if chosen or kept is None:
        return chosen[0] if chosen else strips.find_sound(scene, shot)
    own = [strip for strip in sounds if file(strip) == kept.audio.path()]
    span = strips.visible(shot)
    best = max(own, key=lambda strip: strips.visible(strip).overlap(span).length, default=None)
    if best is not None and strips.visible(best).overlap(span).length == 0:
        best = next((strip for strip in own if strip.name == kept.sound), best)
    return best if best is not None else strips.find_sound(scene, shot)


def file(sound: Any) -> Path | None:
    """The file that a sound strip plays; None for a strip that has lost it."""
    return None if sound.sound is None else strips.absolute(sound.sound.filepath)


def plan(shot: Any, kept: shots.Record, audio: Path, heard: SoundRange) -> Plan:
    """How a shot has to change for a sound.

    With the file that it has, it keeps all seconds that it shows and gets those that are missing,
    on the same grid of frames: what is trimmed away can come back. Another file, or another part of
    it, begins anew; edits then stay where they are on the timeline.
    """
    fps, old_fps = strips.scene_fps(shot.id_data), Fraction(*kept.fps)
    ratio, first = fps / old_fps, strips.origin(shot)
    old = Span(first, first + kept.n_frames)
    if audio == kept.audio.path():
        now = math.ceil(kept.n_frames * ratio)  # frames of the old take at the present rate
        start = round((heard.start_s - exact(kept.start_s)) * fps)  # of what is heard, in these
        end = start + heard.frames.length
        if start <= now and end >= 0:
            early = max(min(0, start), -math.floor(exact(kept.start_s) * fps))
            length = max(now, end) - early
            new_first = heard.frames.start - start + early
            move = Move(old, Span(new_first, new_first + length), ratio, -early)
            start_s = exact(kept.start_s) + seconds(early, fps)
            shown = _still_trimmed(shot, kept, move, heard.frames)
            return Plan(audio, float(start_s), float(seconds(length, fps)), fps, shown, move)
        offset = -start
    else:
        offset = first - heard.frames.start if ratio == 1 else 0
    move = Move(old, heard.frames, ratio, offset)
    times = float(heard.start_s), float(heard.duration_s)
    return Plan(audio, *times, fps, heard.frames, move)


def difference(shot: Any) -> str:
    """What has changed about the sound since the take was made, in words; empty: nothing."""
    kept, sound = shots.record(shot), of_shot(shot)
    if kept is None:
        return ""
    fps = strips.scene_fps(shot.id_data)
    if fps != Fraction(*kept.fps):
        old = Fraction(*kept.fps)
        return f"Made for {_rate(old)} frames a second, the scene has {_rate(fps)}"
    if sound is None or sound.sound is None:
        return ""
    try:
        heard = strips.sound_range(sound)
    except CannotUse:
        return ""
    if file(sound) != kept.audio.path() and sound.sound.packed_file is None:
        return f'It speaks "{kept.audio.path().name}", the strip plays "{file(sound).name}"'
    if sound.sound.packed_file is not None:
        return ""
    wanted = plan(shot, kept, kept.audio.path(), heard)
    by = wanted.move.new.start + wanted.move.offset - wanted.move.old.start
    if by:
        return f"The sound is {abs(by)} frames {'later' if by > 0 else 'earlier'} than the picture"
    if wanted.n_frames != kept.n_frames:
        return f"The sound plays {wanted.n_frames - kept.n_frames} frames more than the picture has"
    if wanted.shown != strips.visible(shot):
        return "The sound was trimmed"
    return ""


def audio_file(sound: Any, folder: Path) -> Path:
    """The file of a sound strip; a packed one is written into the shot's folder.

    Raises:
        CannotUse: there is none, or it cannot be written.
    """
    path = strips.absolute(sound.sound.filepath)
    packed = sound.sound.packed_file
    if packed is None:
        if not path.is_file():
            raise CannotUse(f'The sound file "{path}" does not exist. Find it with Missing Files.')
        return path
    data = packed.data
    digest = hashlib.sha256(data).hexdigest()[:12]
    target = folder / f"sound_{digest}{path.suffix or '.wav'}"
    if not target.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(data)
            partial.replace(target)
        except OSError as failure:
            raise CannotUse(f"The packed sound cannot be written: {failure}.") from failure
    return target


def refuse_retimed(sound: Any) -> None:
    """Raises CannotUse for a sound that plays at another speed."""
    if strips.is_retimed(sound):
        text = f'The sound "{sound.name}" is retimed, so the lips would not fit.'
        if not hasattr(sound, "retiming_keys"):  # 4.2 and 4.3
            text += " Or the frame rate was changed: Strip > Reload Strips and Adjust Length."
        raise CannotUse(f"{text} Remove the retiming, or mix it down to a new sound file.")


def _still_trimmed(shot: Any, kept: shots.Record, move: Move, heard: Span) -> Span:
    """What is heard, without what the artist has trimmed off the picture himself."""
    seen = strips.visible_elements(shot, kept.n_frames)
    left, right = heard.start, heard.end
    first = move.new.start + move.offset
    if seen.start > 0:
        left = max(left, first + math.floor(seen.start * move.ratio))
    if seen.end < kept.n_frames:
        right = min(right, first + math.ceil(seen.end * move.ratio))
    return Span(left, right) if left < right else heard


def _rate(fps: Fraction) -> str:
    return f"{float(fps):.3f}".rstrip("0").rstrip(".")
