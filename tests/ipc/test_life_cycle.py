from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from connection import REAL, ROOT, STUB, Connection, stub_spec

from inference_server import __version__, protocol

HEAVY = (
    "torch",
    "cv2",
    "numba",
    "scipy",
    "mediapipe",
    "PIL",
    "soundfile",
    "inference_server.pipeline",
)


def test_hello_is_quick_and_complete(tmp_path: Path) -> None:
    subprocess.run(
        [*REAL[:-1], "--version"], cwd=ROOT, check=True, capture_output=True
    )  # warm disk
    times = []
    for attempt in range(3):
        with Connection(REAL, tmp_path / str(attempt)) as server:
            found = server.hello()
            times.append(time.monotonic() - server.started)
            assert found["protocol"] == protocol.PROTOCOL_VERSION
            assert found["version"] == __version__
            assert found["pid"] == server.process.pid
            assert found["python"] == sys.version.split()[0]
            assert found["home"] == str(tmp_path / str(attempt))
            assert {"name": "ink", "label": "Ink", "available": True, "reason": ""} in found[
                "styles"
            ]
            assert "mesh_warp" in [row["name"] for row in found["renderers"]]
    assert min(times) < 0.5, times


def test_hello_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from inference_server import cli, registry, serve\n"
        "registry.listing(registry.RENDERERS + registry.STYLES)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("theirs", "who"), [(2, "server"), (0, "add-on"), (-5, "add-on")])
def test_version_mismatch_is_explained(tmp_path: Path, theirs: int, who: str) -> None:
    with Connection(STUB, tmp_path) as server:
        error = server.call(1, "hello", protocol=theirs, client="old")["error"]
        assert error["data"]["kind"] == "VersionMismatch"
        assert f"protocol {theirs}" in error["message"]
        assert f"speaks {protocol.PROTOCOL_VERSION}" in error["message"]
        assert f"Update the {who}" in error["data"]["hint"]
        refused = server.call(2, "ping")["error"]
        assert "hello" in refused["message"]
        server.hello()  # the right one still opens the connection
        assert server.call(3, "ping")["result"]["busy"] is False


def test_nothing_before_hello(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        for number, method in enumerate(["ping", "render", "analyze", "free_gpu"]):
            error = server.call(number, method)["error"]
            assert error["code"] == protocol.INVALID_REQUEST
            assert "hello" in error["message"]


def test_render_answers_with_the_take(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        result = server.call(5, "render", spec=stub_spec("quick"))["result"]
        assert result == {
            "take": str(Path("/nowhere/take").absolute()),
            "n_frames": 3,
            "rendered": 2,
            "reused": 1,
            "warnings": [],
            "seconds": {},
        }
        progress = server.wait_for_event("progress")
        assert progress == {"id": 5, "stage": "render", "done": 1, "total": 1, "eta_s": None}


def test_events_come_ten_times_a_second_and_the_last_always(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        start = time.monotonic()
        server.call("long", "render", spec=stub_spec("flood"))
        seconds = time.monotonic() - start
        for method in ("progress", "frames"):
            events = [event["params"] for _, event in server.events if event["method"] == method]
            assert 5 < len(events) <= seconds * 10 + 2, (method, len(events), seconds)
            assert all(event["id"] == "long" for event in events)
        assert [e["params"]["done"] for _, e in server.events if e["method"] == "progress"][
            -1
        ] == 2000
        frames = [e["params"]["frames"] for _, e in server.events if e["method"] == "frames"]
        assert [frame for some in frames for frame in some] == list(range(2000))
        assert server.wait_for_event("log") == {"level": "warning", "message": "Something to read."}


def test_one_job_at_a_time(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.request(1, "render", spec=stub_spec("slow"))
        server.wait_for_event("progress")
        for number, method in ((2, "render"), (3, "free_gpu"), (4, "render")):
            error = server.call(number, method, spec=stub_spec("quick"))["error"]
            assert error["data"]["kind"] == "Busy"
        assert server.call(5, "ping")["result"]["busy"] is True
        server.notify("cancel", id=1)
        assert server.answer()["error"]["data"]["kind"] == "Cancelled"
        assert server.call(6, "ping")["result"]["busy"] is False
        assert server.call(7, "free_gpu")["result"] == {"freed_bytes": 0}


@pytest.mark.parametrize("behaviour", ["slow", "stuck"])
def test_cancel_is_answered_within_a_second(tmp_path: Path, behaviour: str) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for number in range(3):
            server.events.clear()
            server.request(number, "render", spec=stub_spec(behaviour))
            if number == 0:
                server.wait_for_event("progress")
            start = time.monotonic()
            server.notify("cancel", id=number)
            message = server.answer()
            assert time.monotonic() - start < 1.0
            assert message["id"] == number
            assert message["error"]["data"]["kind"] == "Cancelled"


def test_job_after_one_that_could_not_be_stopped(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.request(1, "render", spec=stub_spec("stuck"))
        server.wait_for_event("progress")
        server.notify("cancel", id=1)
        server.answer()
        server.events.clear()
        assert server.call(2, "render", spec=stub_spec("quick"))["result"]["n_frames"] == 3
        assert {e["params"]["id"] for _, e in server.events if e["method"] == "progress"} == {2}


def test_cancels_of_nothing_are_ignored(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for wrong in (99, "1", None, 1.0, True, [1], {"id": 1}):
            server.notify("cancel", id=wrong)
        server.notify("cancel")
        server.request(1, "render", spec=stub_spec("slow"))
        server.wait_for_event("progress")
        for wrong in (2, "1", True, 1.0):
            server.notify("cancel", id=wrong)
        assert server.call(2, "ping")["result"]["busy"] is True
        server.notify("cancel", id=1)
        server.notify("cancel", id=1)
        assert server.answer()["id"] == 1
        server.notify("cancel", id=1)
        assert server.call(1, "render", spec=stub_spec("quick"))["result"]  # an id may come again


def test_fault_in_a_job_names_the_log(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        error = server.call(1, "render", spec=stub_spec("crash"))["error"]
        assert error["code"] == protocol.INTERNAL_ERROR
        assert "ZeroDivisionError: a fault of ours" in error["message"]
        assert error["data"]["kind"] == "AnimatePortraitError"
        assert "log" in error["data"]["hint"]
        if sys.platform == "linux":
            assert str(server.log_path) in error["data"]["hint"]
        assert "Traceback" in server.log()
        assert 'raise ZeroDivisionError("a fault of ours")' in server.log()
        assert server.call(2, "render", spec=stub_spec("quick"))["result"]


def test_own_errors_carry_kind_and_hint(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        error = server.call(1, "analyze", image="/x/cat.png")["error"]
        assert error["code"] == protocol.APPLICATION_ERROR
        assert error["message"] == 'No face found in "cat.png" (1x1).'
        assert error["data"] == {"kind": "NoFaceFound", "hint": "Place points by hand."}
        error = server.call(2, "render", spec={**stub_spec("quick"), "size": 1})["error"]
        assert error["data"]["kind"] == "SpecInvalid"
        assert "size is 1" in error["message"]
        error = server.call(3, "render", spec=stub_spec("unencodable"))["error"]
        assert error["message"] == "File ?.png"


def test_prints_of_others_do_not_reach_the_protocol(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        assert server.call(1, "render", spec=stub_spec("chatter"))["result"]["n_frames"] == 3
        assert server.call(2, "ping")["result"]
        log = server.log()
        for text in ("python print", "original stdout", "forged", "native puts"):
            assert text in log
        assert "EOFError" in log  # the child had no stdin to steal from


@pytest.mark.parametrize("behaviour", [None, "slow", "stuck"])
def test_end_of_input_ends_the_server(tmp_path: Path, behaviour: str | None) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        if behaviour:
            server.request(1, "render", spec=stub_spec(behaviour))
            server.wait_for_event("progress")
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.ends_within(5) < 1.0
        assert server.process.returncode == 0


@pytest.mark.parametrize("behaviour", [None, "slow", "stuck"])
def test_shutdown_ends_the_server(tmp_path: Path, behaviour: str | None) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        if behaviour:
            server.request(1, "render", spec=stub_spec(behaviour))
            server.wait_for_event("progress")
        server.notify("shutdown")
        assert server.ends_within(5) < 1.0
        assert server.process.returncode == 0


def test_reader_that_went_away_ends_the_server(tmp_path: Path) -> None:
    """Standard output closed, standard input still open: no orphan that draws for nobody."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        STUB,
        stdin=subprocess.PIPE,
        stdout=write_end,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ANIMATE_PORTRAIT_HOME": str(tmp_path)},
    )
    try:
        os.close(write_end)
        assert process.stdin is not None
        process.stdin.write(protocol.request(1, "hello", {"protocol": 1, "client": "t"}))
        process.stdin.write(protocol.request(2, "render", {"spec": stub_spec("slow")}))
        process.stdin.flush()
        while b"progress" not in os.read(read_end, 65536):
            continue
        os.close(read_end)
        start = time.monotonic()
        process.wait(timeout=5)
        assert time.monotonic() - start < 1.2
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def test_client_that_is_killed_leaves_no_orphan(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "from inference_server import protocol\n"
        f"p = subprocess.Popen({STUB!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdin.write(protocol.request(1, 'hello', {'protocol': 1, 'client': 't'}))\n"
        f"p.stdin.write(protocol.request(2, 'render', {{'spec': {stub_spec('stuck')!r}}}))\n"
        "p.stdin.flush()\n"
        "p.stdout.readline(); p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ANIMATE_PORTRAIT_HOME": str(tmp_path)},
    )
    with client:
        assert client.stdout is not None
        server_pid = int(client.stdout.readline())
        client.kill()
    deadline = time.monotonic() + 2.0
    while is_running(server_pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(server_pid)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")
    except (ProcessLookupError, FileNotFoundError):  # it may end between the lines
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_server(tmp_path: Path, number: signal.Signals) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.request(1, "render", spec=stub_spec("slow"))
        server.wait_for_event("progress")
        server.process.send_signal(number)
        assert server.ends_within(5) < 1.0
        assert server.process.returncode == 0


def test_death_shows_in_the_exit_status(tmp_path: Path) -> None:
    for behaviour, status in (("die", 7), ("leave", 1)):
        with Connection(STUB, tmp_path) as server:
            server.hello()
            server.request(1, "render", spec=stub_spec(behaviour))
            server.ends_within(3)
            assert server.process.returncode == status


def test_idle_server_goes_and_a_busy_one_stays(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path, "0.8") as server:
        server.hello()
        server.request(1, "render", spec=stub_spec("flood"))  # two seconds
        assert server.answer()["result"]
        assert server.process.poll() is None
        assert 0.4 < server.ends_within(5) < 1.6
        assert server.process.returncode == 0


def test_messages_keep_an_idle_server_alive(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path, "0.8") as server:
        server.hello()
        for number in range(6):
            time.sleep(0.3)
            assert server.call(number, "ping")["result"]["busy"] is False
        assert server.ends_within(5) < 1.6


def test_idle_timeout_of_the_command_line(tmp_path: Path) -> None:
    with Connection(REAL, tmp_path, "--idle-timeout", "0.5") as server:
        server.hello()
        assert server.ends_within(5) < 1.5
