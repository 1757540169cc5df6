"""Mouth cues and curves of other programs, there and back."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, Motion
from inference_server.errors import TimingUnreadable
from inference_server.interchange import arkit, files
from inference_server.interchange.choose import choose
from inference_server.interchange.timing import (
    BLAIR,
    RHUBARB,
    Mark,
    Timing,
    edits,
    keys,
    poses,
    translated,
)
from inference_server.motion.channels import LIPS_MEET, apply, measure, with_look
from inference_server.protocol import CHANNELS

ROOT = Path(__file__).resolve().parents[2]
RATES = st.sampled_from([Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(30000, 1001)])


def timings(shapes: str = RHUBARB) -> st.SearchStrategy[Timing]:
    """Cues on hundredths of a second, the last one longer than nothing."""

    def made(parts: list[tuple[int, str]], last: int) -> Timing:
        at, marks = Fraction(0), []
        for wait, shape in parts:
            marks.append(Mark(at, shape))
            at += Fraction(wait, 100)
        return Timing(shapes, tuple(marks), at + Fraction(last, 100))

    part = st.tuples(st.integers(5, 200), st.sampled_from(list(poses()[shapes])))
    return st.builds(made, st.lists(part, min_size=1, max_size=40), st.integers(5, 100))


def living(n_frames: int = 120, fps: Fraction = Fraction(24)) -> Motion:
    rng = np.random.default_rng(0)
    expression = rng.uniform(0, 0.6, (n_frames, 52)).astype(np.float32)
    gaze = rng.uniform(-20, 20, (n_frames, 2)).astype(np.float32)
    head = np.zeros((n_frames, 6), np.float32)
    head[:, :3] = rng.uniform(-15, 15, (n_frames, 3))
    return Motion(fps, with_look(expression, gaze), head, gaze)


def saved(folder: Path, text: str, name: str = "cues") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_the_poses_of_add_on_and_server_are_the_same_bytes() -> None:
    ours = ROOT / "inference_server" / "interchange" / "poses.json"
    assert (ROOT / "blender_addon" / "poses.json").read_bytes() == ours.read_bytes()


def test_poses_are_values_of_the_lip_channels() -> None:
    ranges = {channel.name: (channel.minimum, channel.maximum) for channel in CHANNELS}
    assert list(poses()[RHUBARB]) == list("ABCDEFGHX")
    assert set(poses()[BLAIR]) == {
        "AI", "E", "O", "U", "L", "WQ", "MBP", "FV", "etc", "rest",
    }  # fmt: skip
    for shapes in poses().values():
        for name, pose in shapes.items():
            assert set(pose) == {"lip_open", "lip_width", "lip_round", "smile"}
            assert all(ranges[c][0] <= value <= ranges[c][1] for c, value in pose.items())
            assert (pose["lip_open"] <= LIPS_MEET) == (name in {"A", "X", "MBP", "rest"})
        assert len({tuple(pose.values()) for pose in shapes.values()}) >= len(shapes) - 1


def test_a_pose_is_what_a_face_then_shows() -> None:
    still = Motion(*_rest(1))
    for shapes in poses().values():
        for pose in shapes.values():
            shown = measure(apply(still, {name: {0: value} for name, value in pose.items()}))
            for name, value in pose.items():
                assert shown[name][0] == pytest.approx(value, abs=1e-4)


def _rest(n: int) -> tuple[Fraction, np.ndarray, np.ndarray, np.ndarray]:
    f = np.float32
    return Fraction(24), np.zeros((n, 52), f), np.zeros((n, 6), f), np.zeros((n, 2), f)


@settings(max_examples=60, deadline=None)
@given(timings())
def test_rhubarb_there_and_back(tmp_path_factory: pytest.TempPathFactory, timing: Timing) -> None:
    folder = tmp_path_factory.mktemp("rhubarb")
    for kind in ("rhubarb.tsv", "rhubarb.json", "rhubarb.xml"):
        text = files.written(kind, timing, living(2), "/tmp/voice & co.wav")
        assert files.read(saved(folder, text), Fraction(24)) == timing


@settings(max_examples=60, deadline=None)
@given(timings(BLAIR), RATES)
def test_papagayo_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, timing: Timing, fps: Fraction
) -> None:
    folder = tmp_path_factory.mktemp("papagayo")
    n_frames = round(timing.end_s * fps) + 3
    still = living(2, fps)
    found = files.read(saved(folder, files.written("moho.dat", timing, still, "")), fps)
    assert isinstance(found, Timing)
    assert keys(found, fps, n_frames) == pytest.approx(keys(_on_frames(timing, fps), fps, n_frames))
    rate = Fraction(round(fps))
    found = files.read(saved(folder, files.written("papagayo.pgo", timing, still, "a.wav")), rate)
    assert isinstance(found, Timing)
    assert keys(found, rate, n_frames) == keys(_on_frames(timing, rate), rate, n_frames)


def _on_frames(timing: Timing, fps: Fraction) -> Timing:
    """The cues as a program that counts frames keeps them: one a frame, the last of several."""
    placed = {int(mark.start_s * fps + Fraction(1, 2)): mark.shape for mark in timing.marks}
    marks = tuple(Mark(frame / fps, shape) for frame, shape in placed.items())
    return Timing(timing.shapes, marks, int(timing.end_s * fps + Fraction(1, 2)) / fps)


def test_a_project_of_papagayo_with_words(tmp_path: Path) -> None:
    text = (
        "lipsync version 1\nvoice.wav\n24\n48\n2\n\tempty\n\t\n\t0\n\tVoice 1\n\thi mum|hi\n\t1\n"
        "\t\thi mum\n\t\t2\n\t\t30\n\t\t2\n\t\t\thi 2 8 2\n\t\t\t\t2 etc\n\t\t\t\t5 AI\n"
        "\t\t\tmum 12 20 3\n\t\t\t\t12 MBP\n\t\t\t\t15 U\n\t\t\t\t19 MBP\n"
    )
    found = files.read(saved(tmp_path, text), Fraction(24))
    assert isinstance(found, Timing)
    assert [(int(mark.start_s * 24), mark.shape) for mark in found.marks] == [
        (2, "etc"), (5, "AI"), (9, "rest"), (12, "MBP"), (15, "U"), (19, "MBP"), (21, "rest"),
    ]  # fmt: skip
    assert found.end_s == 2


def test_cues_are_held_as_edits_of_every_frame() -> None:
    marks = (Mark(Fraction(1, 8), "D"), Mark(Fraction(1, 4), "A"), Mark(Fraction(1, 3), "F"))
    made = edits(Timing(RHUBARB, marks, Fraction(1, 2)), Fraction(24), 14)
    opened = [made["lip_open"][frame] for frame in range(14)]
    assert opened == [0] * 3 + [0.6] * 3 + [0] * 2 + [0.14] * 4 + [0] * 2
    assert made["lip_round"][9] == 0.7


def test_lips_that_meet_are_never_left_out() -> None:
    moments = [Fraction(n, 100) for n in (0, 10, 11, 12)]
    timing = Timing(RHUBARB, tuple(map(Mark, moments, "DADC")), Fraction(1))
    assert keys(timing, Fraction(12), 12) == {0: "D", 1: "A", 2: "C"}


@given(timings())
def test_translation_keeps_what_is_closed(timing: Timing) -> None:
    other = translated(timing, BLAIR)
    back = translated(other, RHUBARB)
    for mine, theirs, again in zip(timing.marks, other.marks, back.marks, strict=True):
        closed = poses()[RHUBARB][mine.shape]["lip_open"] == 0
        assert closed == (poses()[BLAIR][theirs.shape]["lip_open"] == 0)
        assert again == mine


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(24), Fraction(24000, 1001), Fraction(60)])
@pytest.mark.parametrize("n_frames", [2, 13, 150])
def test_arkit_there_and_back(tmp_path: Path, fps: Fraction, n_frames: int) -> None:
    motion = living(n_frames, fps)
    for kind in ("arkit.csv", "arkit.json"):
        text = files.written(kind, Timing(RHUBARB, (), Fraction(1)), motion, "")
        found = files.read(saved(tmp_path, text), fps)
        assert isinstance(found, Motion)
        assert found.n_frames == n_frames
        assert found.expression == pytest.approx(motion.expression, abs=2e-3)  # 1/60000 s off
        assert found.head == pytest.approx(motion.head, abs=0.1)
        assert found.gaze == pytest.approx(motion.gaze, abs=0.2)


def test_live_link_has_61_curves_and_json_the_52_names() -> None:
    head, row = arkit.write_csv(living(1)).splitlines()
    names = head.split(",")
    assert names[:2] == ["Timecode", "BlendShapeCount"]
    assert len(names[2:]) == 61 == int(row.split(",")[1])
    assert sorted(name.lower() for name in names[2:54]) == sorted(n.lower() for n in ARKIT_NAMES)
    assert json.loads(arkit.write_json(living(1)))["names"] == list(ARKIT_NAMES)


def test_a_recording_at_sixty_becomes_a_shot_at_twenty_four(tmp_path: Path) -> None:
    motion = living(180, Fraction(60))
    frames = np.arange(180)
    motion.expression[:, ARKIT_INDEX["jawOpen"]] = frames / 180
    lines = arkit.write_csv(motion).splitlines()
    lines[1:] = ["01:02:" + line[6:] for line in lines[1:]]  # recorded in the afternoon
    del lines[50]  # a row was lost
    found = files.read(saved(tmp_path, "\r\n".join(lines)), Fraction(24))
    assert isinstance(found, Motion)
    assert found.n_frames == 72
    expected = np.arange(72) * 2.5 / 180
    assert found.expression[:, ARKIT_INDEX["jawOpen"]] == pytest.approx(expected, abs=1e-4)
    made = files.edits_of(found, Fraction(24), 10)
    assert set(made) == {channel.name for channel in CHANNELS}
    assert all(list(values) == list(range(10)) for values in made.values())


def speech_curves(seconds: float, fps: Fraction) -> dict[str, np.ndarray]:
    """Lips at six syllables a second with closures and a pause."""
    n = int(seconds * fps)
    times = np.arange(n) / float(fps)
    talks = (times % 4) < 3
    return {
        "lip_open": 0.3 * np.maximum(0, np.sin(times * 2 * np.pi * 3)) * talks,
        "lip_width": 0.2 * np.sin(times * 5) * talks,
        "lip_round": 0.4 * np.maximum(0, np.sin(times * 2)) * talks,
        "smile": np.zeros(n),
    }


def test_about_five_cues_a_second_that_keep_the_closures() -> None:
    fps = Fraction(24)
    curves = speech_curves(40, fps)
    timing = choose(curves, fps)
    assert 2 <= len(timing.marks) / 30 <= 7.5
    shown = edits(timing, fps, len(curves["lip_open"]))
    closed = curves["lip_open"] <= LIPS_MEET
    borders = np.flatnonzero(np.diff(np.concatenate([[0], closed, [0]]))).reshape(-1, 2)
    for first, last in borders:
        assert any(shown["lip_open"][frame] == 0 for frame in range(first, last))
    shapes = [mark.shape for mark in timing.marks]
    assert shapes.count("X") == 10
    assert len(set(shapes)) >= 4
    assert all(a != b for a, b in zip(shapes, shapes[1:], strict=False))
    away = [abs(shown["lip_open"][f] - curves["lip_open"][f]) for f in range(len(closed))]
    assert np.mean(away) < 0.1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(8, 30), st.sampled_from("ABCDEFGX")), min_size=2, max_size=12)
)
def test_a_mouth_that_is_held_from_cue_to_cue_gives_its_cues_back(
    parts: list[tuple[int, str]],
) -> None:
    fps, at, marks = Fraction(24), 0, []
    for length, shape in parts:
        if not marks or marks[-1].shape != shape:
            marks.append(Mark(at / fps, shape))
        at += length
    timing = Timing(RHUBARB, tuple(marks), at / fps)
    made = edits(timing, fps, at)
    curves = {name: np.array(list(values.values())) for name, values in made.items()}
    assert choose(curves, fps) == timing


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no mouth cues"),
        ("0.00 A B\n1.0 X", "line 1"),
        ("0.00\tA\n0.50\tQ\n1.0\tX", '"Q" in cue 2'),
        ("0.50\tA\n0.20\tB\n1.0\tX", "cue 2"),
        ("zero\tA\n1.0\tX", '"zero"'),
        ("-1\tA\n1.0\tX", "-1"),
        ("1e999\tA\n2\tX", "line 1"),
        ("nan\tA\n2\tX", "nan"),
        ("{", "no JSON"),
        ("{}", "mouthCues"),
        ('{"mouthCues": [3]}', "mouthCues"),
        ('{"mouthCues": [{"start": 0, "end": null, "value": "A"}]}', "cue 1"),
        ('{"mouthCues": []}', "no mouth cues"),
        ("<rhubarbResult>", "no XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
        ("<a/>", "no mouth cues"),
        ("MohoSwitch1\n", "no mouth cues"),
        ("MohoSwitch2\n1 rest", "MohoSwitch1"),
        ("MohoSwitch1\none rest", '"one"'),
        ("MohoSwitch1\n1 yawn", '"yawn"'),
        ("lipsync version 2\n", "lipsync version 1"),
        ("lipsync version 1\na.wav\n24\n48\n1\n\tVoice 1\n", "ends after"),
        ("lipsync version 1\na.wav\n0\n48\n0\n", "frames per second"),
        ("lipsync version 1\na.wav\n24\n48\n0\n", "no mouth cues"),
        ("Timecode,BlendShapeCount,JawOpen\n", "lacks 51"),
        ('{"names": ["jawOpen"]}', "other names"),
        (json.dumps({"names": list(ARKIT_NAMES), "fps": [24, 0]}), "incomplete"),
        ("\0\1\2", "line 1"),
    ],
)
def test_bad_files_are_named_with_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(TimingUnreadable) as caught:
        files.read(saved(tmp_path, text, "bad.txt"), Fraction(24))
    assert named in caught.value.message
    assert '"bad.txt"' in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda rows: [rows[0]], "no rows"),
        (lambda rows: [*rows[:2], rows[2] + ",7"], "line 3"),
        (lambda rows: [*rows[:2], "noon" + rows[2][8:]], "time code"),
        (lambda rows: [rows[0], rows[2], rows[1]], "back in time in line 3"),
        (lambda rows: [rows[0], rows[1].replace("0.", "zero", 1)], "line 2"),
        (lambda rows: [rows[0], rows[1].rsplit(",", 61)[0] + ",nan" * 61], "no number"),
        (lambda rows: [rows[0], rows[1], "99:00:00:00.000" + rows[2][15:]], "s long"),
    ],
)
def test_bad_recordings_are_named_with_what_is_wrong(tmp_path: Path, change, named: str) -> None:
    rows = arkit.write_csv(living(2)).splitlines()
    with pytest.raises(TimingUnreadable) as caught:
        files.read(saved(tmp_path, "\n".join(change(rows))), Fraction(24))
    assert named in caught.value.message


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "picture.png"):
        with pytest.raises(TimingUnreadable, match=path.name):
            files.read(path, Fraction(24))


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=80), st.sampled_from(["", "{", "<", "MohoSwitch1\n", "lipsync version 1\n"])
)
def test_no_text_makes_it_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, text: str, begin: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_text(begin + text, "utf-8", errors="replace")
    try:
        found = files.read(path, Fraction(24))
    except TimingUnreadable:
        return
    assert isinstance(found, Timing)
