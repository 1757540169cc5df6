"""The twelve curves an artist edits: measured on a motion, and put back into it exactly.

Each channel reads and writes its own ARKit weights, so editing one leaves the others as they are:

    lip_open    jawOpen - mouthClose + 0.2 mouthLowerDown + 0.2 mouthUpperUp (means of both sides)
    lip_width   mouthStretch to the wide side, mouthPucker (beyond what lip_round asks for) to the
                narrow side
    lip_round   mouthFunnel; every round mouth is narrow too, so 0.8 mouthPucker comes with it
    smile       mouthSmile up, mouthFrown down
    eye_open_*  1 - eyeBlink + 0.3 eyeWide of that eye
    brow        browInnerUp and browOuterUp up, browDown down
    gaze_*      Motion.gaze, which renderers read; the eyeLook weights follow it, for ARKit rigs
    head_*      Motion.head

Lips meet exactly where lip_open is 0: jawOpen and mouthClose are then equal and the lips add
nothing. Closing takes three quarters of the way from the jaw and leaves the last quarter to the
lips (mouthClose), as in a spoken "b": a jaw that stays wide behind shut lips looks wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, Motion
from inference_server.errors import SpecInvalid
from inference_server.protocol import CHANNEL_NAMES, CHANNELS

Weights = npt.NDArray[np.float64]  # (52,) or (N, 52)

UNCHANGED = 1e-6  # an edit closer to what is there already changes nothing
_LIP_SHARE = 0.2  # opening by a lip alone, relative to the jaw; mesh_warp: 0.033 and 0.164 faces
_JAW_FOLLOWS = 0.75  # share of a closing that the jaw makes
_PUCKER_OF_ROUND = 0.8
_EYE_WIDE = 0.3  # eye_open 1.3 is eyeWide 1
_LOOK_X_DEG, _LOOK_Y_DEG = 30.0, 25.0  # gaze at which an eyeLook weight is 1

_RANGE = {channel.name: (channel.minimum, channel.maximum) for channel in CHANNELS}


def _columns(*names: str) -> list[int]:
    return [ARKIT_INDEX[name] for name in names]


_JAW, _CLOSE = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["mouthClose"]
_LIPS = _columns(
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"
)  # fmt: skip
_STRETCH = _columns("mouthStretchLeft", "mouthStretchRight")
_PUCKER, _FUNNEL = ARKIT_INDEX["mouthPucker"], ARKIT_INDEX["mouthFunnel"]
_SMILE = _columns("mouthSmileLeft", "mouthSmileRight")
_FROWN = _columns("mouthFrownLeft", "mouthFrownRight")
_BROW_UP = _columns("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
_BROW_DOWN = _columns("browDownLeft", "browDownRight")
_EYES = {
    "eye_open_l": _columns("eyeBlinkLeft", "eyeWideLeft"),
    "eye_open_r": _columns("eyeBlinkRight", "eyeWideRight"),
}
_LOOK_RIGHT = _columns("eyeLookOutLeft", "eyeLookInRight")  # right of the picture
_LOOK_LEFT = _columns("eyeLookInLeft", "eyeLookOutRight")
_LOOK_UP = _columns("eyeLookUpLeft", "eyeLookUpRight")
_LOOK_DOWN = _columns("eyeLookDownLeft", "eyeLookDownRight")
_GAZE = {"gaze_x": 0, "gaze_y": 1}
_HEAD = {"head_yaw": 0, "head_pitch": 1, "head_roll": 2}


LIPS_MEET = 0.02  # lip_open below it shows no gap: 0.003 face widths
MOUTH_COLUMNS = [
    column for name, column in ARKIT_INDEX.items() if name.startswith(("mouth", "jaw", "tongue"))
]
BROW_COLUMNS = [*_BROW_UP, *_BROW_DOWN]
LOOK_COLUMNS = [*_LOOK_RIGHT, *_LOOK_LEFT, *_LOOK_UP, *_LOOK_DOWN]
EYE_COLUMNS = {  # eyelids of one eye, by channel
    "eye_open_l": [*_EYES["eye_open_l"], ARKIT_INDEX["eyeSquintLeft"]],
    "eye_open_r": [*_EYES["eye_open_r"], ARKIT_INDEX["eyeSquintRight"]],
}


def measure(motion: Motion) -> dict[str, npt.NDArray[np.float64]]:
    """Every channel of protocol.CHANNELS, (N,) each, inside its range."""
    weights = motion.expression.astype(np.float64)
    values = {name: read(weights) for name, read in _READ.items()}
    values.update({name: motion.gaze[:, i].astype(np.float64) for name, i in _GAZE.items()})
    values.update({name: motion.head[:, i].astype(np.float64) for name, i in _HEAD.items()})
    return {name: np.clip(values[name], *_RANGE[name]) for name in CHANNEL_NAMES}


def apply(motion: Motion, edits: Mapping[str, Mapping[int, float]]) -> Motion:
    """The motion with channels set to absolute values on single frames.

    Values are clipped to the channel's range; frames and weights that no edit names keep their
    bytes. `native` arrays are passed on as they are.

    Args:
        motion: N frames.
        edits: channel -> frame -> value.

    Raises:
        SpecInvalid: an unknown channel, a frame outside the motion, or a value that is no number.
    """
    _check(edits, motion.n_frames)
    if not any(edits.values()):
        return motion
    now = measure(motion)
    expression, head, gaze = motion.expression.copy(), motion.head.copy(), motion.gaze.copy()
    for name in CHANNEL_NAMES:  # a fixed order; lip_round and lip_width share mouthPucker
        for frame, wanted in edits.get(name, {}).items():
            value = min(max(float(wanted), _RANGE[name][0]), _RANGE[name][1])
            if abs(value - now[name][frame]) <= UNCHANGED:
                continue
            if name in _GAZE:
                gaze[frame, _GAZE[name]] = value
                expression[frame] = with_look(expression[None, frame], gaze[None, frame])[0]
            elif name in _HEAD:
                head[frame, _HEAD[name]] = value
            else:
                weights = expression[frame].astype(np.float64)
                _WRITE[name](weights, value)
                expression[frame] = np.clip(weights, 0, 1)
    return replace(motion, expression=expression, head=head, gaze=gaze)


def with_look(
    expression: npt.NDArray[np.float32], gaze: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The weights with the eyeLook columns that a gaze stands for, (N, 52).

    Args:
        expression: (N, 52) ARKit weights.
        gaze: (N, 2) degrees, as Motion.gaze.
    """
    looked = expression.copy()
    x, y = gaze[:, :1] / _LOOK_X_DEG, gaze[:, 1:] / _LOOK_Y_DEG
    for columns, weight in ((_LOOK_RIGHT, x), (_LOOK_LEFT, -x), (_LOOK_UP, y), (_LOOK_DOWN, -y)):
        looked[:, columns] = np.clip(weight, 0, 1)
    return looked


def gaze_of(expression: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N, 2) degrees: the gaze that eyeLook weights stand for, both eyes together."""
    sides = [(_LOOK_RIGHT, _LOOK_LEFT, _LOOK_X_DEG), (_LOOK_UP, _LOOK_DOWN, _LOOK_Y_DEG)]
    turns = [
        most * (expression[:, one].mean(1) - expression[:, other].mean(1))
        for one, other, most in sides
    ]
    return np.stack(turns, 1).astype(np.float32)


def close_lips(weights: npt.NDArray[np.float32], most: float) -> npt.NDArray[np.float32]:
    """One frame's weights, (52,), with lip_open brought down to `most` where it is above."""
    closed = weights.astype(np.float64)
    if _read_lip_open(closed) > most:
        _write_lip_open(closed, most)
    return np.clip(closed, 0, 1).astype(np.float32)


def _check(edits: Mapping[str, Mapping[int, float]], n_frames: int) -> None:
    for name, frames in edits.items():
        if name not in _RANGE:
            raise SpecInvalid(
                f'There is no channel "{name}".', f"Channels are: {', '.join(CHANNEL_NAMES)}."
            )
        for frame, value in frames.items():
            if not 0 <= frame < n_frames:
                raise SpecInvalid(
                    f"{name} is edited on frame {frame}, but the shot has {n_frames} frames.",
                    f"Frames are 0 to {n_frames - 1}.",
                )
            if not np.isfinite(value):
                raise SpecInvalid(f"{name} on frame {frame} is {value}.", "Give a number.")


def _read_lip_open(weights: Weights) -> Weights:
    return weights[..., _JAW] - weights[..., _CLOSE] + _opened_by_lips(weights)


def _opened_by_lips(weights: Weights) -> Weights:
    return _LIP_SHARE * 2 * weights[..., _LIPS].mean(axis=-1)


def _write_lip_open(weights: Weights, value: float) -> None:
    weights[_CLOSE] = min(weights[_CLOSE], weights[_JAW])  # pressed lips let go first
    lips, jaw = float(_opened_by_lips(weights)), weights[_JAW] - weights[_CLOSE]
    if value < jaw + lips:
        share = value / (jaw + lips)
        weights[_LIPS] *= share
        lips *= share
        weights[_JAW] -= _JAW_FOLLOWS * (jaw - jaw * share)
    else:
        weights[_JAW] = max(weights[_JAW], value - lips)
    weights[_JAW] = np.float32(weights[_JAW])
    weights[_CLOSE] = weights[_JAW] - (value - lips)


def _read_lip_round(weights: Weights) -> Weights:
    return weights[..., _FUNNEL]


def _write_lip_round(weights: Weights, value: float) -> None:
    narrow = _narrow(weights)
    weights[_FUNNEL] = value
    _write_narrow(weights, narrow)


def _narrow(weights: Weights) -> Weights:
    """Narrowness 0..1 beyond that of a round mouth."""
    rounded = _PUCKER_OF_ROUND * weights[..., _FUNNEL]
    return np.maximum(0, 1 - (1 - weights[..., _PUCKER]) / (1 - rounded))


def _write_narrow(weights: Weights, narrow: float | Weights) -> None:
    rounded = _PUCKER_OF_ROUND * weights[_FUNNEL]
    weights[_PUCKER] = 1 - (1 - narrow) * (1 - rounded)


def _read_lip_width(weights: Weights) -> Weights:
    return weights[..., _STRETCH].mean(axis=-1) - _narrow(weights)


def _write_lip_width(weights: Weights, value: float) -> None:
    _write_group(weights, _STRETCH, max(0.0, value))
    _write_narrow(weights, max(0.0, -value))


def _balance(up: list[int], down: list[int]) -> tuple[Callable, Callable]:
    """Reader and writer of a channel between two opposite groups of weights."""

    def read(weights: Weights) -> Weights:
        return weights[..., up].mean(axis=-1) - weights[..., down].mean(axis=-1)

    def write(weights: Weights, value: float) -> None:
        _write_group(weights, up, max(0.0, value))
        _write_group(weights, down, max(0.0, -value))

    return read, write


def _write_group(weights: Weights, columns: list[int], mean: float) -> None:
    """Bring the mean of some weights to a value and keep their differences where possible."""
    now = weights[columns].mean()
    if mean <= now:
        weights[columns] *= mean / now if now > 0 else 0.0
    else:
        weights[columns] = 1 - (1 - weights[columns]) * (1 - mean) / (1 - now)


def _eye(blink: int, wide: int) -> tuple[Callable, Callable]:
    def read(weights: Weights) -> Weights:
        return 1 - weights[..., blink] + _EYE_WIDE * weights[..., wide]

    def write(weights: Weights, value: float) -> None:
        weights[blink] = max(0.0, 1 - value)
        weights[wide] = max(0.0, value - 1) / _EYE_WIDE

    return read, write


_PAIRS: Mapping[str, tuple[Callable, Callable]] = {
    "lip_open": (_read_lip_open, _write_lip_open),
    "lip_width": (_read_lip_width, _write_lip_width),
    "lip_round": (_read_lip_round, _write_lip_round),
    "smile": _balance(_SMILE, _FROWN),
    "eye_open_l": _eye(*_EYES["eye_open_l"]),
    "eye_open_r": _eye(*_EYES["eye_open_r"]),
    "brow": _balance(_BROW_UP, _BROW_DOWN),
}
_READ: Mapping[str, Callable[[Weights], Weights]] = {n: pair[0] for n, pair in _PAIRS.items()}
_WRITE: Mapping[str, Callable[[Weights, float], None]] = {n: p[1] for n, p in _PAIRS.items()}
