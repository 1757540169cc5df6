"""Finds a Python that can carry the server, wherever one may be on this machine."""

from __future__ import annotations

import glob
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .console import InstallError

# 3.11 first: it is Blender's own (4.1 to 5.0), so the one that most machines with Blender have.
SUPPORTED: tuple[tuple[int, int], ...] = ((3, 11), (3, 12), (3, 10))
PROBE_TIMEOUT_S = 20
_PROBE = """
import importlib.util, json, platform, struct, sys
print(json.dumps({
    "version": sys.version_info[:2], "full": platform.python_version(),
    "path": getattr(sys, "_base_executable", None) or sys.executable,
    "bits": struct.calcsize("P") * 8, "implementation": sys.implementation.name,
    "missing": [m for m in ("venv", "ensurepip") if importlib.util.find_spec(m) is None],
}))
"""


@dataclass(frozen=True)  # no slots: this also runs on Python 3.8
class Interpreter:
    """A Python on this machine.

    Attributes:
        path: its executable; for a venv's Python the one that the venv was made from.
        version: (3, 11)
        full: "3.11.7"
        problem: why it cannot carry the server; "" when it can.
        remedy: what would help.
    """

    path: str
    version: tuple[int, int]
    full: str
    problem: str = ""
    remedy: str = ""


def probe(path: str, wanted: Sequence[tuple[int, int]] = SUPPORTED) -> Interpreter | None:
    """Asks the Python at `path` about itself; None when it is none, or does not run."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
        )
        facts = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    version = (facts["version"][0], facts["version"][1])
    problem, remedy = _judge(facts, version, wanted)
    return Interpreter(facts["path"], version, facts["full"], problem, remedy)


def _judge(
    facts: dict, version: tuple[int, int], wanted: Sequence[tuple[int, int]]
) -> tuple[str, str]:
    name = f"Python {facts['full']} ({facts['path']})"
    if version not in wanted:
        too = "new" if version > max(wanted) else "old"
        if version in SUPPORTED:
            return f"{name} is not the version that is needed here.", ""
        return f"{name} is too {too}: it must be {spoken(wanted)}.", ""
    if facts["implementation"] != "cpython" or facts["bits"] != 64:
        return f"{name} is not a 64-bit CPython.", ""
    if facts["missing"]:
        package = f"python{version[0]}.{version[1]}-venv"
        missing = " and ".join(facts["missing"])
        return (
            f"{name} cannot make virtual environments: it has no {missing} module.",
            f"On Debian or Ubuntu: sudo apt install {package}",
        )
    return "", ""


def usable(
    wanted: Sequence[tuple[int, int]] = SUPPORTED, blenders: Sequence[Path] = ()
) -> Iterator[Interpreter]:
    """Those that fit, best first: the running one, then by `wanted`; found while being asked for.

    Args:
        wanted: versions in order of preference.
        blenders: programs of installed Blenders, whose own Python will do too.

    Raises:
        InstallError: there is none at all.
    """
    running = probe(sys.executable, wanted) if sys.executable else None
    unusable = []
    seen = set()
    n_usable = 0
    for interpreter in _probed(running, wanted, blenders):
        identity = os.path.realpath(interpreter.path)
        if identity in seen:
            continue
        seen.add(identity)
        if interpreter.problem:
            unusable.append(interpreter)
        else:
            n_usable += 1
            yield interpreter
    if n_usable == 0:
        raise _nothing_fits(running, unusable, wanted)


def _probed(
    running: Interpreter | None, wanted: Sequence[tuple[int, int]], blenders: Sequence[Path]
) -> Iterator[Interpreter]:
    if running is not None:
        yield running
    answers: dict[str, Interpreter | None] = {}
    for version in wanted:
        for path in _candidates(version, blenders):
            if path not in answers:
                answers[path] = probe(path, wanted)
            found = answers[path]
            if found is not None and (found.version == version or found.problem):
                yield found


def _nothing_fits(
    running: Interpreter | None, others: Sequence[Interpreter], wanted: Sequence[tuple[int, int]]
) -> InstallError:
    """The most useful thing to say: a fitting version that lacks a module, else the running one."""
    for interpreter in others:
        if interpreter.remedy:
            return InstallError(interpreter.problem, interpreter.remedy)
    newest = "3.11" if (3, 11) in wanted else spoken(wanted)
    hint = f"Install Python {newest} from python.org (or: uv python install {newest}), then again."
    if running is not None and running.version not in SUPPORTED:
        return InstallError(running.problem + " No other Python that fits was found.", hint)
    return InstallError(f"No Python {spoken(wanted)} was found on this machine.", hint)


def spoken(versions: Sequence[tuple[int, int]]) -> str:
    """ "3.10, 3.11 or 3.12" """
    names = [f"{major}.{minor}" for major, minor in sorted(versions)]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _candidates(version: tuple[int, int], blenders: Sequence[Path]) -> Iterator[str]:
    """Paths where a Python of this version may be; most do not exist or are of another version."""
    dotted = f"{version[0]}.{version[1]}"
    suffix = ".exe" if sys.platform == "win32" else ""
    names = (f"python{dotted}{suffix}", f"python3{suffix}", f"python{suffix}")
    folders = [folder for folder in os.get_exec_path() if folder]
    for name in names:
        yield from (path for path in (os.path.join(f, name) for f in folders) if _is_file(path))
    for pattern in _usual_places(dotted):
        yield from sorted(filter(_is_file, glob.glob(pattern)), reverse=True)
    for program in blenders:
        for pattern in ("*/python/bin/python*", "../Resources/*/python/bin/python*"):
            yield from sorted(filter(_is_file, glob.glob(str(program.parent / pattern))))
    yield from _asked_for(dotted)


def _is_file(path: str) -> bool:
    return os.path.isfile(path) and "WindowsApps" not in path  # those open the Microsoft Store


def _usual_places(dotted: str) -> list[str]:
    """A program started from a desktop has a short PATH: look where installers put Python."""
    user = str(Path.home())
    pyenv = os.environ.get("PYENV_ROOT", os.path.join(user, ".pyenv"))
    if sys.platform == "win32":
        bare = dotted.replace(".", "")
        local = os.environ.get("LOCALAPPDATA", os.path.join(user, "AppData", "Local"))
        programs = os.environ.get("PROGRAMFILES", r"C:\Program Files")
        return [
            os.path.join(local, "Programs", "Python", f"Python{bare}", "python.exe"),
            os.path.join(programs, f"Python{bare}", "python.exe"),
            os.path.join(pyenv, "pyenv-win", "versions", f"{dotted}*", "python.exe"),
            os.path.join(user, "miniconda3", "python.exe"),
        ]
    return [
        f"/usr/bin/python{dotted}",
        f"/usr/local/bin/python{dotted}",
        f"/opt/homebrew/bin/python{dotted}",
        f"/opt/local/bin/python{dotted}",
        f"/Library/Frameworks/Python.framework/Versions/{dotted}/bin/python{dotted}",
        f"{user}/.local/bin/python{dotted}",
        f"{pyenv}/versions/{dotted}*/bin/python{dotted}",
        f"{user}/miniconda3/bin/python{dotted}",
    ]


def _asked_for(dotted: str) -> Iterator[str]:
    """What the py launcher and uv know; neither is asked to download anything."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path.home() / ".local" / "bin"))
    questions = []
    if sys.platform == "win32" and shutil.which("py"):
        questions.append(["py", f"-{dotted}", "-c", "import sys; print(sys.executable)"])
    if uv:
        questions.append([uv, "python", "find", "--no-project", dotted])
    for question in questions:
        try:
            answer = subprocess.run(
                question,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=PROBE_TIMEOUT_S,
                env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        path = answer.stdout.decode(errors="replace").strip()
        if answer.returncode == 0 and path:
            yield path
