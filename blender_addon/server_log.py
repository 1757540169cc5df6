"""The file that the server writes its log to, and what of it an artist should read (no bpy)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

QUOTED_LINES = 3  # quoted when the server stops unexpectedly
_ROTATES_AT = 4 * 1024 * 1024  # bytes
_OUR_LOG = re.compile(r"[-\d]+ [:,\d]+ ([A-Z]+) ([\w.]+: .*)")  # time, level, who: what
_NATIVE_LOG = re.compile(r"[IW]\d{4} |INFO|WARNING")  # of the libraries; what is fatal is not here
_TELLING = re.compile(r"error|exception|fatal|abort|out of memory|what\(\):", re.IGNORECASE)

log = logging.getLogger(__name__)


def rotate(path: Path) -> None:
    """Keeps one older log; another Blender may hold the file open, then it just grows."""
    try:
        if path.stat().st_size > _ROTATES_AT:
            os.replace(path, path.with_suffix(".old.log"))
    except FileNotFoundError:
        return
    except OSError as failure:
        log.info("The log stays as it is: %s", failure)


def tail(path: Path, start: int) -> list[str]:
    """The last lines, up to 16 kB, that this run has written to its log."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(start, end - 16_384))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def telling_lines(lines: Sequence[str], code: int) -> list[str]:
    """The few lines of a log that may say why the server stopped; what it merely did is left out.

    Args:
        lines: of the log, oldest first.
        code: exit code; a process that was not killed says last why it ends.
    """
    kept: list[str] = []
    plain = [line for line in lines if not _OUR_LOG.match(line) and not _NATIVE_LOG.match(line)]
    for line in lines:
        ours = _OUR_LOG.match(line)
        if ours:
            kept += [ours[2]] if ours[1] in ("WARNING", "ERROR", "CRITICAL") else []
        elif line in plain and not line[0].isspace() and _TELLING.search(line):
            kept.append(line)
    if code > 0 and plain and plain[-1] not in kept:
        kept.append(plain[-1].strip())
    return kept[-QUOTED_LINES:]
