"""Sequencer strips: every difference between Blender 4.2 and 5.2 lives here.

4.2 and 4.3 say `sequences`, 4.5 has both names, 5.0 only `strips`. 5.0 gives the sequencer a scene
of its own. 5.2 renames every timing property and warns about the old names.
"""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import timing
from .timing import Span

Strip = Any  # bpy.types.Strip, until 4.3 bpy.types.Sequence
CHANNELS = 128  # of the sequencer
_LENGTH_SLACK = 1.5  # frames: Blender rounds the length of a sound

_NAMES_5_2 = {
    "frame_start": "content_start",
    "frame_final_start": "left_handle",
    "frame_final_end": "right_handle",
    "frame_duration": "content_duration",
    "frame_offset_start": "left_handle_offset",
    "frame_offset_end": "right_handle_offset",
    "animation_offset_start": "content_trim_start",
    "animation_offset_end": "content_trim_end",
}


class CannotUse(Exception):
    """Something on the timeline cannot be used; the text says why and what to do."""


def strip_type() -> Any:
    """The RNA type that all strips derive from: `Strip` since 4.4, before that `Sequence`."""
    return getattr(bpy.types, "Strip", None) or bpy.types.Sequence


def sequencer_scene(context: Any) -> Any | None:
    """The scene whose strips the sequencer shows; 5.0 lets it differ from the window's scene."""
    if hasattr(context, "sequencer_scene"):
        return context.sequencer_scene or _only_scene_with_strips(context)
    return context.scene


def top_level(editor: Any) -> Any:
    """The strips that are in no meta strip."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def every(scene: Any | None) -> list[Strip]:
    """All strips of a scene, those in metas too."""
    editor = scene.sequence_editor if scene is not None else None
    if editor is None:
        return []
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def named(scene: Any | None, name: str) -> Strip | None:
    """The strip with this name."""
    editor = scene.sequence_editor if scene is not None else None
    if editor is None:
        return None
    strips = editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all
    return strips.get(name)


def active(scene: Any | None) -> Strip | None:
    """The active strip, if it is also selected: Blender keeps the active one when all are not."""
    editor = scene.sequence_editor if scene is not None else None
    strip = editor.active_strip if editor is not None else None
    return strip if strip is not None and strip.select else None


def make_active(scene: Any, strip: Strip) -> None:
    """Selects this strip alone."""
    for other in every(scene):
        other.select = False
    strip.select = True
    scene.sequence_editor.active_strip = strip


def handles(strip: Strip) -> Span:
    """The scene frames between its handles."""
    return Span(int(_get(strip, "frame_final_start")), int(_get(strip, "frame_final_end")))


def visible(strip: Strip) -> Span:
    """The scene frames at which it plays: its handles, cut by those of the metas around it."""
    span = handles(strip)
    parent = strip.parent_meta()
    while parent is not None:
        span = span.overlap(handles(parent))
        parent = parent.parent_meta()
    return span


def origin(strip: Strip) -> int:
    """The scene frame of its first element, visible or not.

    A hard split moves `frame_start` and counts what it cut off in `animation_offset_start`.
    """
    return round(_get(strip, "frame_start")) - int(_get(strip, "animation_offset_start"))


def visible_elements(strip: Strip, n_frames: int) -> Span:
    """The elements, of so many, that the strip shows."""
    span, first = visible(strip), origin(strip)
    return Span(span.start - first, span.end - first).overlap(Span(0, n_frames))


def scene_fps(scene: Any) -> Fraction:
    """Exact frames a second of a scene."""
    return timing.scene_fps(scene.render.fps, scene.render.fps_base)


def free_channel(strips: Any, span: Span, first: int) -> int:
    """A channel with nothing in `span`, the lowest from `first` up, else the highest below it.

    Raises:
        CannotUse: all 128 are taken.
    """
    taken = {strip.channel for strip in strips if handles(strip).overlap(span).length}
    above = range(min(first, CHANNELS), CHANNELS + 1)
    for channel in (*above, *range(above.start - 1, 0, -1)):
        if channel not in taken:
            return channel
    raise CannotUse("All 128 channels are taken here. Move or delete a strip.")


def new_image_strip(scene: Any, name: str, first: Path, span: Span, above: Strip | None) -> Strip:
    """An image strip with one element, on a free channel.

    Args:
        scene: with or without a sequencer.
        name: wanted; Blender may add a number.
        first: picture of element 0.
        span: where it will play when all its elements are there.
        above: the strip that it should lie over, in the same meta if that one is being edited.
    """
    editor = scene.sequence_editor or scene.sequence_editor_create()
    meta = above.parent_meta() if above is not None else None
    if meta is not None and meta not in list(editor.meta_stack):
        while meta.parent_meta() is not None:
            meta = meta.parent_meta()
        above, meta = meta, None
    neighbours = top_level(meta) if meta is not None else top_level(editor)
    channel = free_channel(neighbours, span, above.channel + 1 if above is not None else 1)
    strip = top_level(editor).new_image(name, str(first), channel, span.start, fit_method="FIT")
    if meta is not None:
        strip.move_to_meta(meta)
        strip.channel = channel
    return strip


def new_text_strip(scene: Any, text: str, channel: int, span: Span) -> Strip:
    """A text strip; 5.0 wants its length where others want its end."""
    neighbours = top_level(scene.sequence_editor)
    wants = neighbours.bl_rna.functions["new_effect"].parameters
    extent = {"length": span.length} if "length" in wants else {"frame_end": span.end}
    strip = neighbours.new_effect(text, "TEXT", channel, frame_start=span.start, **extent)
    strip.text = text
    strip.select = False
    return strip


def new_meta(scene: Any, name: str, span: Span, above: Strip) -> Strip:
    """An empty meta strip at the level of another strip, on a free channel over it."""
    top = top_level(scene.sequence_editor)
    channel = free_channel(top, span, above.channel + 1)
    return top.new_meta(name, channel, span.start)


def put_into(strip: Strip, meta: Strip) -> None:
    """Moves a strip into a meta, over those that are there."""
    channel = len(top_level(meta)) + 1
    strip.move_to_meta(meta)
    strip.channel = channel
    _set(strip, "frame_final_end", handles(strip).end)  # the meta measures itself anew


def place_handles(meta: Strip, shown: Span) -> None:
    """Makes a meta strip play at `shown`; its strips stay where they are."""
    _set(meta, "frame_final_start", shown.start)
    _set(meta, "frame_final_end", shown.end)


def set_elements(strip: Strip, names: list[str]) -> Iterator[None]:
    """Gives an image strip these files, all in its folder; yields after each, for slicing.

    Blender copies the whole list for each one: 2000 take 20 to 100 ms, 15,000 take 3 s.
    """
    while len(strip.elements) > len(names):
        strip.elements.pop(len(strip.elements) - 1)
        yield
    for index, element in enumerate(strip.elements):
        if element.filename != names[index]:
            element.filename = names[index]
            yield
    for name in names[len(strip.elements) :]:
        strip.elements.append(name)
        yield


def remove(strip: Strip) -> None:
    """Takes a strip, and its F-Curves, off the timeline."""
    meta = strip.parent_meta()
    top_level(meta if meta is not None else strip.id_data.sequence_editor).remove(strip)


def place(strip: Strip, span: Span, shown: Span) -> None:
    """Puts an image strip at `span` with its handles at `shown`, if need be on a free channel."""
    trims = ("frame_offset_start", "frame_offset_end")
    for name in (*trims, "animation_offset_start", "animation_offset_end"):
        _set(strip, name, 0)
    meta = strip.parent_meta()
    siblings = top_level(meta if meta is not None else strip.id_data.sequence_editor)
    others = [other for other in siblings if other != strip]
    channel = free_channel(others, shown, strip.channel)
    _set(strip, "frame_start", span.start)
    _set(strip, "frame_offset_start", shown.start - span.start)
    _set(strip, "frame_offset_end", span.end - shown.end)
    strip.channel = channel


def show_folder(strip: Strip, folder: Path) -> None:
    """Makes an image strip take its elements from another folder; the preview follows at once.

    One assignment for all frames, and Blender's undo knows it.
    """
    strip.directory = relative(folder)


def shown_folder(strip: Strip) -> Path:
    """The folder of an image strip's elements."""
    return Path(os.path.normpath(bpy.path.abspath(strip.directory)))


def relative(path: Path, folder: Path | None = None) -> str:
    """`//...` in a saved file, so that the project can be moved; absolute otherwise.

    Args:
        path: absolute.
        folder: of a .blend that is yet to be saved there; None for where it is now.
    """
    if folder is None and not bpy.data.filepath:
        return str(path)
    try:
        return bpy.path.relpath(str(path), start=None if folder is None else str(folder))
    except ValueError:  # on another drive
        return str(path)


def absolute(path: str) -> Path:
    """The file that a path of Blender's means."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def picture_of(strip: Strip, scene_frame: int) -> Path | None:
    """The file that an image strip shows at a scene frame, or its first."""
    if strip.type != "IMAGE" or not len(strip.elements):
        return None
    span = handles(strip)
    inside = min(max(scene_frame, span.start), span.end - 1)
    element = strip.strip_elem_from_frame(inside) or strip.elements[0]
    return shown_folder(strip) / element.filename


def is_retimed(strip: Strip) -> bool:
    """True when a sound plays at another speed than it was recorded.

    4.4 and later have retiming keys in RNA. Before, only the length tells: that of a retimed strip
    is not that of its file (known for WAV, and for all formats where Blender has its `aud` module).
    The same happens when the scene's frame rate is changed after the sound was added.
    """
    if hasattr(strip, "retiming_keys"):
        return len(strip.retiming_keys) > 0
    length_s = _length_s(absolute(strip.sound.filepath))
    if length_s is None:
        return False
    frames = length_s * scene_fps(strip.id_data)
    cut = _get(strip, "animation_offset_start") + _get(strip, "animation_offset_end")
    return abs(_get(strip, "frame_duration") + cut - frames) > _LENGTH_SLACK


def sound_range(strip: Strip) -> timing.SoundRange:
    """Which seconds of its file a sound strip plays, and where.

    Raises:
        CannotUse: nothing of the sound is inside the handles.
    """
    found = timing.sound_range(
        _get(strip, "frame_start"),
        _get(strip, "frame_duration"),
        visible(strip),
        scene_fps(strip.id_data),
        getattr(strip, "sound_offset", 0.0),  # 4.3+
        int(_get(strip, "animation_offset_start")),
    )
    if found is None:
        raise CannotUse(f'The sound strip "{strip.name}" is trimmed to nothing. Move its handles.')
    return found


def find_sound(scene: Any, portrait: Strip | None) -> Strip | None:
    """The speech that is meant.

    The active strip if it is a sound, else the selected sound, else the sound that overlaps the
    portrait the most (muted ones only count when they are picked), else the one under the
    playhead, else the only one.
    """
    strips = every(scene)
    sounds = [strip for strip in strips if strip.type == "SOUND"]
    picked = active(scene)
    if picked is not None and picked.type == "SOUND":
        return picked
    selected = [strip for strip in sounds if strip.select]
    if selected:
        return selected[0]
    heard = [strip for strip in sounds if not is_muted(strip)]
    if portrait is not None:
        span = visible(portrait)
        best = max(heard, key=lambda strip: visible(strip).overlap(span).length, default=None)
        if best is not None and visible(best).overlap(span).length:
            return best
    now = scene.frame_current
    under = [strip for strip in heard if visible(strip).start <= now < visible(strip).end]
    if under:
        return under[0]
    return heard[0] if len(heard) == 1 else None


def is_muted(strip: Strip) -> bool:
    """True when the strip, its channel or a meta around it is muted."""
    parent = strip.parent_meta()
    if strip.mute or (parent is not None and is_muted(parent)):
        return True
    channels = (parent if parent is not None else strip.id_data.sequence_editor).channels
    return channels[strip.channel].mute


def redraw() -> None:
    """Draws all sequencers again."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


def _only_scene_with_strips(context: Any) -> Any | None:
    """5.0 in background, or before a scene was chosen in the header."""
    scene = context.scene
    return scene if scene is not None and scene.sequence_editor is not None else None


def _length_s(path: Path) -> Fraction | None:
    try:
        with wave.open(str(path), "rb") as file:
            return Fraction(file.getnframes(), file.getframerate())
    except (OSError, EOFError, wave.Error):
        return _aud_length_s(path)


def _aud_length_s(path: Path) -> Fraction | None:
    try:
        import aud  # not in every build
    except ImportError:
        return None
    try:
        sound = aud.Sound(str(path))
        return Fraction(sound.length) / Fraction(sound.specs[0])
    except aud.error:
        return None


def _name(strip: Strip, name: str) -> str:
    """5.2 warns about the old names, so the new one is used where there is one."""
    new = _NAMES_5_2[name]
    return new if new in strip.bl_rna.properties else name


def _get(strip: Strip, name: str) -> Any:
    return getattr(strip, _name(strip, name))


def _set(strip: Strip, name: str, value: int) -> None:
    setattr(strip, _name(strip, name), value)
