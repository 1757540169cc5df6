"""From the timeline to the complete request of a job.

An order holds names and numbers only: Blender's undo replaces every strip, so none is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import bpy

from . import holds, props, protocol, shots, strips, takes
from .strips import CannotUse
from .timing import Span

FOLDER = "animate_portrait"  # beside the .blend
Kind = Literal["animate", "edits", "frame", "preview"]  # a preview is not put onto the timeline


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A shot that is to be drawn, and where the result goes."""

    kind: Kind
    scene: str
    strip: str  # the shot that is replaced; "" makes a new one
    sound: str  # name of the sound strip
    span: Span  # scene frames of the result
    spec: dict[str, Any]  # the request
    record: shots.Record  # for the strip, when the take is there
    sampled: takes.Values  # the curves as they are now; empty for a new shot
    reposition: bool = False  # the strip must go to `span`; else it stays where the artist has it
    waiting: takes.Edits = field(default_factory=dict)  # changes that this job leaves on the curves

    scene_frame: int = 0  # of a single frame that is to be drawn

    @property
    def is_quick(self) -> bool:
        """True when it draws a single frame."""
        return self.kind in ("frame", "preview")

    @property
    def title(self) -> str:
        """How people name this job."""
        return self.strip or f'"{self.record.image.path().stem}" speaks "{self.sound}"'


def subject(scene: Any | None) -> tuple[Any | None, Any | None, Path | None]:
    """What the Animate button is about.

    Returns:
        The active shot or None, the sound strip or None, the picture or None.
    """
    shot = shots.active_shot(scene)
    picked = strips.active(scene)
    picture_strip = picked if picked is not None and picked.type == "IMAGE" else None
    sound = strips.find_sound(scene, picture_strip) if scene is not None else None
    return shot, sound, picture(scene, shot) if scene is not None else None


def picture(scene: Any, shot: Any | None) -> Path | None:
    """The portrait: the one that was picked, else that of a selected image strip."""
    settings = getattr(shot if shot is not None else scene, props.SETTINGS)
    if settings.image:
        return strips.absolute(settings.image)
    source = picture_strip(scene)
    return strips.picture_of(source, scene.frame_current) if source is not None else None


def picture_strip(scene: Any) -> Any | None:
    """The selected image strip that is no shot, the active one first."""
    candidates = [strips.active(scene), *strips.every(scene)]
    for strip in candidates:
        if (
            strip is not None
            and strip.select
            and strip.type == "IMAGE"
            and not shots.is_shot(strip)
        ):
            return strip
    return None


def flaw(scene: Any | None) -> str:
    """Why nothing can be animated now; empty when it can. Does not touch the disk."""
    if scene is None:
        return "Choose a scene in the header of the sequencer"
    if scene.library is not None:
        return "This scene is linked from another file and cannot be changed"
    if not strips.every(scene):
        return "Add a sound strip with speech first"
    shot, sound, portrait = subject(scene)
    if sound is None and shot is None:
        return "Select the sound strip with the speech"
    if portrait is None:
        return "Choose a portrait: a picture file, or an image strip on the timeline"
    settings = getattr(shot if shot is not None else scene, props.SETTINGS)
    for kind in ("renderer", "style"):
        reason = props.unavailable(kind, getattr(settings, kind))
        if reason:
            return f"The {kind} is unavailable: {reason}"
    return ""


def animate(scene: Any, taken: Set[str] = frozenset()) -> Order:
    """The order for the Animate button: a new shot, or the active one from scratch.

    Args:
        scene: of the sequencer.
        taken: ids of shots that are still in the queue.

    Raises:
        CannotUse: a file is missing, the sound is retimed, ...
    """
    reason = flaw(scene)
    if reason:
        raise CannotUse(reason)
    shot, sound, portrait = subject(scene)
    if portrait is None or not portrait.is_file():
        raise CannotUse(f'The portrait "{portrait}" does not exist. Choose another picture.')
    kept = shots.record(shot) if shot is not None else None
    look = look_of(getattr(shot if shot is not None else scene, props.SETTINGS))
    if sound is None:
        if kept is None:
            raise CannotUse("Select the sound strip with the speech.")
        return _again(shot, kept, portrait, look)
    if sound.sound is None:
        raise CannotUse(f'The strip "{sound.name}" has no sound. Add the sound file again.')
    heard = strips.sound_range(sound)
    _refuse_retimed(sound)
    shot_id = _shot_id(portrait, sound, heard.start_s, shot, taken)
    folder = shot_folder(shot_id)
    fps = strips.scene_fps(scene)
    record = shots.Record(
        shot_id=shot_id,
        n_frames=heard.frames.length,
        fps=(fps.numerator, fps.denominator),
        image=shots.link(portrait),
        audio=shots.link(_audio_file(sound, folder)),
        start_s=float(heard.start_s),
        duration_s=float(heard.duration_s),
        sound=sound.name,
        mesh=kept.mesh if kept is not None and kept.shot_id == shot_id else "",
        look=look,
    )
    if shot is None:
        finished = takes.finished_takes(folder)
        base = finished[-1] if finished else None
        return _order("animate", scene, "", heard.frames, record, folder, {}, base)
    if kept is not None and _same_speech(kept, record):
        return _again(shot, replace(kept, shot_id=shot_id, mesh=record.mesh), portrait, look)
    edits = _carried(shot, heard.frames)
    base = strips.shown_folder(shot)
    sampled = shots.sample_all(shot, record.n_frames, heard.frames.start)
    order = _order("animate", scene, shot.name, heard.frames, record, folder, edits, base, sampled)
    return replace(order, reposition=True)


def render_edits(shot: Any, scene_frame: int | None = None) -> Order:
    """The order for the Render Edits button: the same shot, with what the artist changed.

    Args:
        shot: the strip.
        scene_frame: draw the drawing at this frame alone; other changes wait.

    Raises:
        CannotUse: the take or a file is gone, or nothing has changed.
    """
    kept = shots.record(shot)
    if kept is None:
        raise CannotUse(f'The strip "{shot.name}" comes from another version of the add-on.')
    status = shots.measure(shot)
    if status.take is None:
        raise CannotUse(f"{status.problem}. Press Animate Again.")
    if status.dirty == 0:
        raise CannotUse("No visible frame differs from its picture.")
    order = _again(shot, kept, kept.image.path(), kept.look, "edits")
    if scene_frame is None:
        return order
    frame = scene_frame - strips.origin(shot)
    if frame not in status.dirty_frames:
        raise CannotUse("The frame under the playhead fits its keys.")
    drawing = holds.drawing(kept.look["holds"], kept.n_frames, frame)
    found = takes.edits(status.take, order.sampled, shots.visible_mask(shot, kept.n_frames))
    edits, waiting = takes.sent_alone(status.take, found, drawing)
    spec = {**order.spec, "channels": _channels(edits)}
    return replace(order, kind="frame", spec=spec, waiting=waiting, scene_frame=scene_frame)


def preview(shot: Any, scene_frame: int, folder: Path) -> Order:
    """The order for a picture of one frame that only the preview shows.

    Raises:
        CannotUse: as `render_edits`.
    """
    order = render_edits(shot, scene_frame)
    return replace(order, kind="preview", spec={**order.spec, "out_dir": str(folder)})


def fits(shot: Any, frame: int, values: Mapping[str, float]) -> bool:
    """True when the curves of a shot have these values at a frame."""
    first = strips.origin(shot) + frame
    for channel in protocol.CHANNELS:
        now = shots.sample(shot, channel.name, 1, first)
        now = takes.clipped({channel.name: now})[channel.name][0]
        if abs(now - values[channel.name]) > takes.tolerance(channel):
            return False
    return True


def renewed(order: Order) -> Order:
    """The same order for another take, if its folder has been finished since it was made."""
    folder = Path(order.spec["out_dir"])
    if not (folder / takes.TAKE_FILE).is_file():
        return order
    return replace(order, spec={**order.spec, "out_dir": str(takes.next_take(folder.parent))})


def look_of(settings: Any) -> dict[str, Any]:
    """The part of a spec that says how a shot looks."""
    return {
        "face_index": settings.face_index,
        "landmarks": _kept_path(settings.landmarks),
        "size": settings.size,
        "renderer": settings.renderer,
        "style": settings.style,
        "seed": settings.seed,
        "holds": int(settings.holds),
        "params": {param.name: _param_value(settings, param) for param in protocol.PARAMS},
    }


def shot_folder(shot_id: str) -> Path:
    """Where the takes of a shot go: beside the .blend, or in Blender's temporary folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / FOLDER / shot_id
    return Path(bpy.app.tempdir) / FOLDER / shot_id


def is_temporary(folder: Path) -> bool:
    """True for a folder that Blender deletes when it quits."""
    return folder.is_relative_to(os.path.normpath(bpy.app.tempdir))


def _again(
    shot: Any,
    kept: shots.Record,
    portrait: Path,
    look: dict[str, Any],
    kind: Kind = "animate",
) -> Order:
    """The same speech once more, the strip stays where and as it is."""
    if not kept.audio.path().is_file():
        raise CannotUse(f'The sound "{kept.audio.path()}" does not exist any more.')
    if not portrait.is_file():
        raise CannotUse(f'The portrait "{portrait}" does not exist any more.')
    sampled, edits, base = {}, {}, None
    try:
        take = shots.take_of(shot)
    except takes.TakeUnreadable:  # from scratch: without it nobody knows what was generated
        take = None
    if take is not None:
        sampled = shots.sample_all(shot, take.n_frames)
        edits = takes.edits(take, sampled, shots.visible_mask(shot, take.n_frames))
        base = take.folder
    shot_id = _own_id(kept.shot_id, shot)
    mesh = kept.mesh if shot_id == kept.shot_id else ""
    record = replace(kept, shot_id=shot_id, image=shots.link(portrait), look=look, mesh=mesh)
    first = strips.origin(shot)
    span = Span(first, first + kept.n_frames)
    folder = shot_folder(shot_id)
    return _order(kind, shot.id_data, shot.name, span, record, folder, edits, base, sampled)


def _order(
    kind: Kind,
    scene: Any,
    strip: str,
    span: Span,
    record: shots.Record,
    folder: Path,
    edits: takes.Edits,
    base: Path | None,
    sampled: takes.Values | None = None,
) -> Order:
    spec = {
        "shot_id": record.shot_id,
        "image": str(record.image.path()),
        "audio": {
            "path": str(record.audio.path()),
            "start_s": record.start_s,
            "duration_s": record.duration_s,
        },
        "fps": list(record.fps),
        "n_frames": record.n_frames,
        **_sent(record.look),
        "channels": _channels(edits),
        "base_take": None if base is None else str(base),
        "out_dir": str(takes.next_take(folder)),
    }
    return Order(kind, scene.name, strip, record.sound, span, spec, record, sampled or {})


def _channels(edits: takes.Edits) -> dict[str, dict[str, float]] | None:
    """Edits as JSON has them."""
    return {
        name: {str(f): value for f, value in row.items()} for name, row in edits.items()
    } or None


def _carried(shot: Any, frames: Span) -> takes.Edits:
    """The edits of a shot, told in another stretch of scene frames."""
    try:
        take = shots.take_of(shot)
    except takes.TakeUnreadable:
        return {}
    start = frames.start - strips.origin(shot)
    return takes.moved_edits(take, shots.sample_all(shot, take.n_frames), start, frames.length)


def _same_speech(kept: shots.Record, now: shots.Record) -> bool:
    def facts(record: shots.Record) -> tuple[Any, ...]:
        start_s, duration_s = round(record.start_s, 6), round(record.duration_s, 6)
        return record.audio.path(), start_s, duration_s, record.n_frames, record.fps

    return facts(kept) == facts(now)


def _refuse_retimed(sound: Any) -> None:
    if strips.is_retimed(sound):
        text = f'The sound "{sound.name}" is retimed, so the lips would not fit.'
        if not hasattr(sound, "retiming_keys"):  # 4.2 and 4.3
            text += " Or the frame rate was changed: Strip > Reload Strips and Adjust Length."
        raise CannotUse(f"{text} Remove the retiming, or mix it down to a new sound file.")


def _audio_file(sound: Any, folder: Path) -> Path:
    """The file of a sound strip; a packed one is written into the shot's folder."""
    path = strips.absolute(sound.sound.filepath)
    packed = sound.sound.packed_file
    if packed is None:
        if not path.is_file():
            raise CannotUse(f'The sound file "{path}" does not exist. Find it with Missing Files.')
        return path
    data = packed.data
    digest = hashlib.sha256(data).hexdigest()[:12]
    target = folder / f"sound_{digest}{path.suffix or '.wav'}"
    if not target.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial = target.with_suffix(".partial")
            partial.write_bytes(data)
            partial.replace(target)
        except OSError as failure:
            raise CannotUse(f"The packed sound cannot be written: {failure}.") from failure
    return target


def _shot_id(
    portrait: Path, sound: Any, start_s: Fraction, shot: Any | None, taken: Set[str]
) -> str:
    """A name for the shot's folder, the same when the same shot is made again."""
    kept = shots.record(shot) if shot is not None else None
    if kept is not None:
        return _own_id(kept.shot_id, shot)
    stem = re.sub(r"[^A-Za-z0-9]+", "-", portrait.stem).strip("-")[:24] or "portrait"
    facts = f"{portrait}|{sound.sound.filepath}|{float(start_s)}"
    return _own_id(f"{stem}-{hashlib.sha256(facts.encode()).hexdigest()[:6]}", shot, taken)


def _own_id(shot_id: str, shot: Any | None, taken: Set[str] = frozenset()) -> str:
    """The id, or one with a new number when another strip has it: copies are shots of their own."""
    others = {
        record.shot_id
        for strip in shots.all_shots()
        if strip != shot and (record := shots.record(strip)) is not None
    }
    others |= taken
    if shot_id not in others:
        return shot_id
    stem = re.sub(r"_\d+$", "", shot_id)
    number = 2
    while f"{stem}_{number}" in others or shot_folder(f"{stem}_{number}").exists():
        number += 1
    return f"{stem}_{number}"


def _param_value(settings: Any, param: protocol.Param) -> float | str | bool:
    value = getattr(settings, param.name)
    if param.is_colour:
        return props.colour_of(value)
    return _kept_path(value) if param.is_path else _plain(value)


def _kept_path(value: str) -> str:
    """A file of the settings as a record keeps it."""
    return strips.relative(strips.absolute(value)) if value else ""


def _sent(look: dict[str, Any]) -> dict[str, Any]:
    """A look as the server reads it: files are absolute, and without landmarks it finds them."""
    params = dict(look["params"])
    for param in protocol.PARAMS:
        if param.is_path and params.get(param.name):
            params[param.name] = str(strips.absolute(params[param.name]))
    landmarks = look.get("landmarks")
    placed = str(strips.absolute(landmarks)) if landmarks else None
    return {**look, "landmarks": placed, "params": params}


def _plain(value: Any) -> float | str | bool:
    """A setting as JSON has it; Blender's floats are float32, 0.1 is meant."""
    return round(value, 6) if isinstance(value, float) else value
