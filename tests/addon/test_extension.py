"""The extension as Blender's own tool sees it, and the rules of this package. Needs bpy's files."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .conftest import REPOSITORY, addon

SOURCE = REPOSITORY / "blender_addon"


def tool() -> Path:
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        pytest.skip("bpy is not installed: run with the Python of a bpy wheel")
    return next(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))


def blender_ext(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(tool()), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.blender
def test_blenders_tool_validates_and_builds_it(tmp_path: Path) -> None:
    blender_ext("validate", str(SOURCE))
    blender_ext("build", "--source-dir", str(SOURCE), "--output-dir", str(tmp_path))
    archive = next(tmp_path.glob("*.zip"))
    blender_ext("validate", str(archive))
    names = zipfile.ZipFile(archive).namelist()
    assert {"blender_manifest.toml", "__init__.py", "protocol.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_manifest() -> None:
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    manifest = tomllib.loads((SOURCE / "blender_manifest.toml").read_text("utf-8"))
    assert manifest["id"] == "animate_portrait"
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert "wheels" not in manifest  # pure Python: Blender 5.1 has another Python than 4.2


@pytest.mark.blender
def test_everything_can_be_chosen_before_the_server_has_spoken(bpy: Any) -> None:
    registry = pytest.importorskip("inference_server.registry")
    assert {each["name"] for each in addon("props")._BEFORE_HELLO["style"]} == {
        entry.name for entry in registry.STYLES
    }


def test_the_protocol_is_the_servers_byte_for_byte() -> None:
    theirs = REPOSITORY / "inference_server" / "protocol.py"
    assert (SOURCE / "protocol.py").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_no_module_imports_the_server_or_heavy_packages(path: Path) -> None:
    banned = {"inference_server", "torch", "cv2", "multiprocessing", "pickle"}
    without_bpy = {"timing", "client", "takes", "setup", "protocol"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        roots = {name.split(".")[0] for name in names}
        assert not roots & banned
        if path.stem in without_bpy:
            assert "bpy" not in roots
