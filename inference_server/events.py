"""What a running job says while it runs; `serve` sends it on, `cli` draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage has come."""

    stage: str  # one of protocol.STAGES
    done: int
    total: int
    eta_s: float | None = None  # None: not known yet


@dataclass(frozen=True, slots=True)
class FramesReady:
    """Frames that are newly on disk."""

    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the artist should read."""

    level: Literal["info", "warning"]
    message: str


Event = Progress | FramesReady | Notice
OnEvent = Callable[[Event], None]
