from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference_server import take_folder
from inference_server.datatypes import ShotSpec
from inference_server.errors import (
    Cancelled,
    DiskFull,
    FolderNotWritable,
    TakeExists,
    TakeUnreadable,
)
from inference_server.image_io import read_frame_key, write_frame
from inference_server.pipeline import Studio
from inference_server.take_folder import TakeFolder, check_out_dir, new_npz
from inference_server.takes import BaseTake, frame_size, read_take

Shot = Callable[..., ShotSpec]
PICTURE = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)


def render(studio: Studio, spec: ShotSpec) -> Any:
    return studio.render(spec, lambda event: None, lambda: False)


def out_of_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_frames_and_links(tmp_path: Path) -> None:
    folder = TakeFolder(tmp_path / "take", ["a", "b", "b"])
    folder.create()
    folder.write(0, PICTURE)
    folder.write(1, PICTURE)
    folder.link(2, folder.frame_path(1))
    assert folder.kept() == {0, 1, 2}
    assert frame_size(folder.frame_path(0)) == (8, 6)
    assert folder.frame_path(2).stat().st_ino == folder.frame_path(1).stat().st_ino
    folder.link(2, folder.frame_path(0))  # replaces; the other link stays
    assert read_frame_key(folder.frame_path(1)) == "b"
    assert TakeFolder(folder.path, ["a", "b", "b"]).kept() == {0, 1}


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_where_links_do_not_work_files_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    folder = TakeFolder(tmp_path, ["a", "a"])
    folder.create()
    folder.write(0, PICTURE)
    folder.link(1, folder.frame_path(0))
    assert folder.frame_path(1).read_bytes() == folder.frame_path(0).read_bytes()
    assert folder.frame_path(1).stat().st_ino != folder.frame_path(0).stat().st_ino
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.png", "000001.png"]


def test_foreign_pictures_are_not_overwritten(tmp_path: Path) -> None:
    whole = tmp_path / "key"
    write_frame(whole, PICTURE, "x")
    data = whole.read_bytes()
    start = data.index(b"tEXt") - 4
    plain = data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4], "big") :]
    (tmp_path / "renders").mkdir()
    (tmp_path / "renders" / "000000.png").write_bytes(plain)
    with pytest.raises(TakeExists, match="000000.png"):
        TakeFolder(tmp_path / "renders", ["a"]).create()
    assert (tmp_path / "renders" / "000000.png").read_bytes() == plain


def test_folder_is_removed_with_the_parents_it_needed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    folder = TakeFolder(tmp_path / "there" / "new" / "take", ["a"])
    folder.create()
    folder.abandon()
    assert list((tmp_path / "there").iterdir()) == []
    folder = TakeFolder(tmp_path / "there", ["a"])
    folder.create()
    folder.abandon()
    assert (tmp_path / "there").is_dir()  # was there before


def test_folder_with_a_frame_stays(tmp_path: Path) -> None:
    folder = TakeFolder(tmp_path / "new" / "take", ["a"])
    folder.create()
    folder.write(0, PICTURE)
    folder.abandon()
    assert folder.kept() == {0}


def test_out_dir_that_is_or_lies_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "take"):
        with pytest.raises(FolderNotWritable, match="file"):
            check_out_dir(path)
        with pytest.raises(FolderNotWritable):
            TakeFolder(path, ["a"]).create()
    check_out_dir(tmp_path / "not" / "there" / "yet")
    assert not (tmp_path / "not").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_out_dir_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FolderNotWritable):
            check_out_dir(tmp_path / "take")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EFBIG, DiskFull),
        (errno.EACCES, FolderNotWritable),
        (errno.EROFS, FolderNotWritable),
        (errno.EIO, FolderNotWritable),
        (errno.ENAMETOOLONG, FolderNotWritable),
    ],
)
def test_what_the_system_refuses(tmp_path: Path, number: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=str(tmp_path)) as caught, take_folder.writing(tmp_path):
        raise OSError(number, os.strerror(number))
    assert os.strerror(number) in str(caught.value)


def test_folder_that_cannot_be_listed(
    studio: Studio, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = shot()
    spec.out_dir.mkdir()

    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FolderNotWritable, match="Permission denied"):
        TakeFolder(spec.out_dir, ["a"]).kept()
    with pytest.raises(FolderNotWritable, match="Permission denied"):
        render(studio, spec)


def test_a_cancel_at_the_last_moment_leaves_no_take(studio: Studio, shot: Shot) -> None:
    spec, written = shot(), []
    with pytest.raises(Cancelled), pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", written.append)  # the last thing that may take long
        studio.render(spec, lambda event: None, lambda: bool(written))
    assert written
    assert not (spec.out_dir / "take.json").exists()
    assert not list(spec.out_dir.glob(".*"))


def test_name_that_is_too_long(studio: Studio, shot: Shot) -> None:
    with pytest.raises(FolderNotWritable):
        render(studio, shot("x" * 300))


def test_disk_full_in_the_middle_keeps_what_is_whole(
    studio: Studio, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shot("base")
    render(studio, base)
    before = {path.name: path.read_bytes() for path in base.out_dir.iterdir()}
    spec = shot("full", seed=5, base_take=str(base.out_dir))
    written = []

    def write(path: Path, rgba: Any, key: str) -> None:
        if len(written) >= 4:
            out_of_space()
        write_frame(path, rgba, key)
        written.append(path)

    monkeypatch.setattr(take_folder, "write_frame", write)
    with pytest.raises(DiskFull, match="No space") as caught:
        render(studio, spec)
    assert "Free some space" in caught.value.hint
    assert sorted(spec.out_dir.iterdir()) == sorted(written)
    assert {path.name: path.read_bytes() for path in base.out_dir.iterdir()} == before
    monkeypatch.setattr(take_folder, "write_frame", write_frame)
    take = render(studio, spec)
    assert len(take.reused) == len(written) >= 4  # several threads write
    assert take.n_frames == len(take.rendered) + len(written)


@pytest.mark.parametrize("name", ["motion.npz", "landmarks.npz", "take.json"])
def test_disk_full_at_the_end(
    studio: Studio, shot: Shot, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replace = os.replace

    def refuse(source: Any, target: Any) -> None:
        if Path(target).name == name:
            out_of_space()
        replace(source, target)

    spec = shot()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(DiskFull):
            render(studio, spec)
    assert not (spec.out_dir / "take.json").exists()
    assert not [path for path in spec.out_dir.iterdir() if path.name.startswith(".")]
    assert render(studio, spec).rendered == ()


def test_disk_full_before_the_first_frame(
    studio: Studio, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take_folder, "write_frame", out_of_space)
    spec = shot("a/b")
    with pytest.raises(DiskFull):
        render(studio, spec)
    assert not spec.out_dir.parent.exists()


def test_finished_take_that_lost_frames(studio: Studio, shot: Shot) -> None:
    spec = shot()
    render(studio, spec)
    (spec.out_dir / "000003.png").unlink()
    with pytest.raises(TakeUnreadable, match=r"000003\.png"):
        render(studio, spec)
    (spec.out_dir / "take.json").write_text("{")
    with pytest.raises(TakeUnreadable):
        render(studio, spec)


def test_npz_is_what_numpy_reads_and_the_same_every_time(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(6, 2, 2)
    for name in ("a.npz", "b.npz"):
        with new_npz(tmp_path / name) as file:
            file.stream("rows", (6, 2, 2), iter([rows[:4], rows[4:]]))
            file.write("fps", np.float64(24))
    found = np.load(tmp_path / "a.npz", allow_pickle=False)
    np.testing.assert_array_equal(found["rows"], rows)
    assert found["fps"] == 24
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_npz_that_fails_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), new_npz(tmp_path / "a.npz"):
        out_of_space()
    assert list(tmp_path.iterdir()) == []


def test_empty_base_take() -> None:
    base = BaseTake(None)
    assert (base.take, base.warning) == (None, "")
    assert base.frame_of("a") is None
    assert base.path_of("a") is None
    assert base.array("motion.npz", "lips") is None


def test_no_take_is_named(tmp_path: Path) -> None:
    with pytest.raises(TakeUnreadable, match=str(tmp_path)):
        read_take(tmp_path)
