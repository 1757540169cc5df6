"""The landmarks of one frame of a take, read from the middle of its file (no bpy)."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

POINTS_FILE = "landmarks.npz"
IRIS_R, IRIS_L = 468, 473  # of the mesh: centres of the person's right and left iris


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """Where the landmarks of a frame are: px of the frame, origin top left, y down."""

    ibug: npt.NDArray[np.float32]  # (68, 2)
    iris_r: npt.NDArray[np.float32]  # (2,) person's right
    iris_l: npt.NDArray[np.float32]


@functools.lru_cache(maxsize=256)
def read_face(folder: Path, frame: int) -> Face | None:
    """The face of one frame, without reading the rest; None when it is not there or damaged.

    Twenty minutes of landmarks are 110 MB, a frame is 4 kB: scrubbing must not load them all.
    """
    try:
        with zipfile.ZipFile(folder / POINTS_FILE) as archive:
            ibug = _row(archive, "ibug", frame, 0, 68)
            irises = [_row(archive, "mesh", frame, index, 1)[0] for index in (IRIS_R, IRIS_L)]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    for iris, eye in zip(irises, (ibug[36:42], ibug[42:48]), strict=True):
        if not iris.any():  # a renderer without irises
            iris[:] = eye.mean(axis=0)
    return Face(ibug, irises[0], irises[1])


def _row(
    archive: zipfile.ZipFile, name: str, frame: int, first: int, count: int
) -> npt.NDArray[np.float32]:
    """Points `first` and following of one frame: (count, 2)."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        (n_frames, points, two), _, dtype = read_header(file)
        if not 0 <= frame < n_frames or two != 2 or first + count > points:
            raise ValueError("no such points")
        skipped = (frame * points + first) * two * dtype.itemsize
        file.seek(file.tell() + skipped)
        data = file.read(count * two * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(count, 2).astype(np.float32)
