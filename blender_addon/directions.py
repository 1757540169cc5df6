"""What an artist lays over a whole shot: holds, lead, amounts over time, cues, overruled breaches.

Cues and holds are timeline markers, which can be dragged, copied and deleted: "blink", "blink L",
"blink R", "gaze camera", "gaze wander", "gaze 10 -5" (degrees to the right and up) and "hold" (a
new drawing starts). " @name" behind it makes a marker count for the strip of this name alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from bpy.props import IntProperty

from . import ops, paragraph, props, protocol, shots, strips, takes, word_strips
from .carry import Move
from .sidebar import ShotPanel

FIELDS = ("holds", "lead", "amounts", "cues", "words")  # of a look; "overruled" changes no frame
_MARKER = re.compile(r"(blink|gaze|hold)\b\s*([^@]*?)\s*(?:@\s*(.+))?", re.IGNORECASE)
_POINT = re.compile(r"([-+]?\d+(?:\.\d+)?)[\s,]+([-+]?\d+(?:\.\d+)?)")
_EYES = {"": "both", "l": "l", "r": "r", "both": "both"}
_DECIMALS = 4  # of an amount
_SHOWN_BREACHES = 12


def of(strip: Any, n_frames: int) -> dict[str, Any]:
    """The directions of a shot as they are now on the timeline, as the spec has them."""
    settings = getattr(strip, props.SETTINGS)
    markers = list(_markers(strip, n_frames))
    holds = int(settings.holds) if settings.holds.isdigit() else _holds(markers)
    return {
        "holds": holds,
        "lead": settings.lead,
        "amounts": _amounts(strip, n_frames),
        "cues": _cues(markers) if settings.use_cues else None,
        "words": word_strips.spoken(strip),
    }


def changed(strip: Any, kept: shots.Record) -> list[str]:
    """Which directions differ from those that the take was made with."""
    now = of(strip, kept.n_frames)
    before = {name: kept.look.get(name, _UNSAID[name]) for name in FIELDS}
    take = shots.known_take(strip)
    if before["cues"] is None and take is not None and now["cues"] == _as_cues(take):
        now["cues"] = None  # the markers stand where it was generated
    return [name for name in FIELDS if now[name] != before[name]]


def _as_cues(take: takes.Take) -> list[dict[str, Any]]:
    """The blinks of a take as markers would say them."""
    return [{"frame": cue["frame"], "kind": "blink", "eye": cue["eye"]} for cue in take.cues]


def moved(look: dict[str, Any], move: Move) -> dict[str, Any]:
    """A look whose directions are told in the frames of another take."""
    n_frames = move.new.length

    def there(frames: list[int]) -> list[int]:
        moved = [round(frame * move.ratio) + move.offset for frame in frames]
        return [frame for frame in moved if 0 <= frame < n_frames]

    changes: dict[str, Any] = {"overruled": there(look.get("overruled", []))}
    if isinstance(look.get("holds"), list):
        changes["holds"] = sorted({0, *there(look["holds"])})
    if look.get("cues") is not None:
        changes["cues"] = [
            {**cue, "frame": frame} for cue in look["cues"] for frame in there([cue["frame"]])
        ]
    times = (np.arange(n_frames) - move.offset) / float(move.ratio)
    changes["amounts"] = {
        name: _points(np.interp(times, *np.array(points).T))
        for name, points in look.get("amounts", {}).items()
    }
    return {**look, **changes}


def move_markers(strip: Any, move: Move) -> None:
    """Takes the markers that count for a shot along, from its old frames to its new ones."""
    for marker in strip.id_data.timeline_markers:
        found = parse(marker.name)
        if found is not None and marker.frame in move.old and found[2] in ("", strip.name):
            at = round((marker.frame - move.old.start) * move.ratio) + move.offset
            marker.frame = move.new.start + at


def overruled(kept: shots.Record) -> list[int]:
    """Frames of a shot whose breaches the artist accepts."""
    return list(kept.look.get("overruled", ()))


def parse(name: str) -> tuple[str, str, str] | None:
    """Kind, argument and strip of a marker; None when its name says nothing to us."""
    match = _MARKER.fullmatch(name.strip())
    if match is None:
        return None
    return match[1].lower(), match[2].strip().lower(), (match[3] or "").strip()


def _markers(strip: Any, n_frames: int) -> Iterator[tuple[int, str, str]]:
    """Shot frame, kind and argument of the markers that count for a shot, in order."""
    first = strips.origin(strip)
    for marker in sorted(strip.id_data.timeline_markers, key=lambda marker: marker.frame):
        found = parse(marker.name)
        frame = marker.frame - first
        if found is not None and 0 <= frame < n_frames and found[2] in ("", strip.name):
            yield frame, found[0], found[1]


def _holds(markers: list[tuple[int, str, str]]) -> list[int]:
    return sorted({0, *(frame for frame, kind, _ in markers if kind == "hold")})


def _cues(markers: list[tuple[int, str, str]]) -> list[dict[str, Any]]:
    """The cues; a marker whose words are not understood is left out, see `misread`."""
    found: list[dict[str, Any]] = []
    for frame, kind, word in markers:
        if kind == "blink" and word in _EYES:
            found.append({"frame": frame, "kind": "blink", "eye": _EYES[word]})
        elif kind == "gaze" and (target := _target(word)) is not None:
            found.append({"frame": frame, "kind": "gaze", "target": target})
    return found


def _target(word: str) -> str | list[float] | None:
    if word in ("camera", "wander"):
        return word
    match = _POINT.fullmatch(word)
    return None if match is None else [float(match[1]), float(match[2])]


def misread(strip: Any, n_frames: int) -> list[str]:
    """Names of markers that look like cues and are none."""
    return [
        f"{kind} {word}"
        for _, kind, word in _markers(strip, n_frames)
        if (kind == "blink" and word not in _EYES) or (kind == "gaze" and _target(word) is None)
    ]


def _amounts(strip: Any, n_frames: int) -> dict[str, list[list[float]]]:
    """The amounts that are keyed or set on the strip, as few points as the line needs."""
    found = {}
    for name in protocol.AMOUNTS:
        values = np.round(shots.sample(strip, props.amount(name), n_frames), _DECIMALS)
        if (values != 1.0).any():
            found[name] = _points(values)
    return found


def _points(values: npt.NDArray[np.float64]) -> list[list[float]]:
    """The points at which a line through values bends."""
    bend = np.ones(len(values), bool)
    bend[1:-1] = np.abs(np.diff(values, 2)) > 1.5 * 10.0**-_DECIMALS
    if (values == values[0]).all():
        bend[1:] = False
    return [[int(f), round(float(values[f]), _DECIMALS)] for f in np.flatnonzero(bend)]


class ANIMPORTRAIT_OT_show_cues(bpy.types.Operator):
    """Put the blinks of this shot on the timeline as markers, to be moved, deleted or added to."""

    bl_idname = "animportrait.show_cues"
    bl_label = "Show Cues"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        reason = ops.no_shot(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """Markers that are there already stay as they are."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        take = shots.known_or_read(shot)
        if take is None:
            self.report({"ERROR"}, "The take of this shot is gone. Press Animate Again.")
            return {"CANCELLED"}
        first, settings = strips.origin(shot), getattr(shot, props.SETTINGS)
        if settings.use_cues:
            self.report({"INFO"}, "The markers of this shot count already")
            return {"CANCELLED"}
        settings.use_cues = True
        own = f" @{shot.name}" if _shares_its_time(shot) else ""
        for cue in take.cues:
            eye = {"l": " L", "r": " R"}.get(cue["eye"], "")
            scene.timeline_markers.new(f"blink{eye}{own}", frame=first + cue["frame"])
        shots.mark_stale()
        self.report({"INFO"}, f"{len(take.cues)} blinks are markers now")
        return {"FINISHED"}


class ANIMPORTRAIT_OT_overrule(bpy.types.Operator):
    """Accept this breach, or do not accept it any more."""

    bl_idname = "animportrait.overrule"
    bl_label = "Overrule"
    bl_options = {"REGISTER", "UNDO"}

    frame: IntProperty(description="Of the shot")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        return shots.active_shot(strips.sequencer_scene(context)) is not None

    def execute(self, context: Any) -> set[str]:
        """Remembered with the shot, and sent with its next job."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        kept = shots.record(shot)
        if kept is None:
            return {"CANCELLED"}
        frames = set(overruled(kept)) ^ {self.frame}
        shots.write_record(shot, kept.with_look(overruled=sorted(frames)))
        strips.redraw()
        return {"FINISHED"}


class ANIMPORTRAIT_PT_directions(ShotPanel, bpy.types.Panel):
    """Holds, lead, amounts and cues of the active shot."""

    bl_label = "Timing and Amounts"
    bl_order = 4
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """All of it; what differs from the take is said in the Edit panel."""
        layout = self.layout
        layout.use_property_split = True
        shot = shots.active_shot(strips.sequencer_scene(context))
        settings, kept = getattr(shot, props.SETTINGS), shots.record(shot)
        column = layout.column()
        column.prop(settings, "holds")
        if not settings.holds.isdigit():
            text = 'A new drawing starts at each marker named "hold"'
            paragraph.draw(column, context, text, "MARKER_HLT")
        column.prop(settings, "lead")
        column.prop(settings, "settle")
        column = layout.column(align=True)
        for name in protocol.AMOUNTS:
            column.prop(shot, props.channel_property(props.amount(name)), slider=True)
        column = layout.column()
        if not settings.use_cues:
            column.operator(ANIMPORTRAIT_OT_show_cues.bl_idname, icon="MARKER_HLT")
            return
        column.prop(settings, "use_cues")
        text = 'Markers: "blink", "blink L", "blink R", "gaze camera", "gaze wander", "gaze 10 -5"'
        paragraph.draw(column, context, text, "MARKER_HLT")
        for name in misread(shot, kept.n_frames) if kept is not None else ():
            paragraph.draw(column, context, f'"{name}" is not understood', "ERROR")


def draw_breaches(layout: Any, take: takes.Take, kept: shots.Record, first: int) -> None:
    """Breaches as buttons that go to their frame; those that the artist accepts stand apart."""
    accepted = set(overruled(kept))
    breaches = take.report.breaches + take.report.overruled
    open_ones = [each for each in breaches if each[0] not in accepted]
    for title, listed, icon in (
        ("", open_ones, "HIDE_OFF"),
        ("Overruled", [each for each in breaches if each[0] in accepted], "HIDE_ON"),
    ):
        if title and listed:
            layout.label(text=title)
        column = layout.column(align=True)
        for frame, kind in sorted(listed)[:_SHOWN_BREACHES]:
            row = column.row(align=True)
            words = f"Frame {first + frame}: {kind.replace('_', ' ').capitalize()}"
            row.operator(ops.ANIMPORTRAIT_OT_go_to_frame.bl_idname, text=words).frame = (
                first + frame
            )
            row.operator(ANIMPORTRAIT_OT_overrule.bl_idname, text="", icon=icon).frame = frame
        if len(listed) > _SHOWN_BREACHES:
            layout.label(text=f"and {len(listed) - _SHOWN_BREACHES} more")


def _shares_its_time(shot: Any) -> bool:
    """True when another shot plays at the same time: a marker must say whose it is."""
    span = strips.visible(shot)
    return any(
        other != shot and shots.is_shot(other) and strips.visible(other).overlap(span).length
        for other in strips.every(shot.id_data)
    )


_UNSAID: dict[str, Any] = {"holds": 1, "lead": 0, "amounts": {}, "cues": None, "words": None}
_CLASSES = (ANIMPORTRAIT_OT_show_cues, ANIMPORTRAIT_OT_overrule, ANIMPORTRAIT_PT_directions)


def register() -> None:
    """Adds operators and panel."""
    shots.compare_directions[:] = [changed]
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
