"""A client of the server process, as simple as it can be."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from inference_server import protocol

ROOT = Path(__file__).resolve().parents[2]
STUB = [sys.executable, str(Path(__file__).with_name("stub_server.py"))]
REAL = [sys.executable, "-m", "inference_server", "serve"]
Message = dict[str, Any]


class Connection:
    """Starts a server and collects what it says; kills it at the end, whatever happens."""

    def __init__(self, command: list[str], home: Path, *words: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.log_path = home / "server.log"
        self.started = time.monotonic()
        environment = {**os.environ, "ANIMATE_PORTRAIT_HOME": str(home), "PYTHONPATH": str(ROOT)}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=home,
                env=environment,
            )
        self.messages: queue.Queue[Message] = queue.Queue()
        self.events: list[tuple[float, Message]] = []  # time, notification
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def request(self, request_id: Any, method: str, **params: Any) -> None:
        self.send(protocol.request(request_id, method, params))

    def notify(self, method: str, **params: Any) -> None:
        self.send(protocol.notification(method, params))

    def answer(self, timeout_s: float = 20.0) -> Message:
        """The next answer; events before it are put aside."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self.messages.get(timeout=max(0.001, deadline - time.monotonic()))
            if "method" not in message:
                return message

    def call(self, request_id: Any, method: str, **params: Any) -> Message:
        self.request(request_id, method, **params)
        message = self.answer()
        assert message.get("id") == request_id, message
        return message

    def hello(self) -> Message:
        message = self.call("h", "hello", protocol=protocol.PROTOCOL_VERSION, client="test")
        assert "result" in message, message
        return message["result"]

    def wait_for_event(self, method: str, timeout_s: float = 20.0) -> Message:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for _, event in list(self.events):
                if event["method"] == method:
                    return event["params"]
            time.sleep(0.005)
        raise AssertionError(f"no {method} event")

    def ends_within(self, seconds: float) -> float:
        """Wait for the process to end; how long it took."""
        start = time.monotonic()
        self.process.wait(timeout=seconds)
        return time.monotonic() - start

    def log(self) -> str:
        return self.log_path.read_text("utf-8", errors="replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                message = json.loads(line)  # anything else on stdout fails the test
                assert message["jsonrpc"] == "2.0", line
                if "method" in message:
                    self.events.append((time.monotonic(), message))
                self.messages.put(message)
        except ValueError as failure:
            self.messages.put({"not": "JSON", "error": str(failure)})


def stub_spec(behaviour: str) -> Message:
    return {
        "shot_id": behaviour,
        "image": "/nowhere/face.png",
        "audio": {"path": "/nowhere/voice.wav"},
        "fps": [24, 1],
        "out_dir": "/nowhere/take",
    }
