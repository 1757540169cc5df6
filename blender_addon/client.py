"""The server process as the add-on sees it: start, ask, listen, end (no bpy).

Nothing here waits on the main thread. A reader thread starts the process and turns its lines into
the small messages below; a writer thread feeds it, because a pipe that is full blocks. Both are
daemons: when Blender goes without a word they go with it, the pipe closes, and end of file ends
the server.

    server = Server(command, env, log_path)
    server.start()                       # says hello by itself
    server.poll()                        # Hello, then
    request = server.request("render", {"spec": ...})
    server.poll()                        # Progress ..., Answer or Failure; Stopped comes last
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from . import protocol, server_log

CLOSE_GRACE_S = 5.0  # from shutdown to kill
_HELLO_ID = 1
BLENDERS_OWN = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUSERBASE", "VIRTUAL_ENV")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hello:
    """The server answers and speaks our protocol."""

    version: str
    python: str
    home: str
    renderers: tuple[dict[str, Any], ...]  # name, label, available, reason
    styles: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a request has come."""

    request: int
    stage: str
    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames that are newly on disk."""

    request: int
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the artist should read."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A request went well."""

    request: int
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request did not."""

    request: int | None
    kind: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The process is gone; nothing comes after this."""

    expected: bool  # we asked for it, or it had been idle
    message: str
    hint: str


Message = Hello | Progress | Frames | Note | Answer | Failure | Stopped


class Server:
    """One server process."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        """Nothing is started yet.

        Args:
            command: program and arguments.
            env: variables on top of Blender's environment.
            log_path: where stderr goes; made with its folder.
        """
        self._command = list(command)
        self._env = dict(env)
        self._log_path = log_path
        self._log_start = 0  # byte of the log at which this run begins
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._last_id = _HELLO_ID
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # of _process, _closing and _killed
        self._closing = False
        self._killed = False
        self._ended = threading.Event()
        self.waiting_for: set[int] = set()  # requests without an answer

    def start(self) -> None:
        """Starts the process in the background and greets it."""
        hello = {"protocol": protocol.PROTOCOL_VERSION, "client": "blender"}
        self.waiting_for.add(_HELLO_ID)
        self._outbox.put(protocol.request(_HELLO_ID, "hello", hello))
        threading.Thread(target=self._run, name="portrait-reader", daemon=True).start()

    def request(self, method: str, params: dict[str, Any]) -> int:
        """Sends a request; its Answer or Failure carries the number returned here."""
        self._last_id += 1
        self.waiting_for.add(self._last_id)
        self._outbox.put(protocol.request(self._last_id, method, params))
        return self._last_id

    def cancel(self, request: int) -> None:
        """Asks the server to stop a request; it ends with a Failure of kind Cancelled."""
        self._outbox.put(protocol.notification("cancel", {"id": request}))

    def poll(self) -> Message | None:
        """The next message, or None; never waits."""
        try:
            message = self._inbox.get_nowait()
        except queue.Empty:
            return None
        if isinstance(message, Hello):
            self.waiting_for.discard(_HELLO_ID)
        elif isinstance(message, Answer | Failure):
            self.waiting_for.discard(message.request)
        return message

    def close(self) -> None:
        """Asks the process to end and kills it after 5 s; returns at once."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._outbox.put(protocol.notification("shutdown", {}))
        self._outbox.put(None)
        threading.Thread(target=self._kill_later, name="portrait-end", daemon=True).start()

    def kill(self) -> None:
        """Ends the process now. A take that is being made stays unfinished, which does no harm."""
        with self._lock:
            self._closing = self._killed = True
            process = self._process
        self._outbox.put(None)
        if process is not None:
            _kill(process)

    @property
    def ended(self) -> bool:
        """True when the process is gone."""
        return self._ended.is_set()

    def _kill_later(self) -> None:
        if not self._ended.wait(CLOSE_GRACE_S):
            self.kill()

    def _run(self) -> None:
        """Reader thread: the life of the process."""
        try:
            process = self._spawn()
        except OSError as failure:
            hint = "Run Set Up in the preferences of Animate Portrait."
            text = f'The server cannot be started with "{self._command[0]}": {failure}.'
            self._ended.set()
            self._inbox.put(Stopped(False, text, hint))
            return
        if process.stdin is None or process.stdout is None:
            raise AssertionError("both are pipes")
        writer = threading.Thread(
            target=self._write, args=(process.stdin,), name="portrait-writer", daemon=True
        )
        writer.start()
        self._read(process.stdout)
        self._outbox.put(None)
        try:
            code = process.wait(CLOSE_GRACE_S)
        except subprocess.TimeoutExpired:  # it closed its stdout and lives on
            _kill(process)
            code = process.wait()
        writer.join(CLOSE_GRACE_S)
        self._ended.set()
        self._inbox.put(self._stopped(code))

    def _spawn(self) -> subprocess.Popen[bytes]:
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        server_log.rotate(self._log_path)
        env = {name: value for name, value in os.environ.items() if name not in BLENDERS_OWN}
        env.update({"PYTHONUTF8": "1", "ANIMATE_PORTRAIT_LOG": str(self._log_path)}, **self._env)
        with self._log_path.open("ab") as stderr, self._lock:
            self._log_start = stderr.tell()
            if self._killed:
                raise OSError("it was cancelled before it began")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=env,
                **new_process_group(),
            )
        return self._process

    def _write(self, stdin: IO[bytes]) -> None:
        """Writer thread: until the process no longer listens."""
        try:
            while (line := self._outbox.get()) is not None:
                stdin.write(line)
                stdin.flush()
        except OSError as failure:  # the reader sees the end and says why
            log.info("The server no longer listens: %s", failure)
        finally:
            _close(stdin)

    def _read(self, stdout: IO[bytes]) -> None:
        for line in iter(lambda: stdout.readline(protocol.MAX_LINE_BYTES), b""):
            try:
                message = _understood(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as failure:
                text = f"The server said something that is not understood: {line[:80]!r}"
                log.warning("%s (%s)", text, failure)
                message = Note("WARNING", text)
            if message is not None:
                self._inbox.put(message)
        stdout.close()

    def _stopped(self, code: int) -> Stopped:
        expected = self._closing or (code == 0 and not self.waiting_for)
        if expected:
            return Stopped(True, "The server has ended.", "")
        quoted = server_log.telling_lines(server_log.tail(self._log_path, self._log_start), code)
        text = f"The server stopped: {exit_in_words(code)}."
        return Stopped(False, text, "\n".join([*quoted, f"Log: {self._log_path}"]))


def new_process_group() -> dict[str, Any]:
    """Popen arguments: no console window, and Ctrl+C in Blender's terminal is not the server's."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": flags}
    return {"start_new_session": True}


def exit_in_words(code: int) -> str:
    """What an exit code means: -9 is "killed by signal 9 (SIGKILL), often for lack of memory"."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        often = {"SIGKILL": ", often for lack of memory", "SIGSEGV": ", a crash in native code"}
        return f"killed by signal {-code} ({name}){often.get(name, '')}"
    windows = {
        0xC0000005: "an access violation in native code",
        0xC000013A: "it was interrupted",
        0xC0000135: "a DLL is missing",
        0xC0000017: "not enough memory",
    }
    if code in windows:
        return f"exit code 0x{code:08X}, {windows[code]}"
    if code == 0:
        return "exit code 0, it ended by itself in the middle of a job"
    return f"exit code {code}, an error in its Python" if code == 1 else f"exit code {code}"


def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kills a process started with `new_process_group`; on POSIX its children too."""
    _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: never Blender's group
    except ProcessLookupError:
        log.info("Process %d was gone already", process.pid)


def _understood(message: dict[str, Any]) -> Message | None:
    """One line of the server, as a message; None for events of a later version."""
    if "method" in message:
        return _event(message["method"], message.get("params", {}))
    if "error" in message:
        failure = message["error"]
        data = failure.get("data") or {}
        return Failure(
            message.get("id"),
            str(data.get("kind", "ProtocolError")),
            str(failure["message"]),
            str(data.get("hint", "")),
        )
    value = message["result"]
    if message["id"] != _HELLO_ID:
        return Answer(int(message["id"]), value)
    if value.get("protocol") != protocol.PROTOCOL_VERSION:
        text = (
            f"The server speaks protocol {value.get('protocol')}, "
            f"this add-on speaks {protocol.PROTOCOL_VERSION}."
        )
        return Failure(_HELLO_ID, "VersionMismatch", text, "Run Set Up in the preferences again.")
    return Hello(
        str(value.get("version", "")),
        str(value.get("python", "")),
        str(value.get("home", "")),
        tuple(value.get("renderers", ())),
        tuple(value.get("styles", ())),
    )


def _event(method: str, params: dict[str, Any]) -> Message | None:
    if method == "progress":
        eta_s = params.get("eta_s")
        return Progress(
            int(params["id"]),
            str(params["stage"]),
            int(params["done"]),
            int(params["total"]),
            None if eta_s is None else float(eta_s),
        )
    if method == "frames":
        return Frames(int(params["id"]), tuple(params["frames"]))
    if method == "log":
        return Note(str(params["level"]).upper(), str(params["message"]))
    return None


def _close(stdin: IO[bytes]) -> None:
    try:
        stdin.close()
    except OSError as failure:  # what was buffered cannot be delivered any more
        log.info("The pipe was broken: %s", failure)
