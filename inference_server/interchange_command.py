"""The commands about other programs' files: `animate-portrait import` and `export`."""

from __future__ import annotations

import argparse
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .console import Console
    from .datatypes import Motion
    from .takes import Take


def add(commands: Any) -> None:
    """Add the commands to a parser."""
    reading = commands.add_parser("import", help="mouth cues or ARKit curves to edits.json")
    reading.add_argument("file", metavar="FILE", help="Rhubarb, Papagayo, Moho or Live Link Face")
    reading.add_argument("-o", "--out", required=True, metavar="EDITS.json")
    reading.add_argument("--fps", default="24", help="of the shot: 24, 23.976 or 24000/1001")
    reading.add_argument("--frames", type=int, metavar="N", help="of the shot; default: the file's")
    reading.set_defaults(run=_import)
    writing = commands.add_parser("export", help="a take to mouth cues or ARKit curves")
    writing.add_argument("take", metavar="TAKE_DIR")
    writing.add_argument("-o", "--out", required=True, metavar="FILE")
    writing.add_argument(
        "--to",
        required=True,
        metavar="FORMAT",
        help="rhubarb.tsv, .json, .xml, papagayo.pgo, moho.dat, arkit.csv or .json",
    )
    writing.set_defaults(run=_export)
    for command in (reading, writing):
        command.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _import(options: argparse.Namespace, console: Console) -> int:
    from . import fields
    from .directions import channels_to_json
    from .interchange.files import edits_of, read
    from .spec import parse_fps
    from .take_folder import check_out_file

    fps = parse_fps(options.fps)
    count = options.frames
    if count is not None:
        fields.integer("--frames", count, 1, fields.MAX_FRAMES)
    source, target = Path(options.file), Path(options.out).absolute()
    check_out_file(target, source)
    edits = channels_to_json(edits_of(read(source, fps), fps, count))
    _write(target, json.dumps(edits, separators=(",", ":")) + "\n")
    n_frames = max((len(values) for values in edits.values()), default=0)
    _say(options, console, {"edits": str(target), "n_frames": n_frames, "channels": list(edits)})
    return 0


def _export(options: argparse.Namespace, console: Console) -> int:
    from . import fields
    from .interchange.choose import choose
    from .interchange.files import FORMATS, written
    from .take_folder import check_out_file
    from .takes import read_take

    fields.choice("--to", options.to, FORMATS)
    target = Path(options.out).absolute()
    take = read_take(Path(options.take))
    check_out_file(target)
    timing = choose(take.channels, take.fps)
    sound = str(take.spec.audio.path)
    _write(target, written(options.to, timing, motion_of(take), sound))
    _say(options, console, {"file": str(target), "cues": len(timing.marks)})
    return 0


def motion_of(take: Take) -> Motion:
    """The motion of a take, from its motion.npz.

    Raises:
        TakeUnreadable: it is missing or damaged.
    """
    import numpy as np

    from .datatypes import Motion
    from .errors import TakeUnreadable

    path = take.path / "motion.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Motion(take.fps, *(arrays[name] for name in ("expression", "head", "gaze")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as failure:
        text = f'"{path}" is damaged or missing: {failure}.'
        raise TakeUnreadable(text, "Render the take again.") from failure


def _write(target: Path, text: str) -> None:
    from .take_folder import writing

    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", newline="")


def _say(options: argparse.Namespace, console: Console, about: dict[str, Any]) -> None:
    if options.json:
        console.say(json.dumps(about))
        return
    path, *rest = about.items()
    console.say(f"{path[1]}: " + ", ".join(f"{name} {value}" for name, value in rest))
