"""A finished take: what `take.json` says, and what another take may link from it."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .datatypes import Breach, Cue, Report, ShotSpec
from .directions import cues_to_json, parse_cues
from .errors import SpecInvalid, TakeUnreadable
from .spec import parse_spec, spec_to_json

TAKE_VERSION = 1
TAKE_FILE = "take.json"
_CHOOSE_ANOTHER = "Choose another take."
_DECIMALS = 6  # of channel values in take.json
PNG_END = b"IEND\xaeB`\x82"
_KEY_WITHIN = 512  # bytes: image_io puts the key before the pixels

Values = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """One finished take."""

    path: Path
    spec: ShotSpec
    size: tuple[int, int]  # (w, h) px of a frame
    frame_keys: tuple[str, ...]
    layers: tuple[str, ...]  # bottom to top; the frames of each lie in a folder of its name
    channels: Values  # name -> (N,), as drawn
    generated: Values  # name -> (N,), without the artist's edits
    edited: Mapping[str, tuple[int, ...]]  # name -> frames
    cues: tuple[Cue, ...]  # the blinks, as generated or as placed
    report: Report
    box: tuple[float, float, float, float]  # px of the picture that a frame shows, xyxy
    picture_size: tuple[int, int]  # (w, h) px
    rendered: tuple[int, ...]  # frames drawn in this run
    reused: tuple[int, ...]  # frames found or linked
    versions: Mapping[str, str]
    weights: Mapping[str, str]  # name -> sha256
    seconds: Mapping[str, float]  # stage -> duration
    warnings: tuple[str, ...]

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_keys)

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self.spec.fps


def take_to_json(take: Take) -> dict[str, Any]:
    """The content of `take.json`."""
    report = take.report
    return {
        "version": TAKE_VERSION,
        "n_frames": take.n_frames,
        "fps": [take.fps.numerator, take.fps.denominator],
        "size": list(take.size),
        "rendered": list(take.rendered),
        "reused": list(take.reused),
        "report": {
            "silence_motion": report.silence_motion,
            "closures": {"hits": report.closure_hits, "total": report.closure_total},
            "breaches": _breaches_to_json(report.breaches),
            "overruled": _breaches_to_json(report.overruled),
        },
        "spec": spec_to_json(take.spec),
        "frame_keys": list(take.frame_keys),
        "layers": list(take.layers),
        "channels": _values_to_json(take.channels),
        "generated": _values_to_json(take.generated),
        "edited": {name: list(frames) for name, frames in take.edited.items()},
        "cues": cues_to_json(take.cues),
        "portrait": {"box": list(take.box), "picture_size": list(take.picture_size)},
        "versions": dict(take.versions),
        "weights": dict(take.weights),
        "seconds": dict(take.seconds),
        "warnings": list(take.warnings),
    }


def read_take(folder: Path) -> Take:
    """The finished take in a folder.

    Raises:
        TakeUnreadable: no `take.json`, or a damaged one.
    """
    path = folder / TAKE_FILE
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as failure:
        raise TakeUnreadable(f'"{folder}" holds no take: {failure}.', _CHOOSE_ANOTHER) from failure
    try:
        return _take_from_json(folder, document)
    except (KeyError, TypeError, ValueError, AttributeError, SpecInvalid) as failure:
        reason = f"{type(failure).__name__} {failure}"
        text = f'"{path}" is damaged or of another version: {reason}.'
        raise TakeUnreadable(text, _CHOOSE_ANOTHER) from failure


def frame_name(frame: int) -> str:
    """File name of a frame inside its take."""
    return f"{frame:06d}.png"


def layer_paths(frame_path: Path, layers: Sequence[str]) -> list[Path]:
    """Where the layers of a frame are, bottom to top."""
    return [frame_path.parent / layer / frame_path.name for layer in layers]


def frame_size(path: Path) -> tuple[int, int]:
    """(w, h) px of a frame, from its PNG header (PNG specification, 11.2.2)."""
    with path.open("rb") as file:
        head = file.read(24)
    width, height = struct.unpack(">II", head[16:24])
    return width, height


class BaseTake:
    """A finished take to link unchanged frames from; empty when there is none.

    One that is missing or damaged is no error: what it cannot give is drawn, with a warning.
    """

    def __init__(self, folder: Path | None) -> None:
        self.take: Take | None = None
        self.warning = ""
        self._frame_of: dict[str, int] = {}
        self._arrays: dict[str, dict[str, npt.NDArray[Any]]] = {}
        if folder is None:
            return
        try:
            self.take = read_take(folder)
        except TakeUnreadable as failure:
            self.warning = f"The base take is not used, all frames are drawn: {failure.message}"
            return
        for frame, key in enumerate(self.take.frame_keys):
            self._frame_of.setdefault(key, frame)

    def frame_of(self, key: str) -> int | None:
        """The frame of the base take that has this key."""
        return self._frame_of.get(key)

    def path_of(self, key: str) -> Path | None:
        """Its picture; None when the base take has none, or a damaged one."""
        frame = self._frame_of.get(key)
        if frame is None or self.take is None:
            return None
        path = self.take.path / frame_name(frame)
        every = [*layer_paths(path, self.take.layers), path]
        return path if all(_looks_whole(each, key) for each in every) else None

    def array(self, file: str, name: str) -> npt.NDArray[Any] | None:
        """One array of an .npz of the take, one row per frame; None when it is not to be had."""
        if self.take is None:
            return None
        if file not in self._arrays:
            try:
                with np.load(self.take.path / file, allow_pickle=False) as entry:
                    self._arrays[file] = {each: entry[each] for each in entry.files}
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                self._arrays[file] = {}
        rows = self._arrays[file].get(name)
        return rows if rows is not None and len(rows) == self.take.n_frames else None


def _values_to_json(values: Values) -> dict[str, list[float]]:
    return {name: np.round(row, _DECIMALS).tolist() for name, row in values.items()}


def _breaches_to_json(breaches: tuple[Breach, ...]) -> list[dict[str, Any]]:
    return [{"frame": at.frame, "kind": at.kind} for at in breaches]


def _breaches(document: list[dict[str, Any]]) -> tuple[Breach, ...]:
    return tuple(Breach(at["frame"], at["kind"]) for at in document)


def _take_from_json(folder: Path, document: dict[str, Any]) -> Take:
    if document["version"] != TAKE_VERSION:
        raise ValueError(f"version {document['version']!r}")
    report, portrait = document["report"], document["portrait"]
    take = Take(
        path=folder,
        spec=parse_spec(document["spec"]),
        size=tuple(document["size"]),
        frame_keys=tuple(document["frame_keys"]),
        layers=tuple(document.get("layers", ())),
        channels={name: np.array(row, float) for name, row in document["channels"].items()},
        generated={name: np.array(row, float) for name, row in document["generated"].items()},
        edited={name: tuple(frames) for name, frames in document["edited"].items()},
        report=Report(
            silence_motion=report["silence_motion"],
            closure_hits=report["closures"]["hits"],
            closure_total=report["closures"]["total"],
            breaches=_breaches(report["breaches"]),
            overruled=_breaches(report.get("overruled", [])),
        ),
        cues=parse_cues(document.get("cues")) or (),
        box=tuple(portrait["box"]),
        picture_size=tuple(portrait["picture_size"]),
        rendered=tuple(document["rendered"]),
        reused=tuple(document["reused"]),
        versions=dict(document["versions"]),
        weights=dict(document["weights"]),
        seconds=dict(document["seconds"]),
        warnings=tuple(document["warnings"]),
    )
    if take.n_frames != document["n_frames"] or take.n_frames < 1:
        raise ValueError("the number of frames does not fit")
    return take


def _looks_whole(path: Path, key: str) -> bool:
    """Head and end of a frame are those of `key`; the pixels between are not read, for speed."""
    try:
        with path.open("rb") as file:
            head = file.read(_KEY_WITHIN)
            file.seek(-len(PNG_END), os.SEEK_END)
            return key.encode() in head and file.read() == PNG_END
    except OSError:
        return False
