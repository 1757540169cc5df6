"""Weight files: the bundled ones, and those that a user fetches or imports.

A file counts only when its sha256 is the pinned one. Fetched and imported files lie in
`<home>/models/<model>`; they appear there whole and verified or not at all.

face-alignment's files carry the first ten digits of their sha256 in their published names, which is
what torch.hub compares. For S3FD the whole digest is pinned: several independent projects agree on
it. For 3DFAN4 no whole digest is published, so those ten digits are all that is compared; it is
loaded with `weights_only`, which runs no code of the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .errors import (
    AnimatePortraitError,
    Cancelled,
    DiskFull,
    FolderNotWritable,
    WeightsCorrupt,
    WeightsMissing,
)
from .home import home

State = Literal["ok", "missing", "damaged"]
OnBytes = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all (0: not known)

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_BUNDLED = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of a model."""

    name: str
    sha256: str  # or its first digits, where no more is published
    url: str = ""  # empty: bundled


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose weights come from somebody else."""

    name: str
    label: str
    licence: str
    may_be_sold: bool  # whether what it makes may be sold, as far as its licence says
    files: tuple[WeightFile, ...]


_FAN = "https://www.adrianbulat.com/downloads/python-fan"
MODELS = (
    Model(
        "face-alignment",
        "face-alignment 1.5 (second landmark detector)",
        "BSD-3-Clause; trained on data sets for research",
        False,
        (
            WeightFile(
                "s3fd-619a316812.pth",
                "619a31681264d3f7f7fc7a16a42cbbe8b23f31a256f75a366e5a1bcd59b33543",
                f"{_FAN}/s3fd-619a316812.pth",
            ),
            WeightFile(  # the 3-D variant keeps jaw points on the jaw of a turned head
                "3DFAN4-7835d9f11d.pth.tar", "7835d9f11d", f"{_FAN}/3DFAN4-7835d9f11d.pth.tar"
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of one weight file."""

    model: str
    file: WeightFile
    path: Path
    state: State
    licence: str
    may_be_sold: bool
    bundled: bool


def bundled_weights() -> dict[str, str]:
    """Name -> sha256 of the weights that come with the program, from their manifest."""
    return {entry["name"]: entry["sha256"] for entry in _manifest()}


def model(name: str) -> Model:
    """The third-party model called `name`; "face_alignment" is as good as "face-alignment".

    Raises:
        WeightsMissing: there is none of that name.
    """
    for each in MODELS:
        if each.name == name.replace("_", "-"):
            return each
    known = ", ".join(each.name for each in MODELS)
    raise WeightsMissing(f'There is no model "{name}".', f"Known are: {known}.")


def model_folder(name: str) -> Path:
    """Where the files of a third-party model lie."""
    return home() / "models" / model(name).name.replace("-", "_")


def find_weight(name: str, file: str) -> Path:
    """A file of a third-party model; it was verified when it came.

    Raises:
        WeightsMissing: it has not been fetched or imported.
    """
    path = model_folder(name) / file
    if not path.is_file():
        text = f'The weights "{file}" of {model(name).label} are not installed.'
        hint = f'Run "python install.py models fetch {model(name).name}", or "models import".'
        raise WeightsMissing(text, hint)
    return path


def survey(check_content: bool) -> list[Status]:
    """Every weight file, bundled ones first.

    Args:
        check_content: read the files and compare digests; otherwise only look whether they exist.
    """
    rows = []
    for entry in _manifest():
        file = WeightFile(entry["name"], entry["sha256"])
        path = _BUNDLED / entry["file"]
        state = _state(path, file, check_content)
        sold = bool(entry["may_be_sold"])
        rows.append(Status("bundled", file, path, state, entry["licence"], sold, True))
    for each in MODELS:
        for file in each.files:
            path = model_folder(each.name) / file.name
            state = _state(path, file, check_content)
            sold = each.may_be_sold
            rows.append(Status(each.name, file, path, state, each.licence, sold, False))
    return rows


def import_file(source: Path) -> Path:
    """Take over a local file, recognised by its content whatever its name.

    Raises:
        WeightsMissing: the file cannot be read.
        WeightsCorrupt: it belongs to no model, or is damaged.
    """
    try:
        actual = sha256_of(source)
    except OSError as failure:
        text = f'Cannot read "{source}": {failure.strerror}.'
        raise WeightsMissing(text, "Check the path.") from failure
    for each in MODELS:
        for file in each.files:
            if actual.startswith(file.sha256):
                return _place(each, file, lambda part: _copy(source, part))
    names = ", ".join(file.name for each in MODELS for file in each.files)
    text = f'"{source.name}" (sha256 {actual[:10]}...) is none of the known weights.'
    raise WeightsCorrupt(text, f"Known are: {names}.")


def fetch(
    name: str, on_bytes: OnBytes, cancelled: Callable[[], bool] = lambda: False
) -> list[Path]:
    """Download what is missing or damaged of a model; goes on where an earlier fetch stopped.

    Raises:
        WeightsMissing: the network or the server did not give the file.
        WeightsCorrupt: the file came with a wrong digest; it is not kept.
        Cancelled: `cancelled()` became true; what came so far is kept for the next time.
    """
    chosen = model(name)
    paths = []
    for file in chosen.files:
        path = model_folder(name) / file.name
        if _state(path, file, check_content=True) != "ok":
            path = _fetch_file(chosen, file, on_bytes, cancelled)
        paths.append(path)
    return paths


def sha256_of(path: Path) -> str:
    """Digest of a file."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def _manifest() -> list[dict[str, Any]]:
    path = _BUNDLED / "manifest.json"
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError) as failure:
        text = f'The list of bundled weights "{path}" cannot be read: {failure}.'
        raise WeightsCorrupt(text, "Run install.py again.") from failure
    return list(entries)


def _state(path: Path, file: WeightFile, check_content: bool) -> State:
    if not path.is_file():
        return "missing"
    if check_content and not sha256_of(path).startswith(file.sha256):
        return "damaged"
    return "ok"


def _place(chosen: Model, file: WeightFile, write: Callable[[Path], None]) -> Path:
    """Let `write` make a partial file, and give it its name."""
    target = model_folder(chosen.name) / file.name
    part = target.with_name(f"{file.name}.{uuid.uuid4().hex}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, target)
    except OSError as failure:
        raise _not_written(target.parent, failure) from failure
    finally:
        part.unlink(missing_ok=True)
    return target


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("xb") as copy:
        while chunk := original.read(_CHUNK_BYTES):
            copy.write(chunk)


def _fetch_file(
    chosen: Model, file: WeightFile, on_bytes: OnBytes, cancelled: Callable[[], bool]
) -> Path:
    """Download to a partial file of a fixed name, verify, rename."""
    target = model_folder(chosen.name) / file.name
    part = target.with_name(f"{file.name}.fetch")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(file, part, on_bytes, cancelled)
        actual = sha256_of(part)
        if not actual.startswith(file.sha256):
            part.unlink()
            text = f'"{file.name}" came with the sha256 {actual}, not {file.sha256}.'
            raise WeightsCorrupt(text, "Fetch it again; if that does not help, import a copy.")
        os.replace(part, target)
    except urllib.error.URLError as failure:
        raise _not_fetched(file, str(failure.reason)) from failure
    except (TimeoutError, ConnectionError) as failure:
        raise _not_fetched(file, str(failure)) from failure
    except OSError as failure:
        raise _not_written(target.parent, failure) from failure
    return target


def _download(
    file: WeightFile, part: Path, on_bytes: OnBytes, cancelled: Callable[[], bool]
) -> None:
    """Append what is missing of a file; starts over when the server cannot resume."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(file.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as failure:
        failure.close()
        if failure.code != 416 or not done:  # 416: nothing is left to send
            raise
        return
    with response:
        if done and response.status != 206:
            done = 0
        left = int(response.headers.get("Content-Length") or 0)
        total = done + left if left else 0
        with part.open("ab" if done else "wb") as output:
            while chunk := response.read(_CHUNK_BYTES):
                if cancelled():
                    raise Cancelled("The download was cancelled.")
                output.write(chunk)
                done += len(chunk)
                on_bytes(file.name, done, total)
    if total and done < total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _not_fetched(file: WeightFile, reason: str) -> WeightsMissing:
    text = f'Cannot fetch "{file.name}": {reason.rstrip(".")}.'
    hint = f"Check the network and try again, or download {file.url} and use models import."
    return WeightsMissing(text, hint)


def _not_written(folder: Path, failure: OSError) -> AnimatePortraitError:
    if failure.errno == errno.ENOSPC:
        return DiskFull(f'No space is left in "{folder}".', "Free some space and try again.")
    text = f'Cannot write to "{folder}" ({failure.strerror or failure}).'
    return FolderNotWritable(text, "Choose another folder with ANIMATE_PORTRAIT_HOME.")
