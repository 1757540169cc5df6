"""The home folder: its lock, its free space, and install.json, which says that all is in place."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO

from inference_server.home import home as home_folder

from .console import InstallError

ROOT = Path(__file__).resolve().parents[2]  # holds install.py, pyproject.toml, inference_server
ADDON = ROOT / "blender_addon"  # absent inside the extension zip
GB = 1e9
_REMOVE_ATTEMPTS = 10
_LOCK_OFFSET = 1 << 20  # far behind the pid: Windows locks bytes against reading too


@dataclass(frozen=True)
class Record:
    """install.json: written last, so where it is, a whole installation is.

    Attributes:
        version: of the server.
        python: the venv's Python.
        command: starts the server.
        home: this folder.
        torch: "2.13.0+cpu"
        device: "cpu", "cuda" or "mps".
        installed_at: ISO 8601, UTC.
        dev: made with --dev.
        fingerprint: of the sources and choices it was made from.
        torch_build: "cpu", "cu130", ...: the choice that was made for this machine.
        links: extension folders made in Blenders.
    """

    version: str
    python: str
    command: list[str]
    home: str
    torch: str
    device: str
    installed_at: str
    dev: bool = False
    fingerprint: str = ""
    torch_build: str = ""
    links: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Workplace:
    """Paths inside the home folder."""

    home: Path

    @property
    def venv(self) -> Path:
        """The server's virtual environment."""
        return self.home / "venv"

    @property
    def scratch(self) -> Path:
        """For builds and downloads; removed after use."""
        return self.home / "tmp"

    def scratch_of(self, name: str) -> Path:
        """The same for work that runs beside the installation."""
        return self.home / f"tmp-{name}"

    @property
    def record_path(self) -> Path:
        """install.json"""
        return self.home / "install.json"

    @property
    def log_path(self) -> Path:
        """Everything that was said and done."""
        return self.home / "logs" / "install.log"

    def bpy(self, version: str) -> Path:
        """The virtual environment of one bpy wheel; version "5.0"."""
        return self.home / f"bpy-{version}"

    def read_record(self) -> Record | None:
        """install.json, or None where there is none that can be read."""
        try:
            values = json.loads(self.record_path.read_text(encoding="utf-8"))
            known = {f.name for f in fields(Record)}
            return Record(**{name: value for name, value in values.items() if name in known})
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def write_record(self, record: Record) -> None:
        """Writes install.json in one step."""
        text = json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"
        handle, name = tempfile.mkstemp(dir=self.home, prefix="install-", suffix=".json")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)  # mkstemp's is for one pair of eyes
        os.replace(name, self.record_path)

    def discard(self, folder: Path) -> None:
        """Puts a half-made folder out of sight at once, then removes it: that may take a while."""
        with suppress(OSError):  # Windows, while something in it is open
            self.scratch.mkdir(exist_ok=True)
            os.replace(folder, self.scratch / f"discarded-{os.getpid()}")
        remove_tree(self.scratch)
        remove_tree(folder)

    def drop_record(self) -> None:
        """From here on nothing is in place until `write_record`."""
        self.record_path.unlink(missing_ok=True)


@contextmanager
def occupied(console_log: Callable[[Path], None]) -> Iterator[Workplace]:
    """The home folder, made if need be, for this process alone.

    Args:
        console_log: called with the path of the log once the folder can be written.

    Raises:
        InstallError: it cannot be written, or another installation is at work in it.
    """
    place = Workplace(home_folder())
    made = _make(place.home)
    try:
        with _locked(place.home):
            console_log(place.log_path)
            yield place
    finally:
        for folder in made:  # deepest first; those that something was put into stay
            try:
                folder.rmdir()
            except OSError:
                break


def _make(home: Path) -> list[Path]:
    """Makes the folder and tries it; returns what had to be made, deepest first."""
    made = [folder for folder in (home, *home.parents) if not folder.exists()]
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        for folder in made:
            if folder.is_dir():
                folder.rmdir()
        raise InstallError(
            f'Cannot write in "{home}": {error.strerror or error}.',
            "Set ANIMATE_PORTRAIT_HOME to a folder that you can write to.",
        ) from error
    return made


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Holds <home>/install.lock; the system lets go of it however this process ends."""
    path = home / "install.lock"
    with path.open("a+b") as file:
        if not _try_lock(file) or not _is_at(file, path):
            file.seek(0)
            pid = file.read(20).decode("ascii", "replace").strip() or "unknown"
            raise InstallError(
                f"Another installation is running in {home} (process {pid}).",
                "Wait until it has ended, or end it, then run this again.",
            )
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        try:
            yield
        finally:
            if sys.platform != "win32":  # while it is still ours; Windows cannot remove open files
                path.unlink(missing_ok=True)


def _try_lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCK_OFFSET)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a network folder without locks: better unlocked than refused
        return True
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """False when the file was removed by its last holder just before we locked it."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def need_space(place: Path, gigabytes: float, what: str) -> None:
    """Raises InstallError when the disk that holds `place` has less than that free."""
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(there).free / GB
    if free < gigabytes:
        raise InstallError(
            f"Not enough disk space for {what}: {gigabytes:.1f} GB are needed, "
            f'{free:.1f} GB are free on the disk of "{place}".',
            "Free some space, or set ANIMATE_PORTRAIT_HOME to a folder on another disk.",
        )


def remove_tree(folder: Path) -> None:
    """Removes a folder with read-only files in it too; not there is fine.

    Raises:
        InstallError: something in it is in use (Windows) or not ours.
    """
    if folder.is_symlink():
        folder.unlink()
        return
    for attempt in range(_REMOVE_ATTEMPTS):
        if not folder.exists():
            return
        try:
            shutil.rmtree(folder, onerror=_make_writable)
        except OSError as error:  # a process that is just ending, or a virus scanner
            if attempt + 1 == _REMOVE_ATTEMPTS:
                raise InstallError(
                    f'Cannot remove "{folder}": {error.strerror or error}.',
                    "Close Blender and every Animate Portrait window, then run this again.",
                ) from error
            time.sleep(0.5)


def _make_writable(function: Callable[[str], object], path: str, failure: tuple) -> None:
    if isinstance(failure[1], FileNotFoundError):
        return
    os.chmod(os.path.dirname(path), stat.S_IRWXU)
    if not os.path.islink(path):
        os.chmod(path, stat.S_IRWXU)
    function(path)
