"""From what was heard to what a face does: the order of things, and what stays local."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.datatypes import ARKIT_INDEX, Motion, ShotSpec
from inference_server.keys import frame_keys
from inference_server.motion.body import REACH_S
from inference_server.motion.channels import LIPS_MEET
from inference_server.motion.cues import BlinkCue
from inference_server.motion.lids import lids
from inference_server.performance import Performance, ahead, perform
from inference_server.registry import SpokenMotion
from inference_server.spec import parse_spec

FPS = Fraction(24)
N_FRAMES = 72
LEAST = {"image": "/a.png", "audio": {"path": "/a.wav"}, "fps": [24, 1], "out_dir": "/t"}


def heard(n_frames: int = N_FRAMES) -> SpokenMotion:
    """Three syllables a second with a closure between them, a pause, a blink now and then."""
    frames = np.arange(n_frames)
    expression = np.zeros((n_frames, 52), np.float32)
    silent = (frames >= 40) & (frames < 56)
    expression[:, ARKIT_INDEX["jawOpen"]] = 0.25 * (1 - np.cos(frames * np.pi / 4)) * ~silent
    blinks = lids((20, 50, 90), FPS, n_frames)
    expression[:, ARKIT_INDEX["eyeBlinkLeft"]] = expression[:, ARKIT_INDEX["eyeBlinkRight"]] = (
        blinks
    )
    head = np.zeros((n_frames, 6), np.float32)
    head[:, :3] = np.sin(frames / 9)[:, None] * [4, 3, 2]
    gaze = np.stack([np.cos(frames / 5), np.sin(frames / 5)], 1).astype(np.float32)
    closures = tuple(
        (f - 1, f + 1) for f in range(8, n_frames - 1, 8) if not silent[f - 1 : f + 2].any()
    )
    return SpokenMotion(Motion(FPS, expression, head, gaze), silent, closures)


def spec_of(**fields: Any) -> ShotSpec:
    return parse_spec({**LEAST, **fields})


def played(warnings: list[str] | None = None, **fields: Any) -> Performance:
    spec = spec_of(**fields)
    spoken = ahead(heard(N_FRAMES + spec.lead), spec.lead)
    return perform(spec, spoken, (warnings if warnings is not None else []).append)


def changed(one: Performance, other: Performance) -> list[int]:
    """Frames whose key differs."""
    keys = [frame_keys("", each.motion, 0) for each in (one, other)]
    return [frame for frame, pair in enumerate(zip(*keys, strict=True)) if pair[0] != pair[1]]


HOLDS = st.one_of(
    st.sampled_from([1, 2, 3]),
    st.sets(st.integers(1, N_FRAMES + 5)).map(lambda starts: [0, *sorted(starts)]),
)
CUES = st.one_of(
    st.none(),
    st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {
                    "frame": st.integers(0, N_FRAMES + 5),
                    "kind": st.just("blink"),
                    "eye": st.sampled_from(["both", "l", "r"]),
                }
            ),
            st.fixed_dictionaries(
                {
                    "frame": st.integers(0, N_FRAMES + 5),
                    "kind": st.just("gaze"),
                    "target": st.sampled_from(["camera", "wander", [10.0, -5.0]]),
                }
            ),
        ),
        max_size=5,
    ),
)
CURVES = st.dictionaries(st.integers(0, N_FRAMES + 5), st.floats(0, 2), max_size=4)
AMOUNTS = st.dictionaries(
    st.sampled_from(["lip_amount", "head_amount", "eye_amount"]),
    CURVES.map(lambda curve: [list(point) for point in sorted(curve.items())]),
)


@settings(max_examples=80, deadline=None)
@given(HOLDS, st.integers(0, 2), CUES, AMOUNTS, st.sampled_from([0.0, 0.5, 2.0]))
def test_rules_are_kept_whatever_is_laid_over_a_shot(
    holds: Any, lead: int, cues: Any, amounts: Any, settle: float
) -> None:
    found = played(holds=holds, lead=lead, cues=cues, amounts=amounts, params={"settle": settle})
    assert found.report.closure_hits == found.report.closure_total > 3
    assert isinstance(holds, list) or found.report.breaches == ()
    starts = range(0, N_FRAMES, holds) if isinstance(holds, int) else holds
    keys = frame_keys("", found.motion, 0)
    for frame in range(N_FRAMES):
        assert frame in starts or keys[frame] == keys[frame - 1]
    for cue in found.blinks:
        for eye in ("l", "r"):
            if cue.eye in ("both", eye):
                assert found.channels[f"eye_open_{eye}"][cue.frame] < 0.01
    if settle and holds == 1:
        assert not found.motion.head[[0, -1]].any()


@settings(max_examples=50, deadline=None)
@given(HOLDS, CUES, AMOUNTS)
def test_blinks_said_back_as_cues_change_nothing(holds: Any, cues: Any, amounts: Any) -> None:
    first = played(holds=holds, cues=cues, amounts=amounts)
    gazes = [cue for cue in cues or [] if cue["kind"] == "gaze"]
    if gazes and not first.blinks:
        return  # gaze alone means that blinks are generated
    blinks = [{"frame": c.frame, "kind": "blink", "eye": c.eye} for c in first.blinks]
    again = played(holds=holds, cues=[*blinks, *gazes], amounts=amounts)
    assert changed(first, again) == []
    assert again.blinks == first.blinks


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["lip_open", "eye_open_l", "gaze_x", "head_yaw", "brow"]),
        st.dictionaries(st.integers(0, N_FRAMES - 1).map(str), st.floats(0, 1), max_size=6),
    ),
    HOLDS,
)
def test_edits_change_no_frame_but_their_own(edits: Any, holds: Any) -> None:
    plain, found = played(holds=holds), played(holds=holds, channels=edits)
    touched = {int(frame) for values in edits.values() for frame in values}
    for turned in map(int, edits.get("head_yaw", ())):  # shoulders follow the head
        touched |= set(range(turned, _end_of_drawing(holds, turned + round(REACH_S * FPS))))
    assert set(changed(plain, found)) <= touched
    for name, values in edits.items():
        for frame, value in values.items():
            assert found.channels[name][int(frame)] == round(value, 4)
    assert {name: row.tolist() for name, row in found.generated.items()} == {
        name: row.tolist() for name, row in plain.generated.items()
    }


def _end_of_drawing(holds: Any, frame: int) -> int:
    """The frame behind the drawing that is seen at a frame."""
    if isinstance(holds, int):
        return frame - frame % holds + holds
    return min([start for start in holds if start > frame], default=N_FRAMES)


def test_an_edit_that_opens_a_closure_is_reported_and_may_be_overruled() -> None:
    edits = {"lip_open": {str(frame): 0.5 for frame in (15, 16, 17, 45)}}
    found = played(channels=edits).report
    kinds = {breach.frame: breach.kind for breach in found.breaches}
    assert kinds == {16: "open_closure", 46: "silence_motion", 45: "silence_motion"}
    assert found.closure_hits == found.closure_total - 1
    again = played(channels=edits, overruled=[16, 45, 60]).report
    assert {breach.frame for breach in again.breaches} == {46}
    assert {breach.frame for breach in again.overruled} == {16, 45}
    assert (again.closure_hits, again.silence_motion) == (found.closure_hits, found.silence_motion)


@pytest.mark.parametrize("lead", [1, 2])
def test_the_picture_runs_ahead_of_the_sound(lead: int) -> None:
    plain = perform(spec_of(), heard(N_FRAMES + lead), lambda text: None)
    early = played(lead=lead)
    assert early.motion.expression.tobytes() == plain.motion.expression[lead:].tobytes()
    assert early.motion.head.tobytes() == plain.motion.head[lead:].tobytes()
    assert early.report.closure_total == plain.report.closure_total
    assert early.channels["lip_open"][8 - lead] <= LIPS_MEET


def test_a_closure_cut_by_the_lead_is_judged_by_what_is_left() -> None:
    spoken = heard()
    cut = SpokenMotion(spoken.motion, spoken.silent, ((0, 1), (1, 3), (8, 9)))
    assert ahead(cut, 2).closures == ((0, 1), (6, 7))


def test_what_lies_behind_the_last_frame_is_said() -> None:
    warnings: list[str] = []
    played(
        warnings,
        holds=[0, 5, 100],
        cues=[{"frame": 200, "kind": "blink"}],
        channels={"lip_open": {"72": 0.1, "300": 0.2}},
    )
    assert [text.split(" lie ")[0] for text in warnings] == [
        "1 holds", "1 cues", "2 edited values",
    ]  # fmt: skip


def test_a_blink_of_one_eye_is_in_the_performance() -> None:
    found = played(cues=[{"frame": 30, "kind": "blink", "eye": "r"}])
    assert found.blinks == (BlinkCue(30, "r"),)
    assert found.channels["eye_open_l"].min() > 0.99


def test_a_take_says_its_cues_and_what_was_overruled(
    studio: Any, shot: Callable[..., ShotSpec], tmp_path: Path
) -> None:
    from inference_server.takes import read_take

    spec = shot(
        cues=[
            {"frame": 3, "kind": "blink", "eye": "l"},
            {"frame": 0, "kind": "gaze", "target": "camera"},
        ],
        channels={"lip_open": {"7": 0.5}},
        overruled=[7],
        holds=[0, 3, 7, 8],
        lead=1,
        amounts={"head_amount": [[0, 0.5], [11, 1.5]]},
    )
    take = studio.render(spec, lambda event: None, lambda: False)
    read = read_take(take.path)
    assert read.cues == take.cues == (BlinkCue(3, "l"),)
    assert read.report == take.report
    assert read.spec == spec
    assert [breach.frame for breach in take.report.overruled] == [7]
    assert take.report.closure_hits == take.report.closure_total - 1
    assert take.rendered == (0, 3, 7, 8)
    same_file = {(take.path / f"{frame:06d}.png").stat().st_ino for frame in (3, 4, 5, 6)}
    assert len(same_file) == 1
    base = str(take.path)
    again = shot("again", **{**_laid(spec), "overruled": [], "base_take": base})
    assert studio.render(again, lambda event: None, lambda: False).rendered == ()


def _laid(spec: ShotSpec) -> dict[str, Any]:
    from inference_server.spec import spec_to_json

    names = ("cues", "channels", "holds", "lead", "amounts")
    return {name: spec_to_json(spec)[name] for name in names}
