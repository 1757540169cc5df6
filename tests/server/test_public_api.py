from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inference_server
from inference_server import device
from inference_server.errors import SpecInvalid

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_name_is_there() -> None:
    for name in inference_server.__all__:
        assert getattr(inference_server, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        inference_server.nope  # noqa: B018 - the look-up is the test


def test_the_package_itself_imports_nothing() -> None:
    code = "import sys, inference_server; print({'numpy', 'torch'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"


def test_render_and_read(shot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = shot(n_frames=2)
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(spec.out_dir.parent / "home"))
    take = inference_server.render(spec)
    assert inference_server.read_take(spec.out_dir).frame_keys == take.frame_keys


def test_device(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.choose("cpu") == "cpu"
    monkeypatch.setenv("ANIMATE_PORTRAIT_DEVICE", "cpu")
    assert device.choose() == "cpu"
    with pytest.raises(SpecInvalid, match="tpu"):
        device.choose("tpu")
    assert device.free_gpu() == 0
