"""Results that are slow to make, kept on disk under the digest of everything they depend on.

An entry is an .npz of plain arrays, never a pickle. A damaged entry counts as absent, and a cache
that cannot be written costs time, not the job.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

LIMIT_BYTES = 1 << 30
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError)

Arrays = Mapping[str, npt.NDArray[Any]]

log = logging.getLogger(__name__)


class Cache:
    """A folder of entries; the least recently used go first when it exceeds `limit_bytes`."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._warned = False

    def load(self, key: str) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays stored under `key`; None when there are none or they are damaged."""
        path = self._path(key)
        try:
            with np.load(path, allow_pickle=False) as entry:  # zip members carry a checksum
                arrays = {name: entry[name] for name in entry.files}
        except FileNotFoundError:
            return None
        except _DAMAGED as failure:
            log.warning('The cache entry "%s" is ignored: %s', path, failure)
            self._remove(path)
            return None
        try:
            os.utime(path)  # used just now
        except OSError as failure:
            log.debug("%s", failure)
        return arrays

    def store(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under `key`; when that fails, the log says so once."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(".tmp", "entry-", self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    np.savez(file, **arrays)  # type: ignore[arg-type]
                os.replace(name, self._path(key))
            except BaseException:
                os.unlink(name)
                raise
            self._prune()
        except OSError as failure:
            if not self._warned:
                log.warning('The cache "%s" cannot be written: %s', self._folder, failure)
            self._warned = True

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _prune(self) -> None:
        entries = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat()
            except FileNotFoundError:  # another process pruned it
                continue
            entries.append((status.st_mtime_ns, status.st_size, entry.path))
        total_bytes = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total_bytes <= self._limit_bytes:
                return
            self._remove(Path(path))
            total_bytes -= size

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as failure:
            log.debug("%s", failure)


def digest(*parts: object) -> str:
    """sha256 over values of JSON and bytes, in order; for keys."""
    state = hashlib.sha256()
    for part in parts:
        raw = isinstance(part, bytes)
        data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        state.update(len(data).to_bytes(8, "little") + bytes([raw]))
        state.update(data)
    return state.hexdigest()


@functools.cache
def code_key(*packages: str) -> str:
    """sha256 over the sources of some of our packages: what other code made is not valid here."""
    root = Path(__file__).parent
    state = hashlib.sha256()
    for package in packages:
        place = root / package
        for path in sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            state.update(path.name.encode())
            state.update(path.read_bytes())
    return state.hexdigest()
