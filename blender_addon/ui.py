"""Panels in the sequencer's sidebar, tab "Portrait". They only read."""

from typing import Any

import bpy

from . import (
    clipboard,
    directions,
    drawing,
    folders,
    layers,
    ops,
    paragraph,
    prefs,
    props,
    protocol,
    queue_list,
    rigs,
    shots,
    sounds,
    strips,
    subject,
)
from .sidebar import ShotPanel, SidebarPanel

_LOOK = ("renderer", "style", "size", "seed", "holds")


class ANIMPORTRAIT_PT_shot(SidebarPanel, bpy.types.Panel):
    """What is animated, how, and the button."""

    bl_label = "Shot"
    bl_order = 0

    def draw(self, context: Any) -> None:
        """Set-up first, if there is no server."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        if prefs.flaw(context):
            prefs.draw_set_up(layout, context)
        scene = strips.sequencer_scene(context)
        if scene is None:
            layout.label(text="Choose a scene in the header", icon="INFO")
            return
        shot, sound, portrait = subject.subject(scene)
        settings = getattr(shot if shot is not None else scene, props.SETTINGS)
        _draw_sources(layout, scene, settings, sound, portrait)
        column = layout.column()
        for name in _LOOK:
            column.prop(settings, name)
        row = layout.row()
        row.scale_y = 1.4
        text = "Animate Again" if shot is not None else "Animate Portrait"
        row.operator(drawing.ANIMPORTRAIT_OT_animate.bl_idname, text=text, icon="PLAY")
        queue_list.draw_running(layout)


class ANIMPORTRAIT_PT_settings(SidebarPanel, bpy.types.Panel):
    """Less often needed."""

    bl_label = "More Settings"
    bl_parent_id = "ANIMPORTRAIT_PT_shot"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A scene keeps them."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        """All params of the protocol that the chosen style uses."""
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        settings = getattr(shot if shot is not None else scene, props.SETTINGS)
        layout.prop(settings, "face_index")
        layout.prop(settings, "landmarks")
        for param in protocol.PARAMS:
            if not param.styles or settings.style in param.styles:
                layout.prop(settings, param.name)


class ANIMPORTRAIT_PT_edit(ShotPanel, bpy.types.Panel):
    """The channels of the active shot."""

    bl_label = "Edit"
    bl_order = 2

    def draw(self, context: Any) -> None:
        """What to do with the changes, in reach of a small sidebar, then the sliders."""
        layout = self.layout
        layout.use_property_split = True
        shot = shots.active_shot(strips.sequencer_scene(context))
        status = shots.status(shot)
        if status is None or shots.is_looking():
            text, icon = "Looking for changes ...", "TIME"
        elif status.take is None:
            text, icon = status.problem, "ERROR"
        else:
            text = f"{status.dirty} of {status.visible} frames to draw"
            icon = "CHECKMARK" if status.dirty == 0 else "GREASEPENCIL"
        paragraph.draw(layout, context, text, icon)
        if status is not None and status.directions:
            text = f"Changed: {', '.join(status.directions)}"
            paragraph.draw(layout, context, text, "GREASEPENCIL")
        changed = sounds.difference(shot)
        if changed:
            paragraph.draw(layout, context, changed, "ERROR")
            layout.operator(drawing.ANIMPORTRAIT_OT_follow_sound.bl_idname, icon="SOUND")
        if len(getattr(shot, "retiming_keys", ())):
            text = "This strip is retimed: keys stay where they are"
            paragraph.draw(layout, context, text, "ERROR")
        if folders.is_temporary(strips.shown_folder(shot)):
            paragraph.draw(layout, context, "Frames are temporary: save the file", "ERROR")
        column = layout.column(align=True)
        row = column.row(align=True)
        row.scale_y = 1.4
        row.operator(drawing.ANIMPORTRAIT_OT_render_edits.bl_idname, icon="FILE_REFRESH")
        column.operator(drawing.ANIMPORTRAIT_OT_render_current_frame.bl_idname, icon="RENDER_STILL")
        column.prop(getattr(context.window_manager, props.VIEW), "auto_render")
        column = layout.column(align=True)
        for channel in protocol.CHANNELS:
            column.prop(shot, props.channel_property(channel.name), slider=True)
        row = layout.row(align=True)
        row.operator(ops.ANIMPORTRAIT_OT_clear_edits.bl_idname, icon="LOOP_BACK")
        row.operator(ops.ANIMPORTRAIT_OT_expose_landmarks.bl_idname, icon="EMPTY_AXIS")
        row = layout.row(align=True)
        row.operator(clipboard.ANIMPORTRAIT_OT_copy_edits.bl_idname, icon="COPYDOWN")
        row.operator(clipboard.ANIMPORTRAIT_OT_paste_edits.bl_idname, icon="PASTEDOWN")
        layout.operator(rigs.ANIMPORTRAIT_OT_animate_mesh.bl_idname, icon="SHAPEKEY_DATA")
        layout.operator(layers.ANIMPORTRAIT_OT_lay_out_layers.bl_idname, icon="RENDERLAYERS")


class ANIMPORTRAIT_PT_report(SidebarPanel, bpy.types.Panel):
    """How well the mouth keeps the rules."""

    bl_label = "Report"
    bl_order = 3
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot whose take has been read."""
        shot = shots.active_shot(strips.sequencer_scene(context))
        status = shots.status(shot) if shot is not None else None
        return status is not None and status.take is not None

    def draw(self, context: Any) -> None:
        """Silence, closures, breaches, warnings."""
        layout = self.layout
        shot = shots.active_shot(strips.sequencer_scene(context))
        status = shots.status(shot)
        if status is None or status.take is None:
            return
        take, first = status.take, strips.origin(shot)
        report = take.report
        layout.label(text=f"Take: {take.folder.name}", icon="RENDER_ANIMATION")
        layout.label(text=f"Lips move in {report.silence_motion:.0%} of the silence")
        closures = f"{report.closure_hits} of {report.closure_total} lip closures shut"
        layout.label(text=closures)
        kept = shots.record(shot)
        if kept is not None:
            directions.draw_breaches(layout, take, kept, first)
        for text in take.warnings:
            paragraph.draw(layout, context, text, "ERROR")


def _draw_sources(
    layout: Any, scene: Any, settings: Any, sound: Any | None, portrait: Any | None
) -> None:
    row = layout.row(align=True)
    row.prop(settings, "image", text="Portrait")
    if not settings.image:
        source = subject.picture_strip(scene)
        text = f'From the strip "{source.name}"' if source is not None else "Drop a picture here"
        layout.label(text=text, icon="IMAGE_DATA")
    elif portrait is not None:
        layout.label(text=portrait.name, icon="IMAGE_DATA")
    if sound is None:
        layout.label(text="No sound: select a sound strip", icon="ERROR")
        return
    span = strips.visible(sound)
    muted = ", muted" if strips.is_muted(sound) else ""
    text = f"{sound.name} ({span.length} frames{muted})"
    layout.label(text=text, icon="SOUND")


_CLASSES = (
    ANIMPORTRAIT_PT_shot,
    ANIMPORTRAIT_PT_settings,
    ANIMPORTRAIT_PT_edit,
    ANIMPORTRAIT_PT_report,
)


def register() -> None:
    """Adds the panels."""
    for each in _CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    """Removes them."""
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
