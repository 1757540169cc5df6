"""Mouth cues and curves of other programs, read and written by the server."""

from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, StringProperty

from . import drawing, fcurves, modal, ops, prefs, props, protocol, shots, strips
from .job import Job, Question, State
from .jobs import JOBS
from .strips import CannotUse

_LABELS = {
    "rhubarb.tsv": "Rhubarb (TSV)",
    "rhubarb.json": "Rhubarb (JSON)",
    "rhubarb.xml": "Rhubarb (XML)",
    "moho.dat": "Moho (DAT)",
    "papagayo.pgo": "Papagayo (PGO)",
    "arkit.csv": "ARKit curves (CSV)",
    "arkit.json": "ARKit curves (JSON)",
}
_FORMATS = [(kind, _LABELS.get(kind, kind), "") for kind in protocol.EXPORTS]


def _shot(scene: str, shot_id: str) -> Any:
    """The strip of a shot; it may have been renamed since the question was asked."""
    for strip in strips.every(bpy.data.scenes.get(scene)):
        kept = shots.record(strip) if shots.is_shot(strip) else None
        if kept is not None and kept.shot_id == shot_id:
            return strip
    raise CannotUse("The shot is gone.")


def key_in(strip: Any, n_frames: int, value: dict[str, Any]) -> str:
    """Keys what was read: one held key a cue, or curves with a key on each frame.

    Args:
        strip: the shot.
        n_frames: of it.
        value: the server's answer to `import`.
    """
    first = strips.origin(strip)
    cues = sorted(cue["frame"] for cue in value["cues"] if 0 <= cue["frame"] < n_frames)
    for name, row in value["channels"].items():
        frames = [f for f in (cues or sorted(map(int, row))) if str(f) in row and f < n_frames]
        if frames:
            curve = fcurves.ensure(strip.id_data, shots.channel_path(strip, name))
            values = np.array([row[str(frame)] for frame in frames], np.float64)
            end = n_frames if cues else frames[-1] + 1
            span = strips.Span(first + frames[0], first + end)
            fcurves.replace(curve, span, first + np.array(frames), values, held=bool(cues))
    shots.mark_stale()
    text = f"{len(cues)} cues" if cues else f"curves of {len(value['channels'])} channels"
    bpy.ops.ed.undo_push(message="Import Mouth Cues")
    return f"{text}; press Render Edits"


class _WithFile:
    """A button that asks the server about a file."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A server and a shot without a job."""
        scene = strips.sequencer_scene(context)
        reason = prefs.flaw(context) or ops.no_shot(scene) or drawing.pending(scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Opens the file browser; it calls `execute`."""
        self._in_window = True
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """In a window it is queued; scripts wait."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        kept = shots.record(shot)
        if kept is None:
            return {"CANCELLED"}
        job = JOBS.add(None, self._question(shot, kept))
        if getattr(self, "_in_window", False):
            bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
            return {"FINISHED"}
        return self._waited(job)

    def _question(self, shot: Any, kept: shots.Record) -> Question:
        raise NotImplementedError

    def _waited(self, job: Job) -> set[str]:
        JOBS.wait(job)
        modal.report(self, job)
        return {"FINISHED"} if job.state == State.DONE else {"CANCELLED"}


class ANIMPORTRAIT_OT_import_cues(_WithFile, bpy.types.Operator):
    """Key the mouth from Rhubarb, Papagayo or Moho cues, or all channels from ARKit curves."""

    bl_idname = "animportrait.import_cues"
    bl_label = "Import Cues"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | props.RELATIVE)

    def _question(self, shot: Any, kept: shots.Record) -> Question:
        path = strips.absolute(self.filepath)
        params = {"file": str(path), "fps": list(kept.fps), "n_frames": kept.n_frames}
        scene, shot_id, n_frames = shot.id_data.name, kept.shot_id, kept.n_frames

        def answered(value: dict[str, Any]) -> str:
            return key_in(_shot(scene, shot_id), n_frames, value)

        return Question(f'Import "{path.name}"', "import", params, answered)


class ANIMPORTRAIT_OT_export_cues(_WithFile, bpy.types.Operator):
    """Write this take as mouth cues or ARKit curves, for other programs."""

    bl_idname = "animportrait.export_cues"
    bl_label = "Export Cues"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"} | props.RELATIVE)
    kind: EnumProperty(name="Format", items=_FORMATS)

    def _question(self, shot: Any, _kept: shots.Record) -> Question:
        path = strips.absolute(self.filepath)
        take = str(strips.shown_folder(shot))
        params = {"take": take, "format": self.kind, "file": str(path)}

        def answered(value: dict[str, Any]) -> str:
            return f'Written to "{value["file"]}"'

        return Question(f'Export "{path.name}"', "export", params, answered)


_CLASSES = (ANIMPORTRAIT_OT_import_cues, ANIMPORTRAIT_OT_export_cues)


def register() -> None:
    """Adds the buttons."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
