"""The server process as the add-on sees it, with a real child process. Needs no bpy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import HERE, REPOSITORY, pure

client = pure("client")
FAKE = HERE / "fake_server.py"


def wait_for(server: Any, kind: type, seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        message = server.poll()
        if isinstance(message, kind):
            return message
        if message is None:
            time.sleep(0.005)
    raise AssertionError(f"no {kind.__name__} came")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Any]:
    started = []

    def start(code: str | None = None, env: dict[str, str] | None = None) -> Any:
        command = [sys.executable, "-c", code] if code else [sys.executable, str(FAKE)]
        server = client.Server(command, env or {}, tmp_path / "logs ü" / "server.log")
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()


def test_hello_then_an_answer(servers: Any) -> None:
    server = servers()
    hello = wait_for(server, client.Hello)
    assert hello.version == "0.0.fake"
    assert [style["name"] for style in hello.styles] == ["photo", "ink", "oil"]
    request = server.request("ping", {})
    answer = wait_for(server, client.Answer)
    assert (answer.request, answer.value["busy"]) == (request, False)
    assert server.waiting_for == set()


def test_the_environment_reaches_the_server_without_blenders_own(
    servers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    server = servers(env={"ANIMATE_PORTRAIT_HOME": "/a home"})
    assert wait_for(server, client.Hello).home == "/a home"


def test_close_ends_it_as_asked(servers: Any) -> None:
    server = servers()
    wait_for(server, client.Hello)
    before = time.perf_counter()
    server.close()
    assert time.perf_counter() - before < 0.1
    assert wait_for(server, client.Stopped).expected
    assert server.ended


def test_close_kills_what_does_not_listen(servers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CLOSE_GRACE_S", 0.3)
    server = servers("import time; time.sleep(60)")
    time.sleep(0.3)
    server.close()
    assert wait_for(server, client.Stopped, 5.0).expected


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('the reason', file=sys.stderr); sys.exit(1)", "exit code 1"),
        ("import os; os.abort()", "SIGABRT"),
        ("raise SystemExit(0)", "exit code 0"),
    ],
)
def test_a_crash_is_one_message_in_words(servers: Any, code: str, words: str) -> None:
    server = servers(code)
    stopped = wait_for(server, client.Stopped)
    assert not stopped.expected
    assert words in stopped.message
    assert "server.log" in stopped.hint
    if "the reason" in code:
        assert "the reason" in stopped.hint


def test_the_log_of_an_earlier_run_is_not_quoted(servers: Any) -> None:
    first = servers("import sys; sys.exit('an old story')")
    assert "an old story" in wait_for(first, client.Stopped).hint
    second = servers("import os; os._exit(3)")
    assert "an old story" not in wait_for(second, client.Stopped).hint


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    server = client.Server([str(tmp_path / "nothing")], {}, tmp_path / "log")
    server.start()
    assert "cannot be started" in wait_for(server, client.Stopped).message


def test_lines_that_are_not_understood_are_notes(servers: Any) -> None:
    lines = [b"no json", b"[]", b"{}", b'{"id":2}', b'{"method":"later_version","params":{}}']
    said = b"\n".join([*lines, b""])
    server = servers(f"import sys; sys.stdout.buffer.write({said!r})")
    notes = [wait_for(server, client.Note) for _ in range(4)]
    assert all("not understood" in note.text for note in notes)
    assert wait_for(server, client.Stopped)


def test_a_request_larger_than_the_pipe_does_not_block(servers: Any) -> None:
    server = servers("import time; time.sleep(60)")
    time.sleep(0.2)
    before = time.perf_counter()
    server.request("render", {"spec": {"channels": "x" * 4_000_000}})
    assert time.perf_counter() - before < 0.5


def test_no_server_outlives_a_killed_blender(tmp_path: Path) -> None:
    """kill -9 of the parent: end of file is all that the server hears."""
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from addon.conftest import pure
client = pure("client")
from pathlib import Path
server = client.Server([sys.executable, {str(FAKE)!r}], {{}}, Path({str(tmp_path / "log")!r}))
server.start()
while server.poll() is None:
    time.sleep(0.01)
print(server._process.pid, flush=True)
time.sleep(60)
"""
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5.0
    while Path(f"/proc/{pid}/cmdline").exists() and _alive(pid):
        assert time.monotonic() < deadline, "the server lives on"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "SIGKILL"),
        (-11, "SIGSEGV"),
        (-200, "unknown"),
        (0xC0000005, "access violation"),
        (2, "exit code 2"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert words in client.exit_in_words(code)


def test_a_large_log_is_put_aside(tmp_path: Path, servers: Any) -> None:
    path = tmp_path / "logs ü" / "server.log"
    path.parent.mkdir()
    path.write_bytes(b"x" * (5 * 1024 * 1024))
    wait_for(servers(), client.Hello)
    assert path.stat().st_size < 1024
    assert (path.parent / "server.old.log").exists()


LOG = """\
2026-03-01 10:00:00,120 INFO inference_server.serve: Hello from 'blender'.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
W0000 00:00:1763661172.1 12 feedback.cc:114] Feedback manager requires a signature.
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "serve.py", line 3, in run
    raise ValueError("of an error")
ValueError: no such thing
"""


@pytest.mark.parametrize(
    ("log", "code", "quoted"),
    [
        ("", -9, []),
        (LOG, -9, []),
        (LOG + TRACEBACK, 1, ["ValueError: no such thing"]),
        (
            LOG + "2026-03-01 10:00:01,000 WARNING inference_server.parts: The disk is slow.\n",
            -9,
            ["inference_server.parts: The disk is slow."],
        ),
        (LOG + "Fatal Python error: Segmentation fault\n", -11, ["Fatal Python error: Segmen"]),
        (LOG + "a last word\n", 2, ["a last word"]),
        (LOG + "a last word\n", -9, []),
    ],
)
def test_only_lines_that_say_why_are_quoted(log: str, code: int, quoted: list[str]) -> None:
    found = pure("server_log").telling_lines(log.splitlines(), code)
    assert len(found) == len(quoted)
    assert all(line.startswith(start) for line, start in zip(found, quoted, strict=True))


def test_the_hint_of_a_killed_server_names_the_log_alone(servers: Any) -> None:
    told = "2026-03-01 10:00:00,120 INFO inference_server.serve: Hello"
    server = servers(
        f"import os, sys; print({told!r}, file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    )
    hint = wait_for(server, client.Stopped).hint
    assert hint.startswith("Log: ") and hint.endswith("server.log")
