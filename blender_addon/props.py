"""What is stored in the .blend: settings on scenes and shots, channels on strips.

The channels are flat properties of the Strip type: only there can an artist key them from a panel.
"""

import zlib
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import protocol, strips

PREFIX = "animportrait_"
RECORD = "animportrait_shot"  # of a strip: the shot's record as JSON, see shots.py
WORD = "animportrait_word"  # of a text strip: what word_strips.py knows of it, as JSON
TRANSCRIPT, LANGUAGE = "animportrait_transcript", "animportrait_language"  # of a strip
ENGLISH = "en"
_LANGUAGES = {
    ENGLISH: "English", "cs": "Czech", "de": "German", "es": "Spanish", "fr": "French",
    "it": "Italian", "ja": "Japanese (kana)", "ko": "Korean", "nl": "Dutch", "pl": "Polish",
    "pt": "Portuguese", "ru": "Russian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian",
    "zh": "Chinese (pinyin)",
}  # fmt: skip
SETTINGS = "animportrait"  # of a scene and of a strip
VIEW = "animportrait_view"  # of the window manager: not saved, not undone

_PROPERTY_OF = {float: FloatProperty, str: StringProperty, bool: BoolProperty}
_BEFORE_HELLO: dict[str, tuple[dict[str, Any], ...]] = {  # what our server will say
    "renderer": ({"name": "mesh_warp", "label": "Mesh Warp", "available": True, "reason": ""},),
    "style": tuple(
        {"name": name, "label": name.title(), "available": True, "reason": ""}
        for name in ("photo", "ink", "pencil", "cartoon", "oil", "watercolour")
    ),
}
_offered = dict(_BEFORE_HELLO)
RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5) else set()
_items: dict[str, list[tuple[str, str, str, int]]] = {}  # Blender needs them to stay referenced


def channel_property(name: str) -> str:
    """The property of a strip that holds a channel."""
    return PREFIX + name


def amount(name: str) -> str:
    """The animatable amount of that param, as a channel of the strip."""
    return f"{name}_over_time"


def file_properties() -> tuple[str, ...]:
    """The settings that are files."""
    return ("image", "landmarks", *(param.name for param in protocol.PARAMS if param.is_path))


def offer(renderers: tuple[dict[str, Any], ...], styles: tuple[dict[str, Any], ...]) -> None:
    """Takes over what the server can draw with."""
    for kind, listed in (("renderer", renderers), ("style", styles)):
        if listed:
            _offered[kind] = listed
    _items.clear()


def unavailable(kind: str, name: str) -> str:
    """Why a "renderer" or "style" cannot be used; empty when it can."""
    for each in _offered[kind]:
        if each["name"] == name:
            return "" if each.get("available", True) else str(each.get("reason", "unavailable"))
    return "" if name else "it is not known to this server"


def _number(name: str) -> int:
    """A number that stays with a name whatever else is listed; Blender saves the number."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF


def _listed(kind: str) -> list[tuple[str, str, str, int]]:
    if kind not in _items:
        _items[kind] = [
            (
                each["name"],
                each.get("label", each["name"]),
                "" if each.get("available", True) else f"Unavailable: {each.get('reason', '')}",
                _number(each["name"]),
            )
            for each in _offered[kind]
        ]
    return _items[kind]


def _renderers(_settings: Any, _context: Any) -> list[tuple[str, str, str, int]]:
    return _listed("renderer")


def _styles(_settings: Any, _context: Any) -> list[tuple[str, str, str, int]]:
    return _listed("style")


class ANIMPORTRAIT_PG_settings(bpy.types.PropertyGroup):
    """How a shot is to be made; one on the scene for the next shot, one on each shot's strip."""

    image: StringProperty(
        name="Portrait",
        subtype="FILE_PATH",
        options=RELATIVE,
        description="Picture of a face: a photo, a painting or a drawing",
    )
    face_index: IntProperty(
        name="Face", min=0, max=99, description="Which face of the picture; 0 is the largest"
    )
    landmarks: StringProperty(
        name="Landmarks",
        subtype="FILE_PATH",
        options=RELATIVE,
        description="For a picture in which no face is found: points that you have placed, as a "
        'JSON file like that of "animate-portrait analyze --json". Empty: they are found',
    )
    renderer: EnumProperty(
        name="Renderer",
        items=_renderers,
        default=_number("mesh_warp"),
        description="What draws the frames",
    )
    style: EnumProperty(
        name="Style", items=_styles, default=_number("photo"), description="How the frames look"
    )
    size: IntProperty(
        name="Size",
        default=512,
        min=protocol.MIN_SIZE,
        max=protocol.MAX_SIZE,
        subtype="PIXEL",
        description="Longer side of a frame; the resolution of the scene is not changed",
    )
    seed: IntProperty(
        name="Seed", min=0, description="Another number gives other blinks and other head motion"
    )
    holds: EnumProperty(
        name="Holds",
        items=[
            ("1", "On Ones", "A new drawing for every frame", 1),
            ("2", "On Twos", "Each drawing stays for two frames", 2),
            ("3", "On Threes", "Each drawing stays for three frames", 3),
            ("MARKERS", "From Markers", 'A drawing starts at each marker named "hold"', 4),
        ],
        default="1",
        description="How many frames a drawing stays",
    )
    lead: IntProperty(
        name="Lead",
        min=0,
        max=protocol.MAX_LEAD,
        description="Frames that the picture runs ahead of the sound",
    )
    use_cues: BoolProperty(
        name="Cues from Markers",
        description="Blinks and gaze are those of the timeline markers in the shot",
    )


def _redraw(_view: Any, _context: Any) -> None:
    strips.redraw()


class ANIMPORTRAIT_PG_view(bpy.types.PropertyGroup):
    """What is shown, and done without asking; not part of the file."""

    overlay: BoolProperty(
        name="Landmarks and Handles",
        description="Draw the face over the preview; drag lip corners, lip centre, lids or pupils",
        update=_redraw,
    )
    ghost: EnumProperty(
        name="Onion Skin",
        items=[
            ("NONE", "Off", "Only the picture"),
            ("PREVIOUS_TAKE", "Previous Take", "This frame as the take before shows it"),
            ("NEXT_TAKE", "Next Take", "This frame as the take after shows it"),
            ("PREVIOUS_FRAME", "Previous Drawing", "The drawing before this one"),
            ("NEXT_FRAME", "Next Drawing", "The drawing after this one"),
        ],
        default="NONE",
        description="Another picture, half transparent, over the preview",
        update=_redraw,
    )
    ghost_alpha: FloatProperty(
        name="Opacity",
        default=0.4,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="Of the onion skin",
        update=_redraw,
    )
    shape_set: EnumProperty(
        name="Set",
        items=[(name, name, "") for name in ("Rhubarb", "Preston Blair", "My Shapes")],
        description="Which shapes the buttons and the menu (Shift Q) offer",
    )
    shape_frames: IntProperty(
        name="Frames", default=4, min=1, max=1000, description="How long an applied shape stays"
    )
    take_index: IntProperty(options={"HIDDEN"})  # of the chosen row in the list of takes
    auto_render: BoolProperty(
        name="Render While Editing",
        description="Draw the current frame by itself after a key was changed or dragged, and "
        "while scrubbing over changed frames",
    )


def rgb_of(colour: str) -> tuple[float, float, float]:
    """ "#rrggbb" as sRGB values 0..1."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red / 255, green / 255, blue / 255


def colour_of(rgb: Any) -> str:
    """sRGB values 0..1 as "#rrggbb"."""
    return "#" + bytes(round(255 * value) for value in rgb).hex()


def _param_property(param: protocol.Param) -> Any:
    options = {"name": param.label, "default": param.default, "description": param.description}
    if param.choices:
        items = [(choice, choice.title(), "") for choice in param.choices]
        return EnumProperty(items=items, **options)
    if param.is_colour:
        options |= {"default": rgb_of(str(param.default)), "subtype": "COLOR_GAMMA"}
        return FloatVectorProperty(min=0.0, max=1.0, **options)
    if param.is_path:
        options |= {"subtype": "FILE_PATH", "options": RELATIVE}
    if param.minimum is not None and param.maximum is not None:
        options |= {"min": param.minimum, "max": param.maximum}
    return _PROPERTY_OF[type(param.default)](**options)


def _amount_property(param: protocol.Param) -> Any:
    return FloatProperty(
        name=f"{param.label} Over Time",
        default=1.0,
        min=0.0,
        max=2.0,
        description=f"Times {param.label} of More Settings, keyed: {param.description}",
        options={"ANIMATABLE"},
    )


def _channel_property(channel: protocol.Channel) -> Any:
    unit = " (degrees)" if channel.unit == "deg" else ""
    return FloatProperty(
        name=channel.label,
        default=channel.rest,
        min=channel.minimum,
        max=channel.maximum,
        description=f"{channel.description}{unit}",
        options={"ANIMATABLE"},
    )


def _transcript_property() -> Any:
    text = "What is said; empty: the text strip that lies over the shot"
    return StringProperty(name="Transcript", description=text)


def _language_property() -> Any:
    items = [(code, name, "") for code, name in _LANGUAGES.items()]
    return EnumProperty(
        name="Language",
        items=items,
        default=ENGLISH,
        description="Of the transcript; all but English are aligned by the sounds of English",
    )


def register() -> None:
    """Adds the properties."""
    for param in protocol.PARAMS:
        ANIMPORTRAIT_PG_settings.__annotations__[param.name] = _param_property(param)
    bpy.utils.register_class(ANIMPORTRAIT_PG_settings)
    bpy.utils.register_class(ANIMPORTRAIT_PG_view)
    setattr(bpy.types.WindowManager, VIEW, PointerProperty(type=ANIMPORTRAIT_PG_view))
    strip_type = strips.strip_type()
    for owner in (bpy.types.Scene, strip_type):
        setattr(owner, SETTINGS, PointerProperty(type=ANIMPORTRAIT_PG_settings))
    for channel in protocol.CHANNELS:
        setattr(strip_type, channel_property(channel.name), _channel_property(channel))
    for param in protocol.PARAMS:
        if param.name in protocol.AMOUNTS:
            setattr(strip_type, channel_property(amount(param.name)), _amount_property(param))
    setattr(strip_type, RECORD, StringProperty(name="Shot", options={"HIDDEN"}))
    setattr(strip_type, WORD, StringProperty(name="Word", options={"HIDDEN"}))
    setattr(strip_type, TRANSCRIPT, _transcript_property())
    setattr(strip_type, LANGUAGE, _language_property())


def unregister() -> None:
    """Removes the properties; values and F-Curves stay in the .blend."""
    strip_type = strips.strip_type()
    for name in (RECORD, WORD, TRANSCRIPT, LANGUAGE):
        delattr(strip_type, name)
    for name in protocol.AMOUNTS:
        delattr(strip_type, channel_property(amount(name)))
    for channel in protocol.CHANNELS:
        delattr(strip_type, channel_property(channel.name))
    for owner in (strip_type, bpy.types.Scene):
        delattr(owner, SETTINGS)
    delattr(bpy.types.WindowManager, VIEW)
    bpy.utils.unregister_class(ANIMPORTRAIT_PG_view)
    bpy.utils.unregister_class(ANIMPORTRAIT_PG_settings)
