"""Blinks, gaze, amounts and ends that an artist asks for."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.datatypes import ARKIT_INDEX, BlinkCue, GazeCue, Motion
from inference_server.motion import amounts, cues, ends
from inference_server.motion.channels import MOUTH_COLUMNS, measure, with_look
from inference_server.motion.lids import lids

LEFT, RIGHT = ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]
JAW, BROW = ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browInnerUp"]


def living(n_frames=240, fps=24, blinks=(30, 80, 130, 180)) -> Motion:
    """A face that speaks, looks about, turns and blinks."""
    frames = np.arange(n_frames)
    expression = np.zeros((n_frames, 52), np.float32)
    expression[:, JAW] = 0.3 + 0.2 * np.sin(frames)
    expression[:, BROW] = 0.4 + 0.3 * np.sin(frames / 9)
    expression[:, [LEFT, RIGHT]] = lids(blinks, Fraction(fps), n_frames)[:, None]
    head = np.zeros((n_frames, 6), np.float32)
    head[:, :3] = np.stack([4 * np.cos(frames / 20 + axis) for axis in range(3)], 1)
    gaze = np.stack([np.sin(frames / 11), np.cos(frames / 7)], 1).astype(np.float32)
    native = {"lips": np.full((n_frames, 40, 3), 0.01, np.float32)}
    return Motion(Fraction(fps), with_look(expression, gaze), head, gaze, native)


def same(one: Motion, other: Motion) -> np.ndarray:
    """(N,) which frames are equal."""
    return np.array(
        [
            all(
                np.array_equal(getattr(one, name)[frame], getattr(other, name)[frame])
                for name in ("expression", "head", "gaze")
            )
            for frame in range(one.n_frames)
        ]
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from([Fraction(12), Fraction(24000, 1001), Fraction(60)]))
def test_blinks_that_were_placed_are_found_again(data, fps):
    gap = int(fps) // 2
    places = sorted(data.draw(st.sets(st.integers(0, 20))))
    placed = tuple(
        BlinkCue(gap * place, data.draw(st.sampled_from(["both", "l", "r"]))) for place in places
    )
    still = replace(living(gap * 21, int(fps)), fps=fps)
    made = cues.with_blinks(still, placed)
    assert cues.blinks_of(made) == placed
    assert same(cues.perform(made, cues.blinks_of(made) or ()), made).all()


def test_a_blink_is_shut_on_its_frame_and_open_beyond_its_reach():
    for fps in (5, 12, 24, 60, 120):
        shut = lids([fps], Fraction(fps), 2 * fps + 1)
        assert shut[fps] == 1
        assert not shut[: int(0.88 * fps)].any()
        assert not shut[int(1.22 * fps) + 1 :].any()


def test_no_cues_leave_all_as_it_was_generated():
    motion = living()
    assert cues.perform(motion, None) is motion


def test_an_empty_list_means_no_blinks_and_the_gaze_stays():
    made = cues.perform(living(), ())
    assert not made.expression[:, [LEFT, RIGHT]].any()
    assert np.array_equal(made.gaze, living().gaze)


def test_one_placed_blink_replaces_all_of_one_eye_alone():
    made = cues.perform(living(), (BlinkCue(100, "r"),))
    opened = measure(made)
    assert opened["eye_open_l"].min() > 0.99
    assert np.flatnonzero(opened["eye_open_r"] < 0.01).tolist() == [100]


def test_moving_a_blink_changes_the_frames_around_both_places_only():
    motion = living()
    before = cues.perform(motion, tuple(BlinkCue(f) for f in (30, 80, 130, 180)))
    after = cues.perform(motion, tuple(BlinkCue(f) for f in (30, 95, 130, 180)))
    changed = np.flatnonzero(~same(before, after))
    assert set(changed) <= {*range(78, 86), *range(93, 101)}
    assert {80, 95} <= set(changed)


def test_gaze_alone_leaves_the_blinks():
    made = cues.perform(living(), (GazeCue(50, "camera"),))
    assert cues.blinks_of(made) == cues.blinks_of(living())


@pytest.mark.parametrize(("target", "point"), [("camera", (0, 0)), ((10.0, -5.0), (10, -5))])
def test_eyes_stay_on_a_target_while_the_head_turns(target, point):
    made = cues.perform(living(), (GazeCue(50, target), GazeCue(120, "wander")))
    seen = made.gaze + made.head[:, :2]
    assert seen[50:119] == pytest.approx(np.broadcast_to(point, (69, 2)), abs=1e-5)
    unchanged = same(made, living())
    assert unchanged[:50].all()
    assert unchanged[120:].all()
    assert made.expression.tobytes() == with_look(made.expression, made.gaze).tobytes()


def test_eyes_jump_within_two_frames_at_sixty():
    still = replace(living(120, 60), gaze=np.zeros((120, 2), np.float32))
    still = replace(still, head=np.zeros((120, 6), np.float32))
    made = cues.perform(still, (GazeCue(60, (20.0, 0.0)),))
    assert np.flatnonzero((made.gaze[:, 0] > 0) & (made.gaze[:, 0] < 20)).tolist() == [58, 59]


def test_amounts_of_one_change_nothing():
    motion = living()
    whole = dict.fromkeys(("lip_amount", "head_amount", "eye_amount"), ((0, 1.0),))
    assert amounts.scale(motion, {}, 1.0, 0, 0.0) is motion
    made = amounts.scale(motion, whole, 1.0, 0, 0.0)
    for name in ("expression", "head", "gaze"):
        assert getattr(made, name) == pytest.approx(getattr(motion, name), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "columns"), [("lip_amount", MOUTH_COLUMNS), ("eye_amount", [BROW])]
)
def test_an_amount_scales_its_own_part_in_its_own_range(name, columns):
    curve = ((0, 1.0), (99, 1.0), (100, 0.5), (150, 0.5), (151, 1.0))
    motion = living(blinks=())
    made = amounts.scale(motion, {name: curve}, 1.0, 0, 0.0)
    expected = np.interp(np.arange(240), *zip(*curve, strict=True))[:, None]
    assert made.expression[:, columns] == pytest.approx(motion.expression[:, columns] * expected)
    others = [column for column in range(52) if column not in columns]
    assert np.array_equal(made.head, motion.head)
    if name == "lip_amount":
        assert made.expression[:, others] == pytest.approx(motion.expression[:, others], abs=1e-6)
        assert made.native["lips"][120] == pytest.approx(0.005)
    else:
        assert made.gaze[120] != pytest.approx(motion.gaze[120])


def test_the_amount_of_the_head_keeps_the_viewer_in_view():
    motion = living()
    made = amounts.scale(motion, {"head_amount": ((0, 0.0),)}, 1.0, 0, 0.0)
    assert not made.head.any()
    assert made.gaze == pytest.approx(motion.gaze + 0.7 * motion.head[:, :2], abs=1e-5)


def test_fewer_and_more_blinks_in_a_range_leave_the_others():
    every = tuple(range(30, 24_000, 60))
    motion = living(24_000, 24, every)
    often = ((0, 1.0), (7999, 1.0), (8000, 0.5), (15_999, 0.5), (16_000, 2.0))
    made = amounts.scale(motion, {"eye_amount": often}, 1.0, 7, 0.0)
    found = np.array([cue.frame for cue in cues.blinks_of(made)])
    assert found[found < 8000].tolist() == [frame for frame in every if frame < 8000]
    assert (found[(found >= 8000) & (found < 16_000)]).size / 133 == pytest.approx(0.5, abs=0.12)
    assert (found >= 16_000).sum() / 134 == pytest.approx(2.0, abs=0.05)
    none = amounts.scale(motion, {"eye_amount": ((0, 0.0),)}, 1.0, 7, 0.0)
    assert cues.blinks_of(none) == ()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(25)]))
def test_which_blinks_go_belongs_to_the_sound(trimmed, fps):
    motion = replace(living(2400, 24, tuple(range(70, 2400, 40))), fps=fps)
    half = {"eye_amount": ((0, 0.5),)}
    whole = cues.blinks_of(amounts.scale(motion, half, 1.0, 3, 12.5))
    rest = replace(
        motion,
        expression=motion.expression[trimmed:],
        head=motion.head[trimmed:],
        gaze=motion.gaze[trimmed:],
        native={},
    )
    begin_s = 12.5 + trimmed / float(fps)
    shorter = cues.blinks_of(amounts.scale(rest, half, 1.0, 3, begin_s))
    assert [cue.frame + trimmed for cue in shorter] == [cue.frame for cue in whole]


def test_a_shot_that_settles_begins_and_ends_at_rest():
    motion = living(blinks=())
    made = ends.settle(motion, 1.0)
    for frame in (0, -1):
        assert not made.head[frame].any()
        assert not made.gaze[frame].any()
        assert made.expression[frame, BROW] == 0
    assert made.expression[:, JAW].tolist() == motion.expression[:, JAW].tolist()
    assert same(made, motion)[24:216].all()
    assert (np.abs(made.head[:24]) <= np.abs(motion.head[:24])).all()
    assert ends.settle(motion, 0.0) is motion


def test_a_shot_too_short_to_settle_still_ends_at_rest():
    made = ends.settle(living(13), 2.0)
    assert not made.head[[0, -1]].any()
    assert 0 < np.abs(made.head[6, 0]) < np.abs(living(13).head[6, 0])
