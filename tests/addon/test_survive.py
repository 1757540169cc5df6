"""Edits survive: other looks, other sounds, other frame rates, and random artists. Inside bpy."""

from __future__ import annotations

import random
from dataclasses import astuple
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from .conftest import FIRST, N_FRAMES, Stage, addon, pure, write_tone
from .test_edits import dirty, take

carry, keys_of, protocol, timing = pure("carry"), pure("keys"), pure("protocol"), pure("timing")
Span = timing.Span
GENERATED = 4  # any number does


def artists(stage: Stage) -> dict[str, Any]:
    """The artist's keys of each channel."""
    shot = stage.shot
    found = {}
    for channel in addon("protocol").CHANNELS:
        first, shown = addon("strips").origin(shot), take(stage)
        found[channel.name] = addon("edited").artists(shot, channel, first, shown, shown.n_frames)[
            0
        ]
    return found


def assert_same(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Every key is there bit for bit; only our mark may have been taken off a changed one."""
    mark = addon("fcurves").generated_number()
    for name, kept in before.items():
        found = after[name].chosen(np.isin(after[name].frames, kept.frames))
        assert np.array_equal(found.frames, kept.frames), name
        kept.fields["type"] = np.where(
            kept.fields["type"] == mark, found.fields["type"], kept.fields["type"]
        )
        assert kept.same(found), name


def some_edits(stage: Stage) -> dict[str, Any]:
    """Keys of every kind: changed, between frames, bezier, moved, deleted, pinned."""
    shot = stage.shot
    stage.key(shot, "lip_open", 20, 1.0)
    stage.key(shot, "smile", 30, 0.5)
    points = stage.curve(shot, "smile").keyframe_points
    key = next(p for p in points if p.co.x == FIRST + 30)
    key.interpolation, key.handle_left_type, key.handle_right_type = "BEZIER", "FREE", "AUTO"
    key.handle_left = (FIRST + 29.4, 0.7)
    points = stage.curve(shot, "head_yaw").keyframe_points
    for x in range(FIRST + 41, FIRST + 60):
        points.remove(next(p for p in points if p.co.x == x))
    for at in (40, 60):
        stage.key(shot, "head_yaw", at, 25.0 if at == 40 else -25.0)
    next(p for p in points if p.co.x == FIRST + 40).interpolation = "BEZIER"
    stage.curve(shot, "gaze_x").keyframe_points.insert(FIRST + 10.5, 12.0).type = "EXTREME"
    points = stage.curve(shot, "brow").keyframe_points
    points.remove(next(p for p in points if p.co.x == FIRST + 50))
    pinned = next(p for p in stage.curve(shot, "eye_open_l").keyframe_points if p.co.x == FIRST + 5)
    pinned.type = "KEYFRAME"  # the value that was generated, and the artist wants it
    return artists(stage)


def write_mark(fields: dict[str, Any], n: int) -> dict[str, Any]:
    places = dict.fromkeys(("handle_left", "handle_right"), fields["co"])
    return {**fields, **places, "type": fields.get("type", np.full(n, GENERATED))}


def keys_at(*places: tuple[float, float]) -> Any:
    co = np.array(places, np.float32).reshape(-1, 2)
    return keys_of.Keys(write_mark({"co": co}, len(co)))


def test_a_frame_is_ours_only_with_our_key_and_our_value_on_it() -> None:
    generated = np.array([0.0, 0.1, 0.2, 0.3])
    keys = keys_at((10, 0.0), (11, 0.5), (12.5, 0.2), (13, 0.3), (14, 0.4))
    keys.fields["type"][3] = 0
    mine = carry.ours(keys, 10, generated, 4, GENERATED, 1e-3)
    assert mine.tolist() == [True, False, False, False, False]
    assert carry.artists_frames(keys, mine, 10, 4).tolist() == [False, True, True, True]
    unknown = carry.ours(keys, 10, None, 4, GENERATED, 1e-3)
    assert unknown.tolist() == [True, True, False, False, False]


def test_keys_go_by_time_and_none_is_lost_when_two_fall_together() -> None:
    move = carry.Move(Span(100, 160), Span(100, 124), Fraction(24, 60), 0)
    targets = move.targets(np.array([100, 101, 110, 111, 120.5]))
    assert targets[0] == 100 and targets[1] == pytest.approx(100.4)  # both nearest to 100
    assert targets[2:4].tolist() == [104, pytest.approx(104.4)]
    assert targets[4] == pytest.approx(108.2)
    assert len(set(targets)) == 5
    back = carry.Move(Span(0, 24), Span(0, 60), Fraction(60, 24), 0)
    frames = carry.moved_frames(back, np.arange(24) == 10, back.targets(np.array([10.0])))
    assert np.flatnonzero(frames).tolist() == [24, 25, 26]


@pytest.mark.parametrize("seed", range(30))
def test_moves_keep_every_key_and_name_what_has_no_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    old = Span(int(rng.integers(-50, 50)), 0)
    old = Span(old.start, old.start + int(rng.integers(1, 200)))
    ratio = Fraction(int(rng.choice([24, 25, 30, 60])), int(rng.choice([24, 25, 30, 60])))
    new = Span(int(rng.integers(-50, 50)), 0)
    new = Span(new.start, new.start + int(rng.integers(1, 300)))
    move = carry.Move(old, new, ratio, int(rng.integers(-80, 80)))
    at = np.unique(rng.integers(old.start, old.end, 20)).astype(float)
    targets = move.targets(at)
    assert len(np.unique(targets)) == len(at)
    exact = (at - old.start) * float(ratio) + move.offset + new.start
    assert np.abs(targets - exact).max() <= 0.5
    frames = np.isin(np.arange(old.start, old.end), at)
    lost = set(carry.out_of_range(move, frames).tolist())
    kept = np.flatnonzero(carry.moved_frames(move, frames, targets))
    for x, target in zip(at, targets, strict=True):
        inside = 0 <= round(target - new.start) < new.length
        assert inside != (int(x) - old.start in lost) or abs(target - exact[at == x][0]) == 0.5
        assert not inside or round(target - new.start) in kept


def test_lost_edits_in_words() -> None:
    lost = {"Smile": np.array([1, 2, 3, 9]), "Brow": np.array([], int)}
    assert carry.told(lost, 100) == ["Smile: 101 to 103, 109"]


LOOKS = (
    {"seed": 5},
    {"style": "ink"},
    {"size": 300},
    {"holds": "2"},
    {"head_amount": 0.3, "mouth": "rules"},
)


@pytest.mark.blender
@pytest.mark.parametrize("look", LOOKS)
def test_every_artists_key_stays_bit_for_bit_with_another_look(
    stage: Stage, look: dict[str, Any]
) -> None:
    stage.animate()
    before = some_edits(stage)
    for name, value in look.items():
        setattr(stage.shot.animportrait, name, value)
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    assert dirty(stage) == 0
    after = artists(stage)
    assert_same(before, after)
    edits = take(stage).edits
    assert edits["eye_open_l"][5] == pytest.approx(before["eye_open_l"].values[0], abs=1e-6)
    assert set(range(40, 61)) <= set(edits["head_yaw"])
    for name in protocol.CHANNEL_NAMES:  # everything else is new
        shown = addon("shots").sample(stage.shot, name, N_FRAMES)
        assert shown == pytest.approx(take(stage).asked[name], abs=2e-3 * 80)


@pytest.mark.blender
def test_without_its_take_the_marks_tell_what_is_the_artists(stage: Stage) -> None:
    shot = stage.animate()
    stage.curve(shot, "gaze_x").keyframe_points.insert(FIRST + 10.5, 12.0).type = "EXTREME"
    stage.key(shot, "lip_open", 20, 1.0)
    shot = stage.render_edits()  # marks the changed key
    before = artists(stage)
    addon("shots")._takes.clear()
    (addon("strips").shown_folder(shot) / "take.json").unlink()
    shot.animportrait.seed = 5
    assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
    assert_same(before, artists(stage))
    assert take(stage).edits["lip_open"] == {20: 1.0}


def follow(stage: Stage, **words: Any) -> None:
    assert stage.bpy.ops.animportrait.follow_sound(**words) == {"FINISHED"}


def said(stage: Stage) -> str:
    return addon("sounds").difference(stage.shot)


@pytest.mark.blender
def test_a_moved_sound_takes_the_edits_along_and_draws_nothing(stage: Stage) -> None:
    stage.animate()
    before = some_edits(stage)
    stage.render_edits()
    assert said(stage) == ""
    assert not stage.bpy.ops.animportrait.follow_sound.poll()
    stage.sound.frame_start += 25
    stage.select(stage.shot)
    assert said(stage) == "The sound is 25 frames later than the picture"
    follow(stage)
    assert said(stage) == "" and dirty(stage) == 0
    assert take(stage).rendered == 0
    assert addon("strips").handles(stage.shot) == addon("strips").handles(stage.sound)
    moved = {name: kept.moved(kept.frames + 25.0) for name, kept in before.items()}
    assert_same(moved, artists(stage))


@pytest.mark.blender
def test_slipped_sound(stage: Stage) -> None:
    """The handles stay, what is heard between them begins a second later in the file."""
    write_tone(stage.folder / "voice.wav", 3.0)
    stage.sound.frame_offset_end = 24
    shot = stage.animate()
    stage.key(shot, "lip_open", 40, 1.0)  # of the second that comes next
    stage.render_edits()
    stage.sound.frame_start -= 24
    stage.sound.frame_offset_start, stage.sound.frame_offset_end = 24, 0
    stage.select(stage.shot)
    assert said(stage).startswith("The sound is 24 frames earlier")
    follow(stage)
    shown = take(stage)
    assert shown.edits == {"lip_open": {40: 1.0}}
    assert (shown.n_frames, shown.spec["audio"]["start_s"]) == (72, 0.0)
    assert astuple(addon("strips").handles(stage.shot)) == (FIRST, FIRST + 48)
    assert stage.grey(FIRST + 40 - 24) == 220
    assert dirty(stage) == 0


@pytest.mark.blender
def test_a_trim_hides_frames_and_taking_it_back_shows_them_again(stage: Stage) -> None:
    stage.animate()
    before = some_edits(stage)
    stage.render_edits()
    stage.sound.frame_offset_start, stage.sound.frame_offset_end = 35, 10
    stage.select(stage.shot)
    assert said(stage) == "The sound was trimmed"
    follow(stage)
    assert addon("strips").handles(stage.shot) == addon("strips").handles(stage.sound)
    assert take(stage).rendered == 0
    stage.sound.frame_offset_start = stage.sound.frame_offset_end = 0
    stage.select(stage.shot)
    stage.bpy.ops.animportrait.animate()
    assert_same(before, artists(stage))


@pytest.mark.blender
def test_a_longer_piece_of_the_sound_draws_only_what_is_new(stage: Stage) -> None:
    stage.sound.frame_offset_start, stage.sound.frame_offset_end = 20, 12
    shot = stage.animate()
    stage.key(shot, "smile", 5, 0.9)
    stage.render_edits()
    before = artists(stage)
    stage.sound.frame_offset_start, stage.sound.frame_offset_end = 8, 0
    stage.select(stage.shot)
    follow(stage)
    shown = take(stage)
    assert shown.spec["audio"]["start_s"] == pytest.approx(8 / 24)
    assert shown.edits == {"smile": {17: 0.9}}
    assert_same(before, artists(stage))
    assert addon("strips").handles(stage.shot) == addon("strips").handles(stage.sound)
    assert dirty(stage) == 0


@pytest.mark.blender
def test_another_file_keeps_edits_on_the_timeline_and_lists_what_has_no_frame(stage: Stage) -> None:
    shot = stage.animate()
    stage.key(shot, "lip_open", 20, 1.0)
    for frame in (66, 67, 68):
        stage.key(stage.shot, "smile", frame, 0.5)
    stage.render_edits()
    before = artists(stage)
    write_tone(stage.folder / "other.wav", 3.0)
    stage.sound.sound.filepath = str(stage.folder / "other.wav")
    stage.sound.frame_offset_end = 12
    stage.select(stage.shot)
    assert said(stage) == 'It speaks "voice.wav", the strip plays "other.wav"'
    folder = stage.shot.directory
    with pytest.raises(RuntimeError, match=r"(?s)no frames for these edits.*Smile: 77 to 79"):
        stage.bpy.ops.animportrait.follow_sound()
    assert stage.shot.directory == folder  # nothing has happened yet
    follow(stage, lose=True)
    assert take(stage).edits == {"lip_open": {20: 1.0}}
    assert take(stage).n_frames == 60
    assert_same(before, artists(stage))  # on the curves nothing is lost at all
    assert dirty(stage) == 0


@pytest.mark.blender
def test_both_halves_of_a_split_follow_their_own_piece(stage: Stage) -> None:
    shot = stage.animate()
    for frame in (10, 50):
        stage.key(shot, "lip_open", frame, 1.0)
    stage.render_edits()
    at = FIRST + 30
    right_sound = stage.sound.split(frame=at, split_method="SOFT")
    right = stage.shot.split(frame=at, split_method="SOFT")
    right_sound.frame_start += 40
    stage.select(right)
    name = right.name
    follow(stage)
    right = addon("strips").named(stage.scene, name)
    assert addon("strips").handles(right) == addon("strips").handles(right_sound)
    assert stage.curve(right, "lip_open").evaluate(FIRST + 90) == 1.0
    left = next(shot for shot in stage.shots if shot.name != name)
    assert astuple(addon("strips").handles(left)) == (FIRST, at)
    assert addon("shots").measure(left).dirty == addon("shots").measure(right).dirty == 0
    assert stage.grey(FIRST + 10) == stage.grey(FIRST + 90) == 220


@pytest.mark.blender
@pytest.mark.parametrize(("fps", "base"), [(30, 1.0), (24, 1.001), (60, 1.0), (12, 1.0)])
def test_another_frame_rate_is_repaired_in_one_click(stage: Stage, fps: int, base: float) -> None:
    stage.animate()
    before = some_edits(stage)
    stage.render_edits()
    stage.scene.render.fps, stage.scene.render.fps_base = fps, base
    ratio = Fraction(fps) / timing.exact(base) / 24
    if not stage.bpy.app.build_options.audaspace:  # this wheel does not measure the sound again
        write_tone(stage.folder / "voice.wav", 72 / 24 / float(ratio))
    stage.select(stage.shot)
    assert "Made for 24 frames a second, the scene has" in said(stage)
    follow(stage)
    assert said(stage) == "" and dirty(stage) == 0
    shown = take(stage)
    assert shown.fps == ratio * 24
    after = artists(stage)
    for name, kept in before.items():
        exact = FIRST + (kept.frames.astype(float) - FIRST) * float(ratio)
        found = after[name]
        for x, value in zip(exact, kept.values, strict=True):
            near = np.abs(found.frames - x) <= 0.5 + 1e-3
            assert value in found.values[near], (name, x)
    stage.scene.render.fps, stage.scene.render.fps_base = 24, 1.0


@pytest.mark.blender
@pytest.mark.parametrize("seed", range(4))
def test_random_artists_lose_no_key_and_draw_exactly_what_changed(stage: Stage, seed: int) -> None:
    chance = random.Random(seed)
    stage.animate()
    stage.push("start")
    channels = list(protocol.CHANNELS)

    def change() -> None:
        channel, frame = chance.choice(channels), chance.randrange(N_FRAMES)
        value = chance.uniform(channel.minimum, channel.maximum)
        what = chance.choice(("key", "key", "delete", "between", "bezier"))
        curve = stage.curve(stage.shot, channel.name)
        x = addon("strips").origin(stage.shot) + frame
        if what == "key":
            stage.key(stage.shot, channel.name, frame, value)
        elif what == "between":
            curve.keyframe_points.insert(x + 0.5, value)
        elif what == "delete" and len(curve.keyframe_points) > 2:
            point = min(curve.keyframe_points, key=lambda point: abs(point.co.x - x))
            curve.keyframe_points.remove(point)
        else:
            point = min(curve.keyframe_points, key=lambda point: abs(point.co.x - x))
            point.interpolation = "BEZIER"
            curve.update()
        stage.push("edit")

    for _ in range(25):
        step = chance.choice(("edit", "edit", "edit", "render", "again", "undo", "redo", "move"))
        if step == "edit":
            change()
        elif step == "render" and dirty(stage):
            old, wanted = take(stage), addon("shots").measure(stage.shot).dirty
            before = artists(stage)
            stage.render_edits()
            new = take(stage)
            assert new.rendered <= wanted
            differing = [
                frame
                for frame in range(N_FRAMES)
                if any(abs(new.asked[n][frame] - old.asked[n][frame]) > 1e-9 for n in new.asked)
            ]
            assert new.rendered <= len(differing) and dirty(stage) == 0
            assert_same(before, artists(stage))
        elif step == "again":
            before = artists(stage)
            stage.shot.animportrait.seed = chance.randrange(1000)
            assert stage.bpy.ops.animportrait.animate() == {"FINISHED"}
            assert_same(before, artists(stage))
            assert dirty(stage) == 0
        elif step == "move":
            by = chance.randrange(-5, 40)
            stage.sound.frame_start += by
            stage.shot.frame_start += by
            stage.push("move")
        elif step in ("undo", "redo") and len(stage.shots):
            try:
                getattr(stage, step)()
            except RuntimeError:  # there is nothing to undo or to redo
                continue
            if not stage.shots:
                stage.redo()
        stage.select(stage.shot)
