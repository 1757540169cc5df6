"""The commands about weight files: `animate-portrait models list | verify | fetch | import`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .console import Console

_LIVE_PORTRAIT = "live_portrait"


def add(actions: Any) -> None:
    """Add the commands to a parser."""
    listing = actions.add_parser("list", help="every weight file, its licence and its state")
    verify = actions.add_parser("verify", help="compare every file with its sha256")
    fetch = actions.add_parser("fetch", help="download the weights of a model")
    fetch.add_argument("name", metavar="MODEL")
    take_over = actions.add_parser("import", help="take over downloaded files")
    take_over.add_argument(
        "files", nargs="+", metavar="FILE", help="files; or live_portrait and its folder"
    )
    listing.set_defaults(run=_list)
    verify.set_defaults(run=_list)
    fetch.set_defaults(run=_fetch)
    take_over.set_defaults(run=_import)
    for action in (listing, verify, fetch, take_over):
        action.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _list(options: argparse.Namespace, console: Console) -> int:
    """`models list` and `models verify`; the second one reads the files."""
    from . import checkpoints

    rows = checkpoints.survey(check_content=options.action == "verify")
    if options.json:
        content = [
            {
                "model": row.model,
                "file": row.file.name,
                "path": str(row.path),
                "sha256": row.file.sha256,
                "state": row.state,
                "licence": row.licence,
                "may_be_sold": row.may_be_sold,
            }
            for row in rows
        ]
        console.say(json.dumps({"weights": content}))
    else:
        for row in rows:
            console.say(f"{row.state:8} {row.model:16} {row.file.name}  ({row.licence})")
    bad = [
        row for row in rows if row.state == "damaged" or (row.bundled and row.state == "missing")
    ]
    if bad:
        console.fail(f'"{bad[0].path}" is {bad[0].state}: run install.py again, or fetch it.')
    return 1 if bad else 0


def _fetch(options: argparse.Namespace, console: Console) -> int:
    from . import checkpoints
    from .console import Bar

    with Bar(console, shown=not options.json) as bar:
        paths = checkpoints.fetch(options.name, bar.on_bytes)
    _say_paths(paths, options.json, console)
    return 0


def _import(options: argparse.Namespace, console: Console) -> int:
    from . import checkpoints

    if options.files[0] == _LIVE_PORTRAIT:
        return _import_live_portrait(options, console)
    paths = [checkpoints.import_file(Path(file)) for file in options.files]
    _say_paths(paths, options.json, console)
    return 0


def _import_live_portrait(options: argparse.Namespace, console: Console) -> int:
    """`models import live_portrait FOLDER`."""
    from .errors import SpecInvalid
    from .home import home
    from .models.live_portrait import released

    if len(options.files) != 2:
        text = f"{_LIVE_PORTRAIT} needs one folder, and {len(options.files) - 1} were given."
        raise SpecInvalid(text, f"animate-portrait models import {_LIVE_PORTRAIT} FOLDER")
    if not options.json:
        console.say(released.LICENCE)
    folder = home() / "models" / _LIVE_PORTRAIT
    _say_paths(released.import_release(Path(options.files[1]), folder), options.json, console)
    return 0


def _say_paths(paths: list[Path], as_json: bool, console: Console) -> None:
    if as_json:
        console.say(json.dumps({"files": [str(path) for path in paths]}))
        return
    for path in paths:
        console.say(str(path))
