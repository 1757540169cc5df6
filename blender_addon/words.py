"""Words: a transcript is aligned to the sound and laid over it, one text strip per word."""

from __future__ import annotations

from typing import Any

import bpy

from . import modal, ops, paragraph, prefs, props, shots, sidebar, strips, word_strips
from .job import Job, Question, State
from .jobs import JOBS
from .strips import CannotUse


class ANIMPORTRAIT_OT_align_words(bpy.types.Operator):
    """Find when each word of the transcript is said, and lay the words over the sound as strips.

    Drag, stretch or retype a word, then press Render Edits: the mouth follows.
    """

    bl_idname = "animportrait.align_words"
    bl_label = "Align Words"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A server, a shot and a transcript."""
        reason = prefs.flaw(context) or _no_transcript(strips.sequencer_scene(context))
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Queues the job; Blender stays free."""
        if self._add(context) is None:
            return {"CANCELLED"}
        bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return {"FINISHED"}

    def execute(self, context: Any) -> set[str]:
        """For scripts: waits until the words are on the timeline."""
        job = self._add(context)
        if job is None:
            return {"CANCELLED"}
        JOBS.wait(job)
        modal.report(self, job)
        return {"FINISHED"} if job.state == State.DONE else {"CANCELLED"}

    def _add(self, context: Any) -> Job | None:
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        kept = shots.record(shot)
        if kept is None or not kept.audio.path().is_file():
            self.report({"ERROR"}, "The sound of this shot does not exist any more.")
            return None
        place = {"path": str(kept.audio.path()), "start_s": kept.start_s}
        language = getattr(shot, props.LANGUAGE)
        params = {
            "audio": {**place, "duration_s": kept.duration_s},
            "transcript": _transcript(shot),
            "language": language,
        }

        def answered(value: dict[str, Any]) -> str:
            return _lay(scene.name, kept.shot_id, value)

        return JOBS.add(None, Question(f'Words of "{shot.name}"', "align", params, answered))


class ANIMPORTRAIT_OT_remove_words(bpy.types.Operator):
    """Take the words of this shot off the timeline; press Render Edits afterwards."""

    bl_idname = "animportrait.remove_words"
    bl_label = "Remove Words"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot with words."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        if shot is None or not word_strips.of_shot(shot):
            cls.poll_message_set("Select a shot whose words are on the timeline")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        """Strips only; the mouth is heard freely again with the next drawing."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        count = word_strips.remove(shot)
        shots.mark_stale()
        self.report({"INFO"}, f"{count} words removed")
        return {"FINISHED"}


class ANIMPORTRAIT_PT_words(sidebar.ShotPanel, bpy.types.Panel):
    """The transcript of the active shot."""

    bl_label = "Words"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Type, align, drag."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        shot = shots.active_shot(strips.sequencer_scene(context))
        column = layout.column()
        column.prop(shot, props.TRANSCRIPT)
        column.prop(shot, props.LANGUAGE)
        text = _text_over(shot)
        if text is not None and not getattr(shot, props.TRANSCRIPT).strip():
            column.label(text=f'From the text strip "{text.name}"', icon="FONT_DATA")
        row = column.row()
        row.operator(ANIMPORTRAIT_OT_align_words.bl_idname, icon="FONT_DATA")
        if not word_strips.of_shot(shot):
            return
        row.operator(ANIMPORTRAIT_OT_remove_words.bl_idname, text="", icon="X")
        if getattr(shot, props.LANGUAGE) != props.ENGLISH:
            text = "Aligned by the sounds of English: times are approximate"
            paragraph.draw(layout, context, text, "INFO")
        text = "Drag, stretch or retype the words, then Render Edits"
        paragraph.draw(layout, context, text, "ARROW_LEFTRIGHT")


def _no_transcript(scene: Any | None) -> str:
    """Why no words can be aligned; empty when they can."""
    reason = ops.no_shot(scene)
    if reason:
        return str(reason)
    if not _transcript(shots.active_shot(scene)):
        return "Type the transcript, or lay a text strip with it over the shot"
    return ""


def _transcript(shot: Any) -> str:
    """What is typed, else what a text strip over the shot says."""
    typed: str = getattr(shot, props.TRANSCRIPT).strip()
    text = _text_over(shot)
    return typed or (text.text.strip() if text is not None else "")


def _text_over(shot: Any) -> Any | None:
    """The text strip that plays with a shot the longest, and is none of our words."""
    span = strips.visible(shot)

    def together(strip: Any) -> int:
        return strips.visible(strip).overlap(span).length

    texts = [
        strip
        for strip in strips.every(shot.id_data)
        if strip.type == "TEXT" and not word_strips.is_word(strip) and together(strip)
    ]
    return max(texts, key=together, default=None)


def _lay(scene_name: str, shot_id: str, value: dict[str, Any]) -> str:
    """Puts what the server has aligned onto the timeline, as one undo step."""
    scene = bpy.data.scenes.get(scene_name)
    found = [
        strip
        for strip in strips.every(scene)
        if shots.is_shot(strip) and (kept := shots.record(strip)) and kept.shot_id == shot_id
    ]
    if not found:
        raise CannotUse("The strip of this shot is gone.")
    word_strips.remove(found[0])
    count = word_strips.lay(found[0], value["words"], value["language"])
    shots.mark_stale()
    bpy.ops.ed.undo_push(message="Align Words")
    return f"{count} words are on the timeline"


_CLASSES = (ANIMPORTRAIT_OT_align_words, ANIMPORTRAIT_OT_remove_words, ANIMPORTRAIT_PT_words)


def register() -> None:
    """Adds operators and panel."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
