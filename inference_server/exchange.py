"""Files of other programs to edits of a shot, and a take to such files; for server and terminal."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np

from . import fields, protocol
from .datatypes import Motion
from .directions import channels_to_json
from .errors import TakeUnreadable
from .interchange.choose import choose
from .interchange.files import edits_of, read, written
from .interchange.timing import Timing, keys, n_frames_of
from .spec import parse_rate
from .take_folder import check_out_file, writing
from .takes import Take, read_take


def import_file(file: object, fps: object, n_frames: object) -> dict[str, Any]:
    """What a file of mouth cues or curves says for a shot; see `import` in protocol.py.

    Raises:
        SpecInvalid: an argument of the wrong type.
        TimingUnreadable: the file is missing, damaged or of an unknown kind.
    """
    path, rate = fields.path("file", file), parse_rate(fps)
    if n_frames is not None:
        n_frames = fields.integer("n_frames", n_frames, 1, fields.MAX_FRAMES)
    found = read(path, rate)
    about: dict[str, Any] = {"shapes": "", "cues": []}
    if isinstance(found, Timing):
        starts = keys(found, rate, n_frames or n_frames_of(found, rate))
        cues = [{"frame": frame, "shape": shape} for frame, shape in starts.items()]
        about = {"shapes": found.shapes, "cues": cues}
    return {**about, "channels": channels_to_json(edits_of(found, rate, n_frames))}


def export_take(take_dir: object, kind: object, file: object) -> dict[str, Any]:
    """Write a take as a file of one of protocol.EXPORTS; see `export` in protocol.py.

    Raises:
        SpecInvalid: an unknown format, or a file that the take is made of.
        TakeUnreadable, FolderNotWritable, DiskFull.
    """
    wanted = fields.choice("format", kind, protocol.EXPORTS)
    target = fields.path("file", file)
    take = read_take(fields.path("take", take_dir))
    check_out_file(target, take.spec.audio.path, take.spec.image)
    timing = choose(take.channels, take.fps)
    text = written(wanted, timing, _motion_of(take), str(take.spec.audio.path))
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8", newline="")
    return {"file": str(target), "cues": len(timing.marks)}


def _motion_of(take: Take) -> Motion:
    path = take.path / "motion.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Motion(take.fps, *(arrays[name] for name in ("expression", "head", "gaze")))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as failure:
        text = f'"{path}" is damaged or missing: {failure}.'
        raise TakeUnreadable(text, "Render the take again.") from failure
