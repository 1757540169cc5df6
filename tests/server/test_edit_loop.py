"""Random sequences of what an artist does: the frames drawn are those whose key changed, always."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_server.cache import Cache
from inference_server.pipeline import Studio
from inference_server.spec import parse_spec
from inference_server.takes import Take, frame_name

N_FRAMES = 10
START: dict[str, Any] = {
    "image": str(FIXTURES / "astronaut.png"),
    "audio": {"path": str(FIXTURES / "speech.wav"), "start_s": 1.0},
    "fps": [24, 1],
    "n_frames": N_FRAMES,
    "size": 128,
    "params": {"mouth": "rules"},
    "channels": {},
}
FRAME = st.integers(0, N_FRAMES - 1)
EDIT = st.tuples(
    st.just("edit"),
    st.sampled_from([("lip_open", 0.0, 1.0), ("eye_open_l", 0.0, 1.3), ("head_yaw", -20.0, 20.0)]),
    FRAME,
    st.floats(0, 1),
)
SETTING = st.one_of(
    st.tuples(st.just("holds"), st.sampled_from([1, 2, 3, [0, 4, 5], [0, 9]])),
    st.tuples(st.just("lead"), st.integers(0, 2)),
    st.tuples(
        st.just("cues"),
        st.sampled_from(
            [
                None,
                [],
                [{"frame": 4, "kind": "blink", "eye": "l"}],
                [{"frame": 6, "kind": "gaze", "target": [12.0, 0.0]}],
            ]
        ),
    ),
    st.tuples(
        st.just("amounts"),
        st.sampled_from([{}, {"lip_amount": [[0, 1.0], [5, 0.2]]}, {"head_amount": [[3, 1.5]]}]),
    ),
    st.tuples(st.just("seed"), st.integers(0, 1)),
    st.tuples(st.just("n_frames"), st.integers(N_FRAMES - 3, N_FRAMES)),
    st.tuples(st.just("overruled"), st.sampled_from([[], [3]])),
    st.tuples(
        st.just("audio"),
        st.sampled_from([START["audio"], {**START["audio"], "start_s": 1.0 + 3 / 24}]),
    ),
    st.tuples(
        st.just("params"),
        st.sampled_from(
            [
                {"mouth": "rules"},
                {"mouth": "rules", "tooth_show": 0.0},
                {"mouth": "rules", "settle": 0.2},
                {"mouth": "rules", "line_weight": 2.0},  # photo has no lines
            ]
        ),
    ),
)
STEP = st.one_of(EDIT, SETTING, st.tuples(st.sampled_from(["clear", "undo", "redo"])))


class Artist:
    """The state of a shot, with undo and redo."""

    def __init__(self) -> None:
        self.past: list[dict[str, Any]] = [START]
        self.undone: list[dict[str, Any]] = []

    @property
    def shot(self) -> dict[str, Any]:
        return self.past[-1]

    def do(self, what: str, *how: Any) -> None:
        if what == "undo":
            if len(self.past) > 1:
                self.undone.append(self.past.pop())
        elif what == "redo":
            if self.undone:
                self.past.append(self.undone.pop())
        else:
            self.past.append(self._changed(what, *how))
            self.undone.clear()

    def _changed(self, what: str, *how: Any) -> dict[str, Any]:
        if what == "edit":
            (name, low, high), frame, share = how
            channels = {each: dict(values) for each, values in self.shot["channels"].items()}
            channels.setdefault(name, {})[str(frame)] = low + share * (high - low)
            return {**self.shot, "channels": channels}
        if what == "clear":
            return {**self.shot, "channels": {}}
        return {**self.shot, what: how[0]}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("takes")
    return (root / f"{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Cache(tmp_path_factory.mktemp("cache")))


def render(desk: Studio, folder: Path, shot: dict[str, Any], base: Take | None) -> Take:
    document = {**shot, "out_dir": str(folder), "base_take": str(base.path) if base else None}
    return desk.render(parse_spec(document), lambda event: None, lambda: False)


def contents(take: Take) -> list[bytes]:
    return [(take.path / frame_name(frame)).read_bytes() for frame in range(take.n_frames)]


def check(desk: Studio, places: Iterator[Path], steps: list[Any]) -> None:
    artist = Artist()
    base = render(desk, next(places), START, None)
    for step in steps:
        artist.do(*step)
        take = render(desk, next(places), artist.shot, base)
        new = set(take.frame_keys) - set(base.frame_keys)
        drawn = [take.frame_keys[frame] for frame in take.rendered]
        assert sorted(drawn) == sorted(new)
        for name, values in artist.shot["channels"].items():
            for frame, value in values.items():
                if int(frame) < take.n_frames:
                    assert take.channels[name][int(frame)] == round(value, 4)
        base = take
    scratch = render(desk, next(places), artist.shot, None)
    assert scratch.frame_keys == base.frame_keys
    assert contents(scratch) == contents(base)
    for array in ("motion.npz", "landmarks.npz"):
        assert (scratch.path / array).read_bytes() == (base.path / array).read_bytes()


@settings(max_examples=4, deadline=None)
@given(st.lists(STEP, min_size=3, max_size=5))
def test_what_is_drawn_is_what_changed(
    desk: Studio, places: Iterator[Path], steps: list[Any]
) -> None:
    check(desk, places, steps)


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.lists(STEP, min_size=8, max_size=14))
def test_what_is_drawn_is_what_changed_in_long_sessions(
    desk: Studio, places: Iterator[Path], steps: list[Any]
) -> None:
    check(desk, places, steps)


def test_undo_draws_nothing_when_the_take_before_is_the_base(
    desk: Studio, places: Iterator[Path]
) -> None:
    before = render(desk, next(places), START, None)
    edited = {**START, "channels": {"lip_open": {"4": 1.0}}}
    after = render(desk, next(places), edited, before)
    assert after.rendered == (4,)
    assert render(desk, next(places), START, before).rendered == ()
    assert render(desk, next(places), edited, after).rendered == ()
