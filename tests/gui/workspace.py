"""Arranges Blender's window as an artist would for this work, and fills the timeline."""

from __future__ import annotations

import time
from pathlib import Path

from .blender_window import BlenderWindow

# One command per step: Blender lays the areas out anew between commands, not within one.
_ARRANGE = (
    "area('VIEW_3D').__setattr__('type', 'SEQUENCE_EDITOR')",
    *(
        f"with bpy.context.temp_override(window=window(), area=area('{kind}')):\n"
        "    bpy.ops.screen.area_close()"
        for kind in ("OUTLINER", "PROPERTIES", "DOPESHEET_EDITOR")
    ),
    "with over('WINDOW'):\n    bpy.ops.screen.area_split(direction='HORIZONTAL', factor=0.27)",
    "low = min((a for a in window().screen.areas if a.type == 'SEQUENCE_EDITOR'),"
    " key=lambda a: a.y)\n"
    "low.type = 'GRAPH_EDITOR'",
    "with over('WINDOW'):\n    bpy.ops.screen.area_split(direction='VERTICAL', factor=0.38)",
    "left = min((a for a in window().screen.areas if a.type == 'SEQUENCE_EDITOR'),"
    " key=lambda a: a.x)\n"
    "left.spaces[0].view_type = 'PREVIEW'\n"
    "left.spaces[0].show_region_toolbar = False",
    "space = area('SEQUENCER').spaces[0]\n"
    "space.show_region_toolbar = False\n"
    "space.show_region_ui = True\n"
    "area('GRAPH_EDITOR').spaces[0].show_region_ui = False",
)


def arrange(blender: BlenderWindow) -> None:
    """Preview on the left, strips and their sidebar on the right, Graph Editor below."""
    for step in _ARRANGE:
        blender.ask(step)
    show_tab(blender)


def show_tab(blender: BlenderWindow) -> None:
    """Opens our tab; that works only when a panel of ours is in the sidebar."""
    blender.ask("region('UI').tag_redraw()")
    blender.wait(
        lambda: (
            blender.ask(
                "region('UI').__setattr__('active_panel_category', 'Portrait') or"
                " region('UI').active_panel_category"
            )
            == "Portrait"
        ),
        "a tab named Portrait",
    )


def show_panels(blender: BlenderWindow, folder: Path, panels: dict[str, tuple[str, ...]]) -> None:
    """Saves a picture of the window for each group of our panels, with only these, and open.

    Args:
        blender: the window; its other panels of ours are gone afterwards.
        folder: for the pictures, `panel_<name>.png`.
        panels: name of a picture -> labels of panels.
    """
    for name, labels in panels.items():
        blender.ask(f"""
for cls in bpy.types.Panel.__subclasses__() + [
    each for base in bpy.types.Panel.__subclasses__() for each in base.__subclasses__()
]:
    if getattr(cls, "bl_category", "") != "Portrait" or hasattr(cls, "bl_parent_id"):
        continue
    if cls.is_registered:
        bpy.utils.unregister_class(cls)
    if cls.bl_label in {labels!r}:
        cls.bl_idname = cls.__name__ + "_opened"  # Blender remembers that it was closed
        cls.bl_options = set()
        bpy.utils.register_class(cls)
""")
        show_tab(blender)
        blender.desktop.move(800, 60)
        time.sleep(0.7)  # the last redraw, for the picture's sake
        blender.desktop.save(folder / f"panel_{name}.png")


def lay_sound(blender: BlenderWindow, sound: Path, size: int, fps: int) -> None:
    """A scene of that size (px) and rate, with the sound (as Blender sees it) on channel 1."""
    blender.ask(f"""
scene = bpy.context.scene
scene.render.resolution_x = scene.render.resolution_y = {size}
scene.render.fps = {fps}
scene.view_settings.view_transform = "Standard"
editor = scene.sequence_editor_create()
sound = editor.sequences.new_sound("voice", {str(sound)!r}, 1, 1)
editor.active_strip = sound
scene.frame_end = sound.frame_final_end
""")


def show_everything(blender: BlenderWindow) -> None:
    """Fits strips, picture and curves into their areas."""
    for region, place, operator in (
        ("WINDOW", "SEQUENCER", "sequencer.view_all"),
        ("PREVIEW", "PREVIEW", "sequencer.view_all_preview"),
        ("WINDOW", "GRAPH_EDITOR", "graph.view_all"),
    ):
        blender.ask(f"with over('{region}', '{place}'):\n    bpy.ops.{operator}()")
    blender.ask(
        "with over('CHANNELS', 'GRAPH_EDITOR'):\n    bpy.ops.anim.channels_expand(all=True)"
    )
