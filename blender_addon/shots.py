"""Shots on the timeline: the record that a strip carries, and how far its picture is behind.

A strip's folder says which take it shows, so undo, redo and copies need no bookkeeping here.
"""

from __future__ import annotations

import functools
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from . import fcurves, props, protocol, strips, takes

RECORD_VERSION = 1
_KEPT_TAKES = 16
_BUDGET_S = 0.006  # for looking at curves, per tick


@dataclass(frozen=True, slots=True)
class FileLink:
    """A file, found again after the project or the .blend has been moved."""

    relative: str  # "//..." or the same as absolute
    absolute: str  # "" for a file beside or below the .blend: it goes along

    def path(self) -> Path:
        """Where the file is now."""
        near = strips.absolute(self.relative)
        return near if not self.absolute or near.exists() else Path(self.absolute)


@dataclass(frozen=True, slots=True)
class Record:
    """What a strip remembers of its shot; all of it as it was for the take that is shown."""

    shot_id: str
    n_frames: int
    fps: tuple[int, int]
    image: FileLink
    audio: FileLink
    start_s: float
    duration_s: float
    sound: str  # name of the sound strip
    mesh: str  # name of the landmarks' mesh
    look: dict[str, Any]  # face_index, landmarks, size, renderer, ...; files as Blender keeps them

    def with_look(self, **changes: Any) -> Record:
        """The same shot with another look."""
        return replace(self, look={**self.look, **changes})

    def to_json(self) -> str:
        """As it is kept on the strip."""
        return json.dumps({"version": RECORD_VERSION, **asdict(self)}, sort_keys=True)


@dataclass(frozen=True, slots=True, eq=False)
class Status:
    """How a shot stands."""

    take: takes.Take | None  # None: `problem` says why
    dirty: int  # visible frames to draw again
    visible: int
    problem: str = ""
    dirty_frames: frozenset[int] = frozenset()  # of the shot
    directions: tuple[str, ...] = ()  # holds, cues, ... that differ: the server knows the frames


def link(path: Path, folder: Path | None = None) -> FileLink:
    """A link to a file from the .blend that is open, or from one that will be in `folder`."""
    near = strips.relative(path, folder)
    goes_along = near.startswith("//") and not near.startswith("//..")
    return FileLink(near, "" if goes_along else str(path))


def is_shot(strip: Any | None) -> bool:
    """True for an image strip that shows a take."""
    return strip is not None and strip.type == "IMAGE" and bool(getattr(strip, props.RECORD))


def active_shot(scene: Any | None) -> Any | None:
    """The active strip, if it is a shot."""
    strip = strips.active(scene)
    return strip if is_shot(strip) else None


def at_playhead(scene: Any | None) -> Any | None:
    """The shot that the preview shows: the active one if it does, else the uppermost."""
    if scene is None:
        return None
    now, picked = scene.frame_current, active_shot(scene)
    here = [
        strip
        for strip in strips.every(scene)
        if is_shot(strip) and not strip.mute and now in strips.visible(strip)
    ]
    return picked if picked in here else max(here, key=lambda strip: strip.channel, default=None)


def all_shots() -> list[Any]:
    """Every shot in the .blend."""
    return [strip for scene in bpy.data.scenes for strip in strips.every(scene) if is_shot(strip)]


def record(strip: Any) -> Record | None:
    """The record of a shot; None when it is damaged or of a later version."""
    return _parsed(getattr(strip, props.RECORD))


def write_record(strip: Any, value: Record) -> None:
    """Keeps a record on a strip."""
    setattr(strip, props.RECORD, value.to_json())


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> Record | None:
    try:
        fields = json.loads(text)
        if fields.pop("version") != RECORD_VERSION:
            return None
        for name in ("image", "audio"):
            fields[name] = FileLink(**fields[name])
        fields["fps"] = tuple(fields["fps"])
        return Record(**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def channel_path(strip: Any, channel: str) -> str:
    """The data path of a channel, as F-Curves of the scene say it."""
    return f"{strip.path_from_id()}.{props.channel_property(channel)}"


def sample(
    strip: Any, channel: str, n_frames: int, first: int | None = None
) -> npt.NDArray[np.float64]:
    """A channel of a shot at each frame of its take; without keys it is the panel's value.

    Args:
        strip: the shot.
        channel: name.
        n_frames: so many values.
        first: scene frame to begin at, instead of that of the first element.
    """
    curve = fcurves.find(strip.id_data, channel_path(strip, channel))
    if curve is None or curve.mute or not len(curve.keyframe_points):
        return np.full(n_frames, getattr(strip, props.channel_property(channel)), np.float64)
    start = strips.origin(strip) if first is None else first
    return fcurves.sample(curve, start + np.arange(n_frames, dtype=np.float64))


def sample_all(
    strip: Any, n_frames: int, first: int | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """All channels of a shot, see `sample`."""
    return {name: sample(strip, name, n_frames, first) for name in protocol.CHANNEL_NAMES}


def visible_mask(strip: Any, n_frames: int) -> npt.NDArray[np.bool_]:
    """(N,) True for the frames that the strip shows."""
    span = strips.visible_elements(strip, n_frames)
    mask = np.zeros(n_frames, bool)
    mask[span.start : span.start + span.length] = True
    return mask


def take_of(strip: Any) -> takes.Take:
    """The take that a strip shows; reads the disk when it is not known yet.

    Raises:
        TakeUnreadable: the folder was moved or damaged.
    """
    folder = strips.shown_folder(strip)
    if folder not in _takes:
        remember(takes.read_take(folder))
    return _takes[folder]


def known_or_read(strip: Any) -> takes.Take | None:
    """The take that a strip shows; None when its folder was moved or damaged."""
    try:
        return take_of(strip)
    except takes.TakeUnreadable:
        return None


def known_take(strip: Any) -> takes.Take | None:
    """The take that a strip shows, if it is in memory; a thread fetches it if not."""
    folder = strips.shown_folder(strip)
    seen = status(strip)
    if folder not in _takes and (seen is None or seen.take is not None):
        _load(folder)
    return _takes.get(folder)


def remember(take: takes.Take) -> None:
    """Keeps a take in memory, so that drawing the panel never reads the disk."""
    _takes[take.folder] = take
    while len(_takes) > _KEPT_TAKES:
        del _takes[next(iter(_takes))]


def measure(strip: Any) -> Status:
    """Looks at a shot now; for scripts and for the moment before a render."""
    try:
        take = take_of(strip)
    except takes.TakeUnreadable as failure:
        return _keep(strip, Status(None, 0, 0, str(failure)))
    return _keep(strip, _compared(strip, take, sample_all(strip, take.n_frames)))


def status(strip: Any) -> Status | None:
    """What was last seen of a shot; None when it has changed and was not looked at since."""
    found = _statuses.get((strip.id_data.name, strip.name))
    return None if found is None or found[0] != _fingerprint(strip) else found[1]


def is_stale() -> bool:
    """True when something changed that the shown counts do not know yet."""
    return _stale


def is_looking() -> bool:
    """True while a look at a shot is under way."""
    return _looking is not None


def changed_at() -> float:
    """When something was changed last: time.monotonic()."""
    return _changed_at


def mark_stale() -> None:
    """Something in the .blend has changed."""
    global _stale, _changed_at
    _stale, _changed_at = True, time.monotonic()


def forget() -> None:
    """Another .blend: names mean other strips."""
    global _looking
    _statuses.clear()
    _looking = None
    mark_stale()


def look(scene: Any | None) -> bool:
    """Brings the status of the active shot up to date, a few milliseconds at a time.

    Returns:
        True when there is something new to show.
    """
    global _looking, _stale
    _collect()
    if _stale:
        _stale, _looking = False, None
        strip = active_shot(scene)
        if strip is not None:
            _looking = _look(scene.name, strip.name)
    if _looking is None:
        return False
    deadline = time.perf_counter() + _BUDGET_S
    while time.perf_counter() < deadline:
        try:
            next(_looking)
        except StopIteration:
            _looking = None
            return True
    return False


def _look(scene_name: str, name: str) -> Iterator[None]:
    """Measures one shot in slices; gives up when it is gone, as the next change starts again."""
    sampled: dict[str, npt.NDArray[np.float64]] = {}
    for channel in (*protocol.CHANNEL_NAMES, None):
        strip = strips.named(bpy.data.scenes.get(scene_name), name)
        if not is_shot(strip):
            return
        folder = strips.shown_folder(strip)
        if folder not in _takes:
            _load(folder)
            return
        take = _takes[folder]
        if channel is None:
            _keep(strip, _compared(strip, take, sampled))
        else:
            sampled[channel] = sample(strip, channel, take.n_frames)
            yield


def _compared(strip: Any, take: takes.Take, sampled: takes.Values) -> Status:
    visible = visible_mask(strip, take.n_frames)
    kept = record(strip)
    holds = kept.look["holds"] if kept is not None else 1
    if any(len(values) != take.n_frames for values in sampled.values()):
        return Status(take, 0, int(visible.sum()))
    dirty = takes.dirty(take, sampled, visible, holds)
    frames = frozenset(np.flatnonzero(dirty).tolist())
    if kept is None:
        return Status(take, len(frames), int(visible.sum()), "", frames)
    asked = [name for changed in compare_directions for name in changed(strip, kept)]
    return Status(take, len(frames), int(visible.sum()), "", frames, tuple(asked))


def _keep(strip: Any, value: Status) -> Status:
    _statuses[(strip.id_data.name, strip.name)] = (_fingerprint(strip), value)
    return value


def _fingerprint(strip: Any) -> tuple[str, str]:
    """Which take of which shot a status is about."""
    return strip.directory, getattr(strip, props.RECORD)


def _load(folder: Path) -> None:
    """Reads a take in a thread, for `_collect`; a damaged one is tried again when asked for."""
    if folder in _loading:
        return
    _loading.add(folder)

    def work() -> None:
        try:
            _loaded.put((folder, takes.read_take(folder)))
        except takes.TakeUnreadable as failure:
            _loaded.put((folder, str(failure)))

    threading.Thread(target=work, name="portrait-take", daemon=True).start()


def _collect() -> None:
    while True:
        try:
            folder, found = _loaded.get_nowait()
        except queue.Empty:
            return
        _loading.discard(folder)
        if isinstance(found, takes.Take):
            remember(found)
            mark_stale()
            continue
        for strip in all_shots():
            if strips.shown_folder(strip) == folder:
                _keep(strip, Status(None, 0, 0, found))


compare_directions: list[Callable[[Any, Record], list[str]]] = []  # directions.py puts it here
_takes: dict[Path, takes.Take] = {}
_statuses: dict[tuple[str, str], tuple[tuple[str, str], Status]] = {}
_loading: set[Path] = set()
_loaded: queue.SimpleQueue[tuple[Path, takes.Take | str]] = queue.SimpleQueue()
_looking: Iterator[None] | None = None
_stale = True
_changed_at = 0.0
