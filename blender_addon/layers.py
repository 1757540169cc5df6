"""The layers of a take on the timeline: background, head, eyes, mouth as strips of one meta."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import ops, shots, strips, takes

_OF, _LAYER = "animportrait_layer_of", "animportrait_layer"  # of a strip: shot id, name of a folder


def of(shot: Any) -> list[Any]:
    """The strips that show layers of a shot."""
    kept = shots.record(shot)
    if kept is None:
        return []
    return [strip for strip in strips.every(shot.id_data) if strip.get(_OF) == kept.shot_id]


def follow(shot: Any, folder: Path) -> None:
    """Makes the layers of a shot show another take, as far as that has them."""
    for strip in of(shot):
        if (folder / strip[_LAYER]).is_dir():
            strips.show_folder(strip, folder / strip[_LAYER])


class ANIMPORTRAIT_OT_lay_out_layers(bpy.types.Operator):
    """Put the layers of this shot onto the timeline as a meta strip, and mute the shot itself."""

    bl_idname = "animportrait.lay_out_layers"
    bl_label = "Lay Out Layers"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot whose take has layers that are not laid out yet."""
        scene = strips.sequencer_scene(context)
        reason = ops.no_shot(scene)
        if not reason:
            shot = shots.active_shot(scene)
            take = shots.known_take(shot)
            if take is None or not take.layers:
                reason = "Switch on Layers in More Settings, then press Animate Again"
            elif of(shot):
                reason = "The layers lie on the timeline already"
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def execute(self, context: Any) -> set[str]:
        """Bottom to top, as the take lists them; they follow Render Edits."""
        scene = strips.sequencer_scene(context)
        shot = shots.active_shot(scene)
        take, kept = shots.take_of(shot), shots.record(shot)
        if kept is None:
            return {"CANCELLED"}
        names = [takes.frame_name(frame) for frame in range(take.n_frames)]
        first = strips.origin(shot)
        span = strips.Span(first, first + take.n_frames)
        meta = strips.new_meta(scene, f"{shot.name} layers", span, shot)
        for layer in take.layers:
            path = take.folder / layer / names[0]
            strip = strips.new_image_strip(scene, f"{shot.name} {layer}", path, span, None)
            for _ in strips.set_elements(strip, names):
                pass
            strip[_OF], strip[_LAYER] = kept.shot_id, layer
            strips.put_into(strip, meta)
        strips.place_handles(meta, strips.visible(shot))
        shot.mute = True
        strips.make_active(scene, shot)
        return {"FINISHED"}


def register() -> None:
    """Adds the button."""
    bpy.utils.register_class(ANIMPORTRAIT_OT_lay_out_layers)


def unregister() -> None:
    """Removes it."""
    bpy.utils.unregister_class(ANIMPORTRAIT_OT_lay_out_layers)
