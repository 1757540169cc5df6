"""The whole test suite from nothing: server, real Blenders, a real window, lint; one summary."""

from __future__ import annotations

import os
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .bpy_wheels import VERSIONS, BpyWheels
from .children import Children, clean_environment
from .console import Console, InstallError
from .packages import venv_python
from .steps import Installer, Wishes
from .workplace import ROOT, Record, Workplace

ADDON_TESTS = "tests/addon"
WINDOW_TESTS = "tests/gui"
NO_TESTS_COLLECTED = 5  # pytest's exit status: not a failure when only some tests were asked for


@dataclass(frozen=True)
class Part:
    """One command of the suite.

    Attributes:
        name: for the summary.
        command: what is run, in the folder of the sources.
        report: the JUnit file that pytest writes; None for a linter.
    """

    name: str
    command: list[str]
    report: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        name: of the part.
        passed: number of tests.
        failed: number of tests.
        skipped: reason -> number of tests.
        seconds: how long it took.
        problem: why the part as a whole is no success; "" when it is one.
    """

    name: str
    passed: int = 0
    failed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Selection:
    """What was asked for after `install.py test`.

    Attributes:
        paths: test files or folders; none means all.
        options: handed to pytest.
    """

    paths: list[str]
    options: list[str]

    def inside(self, folder: str) -> list[str]:
        """The paths below `folder` to run; the folder itself when none was named."""
        if not self.paths:
            return [folder]
        return [path for path in self.paths if Path(path).as_posix().startswith(folder)]

    def elsewhere(self) -> list[str]:
        """The paths that belong to neither add-on nor window."""
        if not self.paths:
            return ["tests"]
        special = (ADDON_TESTS, WINDOW_TESTS)
        return [path for path in self.paths if not Path(path).as_posix().startswith(special)]


def select(words: Sequence[str]) -> Selection:
    """Splits the words after `install.py test` into paths and options."""
    paths = [word for word in words if (ROOT / word.split("::")[0]).exists()]
    return Selection(paths, [word for word in words if word not in paths])


class Suite:
    """Sets up, runs every part, sums up."""

    def __init__(self, place: Workplace, console: Console, children: Children) -> None:
        self._place = place
        self._console = console
        self._children = children

    def run(self, words: Sequence[str]) -> int:
        """Runs the tests; returns 0 when every part that was asked for succeeded.

        Args:
            words: paths below tests/, and options for pytest.
        """
        selection = select(words)
        started = time.monotonic()
        wheels = BpyWheels(self._place, self._console, self._children)
        versions = VERSIONS if selection.inside(ADDON_TESTS) else ()
        wheels.start(versions)  # while the server is installed: mostly waiting for the network
        try:
            record = Installer(self._place, self._console, self._children).install(
                Wishes(tests=True, link=False)
            )
        except InstallError:
            self._children.cancel()
            raise
        finally:
            problems = wheels.wait()
        self._children.check()
        self._console.say(f"Everything is set up ({time.monotonic() - started:.0f} s).")
        outcomes = [
            Outcome(f"Blender {version}", problem=f"not set up: {problem}")
            for version, problem in problems.items()
        ]
        with tempfile.TemporaryDirectory() as reports:
            parts = self._parts(selection, record, Path(reports), set(versions) - set(problems))
            outcomes += [self._run_part(part, bool(words)) for part in parts]
        return self._sum_up(outcomes, record, time.monotonic() - started)

    def _parts(
        self, selection: Selection, record: Record, reports: Path, versions: set[str]
    ) -> list[Part]:
        server = venv_python(self._place.venv)
        gpu = "" if record.device == "cuda" else " and not gpu"
        parts = []
        if selection.elsewhere():
            parts.append(
                _pytest(
                    *("Server", server, f"not blender and not window and not weights{gpu}"),
                    selection.elsewhere(),
                    [f"--ignore={WINDOW_TESTS}", *selection.options],
                    reports,
                )
            )
        for version in sorted(versions):
            python = venv_python(self._place.bpy(version))
            name = f"Blender {version}"
            paths = selection.inside(ADDON_TESTS)
            parts.append(_pytest(name, python, "blender", paths, selection.options, reports))
        windows = selection.inside(WINDOW_TESTS)
        if windows:
            parts.append(_pytest("Window", server, "window", windows, selection.options, reports))
        if not selection.paths and not selection.options:
            tool = [str(server), "-m"]
            parts += [
                Part("ruff check", [*tool, "ruff", "check", "--no-cache", "."]),
                Part("ruff format", [*tool, "ruff", "format", "--no-cache", "--check", "."]),
                Part("mypy", [*tool, "mypy", "--cache-dir", os.devnull]),
            ]
        return parts

    def _run_part(self, part: Part, selected: bool) -> Outcome:
        self._console.say(f"\n===== {part.name}")
        started = time.monotonic()
        environment = clean_environment(
            ANIMATE_PORTRAIT_HOME=str(self._place.home), PYTHONDONTWRITEBYTECODE="1"
        )
        status = self._children.run_in_terminal(part.command, ROOT, environment)
        seconds = time.monotonic() - started
        outcome = Outcome(part.name, seconds=seconds)
        if part.report is not None and part.report.is_file():
            outcome = read_report(part.name, part.report, seconds)
        if status == NO_TESTS_COLLECTED and selected:
            status = 0
        if status != 0 and outcome.failed == 0:
            return Outcome(part.name, seconds=seconds, problem=f"ended with status {status}")
        return outcome

    def _sum_up(self, outcomes: Sequence[Outcome], record: Record, seconds: float) -> int:
        say = self._console.say
        tested = ("Server", "Window", *(f"Blender {version}" for version in VERSIONS))
        say(f"\n===== Summary ({seconds:.0f} s, {self._place.home})")
        for outcome in outcomes:
            counts = f"{outcome.passed} passed, {outcome.failed} failed"
            n_skipped = sum(outcome.skipped.values())
            counts += f", {n_skipped} SKIPPED" if n_skipped else ""
            if outcome.passed + outcome.failed + n_skipped == 0:
                counts = "no test matches" if outcome.name in tested else "ok"
            if outcome.problem:
                counts = f"FAILED: {outcome.problem}"
            say(f"{outcome.name:14} {outcome.seconds:6.0f} s  {counts}")
        for outcome in outcomes:
            for reason, n_tests in outcome.skipped.items():
                say(f"SKIPPED in {outcome.name}: {n_tests} x {reason}")
        if record.device != "cuda":
            say("NOT RUN: tests marked gpu, since no NVIDIA GPU was found")
        say("NOT RUN: tests marked weights, which need imported model weights")
        bad = [outcome.name for outcome in outcomes if outcome.failed or outcome.problem]
        if not outcomes:
            say("NO TESTS: the words after `test` name no test")
            return 1
        say(f"FAILED: {', '.join(bad)}" if bad else "All parts passed.")
        return 1 if bad else 0


def _pytest(
    name: str, python: Path, marks: str, paths: list[str], options: list[str], reports: Path
) -> Part:
    report = reports / f"{name.replace(' ', '-')}.xml"
    command = [str(python), "-m", "pytest", *paths, "-m", marks, *options]
    return Part(name, [*command, "-p", "no:cacheprovider", f"--junitxml={report}"], report)


def read_report(name: str, path: Path, seconds: float) -> Outcome:
    """Counts the tests of a JUnit file."""
    skipped: Counter[str] = Counter()
    n_failed = n_tests = 0
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        n_tests += 1
        if case.find("failure") is not None or case.find("error") is not None:
            n_failed += 1
        skip = case.find("skipped")
        if skip is not None:
            skipped[skip.get("message") or "no reason given"] += 1
    n_passed = n_tests - n_failed - sum(skipped.values())
    return Outcome(name, n_passed, n_failed, dict(skipped), seconds)
