"""Finished takes as the add-on reads them, and what the artist changed since (no bpy).

A take folder is never modified; `take.json` is written last, so a take exists when it does.

What a take was *asked* to draw is its `generated` values with the sparse edits of its spec on top.
Edits are found against `generated`, frames to draw again against what was asked. What was finally
drawn ("channels" in take.json) is not used for that: holds and closures may change it on frames
that the artist never touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import protocol
from .holds import Holds, groups
from .timing import Span

TAKE_FILE = "take.json"
_TAKE_NAME = re.compile(r"take_(\d{4,})")
_ROW = re.compile(r'\[[-+.,\deE\s]{40,}\]|\{(?:\s*"\d+"\s*:\s*[-+.\deE]+\s*,?)+\}')
_ROW_MARK = "row of numbers "  # no text of a take begins like this
_DECIMALS = 6  # of an edit's value; channels are compared at 1e-3 of their range

Values = Mapping[str, npt.NDArray[np.float64]]  # channel -> (N,)
Edits = dict[str, dict[int, float]]  # channel -> shot frame -> absolute value


class TakeUnreadable(Exception):
    """The folder holds no finished take, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Report:
    """How well the mouth keeps the rules that can be read."""

    silence_motion: float  # share of silent frames in which the lips move
    closure_hits: int
    closure_total: int
    breaches: tuple[tuple[int, str], ...]  # shot frame, kind
    overruled: tuple[tuple[int, str], ...] = ()  # those that the artist accepts


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One finished take."""

    folder: Path
    n_frames: int
    fps: Fraction
    size: tuple[int, int]  # (w, h) px
    generated: Values  # without the artist's edits
    asked: Values  # generated with the edits that were sent
    edits: Edits  # the edits that were sent
    spec: dict[str, Any] = field(repr=False)  # the request, as JSON
    report: Report
    rendered: int  # frames drawn for this take; the others were linked
    warnings: tuple[str, ...]
    cues: tuple[dict[str, Any], ...] = ()  # blinks that are in the frames: frame, eye
    layers: tuple[str, ...] = ()  # folders with the frames of each layer, bottom to top


def frame_name(frame: int) -> str:
    """File name of a frame inside its take."""
    return f"{frame:06d}.png"


def read_take(folder: Path) -> Take:
    """Reads `take.json`.

    Raises:
        TakeUnreadable: there is none, or it is damaged.
    """
    try:
        document = _parse((folder / TAKE_FILE).read_text("utf-8"))
    except OSError as failure:
        raise TakeUnreadable(f'There is no finished take in "{folder}"') from failure
    except ValueError as failure:
        raise TakeUnreadable(f'"{folder / TAKE_FILE}" is damaged: {failure}') from failure
    try:
        return _take(folder, document)
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        reason = f"{type(failure).__name__} {failure}"
        raise TakeUnreadable(f'"{folder / TAKE_FILE}" is damaged: {reason}') from failure


def read_landmarks(folder: Path) -> npt.NDArray[np.float32]:
    """The iBUG landmarks of a take.

    Returns:
        (N, 68, 2) px of the frame, origin top left, y down.

    Raises:
        TakeUnreadable: `landmarks.npz` is missing or damaged.
    """
    path = folder / "landmarks.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            points = np.asarray(arrays["ibug"], np.float32)
    except (OSError, KeyError, ValueError, EOFError) as failure:
        raise TakeUnreadable(f'"{path}" cannot be read: {failure}') from failure
    if points.ndim != 3 or points.shape[1:] != (68, 2):
        raise TakeUnreadable(f'"{path}" holds {points.shape} points, not (N, 68, 2)')
    return points


def take_number(folder: Path) -> int:
    """3 for .../take_0003; 0 for any other name."""
    match = _TAKE_NAME.fullmatch(folder.name)
    return int(match[1]) if match else 0


def finished_takes(shot_folder: Path) -> list[Path]:
    """The finished takes of a shot, oldest first."""
    found = [path for path in _take_folders(shot_folder) if (path / TAKE_FILE).is_file()]
    return sorted(found, key=take_number)


def next_take(shot_folder: Path) -> Path:
    """Where the next take goes: behind every finished one.

    An unfinished folder in that place is used again, so that a cancelled run is continued.
    """
    finished = finished_takes(shot_folder)
    number = take_number(finished[-1]) + 1 if finished else 1
    return shot_folder / f"take_{number:04d}"


def tolerance(channel: protocol.Channel) -> float:
    """How far a value of a channel must be from another to count as different."""
    return protocol.EDIT_TOLERANCE * (channel.maximum - channel.minimum)


def clipped(sampled: Values) -> dict[str, npt.NDArray[np.float64]]:
    """F-Curves overshoot; the server would clip them too."""
    return {
        channel.name: np.clip(sampled[channel.name], channel.minimum, channel.maximum)
        for channel in protocol.CHANNELS
        if channel.name in sampled
    }


def rounded(values: npt.NDArray[np.float64], frames: npt.NDArray[np.int64]) -> dict[int, float]:
    """The values of some frames as they are sent."""
    return {int(frame): round(float(values[frame]), _DECIMALS) for frame in frames}


def edits(take: Take, sampled: Values, visible: npt.NDArray[np.bool_]) -> Edits:
    """Where the curves differ from what was generated.

    Args:
        take: what the strip shows.
        sampled: the curves at each frame of the take.
        visible: (N,) frames that the strip shows; hidden frames keep the edits they had.
    """
    found: Edits = {}
    for channel in protocol.CHANNELS:
        name = channel.name
        values = clipped({name: sampled[name]})[name]
        differs = np.abs(values - take.generated[name]) > tolerance(channel)
        frames = {
            frame: value for frame, value in take.edits.get(name, {}).items() if not visible[frame]
        }
        frames.update(rounded(values, np.flatnonzero(differs & visible)))
        if frames:
            found[name] = dict(sorted(frames.items()))
    return found


def sent_alone(take: Take, found: Edits, frames: Span) -> Edits:
    """The edits of some frames; all others stay as they are in the take.

    Args:
        take: what the strip shows.
        found: all edits, see `edits`.
        frames: of the shot, whose edits are to be drawn.
    """
    sent: Edits = {}
    for name in {**take.edits, **found}:
        before, now = take.edits.get(name, {}), found.get(name, {})
        chosen = {f: value for f, value in now.items() if f in frames}
        others = {f: value for f, value in before.items() if f not in frames}
        if chosen or others:
            sent[name] = dict(sorted({**others, **chosen}.items()))
    return sent


def dirty(
    take: Take, sampled: Values, visible: npt.NDArray[np.bool_], holds: Holds
) -> npt.NDArray[np.bool_]:
    """Visible frames whose picture no longer fits the curves.

    Args:
        take: what the strip shows.
        sampled: the curves at each frame of the take.
        visible: (N,) frames that the strip shows.
        holds: frames that share one pose; when one changes, all do.

    Returns:
        (N,) True where a frame has to be drawn again.
    """
    changed = np.zeros(take.n_frames, bool)
    now = clipped(sampled)
    for channel in protocol.CHANNELS:
        difference = np.abs(now[channel.name] - take.asked[channel.name])
        changed |= difference > tolerance(channel)
    changed &= visible
    if holds != 1:
        group = groups(holds, take.n_frames)
        changed = np.isin(group, group[changed])
    return changed & visible


def _parse(text: str) -> dict[str, Any]:
    """json.loads in small bites.

    One call for ten minutes of frames would hold the interpreter, and so Blender's window, for
    100 ms, whatever thread makes it. Rows of numbers are therefore parsed one by one.
    """
    rows: list[Any] = []

    def put_aside(match: re.Match[str]) -> str:
        rows.append(json.loads(match[0]))
        return f'"{_ROW_MARK}{len(rows) - 1}"'

    def put_back(fields: dict[str, Any]) -> dict[str, Any]:
        for name, value in fields.items():
            if isinstance(value, str) and value.startswith(_ROW_MARK):
                fields[name] = rows[int(value[len(_ROW_MARK) :])]
        return fields

    return json.loads(_ROW.sub(put_aside, text), object_hook=put_back)


def _take_folders(shot_folder: Path) -> list[Path]:
    if not shot_folder.is_dir():
        return []
    return [path for path in shot_folder.iterdir() if take_number(path)]


def _take(folder: Path, document: dict[str, Any]) -> Take:
    n_frames = int(document["n_frames"])
    generated = clipped(
        {name: np.array(document["generated"][name], np.float64) for name in protocol.CHANNEL_NAMES}
    )
    if any(row.shape != (n_frames,) for row in generated.values()):
        raise ValueError("the number of frames does not fit")
    sent: Edits = {
        name: {int(f): float(v) for f, v in frames.items() if 0 <= int(f) < n_frames}
        for name, frames in (document["spec"].get("channels") or {}).items()
        if name in generated
    }
    asked = {name: row.copy() for name, row in generated.items()}
    for name, frames in sent.items():
        asked[name][list(frames)] = list(frames.values())
    report = document["report"]
    width, height = document["size"]
    return Take(
        folder=folder,
        n_frames=n_frames,
        fps=Fraction(*document["fps"]),
        size=(int(width), int(height)),
        generated=generated,
        asked=clipped(asked),
        edits=sent,
        spec=document["spec"],
        report=Report(
            silence_motion=float(report["silence_motion"]),
            closure_hits=int(report["closures"]["hits"]),
            closure_total=int(report["closures"]["total"]),
            breaches=_breaches(report["breaches"]),
            overruled=_breaches(report.get("overruled", ())),
        ),
        rendered=len(document["rendered"]),
        warnings=tuple(str(text) for text in document["warnings"]),
        cues=tuple(
            {"frame": int(cue["frame"]), "eye": str(cue["eye"])} for cue in document.get("cues", ())
        ),
        layers=tuple(str(name) for name in document.get("layers", ())),
    )


def _breaches(listed: Any) -> tuple[tuple[int, str], ...]:
    return tuple((int(at["frame"]), str(at["kind"])) for at in listed)
