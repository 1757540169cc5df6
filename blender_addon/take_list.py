"""The takes of a shot: listed, shown again, compared, deleted, found after a move."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, StringProperty

from . import ops, props, shots, strips, takes
from .jobs import JOBS
from .sidebar import ShotPanel

COMPARE = "animportrait_compare"  # of a strip that shows another take beside a shot
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One take as the list shows it."""

    folder: Path
    style: str
    n_frames: int
    made: str
    freed_bytes: int  # that deleting it would free: files that no other take links to


def entries(shot_folder: Path) -> list[Entry]:
    """The takes of a shot, newest first; those that cannot be read are left out."""
    found = []
    for folder in reversed(takes.finished_takes(shot_folder)):
        path = folder / takes.TAKE_FILE
        try:
            document = json.loads(path.read_text("utf-8"))
            made = datetime.fromtimestamp(path.stat().st_mtime)
            style, n_frames = str(document["spec"]["style"]), int(document["n_frames"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        stamp = made.strftime("%d %b %H:%M")
        found.append(Entry(folder, style, n_frames, stamp, _freed_bytes(folder)))
    return found


def _freed_bytes(folder: Path) -> int:
    """What is on disk for this take alone: a linked frame stays for the others."""
    found: dict[int, tuple[int, int, int]] = {}  # inode -> links here, links in all, bytes
    for entry in os.scandir(folder):
        if entry.is_file(follow_symlinks=False):
            told = os.stat(entry.path)  # scandir says nothing of links on Windows
            here = found.get(told.st_ino, (0, 0, 0))[0] + 1
            found[told.st_ino] = here, told.st_nlink, told.st_size
    return sum(size for here, links, size in found.values() if here >= links)


def shown_takes() -> set[Path]:
    """The takes that some strip of this file shows."""
    return {
        strips.shown_folder(strip)
        for scene in bpy.data.scenes
        for strip in strips.every(scene)
        if strip.type == "IMAGE"
    }


class ANIMPORTRAIT_PG_take(bpy.types.PropertyGroup):
    """A row of the list."""

    folder: StringProperty()
    text: StringProperty()
    size: StringProperty()


class ANIMPORTRAIT_UL_takes(bpy.types.UIList):
    """Number, date, style, frames, size."""

    bl_idname = "ANIMPORTRAIT_UL_takes"

    def draw_item(
        self,
        context: Any,
        layout: Any,
        _data: Any,
        item: Any,
        _icon: int,
        _active_data: Any,
        _active_property: str,
    ) -> None:
        """The take that the strip shows has an eye."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        shown = shot is not None and str(strips.shown_folder(shot)) == item.folder
        row = layout.split(factor=0.8, align=True)
        row.label(text=item.text, icon="HIDE_OFF" if shown else "BLANK1")
        row.label(text=item.size)


class _OfTake:
    """A button for the chosen take of the active shot."""

    bl_options = {"REGISTER", "UNDO"}

    folder: StringProperty(name="Take", description="Folder; empty: the chosen one of the list")

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot without a job."""
        scene = strips.sequencer_scene(context)
        reason = ops.no_shot(scene)
        if not reason and JOBS.pending(scene.name, shots.active_shot(scene).name):
            reason = "A job for this shot is in the queue"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def _chosen(self, context: Any) -> Path | None:
        """The take, if it is there."""
        view = getattr(context.window_manager, props.VIEW)
        rows = context.window_manager.animportrait_takes
        name = self.folder
        if not name and 0 <= view.take_index < len(rows):
            name = rows[view.take_index].folder
        path = Path(name)
        if name and (path / takes.TAKE_FILE).is_file():
            return path
        self.report({"ERROR"}, f'There is no finished take in "{name}".')
        return None


class ANIMPORTRAIT_OT_list_takes(bpy.types.Operator):
    """Look at the takes of this shot on disk."""

    bl_idname = "animportrait.list_takes"
    bl_label = "Refresh"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        return shots.active_shot(strips.sequencer_scene(context)) is not None

    def execute(self, context: Any) -> set[str]:
        """Fills the list."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        rows = context.window_manager.animportrait_takes
        rows.clear()
        folder = strips.shown_folder(shot)
        for index, entry in enumerate(entries(folder.parent)):
            row = rows.add()
            row.folder = str(entry.folder)
            number = takes.take_number(entry.folder)
            row.text = f"{number}  {entry.style}  {entry.n_frames} fr  {entry.made}"
            row.size = f"{entry.freed_bytes / _MEGABYTE:.1f} MB"
            if entry.folder == folder:
                getattr(context.window_manager, props.VIEW).take_index = index
        return {"FINISHED"}


class ANIMPORTRAIT_OT_restore_take(_OfTake, bpy.types.Operator):
    """Show this take again; your keys stay, and the frames that differ are to be drawn."""

    bl_idname = "animportrait.restore_take"
    bl_label = "Restore"

    def execute(self, context: Any) -> set[str]:
        """One assignment: the frames have the same names in every take."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        folder, kept = self._chosen(context), shots.record(shot)
        if folder is None or kept is None:
            return {"CANCELLED"}
        take = takes.read_take(folder)
        if take.n_frames != len(shot.elements):
            text = f"It has {take.n_frames} frames, the strip has {len(shot.elements)}."
            self.report({"ERROR"}, text)
            return {"CANCELLED"}
        shots.remember(take)
        strips.show_folder(shot, folder)
        shots.mark_stale()
        return {"FINISHED"}


class ANIMPORTRAIT_OT_compare_take(_OfTake, bpy.types.Operator):
    """Lay the right half of this take over the shot, as a strip; press again to end."""

    bl_idname = "animportrait.compare_take"
    bl_label = "Compare"

    def execute(self, context: Any) -> set[str]:
        """A strip that crops its left half; it follows nothing and is simply deleted."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        old = [strip for strip in strips.every(scene) if strip.get(COMPARE) == shot.name]
        for strip in old:
            strips.remove(strip)
        if old and not self.folder:
            return {"FINISHED"}
        folder = self._chosen(context)
        if folder is None:
            return {"CANCELLED"}
        take = takes.read_take(folder)
        first = strips.origin(shot)
        span = strips.Span(first, first + take.n_frames)
        name = f"{shot.name} take {takes.take_number(folder)}"
        path = folder / takes.frame_name(0)
        strip = strips.new_image_strip(scene, name, path, span, shot)
        for _ in strips.set_elements(strip, [takes.frame_name(n) for n in range(take.n_frames)]):
            pass
        strip[COMPARE] = shot.name
        for attribute in ("offset_x", "offset_y", "scale_x", "scale_y", "rotation"):
            setattr(strip.transform, attribute, getattr(shot.transform, attribute))
        strip.crop.min_x = take.size[0] // 2
        strips.make_active(scene, shot)
        return {"FINISHED"}


class ANIMPORTRAIT_OT_delete_take(_OfTake, bpy.types.Operator):
    """Delete this take from the disk; frames that other takes share stay with them."""

    bl_idname = "animportrait.delete_take"
    bl_label = "Delete"
    bl_options = {"REGISTER"}  # a deleted file does not come back with undo

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Asks."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: Any) -> set[str]:
        """Never the one that a strip shows."""
        folder = self._chosen(context)
        if folder is None:
            return {"CANCELLED"}
        if folder in shown_takes():
            self.report(
                {"ERROR"}, f"{folder.name} is shown on the timeline. Restore another first."
            )
            return {"CANCELLED"}
        if not takes.take_number(folder):
            self.report({"ERROR"}, f'"{folder}" is no take.')
            return {"CANCELLED"}
        try:
            (folder / takes.TAKE_FILE).unlink()  # first: what is half deleted is no take
            shutil.rmtree(folder)
        except OSError as failure:
            self.report({"ERROR"}, f"{folder.name} cannot be deleted: {failure}.")
            return {"CANCELLED"}
        return bpy.ops.animportrait.list_takes()


class ANIMPORTRAIT_OT_find_takes(bpy.types.Operator):
    """Look for the frames of all shots below a folder, and point the strips there."""

    bl_idname = "animportrait.find_takes"
    bl_label = "Find Takes"
    bl_options = {"REGISTER", "UNDO"}

    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Opens the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, _context: Any) -> set[str]:
        """Shots whose folder is not there are looked for by the names of shot and take."""
        wanted = {}
        for strip in shots.all_shots():
            folder = strips.shown_folder(strip)
            if not (folder / takes.TAKE_FILE).is_file():
                wanted.setdefault((folder.parent.name, folder.name), []).append(strip)
        count = 0
        for path in Path(bpy.path.abspath(self.directory)).rglob(takes.TAKE_FILE):
            for strip in wanted.get((path.parent.parent.name, path.parent.name), ()):
                strips.show_folder(strip, path.parent)
                count += 1
        shots.forget()
        level = {"INFO"} if count else {"WARNING"}
        self.report(level, f"{count} of {sum(map(len, wanted.values()))} lost shots were found")
        return {"FINISHED"}


class ANIMPORTRAIT_PT_takes(ShotPanel, bpy.types.Panel):
    """The takes of the active shot."""

    bl_label = "Takes"
    bl_order = 7
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """List and buttons."""
        layout, manager = self.layout, context.window_manager
        view = getattr(manager, props.VIEW)
        layout.template_list(
            ANIMPORTRAIT_UL_takes.bl_idname, "", manager, "animportrait_takes", view, "take_index"
        )
        row = layout.row(align=True)
        row.operator(ANIMPORTRAIT_OT_list_takes.bl_idname, icon="FILE_REFRESH")
        row.operator(ANIMPORTRAIT_OT_restore_take.bl_idname, icon="LOOP_BACK").folder = ""
        row = layout.row(align=True)
        row.operator(ANIMPORTRAIT_OT_compare_take.bl_idname, icon="MOD_MIRROR").folder = ""
        row.operator(ANIMPORTRAIT_OT_delete_take.bl_idname, icon="TRASH").folder = ""
        layout.operator(ANIMPORTRAIT_OT_find_takes.bl_idname, icon="VIEWZOOM")


_CLASSES = (
    ANIMPORTRAIT_PG_take,
    ANIMPORTRAIT_UL_takes,
    ANIMPORTRAIT_OT_list_takes,
    ANIMPORTRAIT_OT_restore_take,
    ANIMPORTRAIT_OT_compare_take,
    ANIMPORTRAIT_OT_delete_take,
    ANIMPORTRAIT_OT_find_takes,
    ANIMPORTRAIT_PT_takes,
)


def register() -> None:
    """Adds list, buttons and panel."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.WindowManager.animportrait_takes = CollectionProperty(type=ANIMPORTRAIT_PG_take)


def unregister() -> None:
    """Removes them."""
    del bpy.types.WindowManager.animportrait_takes
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
