"""What a face does in a shot: what was heard, shaped by what the artist asks for.

amounts, cues, settle     reshape what was generated
closures, holds           keep the rules of lip sync
edits                     come last, so that an edited frame has exactly the value of its key
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from . import protocol
from .datatypes import BlinkCue, Motion, Report, ShotSpec
from .keys import acting_params, rounded
from .motion import amounts, body, channels, closures, cues, ends, holds
from .motion import report as reports
from .motion.boil import boiled
from .registry import SpokenMotion
from .takes import Values

EDIT_DECIMALS = 4  # F-Curves are float32: what they sample is brought back to what was typed

_DEFAULTS = {param.name: param.default for param in protocol.PARAMS}


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """The motion of a shot, and what is said about it."""

    motion: Motion  # rounded
    generated: Values  # channels without the artist's edits
    channels: Values  # as drawn
    edited: Mapping[str, tuple[int, ...]]  # channel -> frames
    blinks: tuple[BlinkCue, ...]  # without the artist's edits
    report: Report


def perform(spec: ShotSpec, spoken: SpokenMotion, warn: Callable[[str], None]) -> Performance:
    """Everything between what a motion source has made and the frames.

    Args:
        spec: of the shot.
        spoken: of the shot's frames; see `ahead`.
        warn: told what of the spec cannot be used.
    """
    n_frames = spoken.motion.n_frames
    _warn_of_late(spec, n_frames, warn)
    shaped = _shaped(spec, spoken.motion)
    whole = replace(spoken, motion=closures.enforce(replace(spoken, motion=shaped)))
    held = holds.hold(whole, spec.holds)
    generated = channels.measure(rounded(held))
    edits = _usable_edits(spec, n_frames, warn)
    edited = channels.apply(held, edits) if edits else held
    motion = rounded(_with_body(spec, edited))
    found = reports.report(motion, spoken.silent, spoken.closures)
    return Performance(
        motion=boiled(motion, str(acting_params(spec.style, spec.params).get("boil"))),
        generated=generated,
        channels=_final_channels(motion, generated, edits),
        edited={name: tuple(sorted(values)) for name, values in edits.items()},
        blinks=cues.used(whole.motion, spec.cues),
        report=reports.overrule(found, spec.overruled),
    )


def ahead(spoken: SpokenMotion, lead: int) -> SpokenMotion:
    """What is seen when the picture runs `lead` frames ahead: the first frames are left out."""
    if lead == 0:
        return spoken
    motion = spoken.motion
    return replace(
        spoken,
        motion=replace(
            motion,
            expression=motion.expression[lead:],
            head=motion.head[lead:],
            gaze=motion.gaze[lead:],
            native={name: rows[lead:] for name, rows in motion.native.items()},
        ),
        silent=spoken.silent[lead:],
        closures=tuple(
            (max(0, first - lead), last - lead) for first, last in spoken.closures if last >= lead
        ),
    )


def _shaped(spec: ShotSpec, motion: Motion) -> Motion:
    params = {**_DEFAULTS, **spec.params}
    begin_s = spec.audio.start_s + spec.lead / float(spec.fps)
    eye_amount = float(params["eye_amount"])
    motion = amounts.scale(motion, spec.amounts, eye_amount, spec.seed, begin_s)
    return ends.settle(cues.perform(motion, spec.cues), float(params["settle"]))


def _with_body(spec: ShotSpec, motion: Motion) -> Motion:
    params = {**_DEFAULTS, **spec.params}
    breathing = 0.0 if params["still"] else float(params["breathing"])
    begin_s = spec.audio.start_s + spec.lead / float(spec.fps)
    shown = holds.first_frames(spec.holds, motion.n_frames)
    return body.follow(motion, breathing, spec.seed, begin_s, shown)


def _warn_of_late(spec: ShotSpec, n_frames: int, warn: Callable[[str], None]) -> None:
    """Say what lies behind the last frame: strips are trimmed, and undo brings it back."""
    starts = () if isinstance(spec.holds, int) else spec.holds
    placed = {
        "holds": starts,
        "cues": [cue.frame for cue in spec.cues or ()],
        "edited values": [frame for values in spec.channels.values() for frame in values],
    }
    for name, frames in placed.items():
        late = sum(frame >= n_frames for frame in frames)
        if late:
            warn(f"{late} {name} lie behind the last frame ({n_frames - 1}) and are ignored.")


def _usable_edits(
    spec: ShotSpec, n_frames: int, warn: Callable[[str], None]
) -> dict[str, dict[int, float]]:
    """The artist's edits inside the shot and inside their ranges."""
    ranges = {channel.name: (channel.minimum, channel.maximum) for channel in protocol.CHANNELS}
    usable: dict[str, dict[int, float]] = {}
    outside = 0
    for name, values in spec.channels.items():
        low, high = ranges[name]
        for frame, value in values.items():
            if frame >= n_frames:
                continue
            outside += not low <= value <= high
            usable.setdefault(name, {})[frame] = round(min(max(value, low), high), EDIT_DECIMALS)
    if outside:
        warn(f"{outside} edited values were outside the range of their channel and are clipped.")
    return usable


def _final_channels(
    motion: Motion, generated: Values, edits: Mapping[str, Mapping[int, float]]
) -> Values:
    """Channels as drawn; at an edit exactly its value, so that sending it again changes nothing."""
    if not edits:
        return generated
    final = {name: np.array(row, np.float64) for name, row in channels.measure(motion).items()}
    for name, values in edits.items():
        for frame, value in values.items():
            final[name][frame] = value
    return final
