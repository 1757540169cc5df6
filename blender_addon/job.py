"""One job as the panel shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .orders import Order
from .strips import CannotUse


class State(Enum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    LOADING = "loading"  # a thread reads the take
    APPLYING = "applying"  # onto the timeline
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDED = (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Question:
    """Something that the server is asked, apart from drawing."""

    title: str
    method: str
    params: dict[str, Any]
    answered: Callable[[dict[str, Any]], str]  # uses the result; says so, or raises CannotUse


@dataclass(slots=True)
class Job:
    """One job as the panel shows it."""

    id: int
    order: Order | None  # None: only ask the server how it is
    question: Question | None = None
    state: State = State.QUEUED
    stage: str = ""
    done: int = 0
    total: int = 0
    eta_s: float | None = None
    message: str = ""  # result or error
    hint: str = ""
    notes: list[str] = field(default_factory=list)
    request: int | None = None
    since: float = 0.0  # time.monotonic() of the last change of state
    restarted: bool = False

    @property
    def title(self) -> str:
        """How people name it."""
        if self.question is not None:
            return self.question.title
        return self.order.title if self.order is not None else "Server test"

    @property
    def asks(self) -> tuple[str, dict[str, Any]]:
        """Method and params of the request."""
        if self.question is not None:
            return self.question.method, self.question.params
        return ("render", {"spec": self.order.spec}) if self.order is not None else ("ping", {})

    @property
    def ended(self) -> bool:
        """True when nothing more will happen."""
        return self.state in _ENDED

    @property
    def fraction(self) -> float:
        """0..1 of the present stage."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    def note(self, text: str) -> None:
        """Something that the artist should read; the server may say it again with the result."""
        if text not in self.notes:
            self.notes.append(text)

    def use_answer(self, value: dict[str, Any]) -> None:
        """The server has answered the question."""
        if self.question is None:
            raise AssertionError("nothing was asked")
        for text in value.get("warnings", ()):
            self.note(str(text))
        try:
            self.end(State.DONE, self.question.answered(value))
        except CannotUse as failure:
            self.end(State.FAILED, str(failure))

    def end(self, state: State, message: str, hint: str = "") -> None:
        """Nothing more will happen."""
        self.state, self.message, self.hint = state, message, hint
        self.eta_s = None
