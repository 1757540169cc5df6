"""Shot spec <-> JSON: every field is checked, and a wrong one is named with its value."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from . import directions, fields, protocol, registry
from .datatypes import AudioRange, ShotSpec
from .fields import MAX_FRAMES, wrong

MAX_FPS = 1000
MAX_SEED = 2**31 - 1  # Blender's integers are signed, 32 bits
_SHORTEST_S, _LONGEST_S = 1e-6, 1e6  # of a sound: up to eleven days

_FIELDS = (
    "shot_id", "image", "face_index", "landmarks", "audio", "fps", "n_frames", "size", "renderer",
    "style", "params", "seed", "holds", "lead", "amounts", "cues", "words", "overruled",
    "channels", "base_take", "out_dir",
)  # fmt: skip
_AUDIO_FIELDS = ("path", "start_s", "duration_s")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9}|/[0-9]{1,9})?")


def parse_spec(document: object) -> ShotSpec:
    """The shot that a JSON object asks for.

    `image`, `audio.path`, `fps` and `out_dir` must be there; everything else has a default. Edits
    beyond a channel's range or behind the last frame are no error here: the pipeline clips or
    drops them with a warning, since F-Curves overshoot and strips are trimmed.

    Raises:
        SpecInvalid: names the field, its value and what it should be.
    """
    given = fields.an_object("spec", document, _FIELDS)
    n_frames = given.get("n_frames")
    return ShotSpec(
        shot_id=fields.text("shot_id", given.get("shot_id", "")),
        image=fields.path("image", fields.required(given, "image")),
        audio=_audio(fields.required(given, "audio")),
        fps=parse_rate(fields.required(given, "fps")),
        out_dir=fields.path("out_dir", fields.required(given, "out_dir")),
        n_frames=None if n_frames is None else fields.integer("n_frames", n_frames, 1, MAX_FRAMES),
        face_index=fields.integer("face_index", given.get("face_index", 0), 0, 9999),
        landmarks=fields.optional_path("landmarks", given.get("landmarks")),
        size=fields.integer("size", given.get("size", 512), protocol.MIN_SIZE, protocol.MAX_SIZE),
        renderer=_plug_in("renderer", given.get("renderer", "mesh_warp"), registry.RENDERERS),
        style=_plug_in("style", given.get("style", "photo"), registry.STYLES),
        params=parse_params(given.get("params", {})),
        seed=_seed(given.get("seed", 0)),
        holds=directions.parse_holds(given.get("holds", 1)),
        lead=fields.integer("lead", given.get("lead", 0), 0, protocol.MAX_LEAD),
        amounts=directions.parse_amounts(given.get("amounts")),
        cues=directions.parse_cues(given.get("cues")),
        words=directions.parse_words(given.get("words")),
        overruled=directions.parse_frames("overruled", given.get("overruled")),
        channels=directions.parse_channels(given.get("channels")),
        base_take=fields.optional_path("base_take", given.get("base_take")),
    )


def spec_to_json(spec: ShotSpec) -> dict[str, Any]:
    """The JSON object that `parse_spec` reads back into an equal shot."""
    return {
        "shot_id": spec.shot_id,
        "image": str(spec.image),
        "face_index": spec.face_index,
        "landmarks": None if spec.landmarks is None else str(spec.landmarks),
        "audio": {
            "path": str(spec.audio.path),
            "start_s": spec.audio.start_s,
            "duration_s": spec.audio.duration_s,
        },
        "fps": [spec.fps.numerator, spec.fps.denominator],
        "n_frames": spec.n_frames,
        "size": spec.size,
        "renderer": spec.renderer,
        "style": spec.style,
        "params": dict(spec.params),
        "seed": spec.seed,
        "holds": directions.holds_to_json(spec.holds),
        "lead": spec.lead,
        "amounts": directions.amounts_to_json(spec.amounts),
        "cues": directions.cues_to_json(spec.cues),
        "words": directions.words_to_json(spec.words),
        "overruled": list(spec.overruled),
        "channels": directions.channels_to_json(spec.channels),
        "base_take": None if spec.base_take is None else str(spec.base_take),
        "out_dir": str(spec.out_dir),
    }


def parse_voice(
    audio: object, seed: object, params: object
) -> tuple[AudioRange, int, dict[str, float | str | bool]]:
    """What motion without a portrait needs: the fields of a spec of the same names.

    Raises:
        SpecInvalid: as `parse_spec`.
    """
    return _audio(audio), _seed(seed), parse_params(params)


def parse_params(document: object) -> dict[str, float | str | bool]:
    """The settings of `protocol.PARAMS` that a JSON object names.

    Raises:
        SpecInvalid: an unknown name, or a value of the wrong type or out of range.
    """
    known = {param.name: param for param in protocol.PARAMS}
    values = fields.an_object("params", document, tuple(known))
    return {name: _param_value(known[name], value) for name, value in values.items()}


def parse_fps(text: str) -> Fraction:
    """A frame rate as people write it: "24", "23.976", "24000/1001".

    Decimals that stand for an NTSC rate (23.976, 29.97, 59.94 ...) become it exactly.

    Raises:
        SpecInvalid: not a number, or not between 0 and 1000.
    """
    expected = "a number or a fraction such as 24000/1001"
    if not _RATE.fullmatch(text.strip()):
        raise wrong("fps", text, expected)
    try:
        fps = Fraction(text.strip())
    except (ValueError, ZeroDivisionError) as failure:
        raise wrong("fps", text, expected) from failure
    if fps.denominator != 1:
        ntsc = Fraction(round(fps) * 1000, 1001)
        if abs(fps - ntsc) < Fraction(1, 200):
            fps = ntsc
    return parse_rate([fps.numerator, fps.denominator])


def _audio(value: object) -> AudioRange:
    given = fields.an_object("audio", value, _AUDIO_FIELDS)
    duration_s = given.get("duration_s")
    if duration_s is not None:
        duration_s = fields.number("audio.duration_s", duration_s, _SHORTEST_S, _LONGEST_S)
    return AudioRange(
        path=fields.path("audio.path", fields.required(given, "path", "audio.path")),
        start_s=fields.number("audio.start_s", given.get("start_s", 0.0), 0.0, _LONGEST_S),
        duration_s=duration_s,
    )


def _seed(value: object) -> int:
    return fields.integer("seed", value, 0, MAX_SEED)


def parse_rate(value: object) -> Fraction:
    """A frame rate as the wire has it: [numerator, denominator].

    Raises:
        SpecInvalid: something else, or not between 0 and 1000.
    """
    expected = f"[numerator, denominator], whole numbers, more than 0 and at most {MAX_FPS} fps"
    if not isinstance(value, list) or len(value) != 2:
        raise wrong("fps", value, expected)
    for part in value:
        if isinstance(part, bool) or not isinstance(part, int) or not 1 <= part <= 10**9:
            raise wrong("fps", value, expected)
    fps = Fraction(value[0], value[1])
    if fps > MAX_FPS or fps < Fraction(1, MAX_FPS):
        raise wrong("fps", value, expected)
    return fps


def _plug_in(field: str, value: object, entries: tuple[registry.Entry, ...]) -> str:
    return fields.choice(field, value, [entry.name for entry in entries])


def _param_value(param: protocol.Param, value: object) -> float | str | bool:
    field = f"params.{param.name}"
    if isinstance(param.default, bool):
        if not isinstance(value, bool):
            raise wrong(field, value, "true or false")
        return value
    if param.choices:
        return fields.choice(field, value, param.choices)
    if param.is_colour:
        colour = fields.text(field, value).lower()
        if not protocol.COLOUR.fullmatch(colour):
            raise wrong(field, value, "a colour such as #0e0e11")
        return colour
    if param.is_path:
        return str(fields.path(field, value)) if value != "" else ""
    low = -math.inf if param.minimum is None else param.minimum
    high = math.inf if param.maximum is None else param.maximum
    return fields.number(field, value, low, high)
