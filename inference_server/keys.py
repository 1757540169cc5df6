"""Content keys: what decides the pixels of a frame, as one digest.

Motion is rounded before it is drawn, not only before it is hashed: two frames of one key are equal
to the last bit.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .cache import digest
from .checkpoints import bundled_weights, sha256_of
from .datatypes import Look, Motion
from .errors import ImageUnreadable
from .protocol import PARAMS
from .registry import Renderer, Style

KEY_VERSION = 1  # change it when what goes into a key changes
STEPS_PER_UNIT = 10_000  # motion is rounded to 1e-4
SOURCE_PARAMS = (  # what a motion source is told
    "lip_amount", "head_amount", "eye_amount", "nod_amount", "still", "mouth", "voice_style",
)  # fmt: skip
MOTION_PARAMS = (*SOURCE_PARAMS, "settle", "breathing")  # already in the motion
RENDERER_PARAMS = (  # these count in any style
    "tooth_show", "tongue", "mouth_dark", "glasses", "layers",
)  # fmt: skip
_BLOCK = 1000  # frames at a time, so that memory does not grow with length
_DRAWING_WEIGHTS = ("face_template",)  # what the speech weights do is in the motion


def rounded(motion: Motion) -> Motion:
    """The motion on the grid of 1e-4 that keys see and renderers draw."""
    return dataclasses.replace(
        motion,
        expression=_rounded(motion.expression),
        head=_rounded(motion.head),
        gaze=_rounded(motion.gaze),
        native={name: _rounded(rows) for name, rows in motion.native.items()},
    )


def acting_params(style: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that a style uses; a file counts by what is in it.

    Raises:
        ImageUnreadable: a file cannot be read.
    """
    acting = {}
    for param in PARAMS:
        if style in param.styles and param.name in params:
            value = params[param.name]
            acting[param.name] = _content(str(value)) if param.is_path and value else value
    return acting


def _content(path: str) -> str:
    try:
        return sha256_of(Path(path))
    except OSError as failure:
        text = f'Cannot read "{path}": {failure.strerror}.'
        raise ImageUnreadable(text, "Choose another picture, or none.") from failure


def look_key(face_crop_key: str, renderer: Renderer, style: Style, look: Look) -> str:
    """Digest of everything but the motion."""
    params = dict(acting_params(look.style, look.params))
    params |= {name: look.params[name] for name in RENDERER_PARAMS if name in look.params}
    weights = bundled_weights()
    return digest(
        KEY_VERSION,
        [weights[name] for name in _DRAWING_WEIGHTS],
        face_crop_key,
        [renderer.name, renderer.version, style.name, style.version],
        [look.size, look.framing, look.alpha],
        look.seed,  # renderers may draw by it in any style: teeth, paper
        params,
    )


def frame_keys(of_look: str, motion: Motion, temporal_radius: int) -> tuple[str, ...]:
    """One digest per frame of a rounded motion.

    Args:
        of_look: see `look_key`.
        motion: N frames, rounded.
        temporal_radius: frames before and after that a frame depends on.
    """
    n_frames = motion.n_frames
    start = hashlib.sha256(of_look.encode())
    keys = []
    for begin in range(0, n_frames, _BLOCK):
        before = max(0, begin - temporal_radius)
        rows = _rows(motion, slice(before, begin + _BLOCK + temporal_radius))
        for frame in range(begin, min(begin + _BLOCK, n_frames)):
            first = max(0, frame - temporal_radius)
            last = min(n_frames, frame + temporal_radius + 1)
            state = start.copy()
            state.update((frame - first).to_bytes(4, "little"))
            state.update(rows[first - before : last - before].tobytes())
            keys.append(state.hexdigest())
    return tuple(keys)


def _steps(values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.rint(values.astype(np.float64) * STEPS_PER_UNIT).astype(np.int32)


def _rounded(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    on_grid = np.empty(values.shape, np.float32)
    for first in range(0, len(values), _BLOCK):
        block = slice(first, first + _BLOCK)
        on_grid[block] = _steps(values[block]) / STEPS_PER_UNIT
    return on_grid


def _rows(motion: Motion, frames: slice) -> npt.NDArray[np.int32]:
    """(n, C) all that a motion holds in some frames, in steps; the names of `native` in order."""
    native: Mapping[str, npt.NDArray[Any]] = motion.native
    parts = [
        motion.expression,
        motion.head,
        motion.gaze,
        *(native[name] for name in sorted(native)),
    ]
    columns = [_steps(part[frames]) for part in parts]
    columns = [column.reshape(len(column), -1) for column in columns]
    return np.ascontiguousarray(np.concatenate(columns, axis=1))
