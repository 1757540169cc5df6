"""Animate Portrait: a local inference process that turns a portrait and speech into frames.

from inference_server import ShotSpec, AudioRange, render
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .datatypes import AudioRange, Face, Motion, Portrait, ShotSpec
    from .errors import AnimatePortraitError
    from .pipeline import Studio, analyze, render
    from .takes import Take, read_take

_HOMES = {
    "AnimatePortraitError": "errors",
    "AudioRange": "datatypes",
    "Face": "datatypes",
    "Motion": "datatypes",
    "Portrait": "datatypes",
    "ShotSpec": "datatypes",
    "Studio": "pipeline",
    "Take": "takes",
    "analyze": "pipeline",
    "read_take": "takes",
    "render": "pipeline",
}

__all__ = [
    "AnimatePortraitError",
    "AudioRange",
    "Face",
    "Motion",
    "Portrait",
    "ShotSpec",
    "Studio",
    "Take",
    "analyze",
    "read_take",
    "render",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: the package itself imports in no time."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
