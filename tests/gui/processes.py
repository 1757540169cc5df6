"""Which processes live on this machine, as /proc shows them; chrooted ones are among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One process; its start time tells it from a later one with the same number."""

    pid: int
    parent: int
    started: int  # clock ticks after boot
    state: str  # R, S, D, Z ...
    ticks: int  # of processor time used, 100 a second

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        now = _read(self.pid)
        return now is not None and now.started == self.started and now.state != "Z"

    def worked(self) -> int:
        """Clock ticks (100 a second) of processor time so far; 0 when it is gone."""
        now = _read(self.pid)
        return now.ticks if now is not None and now.started == self.started else 0

    def command(self) -> str:
        """Its command line, for failure messages; empty when it is gone."""
        try:
            words = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return ""
        return b" ".join(words).decode(errors="replace")


def descendants(pid: int) -> list[Process]:
    """All living processes below `pid`."""
    numbers = (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())
    everyone = [p for p in map(_read, numbers) if p is not None and p.state != "Z"]
    found: list[Process] = []
    parents = {pid}
    while parents:
        children = [p for p in everyone if p.parent in parents]
        found += children
        parents = {child.pid for child in children}
    return found


def _read(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # a program's name may hold spaces and brackets
    ticks = int(fields[11]) + int(fields[12])
    return Process(pid, int(fields[1]), int(fields[19]), fields[0], ticks)
