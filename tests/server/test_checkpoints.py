from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference_server import checkpoints
from inference_server.checkpoints import Model, WeightFile
from inference_server.errors import Cancelled, WeightsCorrupt, WeightsMissing

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; what it does wrong is set on the server."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)  # type: ignore[attr-defined]
        if self.server.status != 200:  # type: ignore[attr-defined]
            self.send_error(self.server.status)  # type: ignore[attr-defined]
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = self.server.body[start:]  # type: ignore[attr-defined]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.ranges, server.status, server.body = [], 200, CONTENT  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/net.pth"
    file = WeightFile("net.pth", SHA256, url)
    model = Model("test-net", "Test", "CC0", True, (file,))
    monkeypatch.setattr(checkpoints, "MODELS", (model,))
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "home"))
    yield server
    server.shutdown()
    server.server_close()


def folder(tmp_path: Path) -> Path:
    return tmp_path / "home" / "models" / "test_net"


def silent(name: str, done: int, total: int) -> None:
    assert 0 < done <= total == len(CONTENT)


def test_bundled_weights_are_whole() -> None:
    rows = [row for row in checkpoints.survey(check_content=True) if row.bundled]
    assert rows
    assert {row.state for row in rows} == {"ok"}
    assert all(row.licence for row in rows)
    assert checkpoints.bundled_weights() == {row.file.name: row.file.sha256 for row in rows}


def test_pinned_digests_agree_with_published_names() -> None:
    for model in checkpoints.MODELS:
        for file in model.files:
            digits = file.name.split("-")[1].split(".")[0]
            assert file.sha256.startswith(digits)
            assert file.url.endswith(file.name)


def test_fetch_verifies_and_is_not_repeated(site: object, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="net.pth"):
        checkpoints.find_weight("test-net", "net.pth")
    (path,) = checkpoints.fetch("test-net", silent)
    assert path.read_bytes() == CONTENT
    assert checkpoints.find_weight("test_net", "net.pth") == path
    checkpoints.fetch("test-net", silent)
    assert site.ranges == [None]  # type: ignore[attr-defined]
    assert [each.name for each in folder(tmp_path).iterdir()] == ["net.pth"]


def test_fetch_goes_on_where_it_was_cancelled(site: object, tmp_path: Path) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        checkpoints.fetch(
            "test-net", lambda name, done, total: seen.append(done), lambda: bool(seen)
        )
    assert not (folder(tmp_path) / "net.pth").exists()
    (path,) = checkpoints.fetch("test-net", silent)
    assert path.read_bytes() == CONTENT
    assert site.ranges == [None, f"bytes={seen[-1]}-"]  # type: ignore[attr-defined]


def test_connection_that_ends_early_is_resumed(site: object, tmp_path: Path) -> None:
    site.body = CONTENT[:1_500_000]  # type: ignore[attr-defined]
    with pytest.raises(WeightsMissing, match="Cannot fetch"):
        checkpoints.fetch("test-net", lambda *_: None)
    assert not (folder(tmp_path) / "net.pth").exists()
    site.body = CONTENT  # type: ignore[attr-defined]
    (path,) = checkpoints.fetch("test-net", lambda *_: None)
    assert path.read_bytes() == CONTENT


def test_fetch_that_was_whole_but_not_renamed(site: object, tmp_path: Path) -> None:
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "net.pth.fetch").write_bytes(CONTENT)
    (path,) = checkpoints.fetch("test-net", lambda *_: None)
    assert path.read_bytes() == CONTENT


def test_wrong_content_is_not_kept(site: object, tmp_path: Path) -> None:
    site.body = bytes(len(CONTENT))  # type: ignore[attr-defined]
    with pytest.raises(WeightsCorrupt, match=SHA256):
        checkpoints.fetch("test-net", lambda *_: None)
    assert list(folder(tmp_path).iterdir()) == []


@pytest.mark.parametrize("status", [404, 500])
def test_server_that_refuses(site: object, status: int) -> None:
    site.status = status  # type: ignore[attr-defined]
    with pytest.raises(WeightsMissing, match="Cannot fetch") as caught:
        checkpoints.fetch("test-net", silent)
    assert "models import" in caught.value.hint


def test_no_network(site: object, monkeypatch: pytest.MonkeyPatch) -> None:
    site.shutdown()  # type: ignore[attr-defined]
    site.server_close()  # type: ignore[attr-defined]
    with pytest.raises(WeightsMissing, match="Cannot fetch"):
        checkpoints.fetch("test-net", silent)


def test_import_knows_a_file_by_its_content(site: object, tmp_path: Path) -> None:
    local = tmp_path / "renamed by the browser (1).bin"
    local.write_bytes(CONTENT)
    path = checkpoints.import_file(local)
    assert path == folder(tmp_path) / "net.pth"
    assert path.read_bytes() == CONTENT
    assert local.exists()
    assert site.ranges == []  # type: ignore[attr-defined]


def test_import_of_something_else(site: object, tmp_path: Path) -> None:
    local = tmp_path / "cat.pth"
    local.write_bytes(b"meow")
    with pytest.raises(WeightsCorrupt, match="cat.pth"):
        checkpoints.import_file(local)
    with pytest.raises(WeightsMissing, match="missing.pth"):
        checkpoints.import_file(tmp_path / "missing.pth")
    assert not folder(tmp_path).exists()


def test_damage_is_seen_and_mended(site: object, tmp_path: Path) -> None:
    (path,) = checkpoints.fetch("test-net", silent)
    path.write_bytes(CONTENT[:-1])
    states = {row.model: row.state for row in checkpoints.survey(check_content=True)}
    assert states["test-net"] == "damaged"
    checkpoints.fetch("test-net", silent)
    assert path.read_bytes() == CONTENT


def test_unknown_model(site: object) -> None:
    with pytest.raises(WeightsMissing, match="nope") as caught:
        checkpoints.fetch("nope", silent)
    assert "test-net" in caught.value.hint
