"""What an artist lays over a shot <-> JSON: edits, holds, amounts, cues, words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from . import fields, protocol
from .datatypes import Amounts, BlinkCue, Cue, GazeCue, Holds, Word

_CUE_FIELDS = {"blink": ("frame", "kind", "eye"), "gaze": ("frame", "kind", "target")}
_CUES = "null or a list of cues"
_WORD_FIELDS = ("word", "start_s", "end_s", "from_start_s", "from_end_s", "said", "language")
_LONGEST_S = 1e6  # of a sound: up to eleven days
_LONGEST_WORD = 100  # characters
_TARGET = "camera, wander or [x_deg, y_deg]"


def parse_channels(document: object) -> dict[str, dict[int, float]]:
    """The artist's edits: channel -> frame -> absolute value; None means no edits.

    Raises:
        SpecInvalid: an unknown channel, something that is no frame number, or no finite value.
    """
    if document is None:
        return {}
    edits: dict[str, dict[int, float]] = {}
    for name, values in fields.an_object("channels", document, protocol.CHANNEL_NAMES).items():
        field = f"channels.{name}"
        edits[name] = {
            fields.frame_name(field, frame): fields.number(f"{field}.{frame}", value)
            for frame, value in fields.an_object(field, values, None).items()
        }
    return edits


def channels_to_json(edits: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, float]]:
    """What `parse_channels` reads back."""
    return {
        name: {str(frame): value for frame, value in sorted(values.items())}
        for name, values in edits.items()
    }


def parse_holds(document: object) -> Holds:
    """Frames that share one drawing: 1, 2, 3, or the frames at which a new drawing starts.

    Raises:
        SpecInvalid: another number, or a list that does not begin with 0 or is not in order.
    """
    if not isinstance(document, list):
        if isinstance(document, bool) or document not in protocol.SUPPORTED_HOLDS:
            choices = ", ".join(str(holds) for holds in protocol.SUPPORTED_HOLDS)
            raise fields.wrong("holds", document, f"{choices} or a list of frames")
        return int(document)  # type: ignore[call-overload, no-any-return]
    frames = tuple(fields.frame(f"holds[{i}]", frame) for i, frame in enumerate(document))
    if not frames or frames[0] != 0:
        raise fields.wrong("holds", document, "a list of frames that begins with 0")
    fields.ascending("holds", frames)
    return frames


def holds_to_json(holds: Holds) -> int | list[int]:
    """What `parse_holds` reads back."""
    return holds if isinstance(holds, int) else list(holds)


def parse_amounts(document: object) -> Amounts:
    """Factors of the params of the same names, by frame; None means 1 everywhere.

    Raises:
        SpecInvalid: an unknown name, a value out of range, or frames that are not in order.
    """
    if document is None:
        return {}
    ranges = {param.name: (param.minimum, param.maximum) for param in protocol.PARAMS}
    amounts: dict[str, tuple[tuple[int, float], ...]] = {}
    for name, points in fields.an_object("amounts", document, protocol.AMOUNTS).items():
        field = f"amounts.{name}"
        low, high = ranges[name]
        assert low is not None and high is not None
        curve = []
        for i, point in enumerate(fields.a_list(field, points, "a list of [frame, value]")):
            place = f"{field}[{i}]"
            if not isinstance(point, list) or len(point) != 2:
                raise fields.wrong(place, point, "[frame, value]")
            frame = fields.frame(f"{place}[0]", point[0])
            curve.append((frame, fields.number(f"{place}[1]", point[1], low, high)))
        fields.ascending(field, [frame for frame, _ in curve])
        if curve:
            amounts[name] = tuple(curve)
    return amounts


def amounts_to_json(amounts: Amounts) -> dict[str, list[list[float]]]:
    """What `parse_amounts` reads back."""
    return {name: [list(point) for point in curve] for name, curve in amounts.items()}


def parse_cues(document: object) -> tuple[Cue, ...] | None:
    """Blinks and gaze targets that the artist has placed; None leaves all to the generator.

    Raises:
        SpecInvalid: an unknown kind, eye or target, or something that is no frame.
    """
    if document is None:
        return None
    return tuple(
        _cue(f"cues[{i}]", cue) for i, cue in enumerate(fields.a_list("cues", document, _CUES))
    )


def cues_to_json(cues: tuple[Cue, ...] | None) -> list[dict[str, Any]] | None:
    """What `parse_cues` reads back."""
    return None if cues is None else [_cue_to_json(cue) for cue in cues]


def parse_words(document: object) -> tuple[Word, ...]:
    """The words of a transcript on the timeline; None and an empty list: no transcript.

    Raises:
        SpecInvalid: a word without text, or one that ends before it begins.
    """
    if document is None:
        return ()
    listed = fields.a_list("words", document, "null or a list of words")
    return tuple(_word(f"words[{i}]", word) for i, word in enumerate(listed))


def words_to_json(words: tuple[Word, ...]) -> list[dict[str, Any]] | None:
    """What `parse_words` reads back."""
    return [asdict(word) for word in words] or None


def _word(field: str, document: object) -> Word:
    given = fields.an_object(field, document, _WORD_FIELDS)
    text = fields.text(f"{field}.word", given.get("word"))
    if not text.strip() or len(text) > _LONGEST_WORD:
        raise fields.wrong(f"{field}.word", text, f"a text of 1 to {_LONGEST_WORD} characters")
    start_s, end_s = _span(field, given.get("start_s"), given.get("end_s"), "")
    from_start_s, from_end_s = _span(
        field, given.get("from_start_s", start_s), given.get("from_end_s", end_s), "from_"
    )
    return Word(
        text,
        start_s,
        end_s,
        from_start_s,
        from_end_s,
        said=fields.text(f"{field}.said", given.get("said", text)),
        language=fields.text(f"{field}.language", given.get("language", "en")),
    )


def _span(field: str, start: object, end: object, kind: str) -> tuple[float, float]:
    start_s = fields.number(f"{field}.{kind}start_s", start, -_LONGEST_S, _LONGEST_S)
    end_s = fields.number(f"{field}.{kind}end_s", end, -_LONGEST_S, _LONGEST_S)
    if end_s <= start_s:
        raise fields.wrong(f"{field}.{kind}end_s", end_s, f"later than {kind}start_s ({start_s:g})")
    return start_s, end_s


def parse_frames(field: str, document: object) -> tuple[int, ...]:
    """A list of frames, in order and each once; None is an empty one.

    Raises:
        SpecInvalid: no list, or something in it that is no frame.
    """
    if document is None:
        return ()
    listed = fields.a_list(field, document, "a list of frames")
    return tuple(sorted({fields.frame(f"{field}[{i}]", frame) for i, frame in enumerate(listed)}))


def _cue(field: str, document: object) -> Cue:
    kind = fields.choice(
        f"{field}.kind", fields.an_object(field, document, None).get("kind"), tuple(_CUE_FIELDS)
    )
    given = fields.an_object(field, document, _CUE_FIELDS[kind])
    frame = fields.frame(f"{field}.frame", given.get("frame"))
    if kind == "gaze":
        return GazeCue(frame, _target(f"{field}.target", given.get("target")))
    eye = fields.choice(f"{field}.eye", given.get("eye", "both"), ("both", "l", "r"))
    return BlinkCue(frame, "l" if eye == "l" else "r" if eye == "r" else "both")


def _target(field: str, value: object) -> Literal["camera", "wander"] | tuple[float, float]:
    if value == "camera":
        return "camera"
    if value == "wander":
        return "wander"
    if not isinstance(value, list) or len(value) != 2:
        raise fields.wrong(field, value, _TARGET)
    ranges = {channel.name: (channel.minimum, channel.maximum) for channel in protocol.CHANNELS}
    x, y = (
        fields.number(f"{field}[{i}]", part, *ranges[name])
        for i, (name, part) in enumerate(zip(("gaze_x", "gaze_y"), value, strict=True))
    )
    return x, y


def _cue_to_json(cue: Cue) -> dict[str, Any]:
    if isinstance(cue, BlinkCue):
        return {"frame": cue.frame, "kind": "blink", "eye": cue.eye}
    target = cue.target if isinstance(cue.target, str) else list(cue.target)
    return {"frame": cue.frame, "kind": "gaze", "target": target}
