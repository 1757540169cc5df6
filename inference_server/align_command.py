"""`animate-portrait align`: when each word of a transcript is said."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import TranscriptUnusable

if TYPE_CHECKING:
    from .console import Console


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("audio", metavar="AUDIO")
    parser.add_argument("--transcript", required=True, metavar="FILE", help="a text, UTF-8")
    parser.add_argument("--language", default="en", help="en, de, fr, es, ...; default en")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds")
    parser.add_argument("--duration", type=float, metavar="S", help="seconds; default: to the end")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace, console: Console) -> int:
    from .spec import parse_voice
    from .transcript import align

    place = {"path": options.audio, "start_s": options.start, "duration_s": options.duration}
    audio, _, _ = parse_voice(place, 0, {})
    found = align(audio, _read(Path(options.transcript)), options.language)
    if options.json:
        console.say(json.dumps(found))
        return 0
    for warning in found["warnings"]:
        console.say(f"Note: {warning}")
    for i, word in enumerate(found["words"]):
        doubt = "  ?" if i in found["doubtful"] else ""
        console.say(f"{word['start_s']:9.3f} {word['end_s']:9.3f}  {word['word']}{doubt}")
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as failure:
        text = f'Cannot read the transcript "{path}": {failure.strerror}.'
        raise TranscriptUnusable(text, "Check the path after --transcript.") from failure
    except UnicodeDecodeError as failure:
        text = f'The transcript "{path.name}" is no text in UTF-8.'
        raise TranscriptUnusable(text, "Save it as UTF-8.") from failure
