"""One text strip per word of a shot, laid over its sound: what they say, and where they are.

A strip remembers where its word really is in the sound file. As long as the artist leaves it where
it was laid, its times are exact; a handle that was moved counts by its frame.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from . import props, shots, strips
from .timing import Span

CHANNEL = "Words"
_COLOUR = "COLOR_05"


def of_shot(strip: Any) -> list[Any]:
    """The word strips of a shot, in order of time."""
    kept = shots.record(strip)
    if kept is None:
        return []
    found = [each for each in strips.every(strip.id_data) if _shot_id(each) == kept.shot_id]
    return sorted(found, key=lambda each: strips.handles(each).start)


def is_word(strip: Any) -> bool:
    """True for a strip that is a word of a shot."""
    return bool(_shot_id(strip))


def lay(strip: Any, words: Sequence[dict[str, Any]], language: str) -> int:
    """Lays one text strip per word on a channel of its own; how many.

    Args:
        strip: the shot.
        words: as the server aligned them, seconds of the shot's range.
        language: that they are in.

    Raises:
        CannotUse: all channels are taken.
    """
    kept = shots.record(strip)
    if kept is None:
        return 0
    scene, first = strip.id_data, strips.origin(strip)
    fps, end = kept.fps[0] / kept.fps[1], 0
    whole = Span(first, first + kept.n_frames)
    highest = max((each.channel for each in strips.every(scene)), default=0)
    channel = strips.free_channel(strips.every(scene), whole, highest + 1)
    for word in words:
        start = max(end, round(word["start_s"] * fps))
        end = max(start + 1, round(word["end_s"] * fps))
        text = strips.new_text_strip(scene, word["word"], channel, Span(first + start, first + end))
        text.color_tag = _COLOUR
        facts = {
            "shot": kept.shot_id,
            "said": word["word"],
            "language": language,
            "start_s": kept.start_s + word["start_s"],
            "end_s": kept.start_s + word["end_s"],
            "frames": [start + round(kept.start_s * fps), end + round(kept.start_s * fps)],
        }
        setattr(text, props.WORD, json.dumps(facts))
    lane = scene.sequence_editor.channels[channel]
    lane.name, lane.mute = CHANNEL, True  # words are to be seen on the timeline, not in the film
    return len(words)


def remove(strip: Any) -> int:
    """Takes the words of a shot off the timeline; how many they were."""
    found = of_shot(strip)
    lanes = {each.channel for each in found}
    scene = strip.id_data
    for each in found:
        strips.remove(each)
    for channel in lanes - {each.channel for each in strips.every(scene)}:
        lane = scene.sequence_editor.channels[channel]
        lane.name, lane.mute = f"Channel {channel}", False
    return len(found)


def spoken(
    strip: Any, origin: int | None = None, start_s: float | None = None
) -> list[dict[str, Any]] | None:
    """The words of a shot as a spec has them, or None when it has none.

    Args:
        strip: the shot.
        origin: scene frame of its first frame; where it is now.
        start_s: of its range in the sound file; that of its take.
    """
    kept = shots.record(strip)
    found = of_shot(strip)
    if kept is None or not found:
        return None
    first = strips.origin(strip) if origin is None else origin
    begin_s = kept.start_s if start_s is None else start_s
    fps = kept.fps[0] / kept.fps[1]
    return [_word(each, first, begin_s, fps) for each in found]


def _word(strip: Any, first: int, begin_s: float, fps: float) -> dict[str, Any]:
    facts = json.loads(getattr(strip, props.WORD))
    span, shift = strips.handles(strip), round(begin_s * fps)
    laid = [first + frame - shift for frame in facts["frames"]]
    real = [round(facts[name] - begin_s, 4) for name in ("start_s", "end_s")]
    shown = [
        exact if frame == at else round((frame - first) / fps, 4)
        for frame, at, exact in zip((span.start, span.end), laid, real, strict=True)
    ]
    return {
        "word": strip.text.strip() or facts["said"],
        "start_s": shown[0],
        "end_s": shown[1],
        "from_start_s": real[0],
        "from_end_s": real[1],
        "said": facts["said"],
        "language": facts["language"],
    }


def _shot_id(strip: Any) -> str:
    """The shot that a word belongs to; empty for any other strip."""
    if strip.type != "TEXT" or not getattr(strip, props.WORD):
        return ""
    try:
        return str(json.loads(getattr(strip, props.WORD))["shot"])
    except (ValueError, KeyError, TypeError):
        return ""
