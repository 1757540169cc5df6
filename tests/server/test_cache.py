from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from inference_server.cache import Cache, code_key, digest


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new" / "cache")
    assert cache.load("a" * 64) is None
    cache.store("a" * 64, {"x": np.arange(6).reshape(2, 3), "y": np.float32(0.5)})
    found = cache.load("a" * 64)
    assert found is not None
    np.testing.assert_array_equal(found["x"], [[0, 1, 2], [3, 4, 5]])
    assert found["y"] == np.float32(0.5)
    assert [path.suffix for path in (tmp_path / "new" / "cache").iterdir()] == [".npz"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_damaged_entry_counts_as_absent_and_goes(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path)
    cache.store("k", {"x": np.arange(5000)})
    path = tmp_path / "k.npz"
    data = bytearray(path.read_bytes())
    if damage == "empty":
        data.clear()
    elif damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    else:
        data = bytearray(b"no zip at all")
    path.write_bytes(data)
    assert cache.load("k") is None
    assert not path.exists()
    cache.store("k", {"x": np.arange(3)})
    assert cache.load("k") is not None


def test_pickles_are_never_read(tmp_path: Path) -> None:
    with (tmp_path / "k.npz").open("wb") as file:
        np.savez(file, x=np.array([{"a": 1}], dtype=object))
    assert Cache(tmp_path).load("k") is None


def test_least_recently_used_goes_first(tmp_path: Path) -> None:
    kilobyte = np.zeros(1000, np.uint8)
    cache = Cache(tmp_path, limit_bytes=4000)
    for age, key in enumerate(["old", "older", "recent"]):
        cache.store(key, {"x": kilobyte})
        os.utime(tmp_path / f"{key}.npz", (1000 + age, 1000 + age))
    assert cache.load("old") is not None  # used now
    cache.store("new", {"x": kilobyte})
    names = {path.stem for path in tmp_path.iterdir()}
    assert names == {"old", "recent", "new"}


def test_unwritable_cache_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        cache.store("a", {"x": np.zeros(1)})
        cache.store("b", {"x": np.zeros(1)})
        assert cache.load("a") is None
    assert sum("cannot be written" in message for message in caplog.messages) == 1


def test_failed_store_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    Cache(tmp_path).store("k", {"x": np.zeros(9)})
    assert list(tmp_path.iterdir()) == []


def test_digest_tells_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest(b"1") != digest(1)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest()) == 64


def test_code_key_follows_the_sources() -> None:
    assert code_key("portrait") == code_key("portrait")
    assert code_key("portrait") != code_key("motion")
    assert code_key("cache") != code_key("home")
