"""Text of any length in a panel: Blender cuts a long label in its middle, so it is wrapped here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import blf

_FRAME_PX = 76  # tabs, margins and icon of a sidebar, at scale 1
_PIECES = re.compile(r"\S+?(?:[/\\](?=\S)|(?=\s)|$)|\s+")  # words; paths may break behind a slash


def draw(layout: Any, context: Any, text: str, icon: str = "BLANK1") -> None:
    """Writes a text as wide as the panel; the icon stands before its first line."""
    if not text:
        return
    column = layout.column(align=True)
    column.scale_y = 0.85
    for line in lines(text, _measure(context)):
        column.label(text=line, icon=icon)
        icon = "BLANK1"


def lines(text: str, fits: Callable[[str], bool]) -> list[str]:
    """The text in lines that fit, cut between words, else behind a slash, else anywhere."""
    found: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for piece in _PIECES.findall(paragraph):
            if fits((line + piece).rstrip()):
                line += piece
                continue
            if line.strip():
                found.append(line.rstrip())
            line = piece.lstrip()
            while not fits(line) and len(line) > 1:
                count = max((n for n in range(1, len(line)) if fits(line[:n])), default=1)
                found.append(line[:count])
                line = line[count:]
        if line.strip():
            found.append(line.rstrip())
    return found


def _measure(context: Any) -> Callable[[str], bool]:
    """Tells whether a line fits into the region, in the font of Blender's interface."""
    if context.region is None:  # a script
        return lambda _line: True
    preferences = context.preferences
    scale = preferences.system.ui_scale
    width = context.region.width - _FRAME_PX * scale
    blf.size(0, preferences.ui_styles[0].widget.points * scale)
    return lambda line: blf.dimensions(0, line)[0] <= width
