from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from inference_server.datatypes import BlinkCue, GazeCue
from inference_server.errors import SpecInvalid
from inference_server.spec import parse_fps, parse_params, parse_spec, spec_to_json

LEAST = {"image": "/a/face.png", "audio": {"path": "/a/voice.wav"}, "fps": [24, 1], "out_dir": "/t"}
FULL: dict[str, Any] = {
    "shot_id": "s1",
    "image": "/a/face.png",
    "face_index": 1,
    "landmarks": "/a/points.json",
    "audio": {"path": "/a/voice.wav", "start_s": 1.5, "duration_s": 2.0},
    "fps": [24000, 1001],
    "n_frames": 48,
    "size": 768,
    "renderer": "mesh_warp",
    "style": "ink",
    "params": {"line_weight": 2.0, "alpha": True, "framing": "picture"},
    "seed": 7,
    "holds": [0, 3, 5],
    "lead": 2,
    "amounts": {"lip_amount": [[0, 1.0], [24, 0.5]]},
    "cues": [
        {"frame": 12, "kind": "blink", "eye": "l"},
        {"frame": 20, "kind": "gaze", "target": [10.0, -5.0]},
        {"frame": 30, "kind": "gaze", "target": "camera"},
    ],
    "words": [
        {
            "word": "papa",
            "start_s": 0.5,
            "end_s": 1.0,
            "from_start_s": 0.4,
            "from_end_s": 0.7,
            "said": "mama",
            "language": "en",
        }
    ],
    "overruled": [4, 9],
    "channels": {"lip_open": {"0": 0.0, "11": 0.5}},
    "base_take": "/t/1",
    "out_dir": "/t/2",
}


def test_defaults_are_those_of_the_dataclass() -> None:
    spec = parse_spec(LEAST)
    assert spec.n_frames is None
    assert (spec.size, spec.holds, spec.seed, spec.face_index) == (512, 1, 0, 0)
    assert (spec.renderer, spec.style, dict(spec.params)) == ("mesh_warp", "photo", {})
    assert spec.audio.duration_s is None
    assert spec.image == Path("/a/face.png").absolute()


def test_full_spec_survives_the_way_through_json() -> None:
    spec = parse_spec(FULL)
    assert spec.fps == Fraction(24000, 1001)
    assert spec.channels == {"lip_open": {0: 0.0, 11: 0.5}}
    assert parse_spec(json.loads(json.dumps(spec_to_json(spec)))) == spec


def test_what_is_laid_over_a_shot() -> None:
    spec = parse_spec(FULL)
    assert spec.holds == (0, 3, 5)
    assert spec.amounts == {"lip_amount": ((0, 1.0), (24, 0.5))}
    assert spec.cues == (BlinkCue(12, "l"), GazeCue(20, (10.0, -5.0)), GazeCue(30, "camera"))
    assert spec.overruled == (4, 9)
    assert parse_spec({**FULL, "cues": []}).cues == ()
    assert parse_spec({**FULL, "cues": None}).cues is None
    assert parse_spec({**FULL, "overruled": [9, 4, 9]}).overruled == (4, 9)


def test_a_wrong_value_in_a_list_is_named_with_its_place() -> None:
    with pytest.raises(SpecInvalid, match=r"cues\[1\].target is 'me'") as caught:
        parse_spec(
            {**FULL, "cues": [FULL["cues"][0], {"frame": 3, "kind": "gaze", "target": "me"}]}
        )
    assert "wander" in caught.value.hint


def test_fields_are_those_that_the_add_on_sends() -> None:
    assert set(spec_to_json(parse_spec(FULL))) == set(FULL)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", 127), ("size", 2049), ("size", 512.0), ("size", True), ("size", "512"),
        ("size", None), ("fps", 24), ("fps", [24]), ("fps", [24, 0]), ("fps", [-24, 1]),
        ("fps", [24.0, 1]), ("fps", ["24", "1"]), ("fps", [10**9, 1]), ("n_frames", 0),
        ("n_frames", 10**12), ("n_frames", 1.5), ("holds", 4), ("holds", 0), ("holds", True),
        ("holds", "2"), ("holds", [1]),
        ("holds", []), ("holds", [0, 4, 4]), ("holds", [0, 4, 2]), ("holds", [0, -1]),
        ("holds", [0, 1.5]), ("holds", [0, 10**9]), ("lead", 3), ("lead", -1), ("lead", True),
        ("lead", 0.5), ("lead", None), ("amounts", []), ("cues", {}), ("cues", [3]),
        ("overruled", 4), ("overruled", [-1]), ("overruled", [True]),
        ("seed", -1), ("seed", 2**31), ("seed", 1.0),
        ("face_index", -1), ("image", ""), ("image", "  "), ("image", 3), ("image", "a\0b"),
        ("image", "x" * 40_000), ("out_dir", []), ("renderer", "nope"), ("renderer", None),
        ("style", "photoo"), ("style", 1), ("landmarks", 5), ("base_take", False),
        ("shot_id", 4), ("params", []), ("channels", []), ("channels", "x"), ("audio", "a.wav"),
    ],
)  # fmt: skip
def test_wrong_value_is_named(field: str, value: object) -> None:
    with pytest.raises(SpecInvalid) as caught:
        parse_spec({**FULL, field: value})
    assert field in caught.value.message
    assert len(caught.value.message) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("params", {"nope": 1}),
        ("params", {"line_weight": math.nan}),
        ("params", {"line_weight": math.inf}),
        ("params", {"line_weight": 9.0}),
        ("params", {"line_weight": 10**400}),
        ("params", {"line_weight": True}),
        ("params", {"alpha": 1}),
        ("params", {"framing": "all"}),
        ("params", {"ink_colour": "red"}),
        ("params", {"ink_colour": 0}),
        ("params", {"framing": ["crop"]}),
        ("audio", {"path": "/a.wav", "start_s": -1}),
        ("audio", {"path": "/a.wav", "start_s": math.nan}),
        ("audio", {"path": "/a.wav", "duration_s": 0}),
        ("audio", {"path": "/a.wav", "speed": 2}),
        ("audio", {"start_s": 0}),
        ("amounts", {"nod_amount": [[0, 1.0]]}),
        ("amounts", {"lip_amount": 1.0}),
        ("amounts", {"lip_amount": [1.0]}),
        ("amounts", {"lip_amount": [[0, 1.0, 2.0]]}),
        ("amounts", {"lip_amount": [[0, 2.5]]}),
        ("amounts", {"lip_amount": [[0, math.nan]]}),
        ("amounts", {"lip_amount": [[4, 1.0], [3, 1.0]]}),
        ("cues", [{"frame": 3}]),
        ("cues", [{"frame": 3, "kind": "wink"}]),
        ("cues", [{"kind": "blink"}]),
        ("cues", [{"frame": -3, "kind": "blink"}]),
        ("cues", [{"frame": 3, "kind": "blink", "eye": "left"}]),
        ("cues", [{"frame": 3, "kind": "blink", "target": "camera"}]),
        ("cues", [{"frame": 3, "kind": "gaze"}]),
        ("cues", [{"frame": 3, "kind": "gaze", "target": "me"}]),
        ("cues", [{"frame": 3, "kind": "gaze", "target": [1.0]}]),
        ("cues", [{"frame": 3, "kind": "gaze", "target": [99.0, 0.0]}]),
        ("cues", [{"frame": 3, "kind": "gaze", "target": [0.0, math.inf]}]),
        ("channels", {"nose": {"0": 1}}),
        ("channels", {"lip_open": {"-1": 0.5}}),
        ("channels", {"lip_open": {"01": 0.5}}),
        ("channels", {"lip_open": {"1.5": 0.5}}),
        ("channels", {"lip_open": {"٣": 0.5}}),
        ("channels", {"lip_open": {"1": math.nan}}),
        ("channels", {"lip_open": {"1": None}}),
        ("channels", {"lip_open": {"1": "0"}}),
        ("channels", {"lip_open": [0.5]}),
    ],
)
def test_wrong_inner_value_is_named(field: str, value: object) -> None:
    with pytest.raises(SpecInvalid, match=field):
        parse_spec({**FULL, field: value})


@pytest.mark.parametrize("field", ["image", "audio", "fps", "out_dir"])
def test_what_every_shot_needs(field: str) -> None:
    with pytest.raises(SpecInvalid, match=f"{field} is missing"):
        parse_spec({name: value for name, value in FULL.items() if name != field})


@pytest.mark.parametrize("document", [None, [], "spec", 3, {"image": "/a", "colour": 1}])
def test_not_a_spec(document: object) -> None:
    with pytest.raises(SpecInvalid):
        parse_spec(document)


def test_unknown_field_is_named_with_those_that_exist() -> None:
    with pytest.raises(SpecInvalid, match="'colour'") as caught:
        parse_spec({**FULL, "colour": 1})
    assert "shot_id" in caught.value.hint


def test_equal_colours_are_equal_texts() -> None:
    assert parse_params({"ink_colour": "#0E0E1A"}) == {"ink_colour": "#0e0e1a"}


def test_values_outside_a_channel_are_left_to_the_pipeline() -> None:
    edits = parse_spec({**FULL, "channels": {"lip_open": {"999": 7.5}}}).channels
    assert edits == {"lip_open": {999: 7.5}}


@pytest.mark.parametrize(
    ("text", "fps"),
    [
        ("24", Fraction(24)),
        ("24000/1001", Fraction(24000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("25.0", Fraction(25)),
        ("5.0", Fraction(5)),
        ("2997/100", Fraction(30000, 1001)),
    ],
)
def test_frame_rates_as_people_write_them(text: str, fps: Fraction) -> None:
    assert parse_fps(text) == fps


@pytest.mark.parametrize(
    "text", ["", "0", "-24", "24/0", "fast", "1e9", "1e999999999", "nan", "inf", "24fps"]
)
def test_no_frame_rate(text: str) -> None:
    with pytest.raises(SpecInvalid, match="fps"):
        parse_fps(text)
