"""The artist's curves: what is set is what is measured, and nothing else moves."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, Motion
from inference_server.errors import SpecInvalid
from inference_server.motion.channels import apply, measure, with_look
from inference_server.protocol import CHANNEL_NAMES, CHANNELS

N = 4
RANGE = {channel.name: (channel.minimum, channel.maximum) for channel in CHANNELS}


def motion_of(expression=None, head=None, gaze=None, n=N) -> Motion:
    zeros = np.zeros
    return Motion(
        fps=Fraction(24),
        expression=zeros((n, 52), np.float32) if expression is None else expression,
        head=zeros((n, 6), np.float32) if head is None else head,
        gaze=zeros((n, 2), np.float32) if gaze is None else gaze,
    )


@st.composite
def motions(draw):
    """Any weights at all, many of them at 0 and 1, with eyeLook weights that follow the gaze."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    expression = rng.uniform(-0.4, 1.4, (N, 52)).clip(0, 1).astype(np.float32)
    head = rng.uniform(-60, 60, (N, 6)).astype(np.float32)
    gaze = rng.uniform(-40, 40, (N, 2)).astype(np.float32)
    if draw(st.booleans()):
        expression = expression.round()
    return motion_of(with_look(expression, gaze), head, gaze)


edits = st.dictionaries(
    st.sampled_from(CHANNEL_NAMES),
    st.dictionaries(st.integers(0, N - 1), st.floats(-50, 50), min_size=1),
    min_size=1,
)


def clipped(name: str, value: float) -> float:
    return min(max(value, RANGE[name][0]), RANGE[name][1])


@settings(max_examples=300, deadline=None)
@given(motions(), edits)
def test_what_is_set_is_measured_and_the_rest_stays(motion, wanted):
    before = measure(motion)
    edited = apply(motion, wanted)
    after = measure(edited)
    for name in CHANNEL_NAMES:
        for frame in range(N):
            if frame in wanted.get(name, {}):
                expected = clipped(name, wanted[name][frame])
            else:
                expected = before[name][frame]
            assert after[name][frame] == pytest.approx(expected, abs=1e-5)
    touched = {frame for frames in wanted.values() for frame in frames}
    for frame in set(range(N)) - touched:
        assert edited.expression[frame].tobytes() == motion.expression[frame].tobytes()
        assert edited.head[frame].tobytes() == motion.head[frame].tobytes()
        assert edited.gaze[frame].tobytes() == motion.gaze[frame].tobytes()
    assert edited.expression.min() >= 0
    assert edited.expression.max() <= 1
    assert edited.expression.dtype == np.float32


@settings(max_examples=100, deadline=None)
@given(motions(), edits)
def test_applying_twice_is_applying_once(motion, wanted):
    once = apply(motion, wanted)
    twice = apply(once, wanted)
    assert twice.expression.tobytes() == once.expression.tobytes()
    assert twice.head.tobytes() == once.head.tobytes()
    assert twice.gaze.tobytes() == once.gaze.tobytes()


@settings(max_examples=100, deadline=None)
@given(motions())
def test_writing_back_what_was_measured_changes_nothing(motion):
    values = measure(motion)
    same = {name: dict(enumerate(values[name].tolist())) for name in CHANNEL_NAMES}
    inside = np.abs(motion.head[:, :3]).max() <= 30 and np.abs(motion.gaze).max() <= 25
    edited = apply(motion, same)
    assert edited.expression[:, ARKIT_INDEX["jawOpen"]].tobytes() == (
        motion.expression[:, ARKIT_INDEX["jawOpen"]].tobytes()
    )
    if inside:
        assert edited.expression.tobytes() == motion.expression.tobytes()


@pytest.mark.parametrize("frames", [{}, {"lip_open": {}}])
def test_no_edits_return_the_same_motion(frames):
    motion = motion_of()
    assert apply(motion, frames) is motion


def test_rest_is_what_the_protocol_says():
    values = measure(motion_of())
    for channel in CHANNELS:
        assert values[channel.name].tolist() == [channel.rest] * N


@settings(max_examples=200, deadline=None)
@given(motions(), st.integers(0, N - 1))
def test_lip_open_zero_shuts_the_lips(motion, frame):
    weights = apply(motion, {"lip_open": {frame: 0.0}}).expression[frame]
    was_over_shut = measure(motion)["lip_open"][frame] == 0
    if not was_over_shut:
        assert weights[ARKIT_INDEX["jawOpen"]] == weights[ARKIT_INDEX["mouthClose"]]
        for name in ("mouthLowerDownLeft", "mouthUpperUpRight"):
            assert weights[ARKIT_INDEX[name]] == 0


def test_closing_a_wide_mouth_takes_the_jaw_along():
    wide = np.zeros((1, 52), np.float32)
    wide[0, ARKIT_INDEX["jawOpen"]] = 0.8
    shut = apply(motion_of(wide, n=1), {"lip_open": {0: 0.0}}).expression[0]
    assert shut[ARKIT_INDEX["jawOpen"]] == pytest.approx(0.2)
    assert shut[ARKIT_INDEX["mouthClose"]] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("channel", "value", "weights"),
    [
        ("lip_open", 0.5, {"jawOpen": 0.5}),
        ("lip_width", 0.6, {"mouthStretchLeft": 0.6, "mouthStretchRight": 0.6}),
        ("lip_width", -1.0, {"mouthPucker": 1.0}),
        ("lip_round", 1.0, {"mouthFunnel": 1.0, "mouthPucker": 0.8}),
        ("smile", 0.4, {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}),
        ("smile", -0.4, {"mouthFrownLeft": 0.4, "mouthFrownRight": 0.4}),
        ("eye_open_l", 0.0, {"eyeBlinkLeft": 1.0}),
        ("eye_open_r", 1.3, {"eyeWideRight": 1.0}),
        ("brow", 1.0, {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}),
        ("brow", -0.5, {"browDownLeft": 0.5, "browDownRight": 0.5}),
        ("gaze_x", 15.0, {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}),
        ("gaze_y", -25.0, {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 1.0}),
    ],
)
def test_each_channel_moves_its_own_weights(channel, value, weights):
    moved = apply(motion_of(), {channel: {1: value}}).expression[1]
    expected = {name: weights.get(name, 0.0) for name in ARKIT_NAMES}
    assert dict(zip(ARKIT_NAMES, moved.tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_one_eye_brow_stays_higher_than_the_other():
    uneven = np.zeros((1, 52), np.float32)
    uneven[0, ARKIT_INDEX["browOuterUpLeft"]] = 0.6
    edited = apply(motion_of(uneven, n=1), {"brow": {0: 0.6}}).expression[0]
    assert edited[ARKIT_INDEX["browOuterUpLeft"]] > edited[ARKIT_INDEX["browOuterUpRight"]] > 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"lips": {0: 1.0}}, 'no channel "lips"'),
        ({"smile": {N: 1.0}}, "frame 4, but the shot has 4 frames"),
        ({"smile": {-1: 1.0}}, "frame -1"),
        ({"smile": {0: float("nan")}}, "is nan"),
    ],
)
def test_edits_that_make_no_sense_are_refused(wanted, message):
    with pytest.raises(SpecInvalid, match=message) as caught:
        apply(motion_of(), wanted)
    assert caught.value.hint
