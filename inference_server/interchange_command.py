"""The commands about other programs' files: `animate-portrait import` and `export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .console import Console


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
    from .exchange import import_file
    from .spec import parse_fps
    from .take_folder import check_out_file, writing

    fps = parse_fps(options.fps)
    target = Path(options.out).absolute()
    check_out_file(target, Path(options.file))
    found = import_file(options.file, [fps.numerator, fps.denominator], options.frames)
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(found["channels"], separators=(",", ":")) + "\n", "utf-8")
    n_frames = max(len(values) for values in found["channels"].values())
    about = {"edits": str(target), "n_frames": n_frames, "cues": len(found["cues"])}
    if options.json:
        console.say(json.dumps({**about, "channels": list(found["channels"])}))
    else:
        console.say(f"{target}: {n_frames} frames, {about['cues']} cues.")
    return 0


def _export(options: argparse.Namespace, console: Console) -> int:
    from .exchange import export_take

    done = export_take(options.take, options.to, options.out)
    cues = "" if options.to.startswith("arkit") else f": {done['cues']} cues."
    console.say(json.dumps(done) if options.json else f"{done['file']}{cues}")
    return 0
