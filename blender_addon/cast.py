"""Casting of a whole scene: which portrait speaks which dialogue strip, and all of it in one go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import ops, orders, prefs, props, shots, sounds, strips
from .jobs import JOBS
from .sidebar import SidebarPanel
from .strips import CannotUse

_WORD = re.compile(r"[^\W\d_]+")
_DULL = {"dialogue", "dialog", "voice", "line", "take", "audio", "sound", "speech", "portrait"}
_SUFFIXES = set(ops.PICTURES.replace("*", "").split(";"))


def by_name(sound: str, portraits: Sequence[str]) -> int | None:
    """The portrait that shares the most letters in whole words with a sound's name.

    Args:
        sound: names of strip and file, such as "anna_line_03".
        portraits: names of pictures.

    Returns:
        An index, or None when no name fits better than all others.
    """
    wanted = _words(sound)
    scores = [sum(map(len, wanted & _words(name))) for name in portraits]
    best = max(scores, default=0)
    return scores.index(best) if best and scores.count(best) == 1 else None


def by_channel(channel: int, dialogue: Sequence[int], portraits: int) -> int | None:
    """The first channel with dialogue is the first portrait's, the second the second's, ...

    Args:
        channel: of the sound.
        dialogue: of all sounds, in any order.
        portraits: how many there are.
    """
    index = sorted(set(dialogue)).index(channel)
    return index if index < portraits else None


def portraits(scene: Any, folder: Path | None) -> list[Path]:
    """The pictures that may be cast: image strips that are no shots, from the lowest channel up,
    then the pictures of a folder."""
    lying = [
        strip for strip in strips.every(scene) if strip.type == "IMAGE" and not shots.is_shot(strip)
    ]
    lying.sort(key=lambda strip: (strip.channel, strips.handles(strip).start))
    found = [strips.picture_of(strip, scene.frame_current) for strip in lying]
    if folder is not None and folder.is_dir():
        found += sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    return list(dict.fromkeys(path for path in found if path is not None))


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.lower())) - _DULL


class ANIMPORTRAIT_PG_role(bpy.types.PropertyGroup):
    """One dialogue strip and who speaks it."""

    use: BoolProperty(name="Render", default=True, description="Animate this strip with the others")
    sound: StringProperty(name="Sound")
    image: StringProperty(name="Portrait", subtype="FILE_PATH", options=props.RELATIVE)


class ANIMPORTRAIT_UL_cast(bpy.types.UIList):
    """Sound and portrait, which may be changed."""

    bl_idname = "ANIMPORTRAIT_UL_cast"

    def draw_item(
        self,
        _context: Any,
        layout: Any,
        _data: Any,
        item: Any,
        _icon: int,
        _active_data: Any,
        _active_property: str,
    ) -> None:
        """A role without a portrait is marked."""
        row = layout.row(align=True)
        row.prop(item, "use", text="")
        row.label(text=item.sound, icon="SOUND" if item.image else "ERROR")
        row.prop(item, "image", text="")


class ANIMPORTRAIT_OT_match_cast(bpy.types.Operator):
    """Match the portraits of the scene to its dialogue; the list may be changed afterwards."""

    bl_idname = "animportrait.match_cast"
    bl_label = "Match"
    bl_options = {"REGISTER", "UNDO"}

    by: EnumProperty(
        name="By",
        items=[
            ("NAME", "Name", "A picture speaks the strips that share a word with its name"),
            ("CHANNEL", "Channel", "The first picture speaks the first channel, and so on"),
        ],
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A scene."""
        return strips.sequencer_scene(context) is not None

    def execute(self, context: Any) -> set[str]:
        """Every sound strip that is heard becomes a row."""
        scene = strips.sequencer_scene(context)
        cast = scene.animportrait_cast
        cast.roles.clear()
        heard = [s for s in strips.every(scene) if s.type == "SOUND" and not strips.is_muted(s)]
        heard.sort(key=lambda strip: (strips.visible(strip).start, strip.channel))
        pictures = portraits(scene, strips.absolute(cast.folder) if cast.folder else None)
        names = [path.stem for path in pictures]
        for sound in heard:
            role = cast.roles.add()
            role.sound = sound.name
            if self.by == "NAME":
                file = sounds.file(sound)
                found = by_name(f"{sound.name} {file.stem if file else ''}", names)
            else:
                found = by_channel(sound.channel, [s.channel for s in heard], len(pictures))
            if found is not None:
                role.image = strips.relative(pictures[found])
        matched = sum(bool(role.image) for role in cast.roles)
        self.report({"INFO"}, f"{matched} of {len(heard)} dialogue strips have a portrait")
        return {"FINISHED"}


class ANIMPORTRAIT_OT_render_cast(bpy.types.Operator):
    """Animate every role of the list, one after the other; Blender stays free."""

    bl_idname = "animportrait.render_cast"
    bl_label = "Animate All"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A server and somebody to speak."""
        scene = strips.sequencer_scene(context)
        reason = prefs.flaw(context)
        if not reason and (scene is None or not any(_ready(scene))):
            reason = "No dialogue strip has a portrait: press Match"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Queues them."""
        if not self._add(context):
            return {"CANCELLED"}
        bpy.ops.animportrait.run_jobs("INVOKE_DEFAULT")
        return {"FINISHED"}

    def execute(self, context: Any) -> set[str]:
        """For scripts: waits for all of them."""
        jobs = self._add(context)
        for job in jobs:
            JOBS.wait(job)
        return {"FINISHED"} if jobs else {"CANCELLED"}

    def _add(self, context: Any) -> list[Any]:
        scene = strips.sequencer_scene(context)
        look = orders.look_of(getattr(scene, props.SETTINGS))
        added = []
        for role in _ready(scene):
            sound, picture = strips.named(scene, role.sound), strips.absolute(role.image)
            if sound is None or JOBS.making(scene.name, sound.name, str(picture)):
                continue
            try:
                added.append(JOBS.add(orders.new_shot(sound, picture, look, JOBS.shot_ids)))
            except CannotUse as failure:
                self.report({"WARNING"}, f"{role.sound}: {failure}")
        return added


def _ready(scene: Any) -> list[Any]:
    """The roles that can be animated and are not on the timeline yet."""
    made = {
        (kept.sound, kept.image.path())
        for strip in strips.every(scene)
        if shots.is_shot(strip) and (kept := shots.record(strip)) is not None
    }
    return [
        role
        for role in scene.animportrait_cast.roles
        if role.use and role.image and (role.sound, strips.absolute(role.image)) not in made
    ]


class ANIMPORTRAIT_PG_cast(bpy.types.PropertyGroup):
    """The cast of a scene."""

    roles: CollectionProperty(type=ANIMPORTRAIT_PG_role)
    index: IntProperty(options={"HIDDEN"})
    folder: StringProperty(
        name="Portraits",
        subtype="DIR_PATH",
        options=props.RELATIVE,
        description="A folder of pictures, besides the image strips of the scene",
    )


class ANIMPORTRAIT_PT_cast(SidebarPanel, bpy.types.Panel):
    """Many shots at once."""

    bl_label = "Cast"
    bl_order = 8
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A scene."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        """Folder, match, list, button."""
        layout, cast = self.layout, strips.sequencer_scene(context).animportrait_cast
        layout.prop(cast, "folder")
        row = layout.row(align=True)
        for by, text in (("NAME", "Match by Name"), ("CHANNEL", "Match by Channel")):
            row.operator(ANIMPORTRAIT_OT_match_cast.bl_idname, text=text).by = by
        layout.template_list(ANIMPORTRAIT_UL_cast.bl_idname, "", cast, "roles", cast, "index")
        layout.operator(ANIMPORTRAIT_OT_render_cast.bl_idname, icon="PLAY")


_CLASSES = (
    ANIMPORTRAIT_PG_role,
    ANIMPORTRAIT_PG_cast,
    ANIMPORTRAIT_UL_cast,
    ANIMPORTRAIT_OT_match_cast,
    ANIMPORTRAIT_OT_render_cast,
    ANIMPORTRAIT_PT_cast,
)


def register() -> None:
    """Adds list, buttons and panel."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.animportrait_cast = PointerProperty(type=ANIMPORTRAIT_PG_cast)


def unregister() -> None:
    """Removes them."""
    del bpy.types.Scene.animportrait_cast
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
