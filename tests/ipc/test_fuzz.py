"""Whatever comes in, the server answers or ignores it, and works afterwards."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from connection import STUB, Connection, stub_spec

from inference_server import protocol

MALFORMED: list[bytes] = [
    b"{", b"}", b"hello", b"\x00", b"\xff\xfe\xfa", b'"text"', b"17", b"null", b"[]", b"[{}]",
    b"{}", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":7}', b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":3}', b'{"jsonrpc":"2.0","method":"render"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":Infinity}}',
    b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', b'{"jsonrpc":"2.0","id":1,"result":{}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping"} trailing', b"[" * 200_000, b'{"a":' * 100_000,
    b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"method":"ping"}',
]  # fmt: skip

WRONG_PARAMS: list[tuple[str, Any]] = [
    ("hello", {}), ("hello", {"protocol": "1"}), ("hello", {"protocol": True}),
    ("hello", {"protocol": None}), ("hello", {"protocol": [1]}), ("render", {}),
    ("render", {"spec": None}), ("render", {"spec": []}), ("render", {"spec": "x"}),
    ("analyze", {}), ("analyze", {"image": 3}), ("analyze", {"image": ""}),
    ("analyze", {"image": "a\0b"}), ("analyze", {"image": "/a.png", "landmarks": 4}),
]  # fmt: skip


def is_alive(server: Connection, number: int) -> bool:
    message = server.call(f"alive {number}", "ping")
    return "uptime_s" in message["result"]


def test_malformed_lines_are_answered(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for number, line in enumerate(MALFORMED):
            server.send(line + b"\n")
            error = server.answer()["error"]
            assert error["code"] in (protocol.PARSE_ERROR, protocol.INVALID_REQUEST), line[:80]
            assert error["data"]["kind"] == "ProtocolError"
            assert is_alive(server, number)


def test_wrong_params_are_named(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for number, (method, params) in enumerate(WRONG_PARAMS):
            error = server.call(number, method, **params)["error"]
            assert error["code"] == protocol.INVALID_PARAMS, (method, params, error)
            assert method in error["message"]
        error = server.call(99, "rendr")["error"]
        assert error["code"] == protocol.METHOD_NOT_FOUND
        assert "render" in error["data"]["hint"]
        error = server.call(100, "cancel", id=1)["error"]
        assert error["code"] == protocol.METHOD_NOT_FOUND


def test_empty_lines_and_windows_line_ends(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.send(b"\n\r\n  \n")
        server.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n')
        assert server.answer()["id"] == 1


def test_line_in_pieces(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for byte in protocol.request(1, "ping", {}) + protocol.request(2, "ping", {}):
            server.send(bytes([byte]))
        assert [server.answer()["id"], server.answer()["id"]] == [1, 2]


def test_huge_line_is_refused_and_skipped(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.send(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"')
        for _ in range(40):
            server.send(b"x" * (1 << 20))
        error = server.answer()["error"]  # before the end of the line
        assert error["code"] == protocol.PARSE_ERROR
        assert str(protocol.MAX_LINE_BYTES) in error["message"]
        server.send(b'"}}\n')
        assert is_alive(server, 0)


def test_large_but_legal_line(tmp_path: Path) -> None:
    values = {str(frame): 0.123456 for frame in range(86_400)}  # an hour at 24 fps
    channels = dict.fromkeys(protocol.CHANNEL_NAMES[:6], values)
    with Connection(STUB, tmp_path) as server:
        server.hello()
        line = protocol.request(1, "render", {"spec": {**stub_spec("quick"), "channels": channels}})
        assert 8_000_000 < len(line) < protocol.MAX_LINE_BYTES
        server.send(line)
        assert server.answer()["result"]["n_frames"] == 3


def test_input_that_ends_in_the_middle_of_a_line(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        assert server.process.stdin is not None
        server.process.stdin.write(b'{"jsonrpc":"2.0","id":1,"met')
        server.process.stdin.close()
        assert server.ends_within(5) < 1.0


def test_flood_of_requests(tmp_path: Path) -> None:
    with Connection(STUB, tmp_path) as server:
        server.hello()
        server.request("job", "render", spec=stub_spec("slow"))
        for start in range(0, 20_000, 500):
            server.send(
                b"".join(protocol.request(n, "ping", {}) for n in range(start, start + 500))
            )
        seen = [server.answer()["id"] for _ in range(20_000)]
        assert seen == list(range(20_000))
        server.notify("cancel", id="job")
        assert server.answer()["id"] == "job"


def test_interleaved_jobs_and_cancels(tmp_path: Path) -> None:
    """Every request is answered exactly once, whatever is cancelled when."""
    draw = random.Random(1)
    with Connection(STUB, tmp_path) as server:
        server.hello()
        asked = []
        for number in range(60):
            asked.append(number)
            server.request(
                number, "render", spec=stub_spec(draw.choice(["quick", "slow", "crash"]))
            )
            for _ in range(draw.randrange(3)):
                server.notify("cancel", id=draw.randrange(number + 1))
            time.sleep(draw.random() * 0.03)
            server.notify("cancel", id=number)
        answers = [server.answer() for _ in asked]
        assert sorted(answer["id"] for answer in answers) == asked
        kinds = {answer["error"]["data"]["kind"] for answer in answers if "error" in answer}
        assert kinds <= {"Cancelled", "Busy", "AnimatePortraitError"}
        assert "Cancelled" in kinds
        assert server.call("last", "render", spec=stub_spec("quick"))["result"]


def any_value(draw: random.Random, depth: int = 0) -> Any:
    leaves: list[Any] = [None, True, 0, -1, 2**70, 1e308, -0.5, "", "render", "id", "é𝄞", "/x.png"]
    if depth > 2 or draw.random() < 0.5:
        return draw.choice(leaves)
    if draw.random() < 0.5:
        return [any_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    names = ["spec", "id", "image", "protocol", "fps", "audio", "channels", "x"]
    return {draw.choice(names): any_value(draw, depth + 1) for _ in range(draw.randrange(4))}


def any_line(draw: random.Random) -> bytes:
    """A message with some fields wrong, some bytes wrong, or both."""
    message: Any = {
        "jsonrpc": "2.0",
        "id": draw.choice([1, "a", 2**70, None, 1.5, [], True]),
        "method": draw.choice([*protocol.METHODS, *protocol.NOTIFICATIONS[:1], "nope", 3, None]),
        "params": draw.choice([any_value(draw), {"spec": any_value(draw)}, {"id": 1}]),
    }
    if draw.random() < 0.3:
        message.pop(draw.choice(sorted(message)))
    if draw.random() < 0.2 and message.get("method") == "render":
        fields = {draw.choice(sorted(stub_spec("quick"))): any_value(draw)}
        message["params"] = {"spec": {**stub_spec("quick"), **fields}}
    line = bytearray(json.dumps(message).encode())
    if draw.random() < 0.3:
        for _ in range(draw.randrange(1, 5)):
            line[draw.randrange(len(line))] = draw.randrange(256)
    return bytes(line).replace(b"\n", b" ").replace(b"shutdown", b"ping") + b"\n"


@pytest.mark.parametrize("seed", range(4))
def test_random_lines(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    with Connection(STUB, tmp_path) as server:
        server.hello()
        for number in range(20):
            server.send(b"".join(any_line(draw) for _ in range(40)))
            server.request(f"alive {number}", "ping")
            while server.answer().get("id") != f"alive {number}":
                continue
        assert server.process.poll() is None
        assert "ERROR" not in server.log(), server.log()[-2000:]
