"""Which file is read and written by whom."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

from inference_server.datatypes import Motion
from inference_server.motion.channels import measure

from . import arkit, papagayo, rhubarb
from .timing import BLAIR, RHUBARB, Edits, Timing, edits, n_frames_of, translated, unreadable

_LARGEST_BYTES = 256 * 1024 * 1024


def read(path: Path, fps: Fraction) -> Timing | Motion:
    """Mouth cues or curves, by what is in the file, not by its name.

    Args:
        path: of the file.
        fps: of the shot; curves are taken to it, and Moho's frames are on it.

    Raises:
        TimingUnreadable: missing, damaged or of an unknown kind.
    """
    text = _text(path)
    begin = text[:200].lstrip("\ufeff \r\n\t")
    text = text.lstrip("\ufeff")
    if begin.startswith("{"):
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as failure:
            raise unreadable(path, f"is no JSON: {failure}") from failure
        if "names" in document:
            return arkit.read_json(path, document, fps)
        return rhubarb.read_json(path, document)
    if begin.startswith("<"):
        return rhubarb.read_xml(path, text.lstrip())
    if begin.startswith("MohoSwitch"):
        return papagayo.read_dat(path, text, fps)
    if begin.startswith("lipsync version"):
        return papagayo.read_pgo(path, text)
    if begin.lower().startswith("timecode"):
        return arkit.read_csv(path, text, fps)
    return rhubarb.read_tsv(path, text)


def edits_of(found: Timing | Motion, fps: Fraction, n_frames: int | None = None) -> Edits:
    """What was read as edits of a shot: cues hold the lips, curves set every channel.

    Args:
        found: of `read`.
        fps: of the shot.
        n_frames: of the shot; None takes the length of the file.
    """
    if isinstance(found, Timing):
        return edits(found, fps, n_frames or n_frames_of(found, fps))
    count = min(n_frames or found.n_frames, found.n_frames)
    return {
        name: {frame: round(float(row[frame]), 6) for frame in range(count)}
        for name, row in measure(found).items()
    }


def written(kind: str, timing: Timing, motion: Motion, sound: str) -> str:
    """The text of a file of one of protocol.EXPORTS.

    Args:
        kind: of the file.
        timing: the cues, of `choose`.
        motion: the curves.
        sound: path that some formats name.
    """
    own = translated(timing, BLAIR if kind in ("moho.dat", "papagayo.pgo") else RHUBARB)
    match kind:
        case "rhubarb.tsv":
            return rhubarb.write_tsv(own)
        case "rhubarb.json":
            return rhubarb.write_json(own, sound)
        case "rhubarb.xml":
            return rhubarb.write_xml(own, sound)
        case "moho.dat":
            return papagayo.write_dat(own, motion.fps)
        case "papagayo.pgo":
            return papagayo.write_pgo(own, motion.fps, sound)
        case "arkit.csv":
            return arkit.write_csv(motion)
        case _:
            return arkit.write_json(motion)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise unreadable(path, "is no file")
        if path.stat().st_size > _LARGEST_BYTES:
            raise unreadable(path, f"is larger than {_LARGEST_BYTES >> 20} MB")
        data = path.read_bytes()
    except OSError as failure:
        raise unreadable(path, f"cannot be read: {failure.strerror}") from failure
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise unreadable(path, "is no text") from failure
