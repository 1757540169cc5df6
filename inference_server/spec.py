"""Shot spec <-> JSON: every field is checked, and a wrong one is named with its value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from . import protocol, registry
from .datatypes import AudioRange, ShotSpec
from .errors import SpecInvalid

MAX_FRAMES = 1_000_000  # 11 hours at 24 fps
MAX_FPS = 1000
MAX_SEED = 2**31 - 1  # Blender's integers are signed, 32 bits
_SHORTEST_S, _LONGEST_S = 1e-6, 1e6  # of a sound: up to eleven days
MAX_PATH = 32_767  # characters, Windows' longest

_FIELDS = (
    "shot_id", "image", "face_index", "landmarks", "audio", "fps", "n_frames", "size", "renderer",
    "style", "params", "seed", "holds", "channels", "base_take", "out_dir",
)  # fmt: skip
_AUDIO_FIELDS = ("path", "start_s", "duration_s")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9}|/[0-9]{1,9})?")
_FRAME_NUMBER = re.compile(r"0|[1-9][0-9]{0,6}")
_SHOWN_CHARACTERS = 60  # of a wrong value, in a message


def parse_spec(document: object) -> ShotSpec:
    """The shot that a JSON object asks for.

    `image`, `audio.path`, `fps` and `out_dir` must be there; everything else has a default. Edits
    beyond a channel's range or behind the last frame are no error here: the pipeline clips or
    drops them with a warning, since F-Curves overshoot and strips are trimmed.

    Raises:
        SpecInvalid: names the field, its value and what it should be.
    """
    fields = _object("spec", document, _FIELDS)
    n_frames = fields.get("n_frames")
    return ShotSpec(
        shot_id=_text("shot_id", fields.get("shot_id", "")),
        image=_path("image", _required(fields, "image")),
        audio=_audio(_required(fields, "audio")),
        fps=_fps(_required(fields, "fps")),
        out_dir=_path("out_dir", _required(fields, "out_dir")),
        n_frames=None if n_frames is None else _integer("n_frames", n_frames, 1, MAX_FRAMES),
        face_index=_integer("face_index", fields.get("face_index", 0), 0, 9999),
        landmarks=_optional_path("landmarks", fields.get("landmarks")),
        size=_integer("size", fields.get("size", 512), protocol.MIN_SIZE, protocol.MAX_SIZE),
        renderer=_plug_in("renderer", fields.get("renderer", "mesh_warp"), registry.RENDERERS),
        style=_plug_in("style", fields.get("style", "photo"), registry.STYLES),
        params=parse_params(fields.get("params", {})),
        seed=_seed(fields.get("seed", 0)),
        holds=_holds(fields.get("holds", 1)),
        channels=parse_channels(fields.get("channels")),
        base_take=_optional_path("base_take", fields.get("base_take")),
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
        "holds": spec.holds,
        "channels": {
            name: {str(frame): value for frame, value in sorted(edits.items())}
            for name, edits in spec.channels.items()
        },
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
    values = _object("params", document, tuple(known))
    return {name: _param_value(known[name], value) for name, value in values.items()}


def parse_channels(document: object) -> dict[str, dict[int, float]]:
    """The artist's edits: channel -> frame -> absolute value; None means no edits.

    Raises:
        SpecInvalid: an unknown channel, something that is no frame number, or no finite value.
    """
    if document is None:
        return {}
    edits: dict[str, dict[int, float]] = {}
    for name, values in _object("channels", document, protocol.CHANNEL_NAMES).items():
        field = f"channels.{name}"
        edits[name] = {
            _frame_number(field, frame): _number(f"{field}.{frame}", value, -math.inf, math.inf)
            for frame, value in _object(field, values, None).items()
        }
    return edits


def parse_fps(text: str) -> Fraction:
    """A frame rate as people write it: "24", "23.976", "24000/1001".

    Decimals that stand for an NTSC rate (23.976, 29.97, 59.94 ...) become it exactly.

    Raises:
        SpecInvalid: not a number, or not between 0 and 1000.
    """
    expected = "a number or a fraction such as 24000/1001"
    if not _RATE.fullmatch(text.strip()):
        raise _wrong("fps", text, expected)
    try:
        fps = Fraction(text.strip())
    except (ValueError, ZeroDivisionError) as failure:
        raise _wrong("fps", text, expected) from failure
    if fps.denominator != 1:
        ntsc = Fraction(round(fps) * 1000, 1001)
        if abs(fps - ntsc) < Fraction(1, 200):
            fps = ntsc
    return _fps([fps.numerator, fps.denominator])


def _wrong(field: str, value: object, expected: str) -> SpecInvalid:
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[:_SHOWN_CHARACTERS] + "..."
    return SpecInvalid(f"{field} is {shown}.", f"It must be {expected}.")


def _object(field: str, value: object, known: tuple[str, ...] | None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(field, value, "an object")
    if known is not None:
        for name in value:
            if name not in known:
                raise SpecInvalid(
                    f"{field} has an unknown field {name[:_SHOWN_CHARACTERS]!r}.",
                    f"Known are: {', '.join(known)}.",
                )
    return value


def _required(fields: Mapping[str, Any], name: str, field: str = "") -> object:
    if fields.get(name) is None:
        raise SpecInvalid(f"{field or name} is missing.", "Every shot needs it.")
    return fields[name]


def _text(field: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_PATH or "\0" in value:
        raise _wrong(field, value, "a text")
    return value


def _path(field: str, value: object) -> Path:
    text = _text(field, value)
    if not text.strip():
        raise _wrong(field, value, "a path")
    return Path(text).absolute()


def _optional_path(field: str, value: object) -> Path | None:
    return None if value is None else _path(field, value)


def _number(field: str, value: object, minimum: float, maximum: float) -> float:
    expected = "a finite number"
    if math.isfinite(minimum):
        expected = f"a number from {minimum:g} to {maximum:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(field, value, expected)
    if isinstance(value, int) and abs(value) > 10**15:  # would overflow a float, or be no frame
        raise _wrong(field, value, expected)
    if not math.isfinite(value) or not minimum <= value <= maximum:
        raise _wrong(field, value, expected)
    return float(value)


def _audio(value: object) -> AudioRange:
    fields = _object("audio", value, _AUDIO_FIELDS)
    duration_s = fields.get("duration_s")
    if duration_s is not None:
        duration_s = _number("audio.duration_s", duration_s, _SHORTEST_S, _LONGEST_S)
    return AudioRange(
        path=_path("audio.path", _required(fields, "path", "audio.path")),
        start_s=_number("audio.start_s", fields.get("start_s", 0.0), 0.0, _LONGEST_S),
        duration_s=duration_s,
    )


def _seed(value: object) -> int:
    return _integer("seed", value, 0, MAX_SEED)


def _integer(field: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise _wrong(field, value, f"a whole number from {minimum} to {maximum}")
    return value


def _fps(value: object) -> Fraction:
    expected = f"[numerator, denominator], whole numbers, more than 0 and at most {MAX_FPS} fps"
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong("fps", value, expected)
    for part in value:
        if isinstance(part, bool) or not isinstance(part, int) or not 1 <= part <= 10**9:
            raise _wrong("fps", value, expected)
    fps = Fraction(value[0], value[1])
    if fps > MAX_FPS or fps < Fraction(1, MAX_FPS):
        raise _wrong("fps", value, expected)
    return fps


def _holds(value: object) -> int:
    if isinstance(value, bool) or value not in protocol.SUPPORTED_HOLDS:
        choices = ", ".join(str(holds) for holds in protocol.SUPPORTED_HOLDS)
        raise _wrong("holds", value, f"one of {choices}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _plug_in(field: str, value: object, entries: tuple[registry.Entry, ...]) -> str:
    names = [entry.name for entry in entries]
    if not isinstance(value, str) or value not in names:
        raise _wrong(field, value, f"one of {', '.join(names)}")
    return value


def _frame_number(field: str, text: str) -> int:
    if not _FRAME_NUMBER.fullmatch(text):
        raise SpecInvalid(
            f"{field} has the frame {text[:_SHOWN_CHARACTERS]!r}.",
            "Frames are whole numbers from 0, counted inside the shot.",
        )
    return int(text)


def _param_value(param: protocol.Param, value: object) -> float | str | bool:
    field = f"params.{param.name}"
    if isinstance(param.default, bool):
        if not isinstance(value, bool):
            raise _wrong(field, value, "true or false")
        return value
    if param.choices:
        if not isinstance(value, str) or value not in param.choices:
            raise _wrong(field, value, f"one of {', '.join(param.choices)}")
        return value
    if param.is_path:
        return str(_path(field, value)) if value != "" else ""
    low = -math.inf if param.minimum is None else param.minimum
    high = math.inf if param.maximum is None else param.maximum
    return _number(field, value, low, high)
