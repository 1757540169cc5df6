"""Lines of the protocol: strict reading, and errors as lines."""

from __future__ import annotations

import json
from typing import Any

from . import __version__, protocol
from .errors import AnimatePortraitError, VersionMismatch
from .home import log_path


def decode(line: bytes) -> Any:
    """Strict JSON: no NaN, no Infinity, no text that UTF-8 cannot hold."""
    text = line.decode()
    message = json.loads(text, parse_constant=_refuse_constant)
    if "\\u" in text:  # the only way to half a surrogate pair
        json.dumps(message, ensure_ascii=False).encode()
    return message


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def is_id(value: object) -> bool:
    """Whether a value may identify a request."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def flaw_of(message: object) -> str:
    """What makes a JSON value no request and no notification; empty when it is one."""
    if not isinstance(message, dict):
        return "A message must be an object; batches are not supported."
    if message.get("jsonrpc") != "2.0":
        return 'The field "jsonrpc" must be "2.0".'
    if not isinstance(message.get("method"), str):
        return 'The field "method" must be a text.'
    if "id" in message and not is_id(message["id"]):
        return 'The field "id" must be a whole number or a text.'
    if not isinstance(message.get("params", {}), dict):
        return 'The field "params" must be an object.'
    return ""


def version_mismatch(theirs: int) -> VersionMismatch:
    """Says both versions, and which side is the older one."""
    ours = protocol.PROTOCOL_VERSION
    text = f"The add-on speaks protocol {theirs}, the server (version {__version__}) speaks {ours}."
    if theirs > ours:
        return VersionMismatch(text, "Update the server: python install.py --upgrade.")
    return VersionMismatch(text, "Update the add-on: Preferences > Add-ons > Animate Portrait.")


def failure_line(request_id: int | str, failure: AnimatePortraitError) -> bytes:
    """The answer to a request that ended with one of our own errors."""
    return protocol.error(
        request_id,
        protocol.APPLICATION_ERROR,
        encodable(failure.message),
        failure.kind,
        encodable(failure.hint),
    )


def internal_error_line(request_id: int | str, failure: Exception) -> bytes:
    """The answer to a request that ran into a fault of ours; names the log."""
    what = f"{type(failure).__name__}: {failure}".strip().rstrip(".:")
    return protocol.error(
        request_id,
        protocol.INTERNAL_ERROR,
        encodable(f"The server failed ({what})."),
        AnimatePortraitError.__name__,
        encodable(f'The details are in "{log_path()}".'),
    )


def encodable(text: str) -> str:
    """Text that UTF-8 can hold: file names may carry bytes that are no UTF-8."""
    return text.encode(errors="replace").decode()
