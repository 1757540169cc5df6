"""Handles over the picture: which landmark each one holds, and which channels it drags (no bpy).

A handle is where the picture has its landmark, plus what the curves have changed since the picture
was drawn. Distances are in eye widths: from one outer eye corner to the other, along that line and
across it. They were measured on frames of `mesh_warp` in which one channel moves alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import protocol
from .faces import Face

Vector = npt.NDArray[np.float64]  # (2,) x to the right, y down
_RANGE = {channel.name: (channel.minimum, channel.maximum) for channel in protocol.CHANNELS}


@dataclass(frozen=True, slots=True)
class Axis:
    """How far a channel moves a landmark along one direction, from its value 0."""

    channel: str
    positive: float  # eye widths a unit of the channel, for values above 0
    negative: float  # below 0; may be the same
    spill: float = 0.0  # of values above 0 into the other direction

    def offset(self, value: float) -> float:
        """Eye widths along the axis."""
        return value * (self.positive if value > 0 else self.negative)

    def value(self, offset: float) -> float:
        """The channel's value that gives an offset, in the channel's range."""
        gain = self.positive if offset * self.positive > 0 else self.negative
        low, high = _RANGE[self.channel]
        return min(max(offset / gain, low), high)


@dataclass(frozen=True, slots=True)
class Handle:
    """A point of the face that can be dragged."""

    name: str
    label: str
    place: Callable[[Face], npt.NDArray[np.float32]]  # (2,) px of the frame
    y: Axis
    x: Axis | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that it drags."""
        return (self.y.channel,) if self.x is None else (self.x.channel, self.y.channel)

    def offset(self, values: Mapping[str, float]) -> Vector:
        """Where values put it, from where all-zero values would: (2,) eye widths."""
        y = values[self.y.channel]
        x = 0.0 if self.x is None else self.x.offset(values[self.x.channel])
        return np.array([x + self.y.spill * max(0.0, y), self.y.offset(y)])

    def values(self, offset: Vector) -> dict[str, float]:
        """The values that put it there, inside the ranges of its channels."""
        y = self.y.value(float(offset[1]))
        found = {self.y.channel: y}
        if self.x is not None:
            x = float(offset[0]) - self.y.spill * max(0.0, y)
            found[self.x.channel] = self.x.value(x)
        return found

    def position(self, face: Face, drawn: Mapping[str, float], now: Mapping[str, float]) -> Vector:
        """Where it is in the frame.

        Args:
            face: of the picture.
            drawn: values that the picture was drawn with.
            now: values of the curves.
        """
        moved = self.offset(now) - self.offset(drawn)
        return self.place(face).astype(np.float64) + _axes(face) @ moved

    def dragged(self, face: Face, drawn: Mapping[str, float], to: Vector) -> dict[str, float]:
        """The values of its channels when it is dragged to a place in the frame."""
        away = np.linalg.solve(_axes(face), to - self.place(face))
        return self.values(self.offset(drawn) + away)


def _axes(face: Face) -> npt.NDArray[np.float64]:
    """(2, 2): columns are one eye width along the eyes and across them, in px."""
    along = (face.ibug[45] - face.ibug[36]).astype(np.float64)
    if not along.any():
        along = np.array([1.0, 0.0])
    return np.array([[along[0], -along[1]], [along[1], along[0]]])


def _mean(*points: int) -> Callable[[Face], npt.NDArray[np.float32]]:
    return lambda face: face.ibug[list(points)].mean(axis=0)


_SMILE_POSITIVE, _SMILE_NEGATIVE = -0.085, -0.065
_LID = Axis("eye_open_l", -0.086, -0.086)
_GAZE_X, _GAZE_Y = Axis("gaze_x", 0.00238, 0.00238), Axis("gaze_y", -0.0021, -0.0021)

HANDLES = (
    Handle(
        "LIP_R",
        "Lip Corner",
        _mean(48),
        Axis("smile", _SMILE_POSITIVE, _SMILE_NEGATIVE, spill=-0.074),
        Axis("lip_width", -0.080, -0.165),
    ),
    Handle(
        "LIP_L",
        "Lip Corner",
        _mean(54),
        Axis("smile", _SMILE_POSITIVE, _SMILE_NEGATIVE, spill=0.074),
        Axis("lip_width", 0.080, 0.165),
    ),
    Handle("LIP", "Lip Centre", _mean(57, 66), Axis("lip_open", 0.24, 0.24)),
    Handle("LID_R", "Eyelid", _mean(37, 38), Axis("eye_open_r", -0.086, -0.086)),
    Handle("LID_L", "Eyelid", _mean(43, 44), _LID),
    Handle("PUPIL_R", "Pupil", lambda face: face.iris_r, _GAZE_Y, _GAZE_X),
    Handle("PUPIL_L", "Pupil", lambda face: face.iris_l, _GAZE_Y, _GAZE_X),
)
BY_NAME = {handle.name: handle for handle in HANDLES}
LINES = (  # of iBUG points: lips, eyes, brows, jaw, nose
    (*range(48, 60), 48),
    (*range(60, 68), 60),
    (*range(36, 42), 36),
    (*range(42, 48), 42),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(17)),
    tuple(range(27, 31)),
    tuple(range(31, 36)),
)
