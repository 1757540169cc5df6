"""The whole server on a real portrait: what is on disk after a cancel, a kill, an end of input."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from connection import REAL, Connection

from inference_server.image_io import read_frame_key
from inference_server.take_folder import TakeFolder

PORTRAIT = Path(__file__).resolve().parents[1] / "fixtures" / "astronaut.png"
LONG = 3000  # frames: more than a test waits for


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sound; the server's cache in it serves all tests."""
    folder = tmp_path_factory.mktemp("jobs")
    t = np.arange(16_000 * 2) / 16_000
    soundfile.write(
        folder / "voice.wav", 0.3 * np.sin(2 * np.pi * 150 * t) * (t % 0.5 > 0.2), 16_000
    )
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Connection]:
    with Connection(REAL, place / "home") as connection:
        connection.hello()
        yield connection


@pytest.fixture
def spec(place: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "shot_id": "s",
        "image": str(PORTRAIT),
        "audio": {"path": str(place / "voice.wav")},
        "fps": [25, 1],
        "size": 128,
        "out_dir": str(tmp_path / "take"),
    }


def wait_for_stage(server: Connection, request_id: Any, stage: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for _, event in list(server.events):
            params = event["params"]
            if params.get("id") == request_id and params.get("stage") == stage:
                return
        time.sleep(0.005)
    raise AssertionError(f"never came to {stage}")


def whole_frames(folder: Path) -> int:
    """Frames in a folder, every one of them whole."""
    frames = list(folder.glob("*.png"))
    assert all(read_frame_key(path) for path in frames)
    return len(frames)


def test_a_take_and_the_events_of_it(server: Connection, spec: dict[str, Any]) -> None:
    server.request("take", "render", spec=spec)
    result = server.answer(120)["result"]
    assert result["take"] == spec["out_dir"]
    assert result["n_frames"] == 50
    assert result["rendered"] + result["reused"] == 50
    said = json.loads((Path(spec["out_dir"]) / "take.json").read_text("utf-8"))
    assert said["n_frames"] == whole_frames(Path(spec["out_dir"])) == 50
    frames = [
        frame
        for _, event in server.events
        if event["method"] == "frames" and event["params"]["id"] == "take"
        for frame in event["params"]["frames"]
    ]
    assert sorted(frames) == list(range(50))


def test_analyze(server: Connection) -> None:
    server.request("faces", "analyze", image=str(PORTRAIT))
    found = server.answer(120)["result"]
    assert (found["width"], found["height"], len(found["faces"])) == (512, 512, 1)
    error = server.call("none", "analyze", image="/nowhere.png")["error"]
    assert error["data"]["kind"] == "ImageUnreadable"


def test_cues_in_and_out(server: Connection, spec: dict[str, Any], tmp_path: Path) -> None:
    cues = tmp_path / "cues.tsv"
    cues.write_text("0.00\tX\n0.40\tD\n0.60\tA\n1.00\tX\n")
    found = server.call("in", "import", file=str(cues), fps=[25, 1], n_frames=30)["result"]
    assert found["shapes"] == "Rhubarb"
    assert found["cues"] == [
        {"frame": 0, "shape": "X"}, {"frame": 10, "shape": "D"}, {"frame": 15, "shape": "A"},
        {"frame": 25, "shape": "X"},
    ]  # fmt: skip
    assert len(found["channels"]["lip_open"]) == 30
    take = server.call(
        "take", "render", spec={**spec, "n_frames": 30, "channels": found["channels"]}
    )["result"]["take"]
    out = str(tmp_path / "out.tsv")
    done = server.call("out", "export", take=take, format="rhubarb.tsv", file=out)["result"]
    assert done["file"] == out
    again = server.call("again", "import", file=out, fps=[25, 1], n_frames=30)["result"]
    assert again["cues"] == found["cues"]
    for params in ({"file": 3, "fps": [25, 1]}, {"file": out, "fps": 25}, {"file": out}):
        assert server.call("bad", "import", **params)["error"]["data"]["kind"] == "SpecInvalid"
    error = server.call("bad", "export", take=take, format="flash", file=out)["error"]
    assert "moho.dat" in error["data"]["hint"]
    error = server.call("bad", "import", file=str(PORTRAIT), fps=[25, 1])["error"]
    assert error["data"]["kind"] == "TimingUnreadable"


@pytest.mark.parametrize("stage", ["portrait", "prepare", "render"])
def test_cancel_in_a_stage(server: Connection, spec: dict[str, Any], stage: str) -> None:
    work = {**spec, "n_frames": LONG, "size": 130 + len(stage)}  # another crop: nothing is cached
    if stage == "prepare":  # must last longer than the time between two events
        work |= {"size": 1024, "style": "oil"}
    request_id = f"cancel in {stage}"
    server.request(request_id, "render", spec=work)
    wait_for_stage(server, request_id, stage)
    start = time.monotonic()
    server.notify("cancel", id=request_id)
    message = server.answer()
    assert time.monotonic() - start < 1.0
    assert message["error"]["data"]["kind"] == "Cancelled"
    assert not (Path(spec["out_dir"]) / "take.json").exists()
    if stage == "render":
        time.sleep(0.3)
        assert 0 < whole_frames(Path(spec["out_dir"])) < LONG
    else:
        assert not Path(spec["out_dir"]).exists()


def test_kill_in_the_middle_and_resume(place: Path, spec: dict[str, Any]) -> None:
    spec["n_frames"] = 400
    out = Path(spec["out_dir"])
    with Connection(REAL, place / "home") as first:
        first.hello()
        first.request(1, "render", spec=spec)
        first.wait_for_event("frames", 120)
        first.process.kill()
        first.process.wait()
    before = whole_frames(out)
    assert 0 < before < 400
    assert not (out / "take.json").exists()
    with Connection(REAL, place / "home") as second:
        second.hello()
        second.request(1, "render", spec=spec)
        result = second.answer(120)["result"]
    assert result["reused"] >= before
    assert whole_frames(out) == 400
    assert not list(out.glob(".*"))


def test_end_of_input_in_the_middle(place: Path, spec: dict[str, Any]) -> None:
    spec["n_frames"] = LONG
    out = Path(spec["out_dir"])
    with Connection(REAL, place / "home") as server:
        server.hello()
        server.request(1, "render", spec=spec)
        server.wait_for_event("frames", 120)
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.ends_within(5) < 1.0
        assert server.process.returncode == 0
    assert 0 < whole_frames(out) < LONG
    assert not list(out.glob(".*"))  # nothing half-written
    assert not (out / "take.json").exists()
    keys = [read_frame_key(path) or "" for path in sorted(out.glob("*.png"))]
    assert len(TakeFolder(out, keys).kept()) > 0
