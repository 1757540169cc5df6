"""A finished take onto the timeline: strip, channels and landmarks, in slices of milliseconds.

Each generator step ends with the .blend in order, so a tick may end after any of them. Strips are
looked up by name in every step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from . import (
    directions,
    edited,
    fcurves,
    keys,
    landmarks,
    layers,
    props,
    protocol,
    shots,
    strips,
    takes,
)
from .carry import Move
from .orders import Order
from .strips import CannotUse
from .timing import Span

_SLICE_S = 0.003


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A take as read from disk by a thread."""

    take: takes.Take
    vertices: npt.NDArray[np.float32]  # (N * 68 * 3,) of the landmarks' mesh


def load(folder: Path) -> Loaded:
    """Reads what the timeline needs of a take; needs no bpy data, so any thread may.

    Raises:
        TakeUnreadable: the server wrote something else than was agreed.
    """
    take = takes.read_take(folder)
    return Loaded(take, landmarks.positions(takes.read_landmarks(folder), take.size))


def apply(order: Order, loaded: Loaded) -> Iterator[None]:
    """Puts a take where the order wants it. Afterwards the shot is the active strip.

    The undo step is left to the caller: it should come once, behind everything.

    Raises:
        CannotUse: the scene or the strip is gone.
    """
    take = loaded.take
    shots.remember(take)
    name = order.strip or _new_strip(order, take)
    yield
    yield from _elements(order, name, take)
    record = order.record
    if landmarks.mesh_of(record.mesh, record.shot_id) is None:
        record = replace(record, mesh=landmarks.new_mesh(record.shot_id, take.size))
    shots.write_record(_strip(order, name), record)
    yield from landmarks.fill(record.mesh, record.shot_id, loaded.vertices)
    for channel in protocol.CHANNELS:
        _write_channel(order, _strip(order, name), channel, take)
        yield
    strip = _strip(order, name)
    strips.make_active(strip.id_data, strip)
    shots.mark_stale()


def is_there(order: Order, take: takes.Take) -> bool:
    """True when the timeline shows a take; undo may have removed it between two steps."""
    for strip in strips.every(bpy.data.scenes.get(order.scene)):
        kept = shots.record(strip) if shots.is_shot(strip) else None
        if kept is not None and kept.shot_id == order.record.shot_id:
            return strips.shown_folder(strip) == take.folder
    return False


def _new_strip(order: Order, take: takes.Take) -> str:
    scene = _scene(order)
    first = take.folder / takes.frame_name(0)
    sound = strips.named(scene, order.sound)
    strip = strips.new_image_strip(scene, order.record.image.path().stem, first, order.span, sound)
    settings, theirs = getattr(strip, props.SETTINGS), getattr(scene, props.SETTINGS)
    for prop in theirs.bl_rna.properties:
        if not prop.is_readonly and prop.identifier != "name":
            setattr(settings, prop.identifier, getattr(theirs, prop.identifier))
    settings.image = strips.relative(order.record.image.path())
    return strip.name


def _elements(order: Order, name: str, take: takes.Take) -> Iterator[None]:
    """The strip's files: the same names in every take, so only the folder changes."""
    names = [takes.frame_name(frame) for frame in range(take.n_frames)]
    while True:
        strip = _strip(order, name)
        until = time.perf_counter() + _SLICE_S
        for _ in strips.set_elements(strip, names):
            if time.perf_counter() > until:
                break
        else:
            break
        yield
    strip = _strip(order, name)
    if order.place is not None:
        _reposition(strip, order, order.place)
    strips.show_folder(strip, take.folder)
    layers.follow(strip, take.folder)


def _reposition(strip: Any, order: Order, shown: Span) -> None:
    """Blender moves a strip's keys with it. That is wanted, unless they are carried later."""
    paths = [shots.channel_path(strip, name) for name in protocol.CHANNEL_NAMES]
    before = {path: keys.read(fcurves.find(strip.id_data, path)) for path in paths}
    amounts = [shots.channel_path(strip, props.amount(name)) for name in protocol.AMOUNTS]
    kept_amounts = {path: keys.read(fcurves.find(strip.id_data, path)) for path in amounts}
    first = strips.origin(strip)
    old = Span(first, first + len(strip.elements))
    strips.place(strip, order.span, shown)
    directions.move_markers(strip, order.move or Move(old, order.span))
    if order.move is None:
        return
    for path, kept in before.items():
        if len(kept):
            keys.write(fcurves.find(strip.id_data, path), kept)
    for path, kept in kept_amounts.items():
        if len(kept):
            moved = kept.moved(order.move.targets(kept.frames), float(order.move.ratio))
            keys.write(fcurves.find(strip.id_data, path), moved)


def _write_channel(order: Order, strip: Any, channel: protocol.Channel, take: takes.Take) -> None:
    """Generated keys where the artist has none of his own, now: he may have gone on meanwhile."""
    name, n_frames, near = channel.name, take.n_frames, takes.tolerance(channel)
    first, path = strips.origin(strip), shots.channel_path(strip, name)
    if order.base is not None and fcurves.find(strip.id_data, path) is None:
        return  # he has deleted the curve: the slider counts
    old = Span(first, first + n_frames)
    move = order.move or Move(old, old)
    keep = np.zeros(n_frames, bool)
    if order.strip:
        keep = edited.keep(strip, channel, order.base, take, move)
    curve = fcurves.ensure(strip.id_data, path)
    frames = first + np.arange(n_frames, dtype=np.float64)
    sent = np.full(n_frames, np.nan)
    sent[list(take.edits.get(name, ()))] = list(take.edits.get(name, {}).values())
    as_sent = keep & ~np.isnan(sent)
    if order.move is None:
        as_sent &= np.abs(fcurves.sample(curve, frames) - np.nan_to_num(sent)) <= near
    else:
        as_sent &= ~np.isin(frames, keys.read(curve).frames)
    fcurves.write_generated(curve, frames, take.generated[name], keep, near / 4)
    bent = as_sent & (np.abs(fcurves.sample(curve, frames) - np.nan_to_num(sent)) > near)
    if bent.any():  # the line from the artist's key to ours has changed
        fcurves.pin(curve, frames[bent], sent[bent])
    fcurves.mark_edited(curve, frames[~np.isnan(sent)])


def _scene(order: Order) -> Any:
    scene = bpy.data.scenes.get(order.scene)
    if scene is None:
        raise CannotUse(f'The scene "{order.scene}" is gone.')
    return scene


def _strip(order: Order, name: str) -> Any:
    """The strip of a job; one that was renamed meanwhile is found by its shot."""
    scene = _scene(order)
    found = strips.named(scene, name)
    if found is not None and found.type == "IMAGE":
        return found
    for strip in strips.every(scene):
        kept = shots.record(strip) if shots.is_shot(strip) else None
        if kept is not None and kept.shot_id == order.record.shot_id:
            return strip
    raise CannotUse(f'The strip "{name}" is gone.')
