"""Values of a JSON document, checked: a wrong one is named with its field and what it should be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import SpecInvalid

MAX_PATH = 32_767  # characters, Windows' longest
MAX_FRAMES = 1_000_000  # 11 hours at 24 fps

_FRAME_NUMBER = re.compile(r"0|[1-9][0-9]{0,6}")
_SHOWN_CHARACTERS = 60  # of a wrong value, in a message


def wrong(field: str, value: object, expected: str) -> SpecInvalid:
    """The error that names a field, its value and what it must be."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[:_SHOWN_CHARACTERS] + "..."
    return SpecInvalid(f"{field} is {shown}.", f"It must be {expected}.")


def an_object(field: str, value: object, known: Sequence[str] | None) -> Mapping[str, Any]:
    """An object whose names are all in `known`; None allows any name."""
    if not isinstance(value, dict):
        raise wrong(field, value, "an object")
    if known is not None:
        for name in value:
            if name not in known:
                raise SpecInvalid(
                    f"{field} has an unknown field {name[:_SHOWN_CHARACTERS]!r}.",
                    f"Known are: {', '.join(known)}.",
                )
    return value


def a_list(field: str, value: object, expected: str) -> list[Any]:
    """A list; what is in it is checked by the caller."""
    if not isinstance(value, list):
        raise wrong(field, value, expected)
    return value


def required(fields: Mapping[str, Any], name: str, field: str = "") -> object:
    """A field that must be there."""
    if fields.get(name) is None:
        raise SpecInvalid(f"{field or name} is missing.", "Every shot needs it.")
    return fields[name]


def text(field: str, value: object) -> str:
    """A text of bounded length."""
    if not isinstance(value, str) or len(value) > MAX_PATH or "\0" in value:
        raise wrong(field, value, "a text")
    return value


def path(field: str, value: object) -> Path:
    """A path, made absolute."""
    given = text(field, value)
    if not given.strip():
        raise wrong(field, value, "a path")
    return Path(given).absolute()


def optional_path(field: str, value: object) -> Path | None:
    """A path, or None."""
    return None if value is None else path(field, value)


def number(
    field: str, value: object, minimum: float = -math.inf, maximum: float = math.inf
) -> float:
    """A finite number in a range."""
    expected = "a finite number"
    if math.isfinite(minimum):
        expected = f"a number from {minimum:g} to {maximum:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(field, value, expected)
    if isinstance(value, int) and abs(value) > 10**15:  # would overflow a float, or be no frame
        raise wrong(field, value, expected)
    if not math.isfinite(value) or not minimum <= value <= maximum:
        raise wrong(field, value, expected)
    return float(value)


def integer(field: str, value: object, minimum: int, maximum: int) -> int:
    """A whole number in a range."""
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise wrong(field, value, f"a whole number from {minimum} to {maximum}")
    return value


def choice(field: str, value: object, choices: Sequence[str]) -> str:
    """One of some texts."""
    if not isinstance(value, str) or value not in choices:
        raise wrong(field, value, f"one of {', '.join(choices)}")
    return value


def frame(field: str, value: object) -> int:
    """A frame, counted inside the shot."""
    return integer(field, value, 0, MAX_FRAMES)


def frame_name(field: str, name: str) -> int:
    """A frame that is the name of a field."""
    if not _FRAME_NUMBER.fullmatch(name):
        raise SpecInvalid(
            f"{field} has the frame {name[:_SHOWN_CHARACTERS]!r}.",
            "Frames are whole numbers from 0, counted inside the shot.",
        )
    return int(name)


def ascending(field: str, frames: Sequence[int]) -> None:
    """Refuse frames that are not each behind the one before."""
    for before, after in zip(frames, frames[1:], strict=False):
        if after <= before:
            raise SpecInvalid(
                f"{field} has frame {after} behind frame {before}.", "Frames must be in order."
            )
