"""The folder that a take is being made in.

Frames appear whole, `take.json` comes last, nothing finished is touched. A folder without
`take.json` is an unfinished run: frames in it whose key is still wanted are kept.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from .errors import DiskFull, FolderNotWritable, SpecInvalid, TakeExists, TakeUnreadable
from .image_io import read_frame_key, write_frame
from .takes import PNG_END, TAKE_FILE, Take, frame_name, layer_paths, read_take, take_to_json

_FRAME_NAME = re.compile(r"(\d{6,})\.png")
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_REMOVE_IT = "Delete the folder and render again, or choose another."
NO_LAYERS: Mapping[str, npt.NDArray[np.uint8]] = MappingProxyType({})
_OUT_OF_SPACE = tuple(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)
)


class NpzFile:
    """An .npz being written: arrays whole or block by block, the same bytes every time."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Add an array."""
        with self._open(name) as member:
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)

    def stream(
        self, name: str, shape: tuple[int, ...], blocks: Iterable[npt.NDArray[np.float32]]
    ) -> None:
        """Add a float32 array of `shape` that comes as blocks of rows, in order."""
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with self._open(name) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(np.ascontiguousarray(block, "<f4").tobytes())

    def _open(self, name: str) -> IO[bytes]:
        member = zipfile.ZipInfo(f"{name}.npy")  # its date is 1980-01-01, not now
        return self._archive.open(member, "w", force_zip64=True)


class TakeFolder:
    """The folder that a take is being made in."""

    def __init__(self, path: Path, frame_keys: Sequence[str], layers: Sequence[str] = ()) -> None:
        self.path = path
        self.layers = tuple(layers)  # each has its frames in a folder of its name
        self._keys = tuple(frame_keys)
        self._created: list[Path] = []  # folders that were not there before, deepest first

    def frame_path(self, frame: int) -> Path:
        """Where a frame is, or will be."""
        return self.path / frame_name(frame)

    def _paths(self, frame: int) -> list[Path]:
        """Its layers, then itself: a frame that is there has its layers."""
        return [*layer_paths(self.frame_path(frame), self.layers), self.frame_path(frame)]

    def _folders(self) -> list[Path]:
        return [*(self.path / layer for layer in self.layers), self.path]

    def finished(self) -> Take | None:
        """The take that is already here with the same frames, or None when there is none.

        Raises:
            TakeExists: a take of other frames.
            TakeUnreadable: it says it is finished, but frames are missing.
            FolderNotWritable: the folder cannot be entered.
        """
        with writing(self.path):
            if not (self.path / TAKE_FILE).exists():
                return None
        take = read_take(self.path)
        if take.frame_keys != self._keys:
            text = f'"{self.path}" already holds another take.'
            raise TakeExists(text, "Choose another folder; a finished take is never modified.")
        frames = range(take.n_frames)
        missing = [f for f in frames if not all(path.exists() for path in self._paths(f))]
        if missing:
            text = f'The take in "{self.path}" lacks {len(missing)} of its frames'
            raise TakeUnreadable(f"{text} (the first is {frame_name(missing[0])}).", _REMOVE_IT)
        return take

    def create(self) -> None:
        """Make the folder; a folder of foreign pictures is refused.

        Raises:
            FolderNotWritable, DiskFull: as `writing`.
            TakeExists: frames would overwrite numbered pictures that are not ours.
        """
        wanted = [*self._folders(), *self.path.parents]
        with writing(self.path):
            missing = [at for at in wanted if not at.exists()]
            for folder in self._folders():
                folder.mkdir(parents=True, exist_ok=True)
            self._created = missing
            numbered = [each for folder in self._folders() for each in _numbered(folder)]
            foreign = [path.name for _, path in numbered if _is_foreign(path)]
        if foreign:
            text = f'"{self.path}" holds pictures that are no frames of a take ({foreign[0]} ...).'
            raise TakeExists(text, "Choose an empty folder or a new one.")

    def kept(self) -> set[int]:
        """Frames that an unfinished run has left and that are still wanted.

        Raises:
            FolderNotWritable: the folder cannot be listed.
        """
        with writing(self.path):
            numbered = _numbered(self.path) if self.path.is_dir() else []
        return {
            frame
            for frame, path in numbered
            if frame < len(self._keys)
            and read_frame_key(path) == self._keys[frame]
            and all(layer.exists() for layer in self._paths(frame))
        }

    def write(
        self,
        frame: int,
        rgba: npt.NDArray[np.uint8],
        layers: Mapping[str, npt.NDArray[np.uint8]] = NO_LAYERS,
    ) -> None:
        """Write a frame, (h, w, 3) or (h, w, 4), and its layers; it appears whole or not at all."""
        with writing(self.path):
            for name in self.layers:
                path = self.path / name / frame_name(frame)
                write_frame(path, layers[name], self._keys[frame])
            write_frame(self.frame_path(frame), rgba, self._keys[frame])

    def link(self, frame: int, source: Path) -> None:
        """Make a frame from an equal one: a hard link, or a copy where links do not work.

        Its layers come along, from the folders beside it.
        """
        with writing(self.path):
            sources = [*layer_paths(source, self.layers), source]
            for target, path in zip(self._paths(frame), sources, strict=True):
                _link(target, path)

    def finish(self, take: Take, check: Callable[[], None]) -> None:
        """Remove what an older run has left behind, then write `take.json`.

        Args:
            take: what `take.json` is to say.
            check: raises Cancelled once nobody wants the take any more; asked last of all, since
                writing may take long.
        """
        with writing(self.path):
            for folder in self._folders():
                for frame, path in _numbered(folder):
                    if frame >= len(self._keys):
                        path.unlink()
            self._remove_partial()
            with _temporary(self.path) as file:
                file.write(json.dumps(take_to_json(take), separators=(",", ":")).encode())
                file.flush()
                os.fsync(file.fileno())
                file.close()
                check()
                os.replace(file.name, self.path / TAKE_FILE)

    def abandon(self) -> None:
        """After an error or a cancel: leave no folder behind that holds nothing."""
        with contextlib.suppress(OSError):
            self._remove_partial()
            for folder in self._created:
                folder.rmdir()  # refuses when something is in it

    def _remove_partial(self) -> None:
        """Remove files that were being written when a run was killed."""
        for folder in self._folders():
            for entry in os.scandir(folder):
                if entry.name.startswith(".") and entry.name.endswith(".part"):
                    os.unlink(entry.path)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Files that are named like frames."""
    found = []
    for entry in os.scandir(folder):
        match = _FRAME_NAME.fullmatch(entry.name)
        if match and frame_name(int(match[1])) == entry.name:
            found.append((int(match[1]), Path(entry.path)))
    return sorted(found)


def _link(target: Path, source: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, a file system without links, too many links
        with _temporary(target.parent) as file:
            file.write(source.read_bytes())
            file.close()
            os.replace(file.name, target)


@contextlib.contextmanager
def new_npz(path: Path) -> Iterator[NpzFile]:
    """An .npz to be filled; it appears whole or not at all.

    Raises:
        FolderNotWritable, DiskFull: as `writing`.
    """
    with writing(path.parent), _temporary(path.parent) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            yield NpzFile(archive)
        file.close()
        os.replace(file.name, path)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses while writing into errors for people.

    Raises:
        DiskFull: no space or quota left, or the file is larger than is allowed.
        FolderNotWritable: anything else.
    """
    try:
        yield
    except OSError as failure:
        if failure.errno in _OUT_OF_SPACE:
            text = f'No space is left while writing to "{folder}" ({failure.strerror}).'
            hint = "Free some space and render again: finished frames are kept."
            raise DiskFull(text, hint) from failure
        text = f'Cannot write to "{folder}" ({failure.strerror or failure}).'
        raise FolderNotWritable(text, "Choose a folder that you may write to.") from failure


def check_out_dir(path: Path) -> None:
    """Refuse early what could not be written later; makes nothing.

    Raises:
        FolderNotWritable: it is a file, inside a file, or in a folder without permission.
    """
    with writing(path):
        nearest = next((at for at in (path, *path.parents) if at.exists()), None)
        if nearest is None:
            raise FileNotFoundError(errno.ENOENT, f'there is no "{path.anchor}"')
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f'"{nearest}" is not a folder')
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def check_out_file(path: Path, *sources: Path) -> None:
    """The same for a file; an older one would be replaced, but not one of `sources`.

    Raises:
        FolderNotWritable: it is a folder, or in one that cannot be written.
        SpecInvalid: it is one of `sources`.
    """
    if path.resolve() in [source.resolve() for source in sources]:
        text = f'"{path}" would be replaced, and it is what the result is made from.'
        raise SpecInvalid(text, "Choose another file to write.")
    check_out_dir(path.parent)
    if path.is_dir():
        raise FolderNotWritable(f'"{path}" is a folder.', "Name a file.")


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[BinaryIO]:
    """A file in `folder` that is gone afterwards unless it has been renamed."""
    path = folder / f".{uuid.uuid4().hex}.part"
    try:
        with path.open("xb") as file:
            yield file
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _is_foreign(path: Path) -> bool:
    """Whether a file is a whole PNG that we have not written."""
    if read_frame_key(path) is not None:
        return False
    data = path.read_bytes()
    return data.startswith(_PNG_SIGNATURE) and data.endswith(PNG_END)
