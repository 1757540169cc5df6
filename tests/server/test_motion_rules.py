"""Closures, silence, holds and the report that judges them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.datatypes import ARKIT_INDEX, BlinkCue, Breach, Motion
from inference_server.motion.channels import measure
from inference_server.motion.closures import enforce
from inference_server.motion.cues import with_blinks
from inference_server.motion.holds import hold, starts_of
from inference_server.motion.report import overrule, report, sentences
from inference_server.registry import SpokenMotion

JAW, BLINK_L = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["eyeBlinkLeft"]
BLINK_R = ARKIT_INDEX["eyeBlinkRight"]


def motion_of(jaw, fps=24, blink=None) -> Motion:
    expression = np.zeros((len(jaw), 52), np.float32)
    expression[:, JAW] = jaw
    expression[:, ARKIT_INDEX["mouthStretchLeft"]] = np.asarray(jaw) / 2
    if blink is not None:
        expression[:, BLINK_L] = blink
    head = np.repeat(np.arange(len(jaw), dtype=np.float32)[:, None], 6, axis=1)
    gaze = np.zeros((len(jaw), 2), np.float32)
    return Motion(Fraction(fps), expression, head, gaze)


def spoken(jaw, silent=None, closures=()) -> SpokenMotion:
    silent = np.zeros(len(jaw), bool) if silent is None else np.asarray(silent, bool)
    return SpokenMotion(motion_of(jaw), silent, tuple(closures))


def openings(motion: Motion) -> np.ndarray:
    return measure(motion)["lip_open"]


def test_a_closure_shuts_the_lips_once_and_does_not_snap():
    jaw = [0.5] * 11
    opened = openings(enforce(spoken(jaw, closures=[(4, 6)])))
    assert opened[5] == 0
    assert opened[4] == opened[6] == pytest.approx(0.5)  # 12 / s at 24 fps is 0.5 a frame
    assert opened[:4].tolist() == opened[7:].tolist() == pytest.approx([0.5] * 4)


def test_the_frame_nearest_to_shut_is_the_one_that_closes():
    jaw = [0.6, 0.5, 0.4, 0.1, 0.5, 0.6]
    opened = openings(enforce(spoken(jaw, closures=[(1, 4)])))
    assert opened.argmin() == 3
    assert opened[3] == 0


def test_a_closure_that_is_shut_already_is_left_alone():
    before = spoken([0.5, 0.2, 0.0, 0.3, 0.5], closures=[(1, 3)])
    assert enforce(before).expression.tobytes() == before.motion.expression.tobytes()


def test_silence_is_brought_to_rest_and_speech_is_left_alone():
    silent = [False] * 5 + [True] * 10 + [False] * 5
    motion = enforce(spoken([0.4] * 20, silent))
    opened = openings(motion)
    assert opened[:5].tolist() == opened[15:].tolist() == pytest.approx([0.4] * 5)
    assert not opened[7:13].any()
    assert (np.diff(opened[4:7]) < 0).all()
    assert report(motion, np.array(silent), ()).silence_motion == 0


def test_a_shot_without_any_speech_has_a_still_mouth():
    assert not openings(enforce(spoken([0.4] * 9, [True] * 9))).any()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    st.one_of(
        st.sampled_from([1, 2, 3]),
        st.sets(st.integers(1, 70)).map(lambda starts: (0, *sorted(starts))),
    ),
    st.randoms(use_true_random=False),
)
def test_every_closure_survives_enforcing_and_holding(jaw, holds, random):
    n = len(jaw)
    closures, at = [], 0
    while at < n:
        first = at + random.randint(0, 6)
        last = first + random.randint(0, 4)
        if last < n:
            closures.append((first, last))
        at = last + 2
    source = spoken(jaw, closures=closures)
    blinks = [BlinkCue(random.randrange(n), random.choice("lr")) for _ in range(n // 12)]
    source = replace(source, motion=with_blinks(source.motion, blinks))
    held = hold(replace(source, motion=enforce(source)), holds)
    found = report(held, source.silent, tuple(closures))
    assert (found.closure_hits, found.closure_total) == (len(closures), len(closures))
    starts = starts_of(holds, n)
    for start, end in zip(starts, [*starts[1:], n], strict=True):
        group = held.expression[start:end]
        assert (group == group[0]).all()
        assert (held.head[start:end] == held.head[start]).all()
        for cue in blinks:
            if start <= cue.frame < end:
                assert group[0, BLINK_L if cue.eye == "l" else BLINK_R] == 1


def test_on_ones_nothing_changes():
    source = spoken([0.1, 0.2])
    assert hold(source, 1) is source.motion


def test_a_group_takes_the_loudest_mouth():
    held = hold(spoken([0.1, 0.7, 0.2, 0.3, 0.9]), 3)
    assert held.expression[:, JAW].tolist() == pytest.approx([0.7, 0.7, 0.7, 0.9, 0.9])


def test_a_closure_wins_over_a_loud_mouth():
    held = hold(spoken([0.5, 0.6, 0.0, 0.9, 0.5, 0.6], closures=[(2, 2)]), 2)
    assert held.expression[:, JAW].tolist() == pytest.approx([0.6, 0.6, 0, 0, 0.6, 0.6])


def test_a_blink_survives_beside_a_loud_mouth():
    source = spoken([0.1, 0.9, 0.8, 0.2])
    blinking = motion_of([0.1, 0.9, 0.8, 0.2], blink=[1.0, 0.2, 0.5, 0.0])
    held = hold(replace(source, motion=blinking), 2)
    assert held.expression[:, BLINK_L].tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5])
    assert held.expression[:, JAW].tolist() == pytest.approx([0.9, 0.9, 0.8, 0.8])


def test_no_drawing_carries_an_open_mouth_into_silence():
    silent = np.arange(30) >= 10
    for holds in (2, 3):
        source = spoken([0.5] * 30, silent)
        held = hold(replace(source, motion=enforce(source)), holds)
        assert report(held, silent, ()).silence_motion == 0
        assert openings(held)[:8].min() == pytest.approx(0.5)


def test_poses_last_as_long_as_the_list_says():
    held = hold(spoken([0.1, 0.7, 0.2, 0.3, 0.9, 0.4]), (0, 1, 4, 99))
    assert held.expression[:, JAW].tolist() == pytest.approx([0.1, 0.7, 0.7, 0.7, 0.9, 0.9])
    assert held.head[:, 0].tolist() == [0, 2, 2, 2, 5, 5]


def test_head_moves_evenly_on_threes():
    held = hold(spoken([0.5, 0.1, 0.1, 0.1, 0.1, 0.5]), 3)
    assert held.head[:, 0].tolist() == [1, 1, 1, 4, 4, 4]


def test_report_names_the_frames_that_break_a_rule():
    jaw = [0.0, 0.0, 0.3, 0.3, 0.5, 0.4, 0.5]
    silent = np.array([True, True, True, True, False, False, False])
    found = report(motion_of(jaw), silent, ((4, 6),))
    assert found.silence_motion == pytest.approx(1 / 3)  # frame 3 is on its way into speech
    assert (found.closure_hits, found.closure_total) == (0, 1)
    assert [(b.frame, b.kind) for b in found.breaches] == [
        (2, "silence_motion"),
        (5, "open_closure"),
    ]


def test_what_is_overruled_is_listed_apart():
    jaw = [0.0, 0.0, 0.3, 0.3, 0.5, 0.4, 0.5]
    silent = np.array([True, True, True, True, False, False, False])
    before = report(motion_of(jaw), silent, ((4, 6),))
    found = overrule(before, (0, 5))
    assert found.breaches == (Breach(2, "silence_motion"),)
    assert found.overruled == (Breach(5, "open_closure"),)
    assert (found.closure_hits, found.silence_motion) == (0, before.silence_motion)


def test_every_breach_is_said_in_words():
    jaw = [0.0, 0.0, 0.3, 0.3, 0.5, 0.4, 0.5]
    silent = np.array([True, True, True, True, False, False, False])
    assert sentences(overrule(report(motion_of(jaw), silent, ((4, 6),)), (5,))) == [
        "Lips: 0 of 1 closures shut, in motion on 33.3% of the silence.",
        "  frame 2: the lips move in silence",
        "  frame 5: the lips stay open where a sound shuts them (overruled)",
    ]


def test_the_way_from_speech_into_silence_is_not_motion_in_silence():
    silent = np.array([False, True, True])
    assert report(motion_of([0.5, 0.0, 0.0]), silent, ()).silence_motion == 0


def test_report_of_a_shot_without_silence_and_closures():
    found = report(motion_of([0.5, 0.1]), np.zeros(2, bool), ())
    assert (found.silence_motion, found.closure_total, found.breaches) == (0, 0, ())
