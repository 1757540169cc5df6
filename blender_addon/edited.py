"""The artist's edits of a shot: read from its curves, carried over to other frames, kept there."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import carry, fcurves, keys, protocol, shots, strips, takes
from .carry import Mask, Move
from .keys import Keys


def artists(
    strip: Any, channel: protocol.Channel, first: int, take: takes.Take | None, n_frames: int
) -> tuple[Keys, Mask]:
    """The artist's keys of a channel, and the frames that are his.

    Args:
        strip: the shot.
        channel: which.
        first: scene frame of shot frame 0.
        take: that was generated for these keys; None when nobody knows it any more.
        n_frames: of the shot.
    """
    found = keys.read(fcurves.find(strip.id_data, shots.channel_path(strip, channel.name)))
    generated = None if take is None else take.generated[channel.name]
    mark, near = fcurves.generated_number(), takes.tolerance(channel)
    mine = carry.ours(found, first, generated, n_frames, mark, near)
    return found.chosen(~mine), carry.artists_frames(found, mine, first, n_frames)


def all_edits(strip: Any, kept: shots.Record, take: takes.Take | None) -> takes.Edits:
    """Every value that is the artist's, also where it happens to be what was generated.

    What is generated anew must not show through there. Hidden frames keep the edits they had.
    """
    n_frames, first = kept.n_frames, strips.origin(strip)
    visible = shots.visible_mask(strip, n_frames)
    sampled = takes.clipped(shots.sample_all(strip, n_frames))
    found: takes.Edits = {}
    for channel in protocol.CHANNELS:
        name = channel.name
        _, mask = artists(strip, channel, first, take, n_frames)
        if take is None:
            mask &= _has_curve(strip, name)
        row = {} if take is None else take.edits.get(name, {})
        values = {frame: value for frame, value in row.items() if not visible[frame]}
        values.update(takes.rounded(sampled[name], np.flatnonzero(mask & visible)))
        if values:
            found[name] = dict(sorted(values.items()))
    return found


def carried(
    strip: Any, kept: shots.Record, move: Move
) -> tuple[takes.Edits, dict[str, npt.NDArray[np.int64]]]:
    """The edits of a shot in the frames of its next take.

    Returns:
        The edits, and by label of a channel the old shot frames that the next take does not have.
    """
    take = shots.known_or_read(strip)
    found: takes.Edits = {}
    lost: dict[str, npt.NDArray[np.int64]] = {}
    for channel in protocol.CHANNELS:
        theirs, mask = artists(strip, channel, move.old.start, take, kept.n_frames)
        if take is None:
            mask &= _has_curve(strip, channel.name)
        targets = move.targets(theirs.frames)
        frames = np.flatnonzero(carry.moved_frames(move, mask, targets))
        lost[channel.label] = carry.out_of_range(move, mask)
        if len(frames):
            values = _values(strip, channel, move, theirs, targets, frames)
            found[channel.name] = takes.rounded(values, frames)
    return found, lost


def _values(
    strip: Any,
    channel: protocol.Channel,
    move: Move,
    theirs: Keys,
    targets: npt.NDArray[np.float64],
    frames: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """(M,) values of a channel in the next take; those of `frames` count."""
    source = move.sources()
    if move.ratio == 1:
        first = move.old.start + int(source[0])
        values = shots.sample(strip, channel.name, move.new.length, first)
    else:  # the carried keys, among what was generated at the times of the other frames
        curve = fcurves.find(strip.id_data, shots.channel_path(strip, channel.name))
        times = move.old.start + (np.arange(move.new.length) - move.offset) / float(move.ratio)
        values = fcurves.sample(curve, times) if curve is not None else np.zeros(len(times))
        others = np.setdiff1d(np.arange(move.new.length), frames)
        there = theirs.moved(targets, float(move.ratio))
        at = move.new.start + np.arange(move.new.length, dtype=np.float64)
        values = fcurves.sample_among(strip.id_data, there, at[others], values[others], at)
    return takes.clipped({channel.name: values})[channel.name]


def _has_curve(strip: Any, name: str) -> bool:
    return fcurves.find(strip.id_data, shots.channel_path(strip, name)) is not None


def keep(
    strip: Any, channel: protocol.Channel, base: takes.Take | None, take: takes.Take, move: Move
) -> Mask:
    """Puts the artist's keys of a channel where they belong in a new take.

    Args:
        strip: the shot, which has its new place already.
        channel: which.
        base: the take that the keys belong to now.
        take: the new one.
        move: from the frames of `base` to those of `take`.

    Returns:
        (M,) frames of the new take that are the artist's.
    """
    curve = fcurves.find(strip.id_data, shots.channel_path(strip, channel.name))
    if curve is None:
        return np.zeros(take.n_frames, bool)
    theirs, mask = artists(strip, channel, move.old.start, base, move.old.length)
    targets = move.targets(theirs.frames)
    frames = carry.moved_frames(move, mask, targets)
    if move.old != move.new or move.ratio != 1 or move.offset:
        keys.write(curve, theirs.moved(targets, float(move.ratio)))
    return frames
