"""Landmarks and handles over the picture in the preview, and dragging them with the mouse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import gpu
import numpy as np
from bpy.props import EnumProperty, FloatVectorProperty
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from . import auto, faces, fcurves, handles, keys, preview, props, protocol, shots, strips, takes
from .handles import BY_NAME, HANDLES, Handle
from .sidebar import SidebarPanel

_LINE = (0.10, 0.85, 1.0, 0.55)
_DOT = (1.0, 1.0, 1.0, 0.9)
_HANDLE = (1.0, 0.75, 0.1)
_DOT_PX, _HANDLE_PX = 3.0, 5.5  # radius of a handle


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The frame of a shot that the preview shows."""

    strip: Any
    take: takes.Take
    frame: int  # of the shot
    face: faces.Face

    @property
    def drawn(self) -> dict[str, float]:
        """Values of the channels in the picture."""
        return {name: float(row[self.frame]) for name, row in self.take.asked.items()}

    @property
    def now(self) -> dict[str, float]:
        """Values of the channels on the strip."""
        return {
            name: getattr(self.strip, props.channel_property(name))
            for name in protocol.CHANNEL_NAMES
        }

    def place(self, handle: Handle) -> handles.Vector:
        """Where a handle is: px of the frame."""
        return handle.position(self.face, self.drawn, self.now)


def shown(context: Any) -> Shown | None:
    """What the overlay is about; None when the playhead is on no shot or its take is not read."""
    scene = strips.sequencer_scene(context)
    strip = shots.at_playhead(scene)
    take = shots.known_take(strip) if strip is not None else None
    if take is None:
        return None
    frame = scene.frame_current - strips.origin(strip)
    if not 0 <= frame < take.n_frames:
        return None
    take = auto.drawn(strip, frame) or take
    face = faces.read_face(take.folder, frame)
    return None if face is None else Shown(strip, take, frame, face)


def is_on(context: Any) -> bool:
    """True when landmarks and handles are to be seen."""
    return getattr(context.window_manager, props.VIEW).overlay and preview.is_quiet(context)


def _draw() -> None:
    """Lines and dots; Blender calls it after the picture, in view space."""
    context = bpy.context
    space = context.space_data
    if not is_on(context) or not space.show_overlays or space.display_mode != "IMAGE":
        return
    found = shown(context)
    if found is None:
        return
    segments, dots = _batches(found)
    gpu.state.blend_set("ALPHA")
    with gpu.matrix.push_pop():
        matrix = preview.frame_to_view(found.strip, found.take.size)
        gpu.matrix.multiply_matrix(Matrix(preview.four_by_four(matrix)))
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        shader.bind()
        shader.uniform_float("color", _LINE)
        segments.draw(shader)
        gpu.state.point_size_set(_DOT_PX * context.preferences.system.ui_scale)
        shader.uniform_float("color", _DOT)
        dots.draw(shader)
    gpu.state.point_size_set(1.0)
    gpu.state.blend_set("NONE")


def _batches(found: Shown) -> tuple[Any, Any]:
    """Lines and dots of a frame; the last ones are kept, as most redraws show the same frame."""
    key = (found.take.folder, found.frame)
    if _batch.get("key") != key:
        points = np.hstack([found.face.ibug, np.zeros((68, 1), np.float32)])
        lines = [pair for line in handles.LINES for pair in zip(line, line[1:], strict=False)]
        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        _batch["lines"] = batch_for_shader(shader, "LINES", {"pos": points}, indices=lines)
        _batch["dots"] = batch_for_shader(shader, "POINTS", {"pos": points})
        _batch["key"] = key
    return _batch["lines"], _batch["dots"]


class ANIMPORTRAIT_PT_preview(SidebarPanel, bpy.types.Panel):
    """What is drawn over the preview."""

    bl_label = "Preview"
    bl_order = 5
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Overlay and onion skin."""
        view = getattr(context.window_manager, props.VIEW)
        layout = self.layout
        layout.use_property_split = True
        layout.prop(view, "overlay")
        layout.prop(view, "ghost")
        if view.ghost != "NONE":
            layout.prop(view, "ghost_alpha")


class ANIMPORTRAIT_GGT_handles(bpy.types.GizmoGroup):
    """Handles of lips, lids and pupils."""

    bl_idname = "ANIMPORTRAIT_GGT_handles"
    bl_label = "Face Handles"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "PREVIEW"
    bl_options = {"PERSISTENT", "SCALE"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Like the landmarks."""
        return is_on(context) and shown(context) is not None

    def setup(self, _context: Any) -> None:
        """One round button each; pressing it starts the drag."""
        for handle in HANDLES:
            button = self.gizmos.new("GIZMO_GT_button_2d")
            button.icon = "BLANK1"  # without any Blender crashes
            button.draw_options = {"BACKDROP", "OUTLINE"}
            button.color, button.alpha = _HANDLE, 0.35
            button.color_highlight, button.alpha_highlight = (1.0, 1.0, 1.0), 0.8
            button.scale_basis = _HANDLE_PX
            button.use_draw_modal = True
            operator = button.target_set_operator(ANIMPORTRAIT_OT_drag_handle.bl_idname)
            operator.handle = handle.name

    def draw_prepare(self, context: Any) -> None:
        """Puts each handle where it is now."""
        found = shown(context)
        if found is None:
            return
        to_region = preview.view_to_region(context.region) @ preview.frame_to_view(
            found.strip, found.take.size
        )
        for button, handle in zip(self.gizmos, HANDLES, strict=True):
            x, y = preview.apply(to_region, found.place(handle))
            button.matrix_basis[0][3], button.matrix_basis[1][3] = x, y


class ANIMPORTRAIT_OT_drag_handle(bpy.types.Operator):
    """Drag this part of the face; its channels get a key on this frame. Esc: leave it."""

    bl_idname = "animportrait.drag_handle"
    bl_label = "Drag Face Handle"
    bl_options = {"REGISTER", "UNDO", "BLOCKING"}

    handle: EnumProperty(
        name="Handle", items=[(handle.name, handle.label, "") for handle in HANDLES]
    )
    by: FloatVectorProperty(
        name="By", size=2, description="Pixels of the frame, to the right and down"
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot under the playhead."""
        if shown(context) is not None:
            return True
        cls.poll_message_set("Put the playhead onto a portrait's image strip")
        return False

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Begins to follow the mouse."""
        found = shown(context)
        matrix = preview.view_to_region(context.region) @ preview.frame_to_view(
            found.strip, found.take.size
        )
        self._to_frame = np.linalg.inv(matrix)
        self._mouse = self._place_of(event)
        self._begin(found)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> set[str]:
        """Follows; release keeps, Esc and the right button put back."""
        if event.type == "MOUSEMOVE":
            self.by = self._place_of(event) - self._mouse
            self._follow(context)
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            return {"FINISHED"}
        elif event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            self._put_back(context)
            return {"CANCELLED"}
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """For scripts, and to adjust the last drag."""
        self._begin(shown(context))
        self._follow(context)
        return {"FINISHED"}

    def _place_of(self, event: Any) -> handles.Vector:
        """Where the mouse is: px of the frame."""
        return preview.apply(self._to_frame, (event.mouse_region_x, event.mouse_region_y))

    def _begin(self, found: Shown) -> None:
        """Remembers where everything is, by name: the strip may be another one after undo."""
        handle = BY_NAME[self.handle]
        self._from, self._drawn, self._face = found.place(handle), found.drawn, found.face
        self._strip = found.strip.name
        self._keyed: set[str] = set()  # channels that this drag has changed
        scene = found.strip.id_data
        self._before = {
            name: (found.now[name], keys.read(_curve(scene, found.strip, name)))
            for name in handle.channels
        }

    def _follow(self, context: Any) -> None:
        """Keys the channels that this drag has changed, at this frame."""
        scene = strips.sequencer_scene(context)
        strip = strips.named(scene, self._strip)
        if strip is None:
            return
        to = self._from + np.array(self.by, np.float64)
        found = BY_NAME[self.handle].dragged(self._face, self._drawn, to)
        for channel in protocol.CHANNELS:
            if channel.name not in found:
                continue
            before, _ = self._before[channel.name]
            value = found[channel.name]
            if channel.name not in self._keyed:
                if abs(value - before) <= takes.tolerance(channel):
                    continue
                self._keyed.add(channel.name)
            name = props.channel_property(channel.name)
            setattr(strip, name, value)
            strip.keyframe_insert(name, frame=scene.frame_current)
            curve = _curve(scene, strip, channel.name)
            fcurves.mark_edited(curve, np.array([scene.frame_current], np.float64))
        shots.mark_stale()
        strips.redraw()

    def _put_back(self, context: Any) -> None:
        """Everything as it was, bit for bit."""
        scene = strips.sequencer_scene(context)
        strip = strips.named(scene, self._strip)
        if strip is None:
            return
        for name in self._keyed:
            value, kept = self._before[name]
            fcurves.restore(scene, shots.channel_path(strip, name), kept)
            setattr(strip, props.channel_property(name), value)
        shots.mark_stale()
        strips.redraw()


def _curve(scene: Any, strip: Any, channel: str) -> Any | None:
    return fcurves.find(scene, shots.channel_path(strip, channel))


_batch: dict[str, Any] = {}
_drawing: list[Any] = []
_CLASSES = (ANIMPORTRAIT_OT_drag_handle, ANIMPORTRAIT_GGT_handles, ANIMPORTRAIT_PT_preview)


def register() -> None:
    """Adds what is drawn over the preview."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    space = bpy.types.SpaceSequenceEditor
    if not bpy.app.background:
        _drawing.append(space.draw_handler_add(_draw, (), "PREVIEW", "POST_VIEW"))


def unregister() -> None:
    """Removes it."""
    while _drawing:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_drawing.pop(), "PREVIEW")
    _batch.clear()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
