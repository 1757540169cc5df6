"""Takes as the add-on reads them: edits and changed frames. Needs no bpy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import pure

takes = pure("takes")
protocol = pure("protocol")
N = 12


def document(**changes: Any) -> dict[str, Any]:
    rest = {channel.name: [channel.rest] * N for channel in protocol.CHANNELS}
    return {
        "version": 1,
        "n_frames": N,
        "fps": [24000, 1001],
        "size": [64, 48],
        "rendered": [0, 1],
        "reused": list(range(2, N)),
        "report": {
            "silence_motion": 0.0,
            "closures": {"hits": 1, "total": 2},
            "breaches": [{"frame": 3, "kind": "open_closure"}],
        },
        "spec": {"shot_id": "a", "channels": None},
        "generated": rest,
        "channels": rest,
        "warnings": ["one"],
        **changes,
    }


def written(folder: Path, content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "take.json").write_text(text, "utf-8")
    return folder


def sampled(take: Any) -> dict[str, np.ndarray]:
    return {name: row.copy() for name, row in take.asked.items()}


ALL = np.ones(N, bool)


def test_reading(tmp_path: Path) -> None:
    take = takes.read_take(written(tmp_path, document()))
    assert (take.n_frames, take.fps.numerator, take.size) == (N, 24000, (64, 48))
    assert take.report.breaches == ((3, "open_closure"),)
    assert (take.rendered, take.warnings, take.edits) == (2, ("one",), {})


def test_rows_of_numbers_are_read_as_json_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = {c.name: np.clip(rng.normal(size=500), c.minimum, c.maximum) for c in protocol.CHANNELS}
    content = document(
        n_frames=500,
        generated={name: row.tolist() for name, row in rows.items()},
        spec={"channels": {"smile": {str(f): 0.5 for f in range(500)}}, "fps": [24, 1]},
        warnings=["[1, 2, 3] row of numbers"],
    )
    for indent in (None, 1):
        take = takes.read_take(written(tmp_path, json.dumps(content, indent=indent)))
        for name, row in rows.items():
            assert np.array_equal(take.generated[name], row)
        assert take.edits == {"smile": dict.fromkeys(range(500), 0.5)}
        assert take.warnings == ("[1, 2, 3] row of numbers",)
        assert take.spec["fps"] == [24, 1]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps(document(n_frames=5)),
        json.dumps(document(generated={})),
        json.dumps(document(report=None)),
    ],
)
def test_a_damaged_take_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(takes.TakeUnreadable, match="damaged"):
        takes.read_take(written(tmp_path, content))


def test_no_take(tmp_path: Path) -> None:
    with pytest.raises(takes.TakeUnreadable, match="no finished take"):
        takes.read_take(tmp_path)


def test_values_within_the_tolerance_are_no_edit(tmp_path: Path) -> None:
    take = takes.read_take(written(tmp_path, document()))
    values = sampled(take)
    values["gaze_x"][4] += 0.9 * protocol.EDIT_TOLERANCE * 60
    assert takes.edits(take, values, ALL) == {}
    values["gaze_x"][4] += 0.2 * protocol.EDIT_TOLERANCE * 60
    assert list(takes.edits(take, values, ALL)["gaze_x"]) == [4]


def test_values_out_of_range_are_clipped(tmp_path: Path) -> None:
    take = takes.read_take(written(tmp_path, document()))
    values = sampled(take)
    values["lip_open"][5] = 7.0
    values["lip_open"][6] = -3.0  # clipped to what was generated
    assert takes.edits(take, values, ALL) == {"lip_open": {5: 1.0}}


def test_what_was_asked_is_not_dirty_and_edits_stay(tmp_path: Path) -> None:
    spec = {"channels": {"smile": {"2": 0.5, "99": 1.0}}}
    take = takes.read_take(written(tmp_path, document(spec=spec)))
    values = sampled(take)
    assert not takes.dirty(take, values, ALL, 1).any()
    assert takes.edits(take, values, ALL) == {"smile": {2: 0.5}}
    values["smile"][2] = 0.0
    assert np.flatnonzero(takes.dirty(take, values, ALL, 1)).tolist() == [2]
    assert takes.edits(take, values, ALL) == {}


def test_hidden_frames_keep_the_edits_they_had(tmp_path: Path) -> None:
    take = takes.read_take(written(tmp_path, document(spec={"channels": {"smile": {"2": 0.5}}})))
    values = sampled(take)
    values["smile"][2], values["smile"][8], values["brow"][1] = 0.9, 0.7, 1.0
    visible = ALL.copy()
    visible[:6] = False
    assert takes.edits(take, values, visible) == {"smile": {2: 0.5, 8: 0.7}}
    assert np.flatnonzero(takes.dirty(take, values, visible, 1)).tolist() == [8]


def test_holds_make_a_group_dirty_as_far_as_it_is_seen(tmp_path: Path) -> None:
    take = takes.read_take(written(tmp_path, document()))
    values = sampled(take)
    values["smile"][7] = 1.0
    visible = ALL.copy()
    visible[8] = False
    assert np.flatnonzero(takes.dirty(take, values, visible, 3)).tolist() == [6, 7]


def test_takes_are_numbered_and_an_unfinished_one_is_used_again(tmp_path: Path) -> None:
    assert takes.next_take(tmp_path / "none").name == "take_0001"
    written(tmp_path / "take_0001", document())
    written(tmp_path / "take_0002", document())
    (tmp_path / "take_0003").mkdir()
    (tmp_path / "notes").mkdir()
    assert takes.next_take(tmp_path).name == "take_0003"
    assert [path.name for path in takes.finished_takes(tmp_path)] == ["take_0001", "take_0002"]


@pytest.mark.parametrize("shape", [(N, 68, 3), (N, 2), None])
def test_damaged_landmarks(tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    if shape is not None:
        np.savez(tmp_path / "landmarks.npz", ibug=np.zeros(shape))
    with pytest.raises(takes.TakeUnreadable):
        takes.read_landmarks(tmp_path)
