"""Set Up in the background, with a stand-in for install.py. Needs no bpy."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import REPOSITORY, pure

setup = pure("setup")


def run(tmp_path: Path, code: str, seconds: float = 30.0) -> Any:
    script = tmp_path / "install é.py"
    script.write_text(code, "utf-8")
    running = setup.SetUp(script, tmp_path / "logs" / "set-up.log")
    running.start()
    return running if seconds == 0 else wait(running, seconds)


def wait(running: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while running.outcome is None:
        assert time.monotonic() < deadline, "it does not end"
        time.sleep(0.01)
    return running


@pytest.fixture(autouse=True)
def this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "interpreters", lambda: iter([[sys.executable]]))


def test_progress_and_success(tmp_path: Path) -> None:
    running = run(
        tmp_path,
        """
import json, sys
assert sys.argv[1:] == ["--progress-json"]
print(json.dumps({"stage": "torch", "done": 40, "total": 100, "message": "PyTorch"}))
print("noise")
print(json.dumps({"ok": True}))
""",
    )
    assert running.outcome.ok
    assert running.stage == setup.Stage("torch", 40.0, 100.0, "PyTorch")
    assert "noise" in running.log_path.read_text()


def test_an_error_keeps_its_hint(tmp_path: Path) -> None:
    line = {"error": {"message": "No space left.", "hint": "Free 3 GB."}}
    running = run(tmp_path, f"print({json.dumps(json.dumps(line))}); raise SystemExit(1)")
    assert running.outcome == setup.Outcome(False, "No space left.", "Free 3 GB.")


def test_a_crash_is_said_in_words(tmp_path: Path) -> None:
    running = run(tmp_path, "raise RuntimeError('boom')")
    assert not running.outcome.ok
    assert "exit code 1" in running.outcome.message
    assert "boom" in running.log_path.read_text()


def test_cancelling_closes_stdin_first(tmp_path: Path) -> None:
    gone = tmp_path / "cleaned up"
    running = run(
        tmp_path,
        f"""
import sys
print('{{"stage": "venv", "done": 1, "total": 2, "message": "x"}}', flush=True)
sys.stdin.read()
open({str(gone)!r}, "w").close()
""",
        seconds=0,
    )
    deadline = time.monotonic() + 20
    while running.stage.name != "venv" and time.monotonic() < deadline:
        time.sleep(0.01)
    running.cancel()
    wait(running, 5.0)
    assert running.outcome.message == "Cancelled"
    assert gone.exists()


def test_cancelling_what_does_not_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "_CANCEL_GRACE_S", 0.2)
    running = run(tmp_path, "import time; time.sleep(60)", seconds=0)
    deadline = time.monotonic() + 20
    while running._process is None and time.monotonic() < deadline:
        time.sleep(0.01)
    running.cancel()
    wait(running, 5.0)
    assert running.outcome.message == "Cancelled"


def test_no_python_says_what_to_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "interpreters", lambda: iter([["/nowhere/python3.11"]]))
    running = run(tmp_path, "")
    assert "No Python 3.10" in running.outcome.message
    assert "python.org" in running.outcome.hint


def test_this_interpreter_fits_or_says_no() -> None:
    assert setup.fits([sys.executable]) == (sys.version_info[:2] in setup.FITTING)
    assert not setup.fits([sys.executable, "-c", "raise SystemExit(1)"])


def test_the_script_is_found_beside_linked_sources() -> None:
    assert setup.install_script() == REPOSITORY / "install.py"


def test_the_install_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "a home"))
    assert setup.install_record() is None
    path = setup.home() / "install.json"
    path.parent.mkdir()
    for content, found in (
        ('{"command": ["python", "serve"]}', True),
        ('{"command": []}', False),
        ('{"command": "python"}', False),
        ("{", False),
        ("[]", False),
    ):
        path.write_text(content)
        setup.forget_record()
        assert (setup.install_record() is not None) == found, content


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/v/bin/python", ("/v/bin/python", "-m", "inference_server", "serve")),
        ("/v/bin/python3.11", ("/v/bin/python3.11", "-m", "inference_server", "serve")),
        ("/v/bin/animate-portrait", ("/v/bin/animate-portrait", "serve")),
    ],
)
def test_a_program_that_a_person_names(program: str, words: tuple[str, ...]) -> None:
    assert setup.command_of(program) == words


def test_the_home_is_the_one_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rule stands in inference_server/home.py; the add-on may not import it."""
    from inference_server import home

    for variable in (None, "/somewhere else"):
        if variable is None:
            monkeypatch.delenv("ANIMATE_PORTRAIT_HOME", raising=False)
        else:
            monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", variable)
        assert setup.home() == home.home()
