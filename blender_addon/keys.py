"""All keys of an F-Curve as arrays: read, kept, moved in time and written back bit for bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_PLACES = ("co", "handle_left", "handle_right")  # frame and value of each key
_NUMBERS = ("interpolation", "easing", "type", "handle_left_type", "handle_right_type")
_SHAPES = ("back", "amplitude", "period")
_FLAGS = ("select_control_point", "select_left_handle", "select_right_handle")
_TYPES: dict[str, Any] = {
    **dict.fromkeys((*_PLACES, *_SHAPES), np.float32),
    **dict.fromkeys(_NUMBERS, np.int32),
    **dict.fromkeys(_FLAGS, np.bool_),
}


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """Keys in the order of time.

    Attributes:
        fields: what Blender calls it -> (n,) or, for places, (n, 2) float32 of frame and value.
    """

    fields: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.fields["co"])

    @property
    def frames(self) -> npt.NDArray[np.float32]:
        """(n,) scene frames."""
        return self.fields["co"][:, 0]

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """(n,) values."""
        return self.fields["co"][:, 1]

    def chosen(self, which: npt.NDArray[np.bool_]) -> Keys:
        """Some of the keys; `which` is (n,)."""
        return Keys({name: field[which] for name, field in self.fields.items()})

    def moved(self, frames: npt.NDArray[np.float64], stretch: float = 1.0) -> Keys:
        """The same keys at other times; their handles go along.

        Args:
            frames: (n,) new scene frames.
            stretch: of the handles' lengths in time.
        """
        if stretch == 1.0 and np.array_equal(frames, self.frames):
            return self
        fields = dict(self.fields)
        for name in _PLACES:
            place = fields[name].copy()
            away = (fields[name][:, 0] - self.frames).astype(np.float64)
            place[:, 0] = frames + stretch * away
            fields[name] = place
        order = np.argsort(frames, kind="stable")
        return Keys({name: field[order] for name, field in fields.items()})

    def same(self, other: Keys) -> bool:
        """True when both are the same, bit for bit; what is selected does not count."""
        names = [name for name in _TYPES if name not in _FLAGS]
        return all(np.array_equal(self.fields[name], other.fields[name]) for name in names)


def merged(first: Keys, second: Keys) -> Keys:
    """The keys of both, in the order of time."""
    both = {n: np.concatenate([first.fields[n], second.fields[n]]) for n in first.fields}
    order = np.argsort(both["co"][:, 0], kind="stable")
    return Keys({name: field[order] for name, field in both.items()})


def read(curve: Any) -> Keys:
    """The keys of an F-Curve; None is a curve without keys."""
    points = curve.keyframe_points if curve is not None else ()
    fields = {}
    for name, dtype in _TYPES.items():
        array = np.empty(len(points) * (2 if name in _PLACES else 1), dtype)
        if len(points):
            points.foreach_get(name, array)
        fields[name] = array.reshape(-1, 2) if name in _PLACES else array
    return Keys(fields)


def write(curve: Any, keys: Keys) -> None:
    """Makes these the only keys of an F-Curve."""
    points = curve.keyframe_points
    points.clear()
    points.add(len(keys))
    for name in _TYPES:  # handles last of the places: setting a place moves them
        points.foreach_set(name, np.ascontiguousarray(keys.fields[name]).ravel())
    curve.update()
    for name in _PLACES:  # update() calculates handles anew
        points.foreach_set(name, np.ascontiguousarray(keys.fields[name]).ravel())
