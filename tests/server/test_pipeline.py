from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import FIXTURES, N_FRAMES

from inference_server import keys, parts, protocol
from inference_server.cache import Cache
from inference_server.datatypes import ShotSpec
from inference_server.errors import (
    AudioUnreadable,
    Cancelled,
    ImageUnreadable,
    NoFaceFound,
    TakeExists,
)
from inference_server.events import Event, FramesReady, Notice, Progress
from inference_server.image_io import read_frame_key
from inference_server.parts import count_frames
from inference_server.pipeline import Studio
from inference_server.takes import Take, read_take

Shot = Callable[..., ShotSpec]


def render(studio: Studio, spec: ShotSpec, events: list[Event] | None = None) -> Take:
    return studio.render(spec, (events if events is not None else []).append, lambda: False)


def contents(folder: Path, ending: str = ".png") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.endswith(ending)}


def inodes(folder: Path) -> list[int]:
    return [(folder / f"{frame:06d}.png").stat().st_ino for frame in range(N_FRAMES)]


def test_a_take_is_complete(studio: Studio, shot: Shot) -> None:
    spec = shot()
    take = render(studio, spec)
    names = {path.name for path in spec.out_dir.iterdir()}
    frames = {f"{frame:06d}.png" for frame in range(N_FRAMES)}
    assert names == frames | {"take.json", "motion.npz", "landmarks.npz"}
    said = json.loads((spec.out_dir / "take.json").read_text("utf-8"))
    assert set(said) == {
        "version", "n_frames", "fps", "size", "rendered", "reused", "report", "spec", "frame_keys",
        "layers", "channels", "generated", "edited", "cues", "portrait", "versions", "weights",
        "seconds", "warnings",
    }  # fmt: skip
    assert (said["n_frames"], said["fps"], said["size"]) == (N_FRAMES, [24, 1], [128, 128])
    assert sorted(said["rendered"] + said["reused"]) == list(range(N_FRAMES))
    assert set(said["channels"]) == set(said["generated"]) == set(protocol.CHANNEL_NAMES)
    assert all(len(row) == N_FRAMES for row in said["channels"].values())
    assert said["channels"] == said["generated"]
    assert said["report"]["closures"] == {"hits": 2, "total": 2}
    assert set(said["seconds"]) == set(protocol.STAGES)
    assert said["portrait"]["picture_size"] == [512, 512]
    assert said["weights"]
    for frame, key in enumerate(said["frame_keys"]):
        assert read_frame_key(spec.out_dir / f"{frame:06d}.png") == key
    motion = np.load(spec.out_dir / "motion.npz")
    shapes = {name: motion[name].shape for name in ("expression", "head", "gaze", "lips")}
    assert shapes == {"expression": (12, 52), "head": (12, 6), "gaze": (12, 2), "lips": (12, 40, 3)}
    assert motion["fps"] == 24
    points = np.load(spec.out_dir / "landmarks.npz")
    assert points["mesh"].shape == (N_FRAMES, 478, 2)
    assert points["ibug"].shape == (N_FRAMES, 68, 2)
    assert 0 < points["ibug"].min() < points["ibug"].max() < 128
    again = read_take(spec.out_dir)
    assert again.frame_keys == take.frame_keys
    assert again.spec == spec


def test_the_mouth_follows_the_motion(studio: Studio, shot: Shot) -> None:
    spec = shot()
    render(studio, spec)
    ibug = np.load(spec.out_dir / "landmarks.npz")["ibug"]
    gap = ibug[:, 66, 1] - ibug[:, 62, 1]  # inner lips
    assert gap[4] > gap[0] + 3  # widest open, closed
    closed, opened = (cv2.imread(str(spec.out_dir / f"00000{frame}.png")) for frame in (0, 4))
    mouth = (
        slice(int(ibug[4, 62, 1]), int(ibug[4, 66, 1])),
        slice(*ibug[4, [60, 64], 0].astype(int)),
    )
    assert np.abs(closed[mouth].astype(int) - opened[mouth]).mean() > 15


def test_frames_are_the_same_bytes_every_time(shot: Shot, studio: Studio, tmp_path: Path) -> None:
    first, second = shot("a"), shot("b")
    render(studio, first)
    render(Studio(Cache(tmp_path / "cache")), second)  # nothing cached
    for ending in (".png", ".npz"):
        assert contents(first.out_dir, ending) == contents(second.out_dir, ending)


def test_an_edit_draws_its_frame_only(studio: Studio, shot: Shot) -> None:
    base = shot("base")
    render(studio, base)
    before = contents(base.out_dir, "")
    spec = shot("edited", base_take=str(base.out_dir), channels={"lip_open": {"3": 0.05}})
    take = render(studio, spec)
    assert take.rendered == (3,)
    assert take.edited == {"lip_open": (3,)}
    assert take.channels["lip_open"][3] == 0.05
    assert take.generated["lip_open"][3] > 0.3
    same = np.array(inodes(spec.out_dir)) == np.array(inodes(base.out_dir))
    assert list(np.flatnonzero(~same)) == [3]
    assert contents(base.out_dir, "") == before
    for name in ("mesh", "ibug"):
        old = np.load(base.out_dir / "landmarks.npz")[name]
        new = np.load(spec.out_dir / "landmarks.npz")[name]
        assert list(np.flatnonzero((old != new).any(axis=(1, 2)))) == [3]


def test_taking_an_edit_back_draws_nothing(studio: Studio, shot: Shot) -> None:
    base = shot("base")
    render(studio, base)
    edited = shot("edited", base_take=str(base.out_dir), channels={"brow": {"5": 0.8}})
    render(studio, edited)
    assert render(studio, shot("back", base_take=str(base.out_dir))).rendered == ()
    assert render(studio, shot("other", base_take=str(edited.out_dir))).rendered == (5,)


def test_values_sampled_from_curves_change_nothing(studio: Studio, shot: Shot) -> None:
    """F-Curves are float32: what the add-on sends back is not quite what it was given."""
    edits = {"lip_open": {"3": 0.3}, "head_yaw": {"4": 12.3}, "eye_open_l": {"7": 0.2}}
    base = shot("base", channels=edits)
    take = render(studio, base)
    sampled = {
        name: {frame: float(np.float32(take.channels[name][int(frame)])) for frame in values}
        for name, values in edits.items()
    }
    assert sampled["lip_open"]["3"] != 0.3
    again = render(studio, shot("again", base_take=str(base.out_dir), channels=sampled))
    assert again.rendered == ()
    assert again.frame_keys == take.frame_keys


def test_a_finished_take_is_left_alone(studio: Studio, shot: Shot) -> None:
    spec = shot()
    render(studio, spec)
    before = contents(spec.out_dir, ""), (spec.out_dir / "take.json").stat().st_mtime_ns
    take = render(studio, spec)
    assert take.rendered == ()
    assert take.reused == tuple(range(N_FRAMES))
    with pytest.raises(TakeExists, match="take"):
        render(studio, shot(channels={"smile": {"0": 0.4}}))
    assert (contents(spec.out_dir, ""), (spec.out_dir / "take.json").stat().st_mtime_ns) == before


def test_holds_draw_once_and_link(studio: Studio, shot: Shot) -> None:
    spec = shot(holds=3)
    take = render(studio, spec)
    assert take.rendered == (0, 3, 6, 9)
    assert len(take.reused) == 8
    numbers = inodes(spec.out_dir)
    assert numbers == [numbers[frame - frame % 3] for frame in range(N_FRAMES)]
    assert len(set(take.frame_keys)) == 4


def test_an_edit_on_twos_has_exactly_its_value(studio: Studio, shot: Shot) -> None:
    base = shot("base", holds=2)
    render(studio, base)
    spec = shot("edited", holds=2, base_take=str(base.out_dir), channels={"lip_open": {"5": 0.0}})
    take = render(studio, spec)
    assert take.rendered == (5,)
    assert take.channels["lip_open"][5] == 0.0
    assert take.channels["lip_open"][4] == take.generated["lip_open"][4] > 0.1


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 5, 8, 12, 16, 20, 24, 28, 40])
def test_cancel_anywhere_leaves_no_take(studio: Studio, shot: Shot, calls: int) -> None:
    left = [calls]

    def cancelled() -> bool:
        left[0] -= 1
        return left[0] < 0

    spec = shot(f"at {calls}/nested")
    events: list[Event] = []
    try:
        studio.render(spec, events.append, cancelled)
    except Cancelled:
        assert not (spec.out_dir / "take.json").exists()
        some = [
            frame for event in events if isinstance(event, FramesReady) for frame in event.frames
        ]
        if spec.out_dir.exists():
            assert {path.suffix for path in spec.out_dir.iterdir()} <= {".png", ".npz"}
            assert contents(spec.out_dir)
        else:
            assert not some
            assert not spec.out_dir.parent.exists()
        resumed = render(studio, spec)
        assert set(some) <= set(resumed.reused)
    assert read_take(spec.out_dir).n_frames == N_FRAMES


def test_resume_keeps_wanted_frames_and_clears_the_rest(studio: Studio, shot: Shot) -> None:
    whole = shot("whole")
    render(studio, whole)
    spec = shot("killed")
    spec.out_dir.mkdir()
    for frame in (0, 1, 2, 5):
        os.link(whole.out_dir / f"{frame:06d}.png", spec.out_dir / f"{frame:06d}.png")
    other = (whole.out_dir / "000004.png").read_bytes()
    (spec.out_dir / "000003.png").write_bytes(other)  # a frame of another key
    (spec.out_dir / "000006.png").write_bytes(other[: len(other) // 2])
    (spec.out_dir / "000012.png").write_bytes(other)  # behind the end
    (spec.out_dir / ".000007.png.1-2.part").write_bytes(other[:100])
    (spec.out_dir / "notes.txt").write_text("mine")
    take = render(studio, spec)
    assert set(take.reused) == {0, 1, 2, 5}
    assert contents(spec.out_dir) == contents(whole.out_dir)
    leftovers = {path.name for path in spec.out_dir.iterdir()} - set(contents(spec.out_dir))
    assert leftovers == {"take.json", "motion.npz", "landmarks.npz", "notes.txt"}
    assert (whole.out_dir / "000006.png").read_bytes() != other[: len(other) // 2]


@pytest.mark.parametrize("damage", ["missing", "no take", "not JSON", "other version"])
def test_base_take_that_is_no_use_is_a_warning(
    studio: Studio, shot: Shot, tmp_path: Path, damage: str
) -> None:
    base = tmp_path / "base"
    if damage != "missing":
        base.mkdir()
    if damage == "not JSON":
        (base / "take.json").write_text('{"version": 1, "n_fr')
    if damage == "other version":
        (base / "take.json").write_text('{"version": 99}')
    events: list[Event] = []
    take = render(studio, shot(base_take=str(base)), events)
    assert len(take.rendered) == N_FRAMES
    assert "base take" in take.warnings[0]
    assert [event.message for event in events if isinstance(event, Notice)] == list(take.warnings)


def test_damaged_frames_of_the_base_take_are_drawn(studio: Studio, shot: Shot) -> None:
    base = shot("base")
    render(studio, base)
    (base.out_dir / "000002.png").unlink()
    cut = (base.out_dir / "000005.png").read_bytes()[:-30]
    (base.out_dir / "000005.png").unlink()
    (base.out_dir / "000005.png").write_bytes(cut)
    (base.out_dir / "landmarks.npz").write_bytes(b"damaged")
    spec = shot("next", base_take=str(base.out_dir))
    assert render(studio, spec).rendered == (2, 5)
    assert np.load(spec.out_dir / "landmarks.npz")["mesh"].shape == (N_FRAMES, 478, 2)


def test_frames_are_found_by_key_wherever_they_moved(studio: Studio, shot: Shot) -> None:
    base = shot("base", n_frames=12)
    render(studio, base)
    longer = render(studio, shot("longer", n_frames=16, base_take=str(base.out_dir)))
    assert longer.rendered == (12, 13, 14, 15)
    shorter = render(studio, shot("shorter", n_frames=5, base_take=str(base.out_dir)))
    assert shorter.rendered == ()


def test_edits_that_do_not_fit_are_warnings(studio: Studio, shot: Shot) -> None:
    edits = {"lip_open": {"2": 7.0, "500": 0.1}, "smile": {"999": 0.0}}
    take = render(studio, shot(channels=edits))
    assert take.edited == {"lip_open": (2,)}
    assert take.channels["lip_open"][2] == 1.0
    assert len(take.warnings) == 2
    assert "2 edited values" in take.warnings[0]
    assert "clipped" in take.warnings[1]


def test_what_does_not_change_pixels_does_not_change_keys(studio: Studio, shot: Shot) -> None:
    plain = render(studio, shot("a"))
    assert render(studio, shot("b", params={"line_weight": 3.0})).frame_keys == plain.frame_keys
    assert render(studio, shot("c", shot_id="other")).frame_keys == plain.frame_keys
    changes: dict[str, Any] = {"size": 160, "style": "ink", "params": {"alpha": True}, "seed": 3}
    for name, value in changes.items():
        changed = render(studio, shot(name, **{name: value}))
        assert not set(changed.frame_keys) & set(plain.frame_keys), name


def test_alpha_and_framing(studio: Studio, shot: Shot, portrait_path: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    picture = cv2.imread(str(portrait_path))
    cv2.imwrite(str(wide), cv2.copyMakeBorder(picture, 0, 0, 0, 256, cv2.BORDER_REFLECT))
    params = {"alpha": True, "framing": "picture"}
    spec = shot(image=str(wide), size=192, params=params, n_frames=2)
    take = render(studio, spec)
    assert take.size == (192, 128)
    assert take.box == (0, 0, 768, 512)
    frame = cv2.imread(str(spec.out_dir / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert frame.shape == (128, 192, 4)
    assert frame[..., 3].min() == 0
    assert frame[..., 3].max() == 255
    opaque = cv2.imread(str(_first(studio, shot("opaque", n_frames=1))), cv2.IMREAD_UNCHANGED)
    assert opaque.shape == (128, 128, 3)


def _first(studio: Studio, spec: ShotSpec) -> Path:
    render(studio, spec)
    return spec.out_dir / "000000.png"


def test_a_second_process_searches_no_face_and_hears_no_speech(
    shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "cache")
    first = render(Studio(cache), shot("a"))

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("must come from the cache")

    monkeypatch.setattr(parts.analysis, "analyze", fail)
    monkeypatch.setattr(parts.crop, "crop_face", fail)
    monkeypatch.setattr("steady_voice.SteadyVoice.motion", fail)
    assert render(Studio(cache), shot("b")).frame_keys == first.frame_keys


def test_events_tell_stages_in_order_and_every_frame(studio: Studio, shot: Shot) -> None:
    events: list[Event] = []
    render(studio, shot(), events)
    progress = [event for event in events if isinstance(event, Progress)]
    assert list(dict.fromkeys(event.stage for event in progress)) == list(protocol.STAGES)
    assert progress[-1] == Progress("finish", 1, 1)
    drawn = [event.done for event in progress if event.stage == "render"]
    assert drawn == sorted(drawn)
    assert drawn[-1] == len(render(studio, shot("b")).rendered)
    frames = [frame for event in events if isinstance(event, FramesReady) for frame in event.frames]
    assert sorted(frames) == list(range(N_FRAMES))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"image": "/nowhere/face.png"}, ImageUnreadable),
        ({"image": str(FIXTURES)}, ImageUnreadable),
        ({"image": "/dev/zero"}, ImageUnreadable),
        ({"audio": {"path": "/nowhere/voice.wav"}}, AudioUnreadable),
        ({"audio": {"path": str(FIXTURES)}}, AudioUnreadable),
        ({"audio": {"path": "/dev/tty"}}, AudioUnreadable),
        ({"face_index": 3}, NoFaceFound),
    ],
)
def test_errors_leave_no_folder(
    studio: Studio, shot: Shot, fields: dict[str, Any], error: type[Exception]
) -> None:
    spec = shot("deep/er/take", **fields)
    with pytest.raises(error):
        render(studio, spec)
    assert not spec.out_dir.parent.parent.exists()


def test_number_of_frames_comes_from_the_sound(studio: Studio, shot: Shot, tone: Path) -> None:
    for audio, fps, expected in (
        ({"path": str(tone)}, [3, 1], 6),
        ({"path": str(tone), "start_s": 1.0}, [3, 1], 3),
        ({"path": str(tone), "start_s": 0.5, "duration_s": 1.25}, [2, 1], 3),  # 2.5, half up
        ({"path": str(tone), "duration_s": 0.01}, [2, 1], 1),
    ):
        spec = shot(f"{audio}{fps}".replace("/", "-"), audio=audio, fps=fps, n_frames=None)
        assert render(studio, spec).n_frames == expected


@pytest.mark.parametrize(
    ("seconds", "fps", "expected"),
    [
        (Fraction(1), Fraction(24), 24),
        (Fraction(1, 48), Fraction(24), 1),  # 0.5, half up
        (Fraction(3, 48), Fraction(24), 2),  # 1.5
        (Fraction(1, 1000), Fraction(24), 1),  # at least one
        (Fraction(1001, 24000), Fraction(24000, 1001), 1),
        (Fraction(3600), Fraction(30000, 1001), 107892),
        (Fraction(58, 100), Fraction(25), 15),  # 14.5 exactly; as a float it would be 14
        (Fraction(57999, 100000), Fraction(25), 14),
    ],
)
def test_frames_are_counted_exactly(seconds: Fraction, fps: Fraction, expected: int) -> None:
    assert count_frames(seconds, fps) == expected


def test_sound_that_ends_early_is_told_in_the_take(studio: Studio, shot: Shot, tone: Path) -> None:
    early = {"path": str(tone), "start_s": 1.0, "duration_s": 3.0}
    for name in ("first", "second"):  # the second time the sound is not read again
        take = render(studio, shot(name, audio=early, n_frames=2))
        assert take.warnings == (
            '"tone.wav" ends 2.000 s before the range does: the rest is silence.',
        )


def test_other_weights_draw_other_frames(
    studio: Studio, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = render(studio, shot("first", n_frames=2))
    monkeypatch.setattr(keys, "bundled_weights", lambda: {"face_template": "another"})
    second = render(studio, shot("second", n_frames=2, base_take=str(first.path)))
    assert second.rendered == (0, 1)
    assert not {*first.frame_keys} & {*second.frame_keys}
