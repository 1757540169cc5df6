"""What the add-on and the server say to each other; the same bytes live in both packages.

One JSON-RPC 2.0 object per line, UTF-8, over the child's stdin and stdout.

Requests (client -> server), each answered once by `result` or `error`:
    hello    {protocol, client}            -> {protocol, version, pid, python, home,
                                               renderers, styles}
    ping     {}                            -> {uptime_s, busy}
    analyze  {image, landmarks?}           -> {width, height, kind, faces: [face]}
    align    {audio, transcript, language} -> {words: [{word, start_s, end_s}], doubtful: [index],
                                               language, approximate, warnings}
    render   {spec: shot spec}             -> {take, n_frames, rendered, reused, warnings, seconds}
    import   {file, fps, n_frames?}        -> {shapes, cues: [{frame, shape}], channels}
    export   {take, format, file}          -> {file, cues}
    free_gpu {}                            -> {freed_bytes}
`hello` comes first; it is answered before any heavy import. `renderers` and `styles` are lists of
{name, label, available, reason}. One `render`, `analyze` or `align` runs at a time: a second is
refused with kind Busy (the queue lives in the add-on, where it can be seen).

`import` reads mouth cues of Rhubarb, Papagayo or Moho, or ARKit curves ("shapes" is then empty):
`channels` are edits of a shot that is held from cue to cue. `export` writes a take as EXPORTS.

Notifications (client -> server), never answered:
    cancel   {id}      stop the running request `id`; it then ends with kind Cancelled
    shutdown {}        finish now; end of file on stdin means the same

Events (server -> client), notifications:
    progress {id, stage, done, total, eta_s}     stage: STAGES; at most 10 a second
    frames   {id, frames: [index]}               frames newly on disk; at most 10 a second
    log      {level, message}                    something the artist should read

Errors: {code, message, data: {kind, hint}}; `kind` is a class name of the server's errors.py.
Times are seconds, frames are 0-based indices inside the shot, fps is [numerator, denominator].

A shot spec is the complete shot; what is not named has a default:
    image, audio {path, start_s, duration_s}, fps, out_dir      these must be there
    shot_id, n_frames, face_index, landmarks, size, renderer, style, seed, base_take
    params     {name: value}, see PARAMS
    channels   {name: {"frame": value}}, the artist's edits; see CHANNELS
    holds      1, 2, 3, or the frames at which a new drawing starts, in order, 0 first
    lead       frames that the picture is ahead of the sound, 0 to MAX_LEAD
    amounts    {name: [[frame, factor], ...]} of AMOUNTS: times the param, linear between frames
    cues       null, or a list of {frame, kind "blink", eye "both" | "l" | "r"} and of
               {frame, kind "gaze", target "camera" | "wander" | [x_deg, y_deg]}. Blinks replace
               those that are generated; an empty list: no blinks. A gaze lasts to the next one.
    words      null, or a list of {word, start_s, end_s, from_start_s?, from_end_s?, said?,
               language?} in seconds of the range: where a word is shown, where in the sound it is
               taken from, and what is said there; another word than `said` is spoken in its place
    overruled  frames whose breaches the artist accepts
`take.json` says back: the spec; "cues", the blinks that are in the frames, as cues; "report"
{silence_motion, closures {hits, total}, breaches [{frame, kind}], overruled [{frame, kind}]};
"layers", names bottom to top, [] without params.layers: in the folder of that name in the take lie
RGBA frames, straight alpha, and all layers laid over each other are the frame.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

PROTOCOL_VERSION = 1
MAX_LINE_BYTES = 16 * 1024 * 1024  # a 60-minute shot with every channel edited is about 8 MB

METHODS = ("hello", "ping", "analyze", "align", "render", "import", "export", "free_gpu")
EXPORTS = (
    "rhubarb.tsv", "rhubarb.json", "rhubarb.xml", "moho.dat", "papagayo.pgo", "arkit.csv",
    "arkit.json",
)  # fmt: skip
NOTIFICATIONS = ("cancel", "shutdown")
STAGES = ("portrait", "speech", "motion", "prepare", "render", "finish")

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
APPLICATION_ERROR = -32000

MIN_SIZE, MAX_SIZE = 128, 2048  # px, longer side of a frame
SUPPORTED_HOLDS = (1, 2, 3)
MAX_LEAD = 2  # frames
AMOUNTS = ("lip_amount", "head_amount", "eye_amount")  # params that may change within a shot


@dataclass(frozen=True)
class Channel:
    """One artist curve of a shot: absolute values, one per frame."""

    name: str  # also the F-Curve's property, prefixed
    label: str
    rest: float  # value of a neutral face looking at the camera
    minimum: float
    maximum: float
    unit: str  # "" or "deg"
    description: str


# fmt: off
CHANNELS = (  # right and left of the picture; eyes are the own eyes of the person
    Channel("lip_open", "Lip Open", 0.0, 0.0, 1.0, "", "0 lips closed, 1 as wide as a loud 'ah'"),
    Channel("lip_width", "Lip Width", 0.0, -1.0, 1.0, "", "-1 narrow, 0 as pictured, 1 wide"),
    Channel("lip_round", "Lip Round", 0.0, 0.0, 1.0, "", "0 relaxed, 1 pursed as in 'oo'"),
    Channel("smile", "Smile", 0.0, -1.0, 1.0, "", "-1 mouth corners down, 1 up"),
    Channel("eye_open_l", "Eye Open L", 1.0, 0.0, 1.3, "", "person's left: 0 shut, 1 as pictured"),
    Channel("eye_open_r", "Eye Open R", 1.0, 0.0, 1.3, "", "person's right: 0 shut, 1 as pictured"),
    Channel("gaze_x", "Gaze X", 0.0, -30.0, 30.0, "deg", "positive looks right"),
    Channel("gaze_y", "Gaze Y", 0.0, -25.0, 25.0, "deg", "positive looks up"),
    Channel("brow", "Brow", 0.0, -1.0, 1.0, "", "-1 lowered, 1 raised"),
    Channel("head_yaw", "Head Yaw", 0.0, -40.0, 40.0, "deg", "positive turns to the right"),
    Channel("head_pitch", "Head Pitch", 0.0, -30.0, 30.0, "deg", "positive looks up"),
    Channel("head_roll", "Head Roll", 0.0, -40.0, 40.0, "deg", "positive tilts clockwise"),
)
# fmt: on
CHANNEL_NAMES = tuple(channel.name for channel in CHANNELS)
EDIT_TOLERANCE = 1e-3  # of a channel's range; F-Curves are float32, keys are rounded to 1e-4


@dataclass(frozen=True)
class Param:
    """One setting of `ShotSpec.params`; a number with a range, a choice, a switch or a file."""

    name: str
    label: str
    default: float | str | bool
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    description: str = ""
    is_path: bool = False  # a file; "" is none
    is_colour: bool = False  # "#rrggbb", sRGB
    styles: tuple[str, ...] = ()  # those that use it; () is a setting of every shot


COLOUR = re.compile("#[0-9a-f]{6}")  # lower case, so that equal colours are equal texts
_LINES, _DRAWN = ("ink", "pencil"), ("ink", "pencil", "cartoon")
_PAINTED, _PAINTERS = ("oil", "watercolour"), ("cartoon", "oil", "watercolour")
_REDRAWN = (*_LINES, *_PAINTERS)


# fmt: off
PARAMS = (
    Param("lip_amount", "Lips", 1.0, 0.0, 2.0, description="how far the mouth moves"),
    Param("head_amount", "Head", 1.0, 0.0, 2.0, description="how far the head sways; 0 is still"),
    Param("eye_amount", "Eyes", 1.0, 0.0, 2.0, description="how often the eyes blink and wander"),
    Param("nod_amount", "Nods", 0.0, 0.0, 2.0, description="how far stressed syllables nod"),
    Param("settle", "Settle", 0.0, 0.0, 2.0, description="seconds to and from rest at both ends"),
    Param("breathing", "Breathing", 0.5, 0.0, 1.0, description="how far the shoulders rise"),
    Param("still", "Still", False, description="only lips and blinks move"),
    Param("mouth", "Mouth", "neural", choices=("neural", "rules"), description="who hears lips"),
    Param("voice_style", "Voice Style", "", is_path=True, description="made by learn-style"),
    Param("line_weight", "Line Weight", 1.0, 0.25, 4.0, styles=_DRAWN,
          description="thickness of drawn lines"),
    Param("detail", "Detail", 1.0, 0.25, 2.0, styles=("pencil", *_PAINTERS),
          description="how much of the picture is kept"),
    Param("palette_size", "Palette", 16.0, 3.0, 32.0, styles=("cartoon",),
          description="number of flat colours"),
    Param("stroke_size", "Strokes", 1.0, 0.5, 3.0, styles=("pencil", *_PAINTED),
          description="size of strokes and washes"),
    Param("paper", "Paper", 1.0, 0.0, 2.0, styles=("pencil", *_PAINTED),
          description="how much the grain of paper or canvas shows"),
    Param("background", "Background", 0.25, 0.0, 1.0, styles=_LINES,
          description="how much of what is behind the figure is drawn"),
    Param("ink_colour", "Ink", "#0e0e11", styles=_LINES, is_colour=True,
          description="colour of ink or lead"),
    Param("paper_colour", "Paper Colour", "#fbf9f4", styles=(*_LINES, "watercolour"),
          is_colour=True, description="colour of the sheet"),
    Param("tooth_show", "Teeth", 1.0, 0.0, 2.0, description="how much of the teeth shows; 0: none"),
    Param("style_image", "Style Image", "", styles=_PAINTERS, is_path=True,
          description="picture that lends its palette and its strokes"),
    Param("boil", "Boil", "off", choices=("off", "ones", "twos", "threes"), styles=_REDRAWN,
          description="the drawing wobbles as if made anew, as often as that"),
    Param("tongue", "Tongue", 1.0, 0.0, 2.0, description="how much of the tongue shows; 0: none"),
    Param("mouth_dark", "Mouth Shade", 1.0, 0.0, 2.0, description="how dark it is in the mouth"),
    Param("glasses", "Glasses", "auto", choices=("auto", "none", "clear", "dark"),
          description="what the face wears: it stays rigid, and eyes behind dark ones hidden"),
    Param("framing", "Framing", "crop", choices=("crop", "picture"), description="face or all"),
    Param("alpha", "Alpha", False, description="transparent background, from the matte; "
          "framed as a picture: only what moves, to be laid over other shots of it"),
    Param("layers", "Layers", False,
          description="head, mouth, eyes, lines and background also one by one"),
)
# fmt: on


def encode(message: dict[str, Any]) -> bytes:
    """One message as one line, newline included."""
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def request(request_id: int, method: str, params: dict[str, Any]) -> bytes:
    """A request line; `request_id` is unique within the connection."""
    return encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: dict[str, Any]) -> bytes:
    """A line that expects no answer."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def result(request_id: int | str, value: dict[str, Any]) -> bytes:
    """The answer to a request that went well."""
    return encode({"jsonrpc": "2.0", "id": request_id, "result": value})


def error(
    request_id: int | str | None, code: int, message: str, kind: str, hint: str = ""
) -> bytes:
    """The answer to a request that did not; `request_id` is None when it could not be read."""
    failure = {"code": code, "message": message, "data": {"kind": kind, "hint": hint}}
    return encode({"jsonrpc": "2.0", "id": request_id, "error": failure})
