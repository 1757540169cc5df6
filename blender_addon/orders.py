"""From the timeline to the complete request of a job.

An order holds names and numbers only: Blender's undo replaces every strip, so none is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import bpy
import numpy as np
import numpy.typing as npt

from . import (
    carry,
    directions,
    edited,
    folders,
    holds,
    props,
    protocol,
    shots,
    sounds,
    strips,
    subject,
    takes,
    word_strips,
)
from .strips import CannotUse
from .timing import SoundRange, Span

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
    base: takes.Take | None = None  # what the strip shows; None: nobody knows what was generated
    place: Span | None = None  # handles of the result; None: the strip stays where it is
    move: carry.Move | None = None  # to other frames than those of `base`
    lost: tuple[str, ...] = ()  # edits that the result has no frames for, in words
    scene_frame: int = 0  # of a single frame that is to be drawn

    @property
    def is_quick(self) -> bool:
        """True when it draws a single frame."""
        return self.kind in ("frame", "preview")

    @property
    def title(self) -> str:
        """How people name this job."""
        return self.strip or f'"{self.record.image.path().stem}" speaks "{self.sound}"'


def animate(scene: Any, taken: Set[str] = frozenset()) -> Order:
    """The order for the Animate button: a new shot, or the active one from scratch.

    Args:
        scene: of the sequencer.
        taken: ids of shots that are still in the queue.

    Raises:
        CannotUse: a file is missing, the sound is retimed, ...
    """
    reason = subject.flaw(scene)
    if reason:
        raise CannotUse(reason)
    shot, sound, portrait = subject.subject(scene)
    if portrait is None or not portrait.is_file():
        raise CannotUse(f'The portrait "{portrait}" does not exist. Choose another picture.')
    if shot is not None:
        return _once_more(shot, sound, portrait, _directed(shot))
    return new_shot(sound, portrait, look_of(getattr(scene, props.SETTINGS)), taken)


def new_shot(
    sound: Any, portrait: Path, look: dict[str, Any], taken: Set[str] = frozenset()
) -> Order:
    """The order for a shot that is not there yet.

    Raises:
        CannotUse: a file is missing, the sound is retimed, ...
    """
    if not portrait.is_file():
        raise CannotUse(f'The portrait "{portrait}" does not exist. Choose another picture.')
    scene, heard = sound.id_data, _heard(sound)
    shot_id = folders.new_id(portrait, sound, heard.start_s, taken)
    folder = folders.shot_folder(shot_id)
    fps = strips.scene_fps(scene)
    record = shots.Record(
        shot_id=shot_id,
        n_frames=heard.frames.length,
        fps=(fps.numerator, fps.denominator),
        image=shots.link(portrait),
        audio=shots.link(sounds.audio_file(sound, folder)),
        start_s=float(heard.start_s),
        duration_s=float(heard.duration_s),
        sound=sound.name,
        mesh="",
        look=look,
    )
    finished = takes.finished_takes(folder)
    base = finished[-1] if finished else None
    return _order("animate", scene, "", heard.frames, record, {}, base)


def remade(order: Order) -> Order:
    """An order that did not end well, for the timeline as it is now.

    Raises:
        CannotUse: as `animate`; or its strip is gone.
    """
    if not order.strip:
        return renewed(order)
    shot = strips.named(bpy.data.scenes.get(order.scene), order.strip)
    if not shots.is_shot(shot):
        raise CannotUse(f'The strip "{order.strip}" is gone.')
    if order.kind == "animate":
        record = order.record
        return _once_more(shot, sounds.of_shot(shot), record.image.path(), record.look)
    return render_edits(shot)


def follow_sound(shot: Any) -> Order:
    """The order that makes a shot fit its sound again, with the look that it has.

    Raises:
        CannotUse: as `animate`.
    """
    kept = shots.record(shot)
    if kept is None:
        raise CannotUse(f'The strip "{shot.name}" comes from another version of the add-on.')
    return _once_more(shot, sounds.of_shot(shot), kept.image.path(), kept.look)


def _directed(shot: Any) -> dict[str, Any]:
    """The look that the panel and the timeline ask for now."""
    kept = shots.record(shot)
    look = look_of(getattr(shot, props.SETTINGS))
    if kept is None:
        return look
    accepted = directions.overruled(kept)
    return {**look, **directions.of(shot, kept.n_frames), "overruled": accepted}


def _once_more(shot: Any, sound: Any | None, portrait: Path, look: dict[str, Any]) -> Order:
    """The order for a shot that is there, over the sound as it is now."""
    kept = shots.record(shot)
    if sound is None:
        if kept is None:
            raise CannotUse("Select the sound strip with the speech.")
        return _again(shot, kept, portrait, look)
    heard = _heard(sound)
    if kept is None:
        raise CannotUse(f'The strip "{shot.name}" comes from another version of the add-on.')
    shot_id = folders.own_id(kept.shot_id, shot)
    audio = sounds.audio_file(sound, folders.shot_folder(shot_id))
    plan = sounds.plan(shot, kept, audio, heard)
    record = replace(
        kept,
        shot_id=shot_id,
        n_frames=plan.n_frames,
        fps=(plan.fps.numerator, plan.fps.denominator),
        image=shots.link(portrait),
        audio=shots.link(audio),
        start_s=plan.start_s,
        duration_s=plan.duration_s,
        sound=sound.name,
        mesh=kept.mesh if shot_id == kept.shot_id else "",
        look={
            **directions.moved(look, plan.move),
            "words": word_strips.spoken(shot, plan.move.new.start, plan.start_s),
        },
    )
    if plan.same_take(kept):
        order = _again(shot, replace(kept, sound=sound.name), portrait, look)
        return replace(order, span=plan.move.new, place=plan.shown)
    edits, lost = edited.carried(shot, kept, plan.move)
    base = shots.known_or_read(shot)
    scene, name = shot.id_data, shot.name
    order = _order("animate", scene, name, plan.move.new, record, edits, base and base.folder)
    told = tuple(carry.told(lost, plan.move.old.start))
    return replace(order, base=base, move=plan.move, place=plan.shown, lost=told)


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
    if scene_frame is None and status.directions:
        now = directions.of(shot, kept.n_frames)
        order = _again(shot, kept, kept.image.path(), {**kept.look, **now})
        return replace(order, kind="edits")
    if status.dirty == 0:
        raise CannotUse("No visible frame differs from its picture.")
    order = _again(shot, kept, kept.image.path(), kept.look, "edits")
    if scene_frame is None:
        return order
    frame = scene_frame - strips.origin(shot)
    if frame not in status.dirty_frames:
        raise CannotUse("The frame under the playhead fits its keys.")
    drawing = holds.drawing(kept.look["holds"], kept.n_frames, frame)
    found = takes.edits(
        status.take, shots.sample_all(shot, kept.n_frames), _mask(shot, status.take)
    )
    spec = {**order.spec, "channels": _channels(takes.sent_alone(status.take, found, drawing))}
    return replace(order, kind="frame", spec=spec, scene_frame=scene_frame)


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
        "holds": int(settings.holds) if settings.holds.isdigit() else 1,
        "lead": settings.lead,
        "params": {param.name: _param_value(settings, param) for param in protocol.PARAMS},
    }


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
    take = shots.known_or_read(shot)
    if kind == "animate":
        edits = edited.all_edits(shot, kept, take)
    else:
        edits = takes.edits(take, shots.sample_all(shot, take.n_frames), _mask(shot, take))
    shot_id = folders.own_id(kept.shot_id, shot)
    mesh = kept.mesh if shot_id == kept.shot_id else ""
    record = replace(kept, shot_id=shot_id, image=shots.link(portrait), look=look, mesh=mesh)
    first = strips.origin(shot)
    span = Span(first, first + kept.n_frames)
    scene, name = shot.id_data, shot.name
    order = _order(kind, scene, name, span, record, edits, take and take.folder)
    return replace(order, base=take)


def _order(
    kind: Kind,
    scene: Any,
    strip: str,
    span: Span,
    record: shots.Record,
    edits: takes.Edits,
    base: Path | None,
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
        "out_dir": str(takes.next_take(folders.shot_folder(record.shot_id))),
    }
    return Order(kind, scene.name, strip, record.sound, span, spec, record)


def _heard(sound: Any) -> SoundRange:
    """What a sound strip plays, if that can be animated."""
    if sound.sound is None:
        raise CannotUse(f'The strip "{sound.name}" has no sound. Add the sound file again.')
    heard = strips.sound_range(sound)
    sounds.refuse_retimed(sound)
    return heard


def _channels(edits: takes.Edits) -> dict[str, dict[str, float]] | None:
    """Edits as JSON has them."""
    return {
        name: {str(f): value for f, value in row.items()} for name, row in edits.items()
    } or None


def _mask(shot: Any, take: takes.Take) -> npt.NDArray[np.bool_]:
    return shots.visible_mask(shot, take.n_frames)


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
