"""F-Curves: every difference between Blender 4.2 and 5.2 lives here.

4.2 and 4.3 keep them in `action.fcurves`; 4.4 and later in action > layer > strip > channelbag of
a slot, and 5.0 has only that.
"""

from __future__ import annotations

import functools
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .keys import Keys, write
from .timing import Span

FCurve = Any  # bpy.types.FCurve
GROUP = "Animate Portrait"
_PAIRS = ("co", "handle_left", "handle_right")  # of a key: frame and value


def find(owner: Any, path: str, index: int = 0) -> FCurve | None:
    """The F-Curve of a property of an ID, or None."""
    curves = _curves(owner, make=False)
    return curves.find(path, index=index) if curves is not None else None


def ensure(owner: Any, path: str, index: int = 0) -> FCurve:
    """The F-Curve of a property of an ID, made if it is not there."""
    curves = _curves(owner, make=True)
    found = curves.find(path, index=index)
    if found is not None:
        return found
    parameters = curves.bl_rna.functions["new"].parameters.keys()
    # 5.0 says group_name, 4.2 and 4.3 action_group, 4.5 has no such argument
    group = next((name for name in ("group_name", "action_group") if name in parameters), None)
    return curves.new(path, index=index, **({group: GROUP} if group else {}))


def restore(owner: Any, path: str, kept: Keys, index: int = 0) -> None:
    """Gives a property the keys that it had; without any it had no curve."""
    curves = _curves(owner, make=True)
    curve = curves.find(path, index=index)
    if len(kept):
        write(ensure(owner, path, index), kept)
    elif curve is not None:
        curves.remove(curve)


def sample(curve: FCurve, frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The values of a curve at ascending scene frames.

    Linear and constant stretches are computed here at once, others by Blender one by one.
    """
    points = curve.keyframe_points
    if len(curve.modifiers) or not len(points):
        return np.array([curve.evaluate(frame) for frame in frames], np.float64)
    keys = _get(points, "co", np.float32).reshape(-1, 2).astype(np.float64)
    kinds = _get(points, "interpolation", np.int32)
    values = np.interp(frames, keys[:, 0], keys[:, 1])
    segment = np.searchsorted(keys[:, 0], frames, side="right") - 1
    inside = (segment >= 0) & (segment < len(keys) - 1)
    kind = kinds[np.clip(segment, 0, len(keys) - 1)]
    held = inside & (kind == _value("interpolation", "CONSTANT"))
    values[held] = keys[segment[held], 1]
    asked = inside & ~held & (kind != _value("interpolation", "LINEAR"))
    if curve.extrapolation != "CONSTANT":
        asked |= ~inside
    for at in np.flatnonzero(asked):
        values[at] = curve.evaluate(frames[at])
    return values


def write_generated(
    curve: FCurve,
    frames: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    keep: npt.NDArray[np.bool_],
    tolerance: float,
) -> None:
    """Makes a curve run through generated values, without touching what the artist made.

    Keys whose value is right already are not touched at all, so that an artist's key that has been
    drawn stays as it is. A frame that has no key gets one, linear and marked as generated.

    Args:
        curve: of one channel.
        frames: (N,) ascending scene frames, whole numbers.
        values: (N,) wanted there.
        keep: (N,) frames that are the artist's.
        tolerance: a value this near is right.
    """
    points = curve.keyframe_points
    before = len(points)
    keys = _get(points, "co", np.float32).reshape(-1, 2)
    at = np.searchsorted(keys[:, 0], frames)
    exact = at < before
    exact[exact] = keys[at[exact], 0] == frames[exact]
    moved, new = ~keep & exact, ~keep & ~exact
    moved[moved] = np.abs(keys[at[moved], 1] - values[moved]) > tolerance
    if not moved.any() and not new.any():
        return
    keys[at[moved], 1] = values[moved]
    handles = _handles(points)
    points.add(int(new.sum()))
    added = np.stack([frames[new], values[new]], axis=1).astype(np.float32)
    points.foreach_set("co", np.concatenate([keys, added]).ravel())
    _mark(points, before)
    curve.update()
    still = np.ones(before, bool)
    still[at[moved]] = False
    _put_handles_back(points, keys[still], {name: old[still] for name, old in handles.items()})


def _handles(points: Any) -> dict[str, npt.NDArray[np.float32]]:
    return {name: _get(points, name, np.float32).reshape(-1, 2) for name in _PAIRS[1:]}


def _put_handles_back(
    points: Any, keys: npt.NDArray[np.float32], handles: dict[str, npt.NDArray[np.float32]]
) -> None:
    """Blender has calculated the handles of all keys anew; those that were there keep theirs."""
    at = np.searchsorted(_get(points, "co", np.float32)[0::2], keys[:, 0])
    for name, places in handles.items():
        present = _get(points, name, np.float32).reshape(-1, 2)
        present[at] = places
        points.foreach_set(name, present.ravel())


def pin(curve: FCurve, frames: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> None:
    """Adds the artist's keys at frames that have none."""
    points = curve.keyframe_points
    before, handles = len(points), _handles(points)
    points.add(len(frames))
    keys = _get(points, "co", np.float32).reshape(-1, 2)[:before]
    added = np.stack([frames, values], axis=1).astype(np.float32)
    points.foreach_set("co", np.concatenate([keys, added]).ravel())
    _mark(points, before, "KEYFRAME")
    curve.update()
    _put_handles_back(points, keys, handles)


def hold(curve: FCurve, frame: int, n_frames: int, value: float) -> None:
    """Keys a value that stays for some frames, instead of all keys there; what follows stays."""
    points = curve.keyframe_points
    after = sample(curve, np.array([frame + n_frames], np.float64))[0] if len(points) else value
    places = _get(points, "co", np.float32)[0::2]
    for index in np.flatnonzero((places >= frame) & (places < frame + n_frames))[::-1]:
        points.remove(points[int(index)], fast=True)
    pin(curve, np.array([frame], np.float64), np.array([value]))
    if n_frames > 1:
        next(p for p in points if p.co.x == frame).interpolation = "CONSTANT"
    if not (_get(points, "co", np.float32)[0::2] == frame + n_frames).any():
        pin(curve, np.array([frame + n_frames], np.float64), np.array([after]))


def replace(
    curve: FCurve,
    span: Span,
    frames: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    *,
    held: bool,
) -> None:
    """Makes these the only keys of a stretch of scene frames; held ones keep their value."""
    points = curve.keyframe_points
    places = _get(points, "co", np.float32)[0::2]
    for index in np.flatnonzero((places >= span.start) & (places < span.end))[::-1]:
        points.remove(points[int(index)], fast=True)
    pin(curve, frames, values)
    if held:
        kinds = _get(points, "interpolation", np.int32)
        kinds[np.isin(_get(points, "co", np.float32)[0::2], frames)] = _value(
            "interpolation", "CONSTANT"
        )
        points.foreach_set("interpolation", kinds)


def reset(curve: FCurve, frames: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> None:
    """Replaces all keys between the first and the last frame by generated ones."""
    points = curve.keyframe_points
    first, last = frames[0], frames[-1]
    if len(points):
        inside = _get(points, "co", np.float32).reshape(-1, 2)[:, 0]
        for index in np.flatnonzero((inside >= first) & (inside <= last))[::-1]:
            points.remove(points[int(index)], fast=True)
    before = len(points)
    old = _get(points, "co", np.float32)
    points.add(len(frames))
    added = np.stack([frames, values], axis=1).astype(np.float32).ravel()
    points.foreach_set("co", np.concatenate([old, added]))
    _mark(points, before)
    curve.update()


def rewrite(
    curve: FCurve, frames: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> None:
    """Makes these generated keys the only ones of a curve."""
    curve.keyframe_points.clear()
    reset(curve, frames, values)


def mark_edited(curve: FCurve, frames: npt.NDArray[np.float64]) -> None:
    """Takes the mark "generated" off the artist's keys; Blender keeps it when a key is changed."""
    points = curve.keyframe_points
    if not len(points) or not len(frames):
        return
    kinds = _get(points, "type", np.int32)
    ours = kinds == _value("type", generated_type())
    theirs = ours & np.isin(_get(points, "co", np.float32)[0::2], frames)
    if theirs.any():
        kinds[theirs] = _value("type", "KEYFRAME")
        points.foreach_set("type", kinds)  # without update(), which calculates handles anew


def generated_type() -> str:
    """The key type that marks our keys; "Generated" came during the 4.2 series."""
    return "GENERATED" if "GENERATED" in _items("type") else "JITTER"


def generated_number() -> int:
    """The number of this type, as arrays of keys have it."""
    return _value("type", generated_type())


def sample_among(
    owner: Any,
    theirs: Keys,
    at: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    frames: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """What a curve would say that has these keys, and linear ones between them.

    Args:
        owner: an ID that is animated; it is left as it was.
        theirs: keys with their own shapes.
        at: scene frames of the linear ones.
        values: of them.
        frames: ascending scene frames to sample at.
    """
    path = '["animportrait scratch"]'
    curve = ensure(owner, path)
    try:
        write(curve, theirs)
        pin(curve, at, values)
        return sample(curve, frames)
    finally:
        _curves(owner, make=True).remove(curve)


def _mark(points: Any, first: int, kind: str = "") -> None:
    """Makes the keys from index `first` on linear, unselected and generated, or of another kind."""
    settings = {
        "interpolation": "LINEAR",
        "type": kind or generated_type(),
        "handle_left_type": "AUTO_CLAMPED",  # for the day the artist asks for Bezier
        "handle_right_type": "AUTO_CLAMPED",
    }
    for name, identifier in settings.items():
        numbers = _get(points, name, np.int32) if first else np.empty(len(points), np.int32)
        numbers[first:] = _value(name, identifier)
        points.foreach_set(name, numbers)
    for name in ("select_control_point", "select_left_handle", "select_right_handle"):
        flags = _get(points, name, np.bool_) if first else np.empty(len(points), np.bool_)
        flags[first:] = False
        points.foreach_set(name, flags)


def _get(points: Any, name: str, dtype: type) -> npt.NDArray[Any]:
    array = np.empty(len(points) * (2 if name in _PAIRS else 1), dtype)
    points.foreach_get(name, array)
    return array


@functools.cache
def _items(name: str) -> dict[str, int]:
    items = bpy.types.Keyframe.bl_rna.properties[name].enum_items
    return {item.identifier: item.value for item in items}


def _value(name: str, identifier: str) -> int:
    return _items(name)[identifier]


def _curves(owner: Any, *, make: bool) -> Any | None:
    """The collection of F-Curves that animates an ID."""
    data = owner.animation_data or (owner.animation_data_create() if make else None)
    if data is None:
        return None
    action = data.action
    if action is None:
        if not make:
            return None
        action = data.action = bpy.data.actions.new(f"{owner.name}Action")
    if not hasattr(action, "slots"):  # 4.2, 4.3
        return action.fcurves
    slot = data.action_slot
    if slot is None:
        if not make:
            return None
        slot = next(iter(data.action_suitable_slots), None)
        data.action_slot = slot or action.slots.new(owner.id_type, owner.name)
        slot = data.action_slot
    bag = _keyframe_strip(action, make=make)
    bag = bag.channelbag(slot, ensure=make) if bag is not None else None
    return bag.fcurves if bag is not None else None


def _keyframe_strip(action: Any, *, make: bool) -> Any | None:
    if not action.layers:
        if not make:
            return None
        action.layers.new("Layer")
    layer = action.layers[0]
    if not layer.strips:
        if not make:
            return None
        layer.strips.new(type="KEYFRAME")
    return layer.strips[0]
