"""Who may import whom: DESIGN's layers, read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVER, ADDON = ROOT / "inference_server", ROOT / "blender_addon"
LAYERS = (  # each may import the ones above it, and its own
    {"protocol", "errors", "datatypes", "events", "home", "installer"},
    {"registry", "device", "checkpoints", "cache", "audio_io", "ffmpeg_sound", "clipping",
     "image_io", "spec", "takes", "keys", "take_folder", "messages", "pipes", "jobs", "stages",
     "reuse", "movie", "console", "drawing", "fields", "directions"},
    {"models"},
    {"portrait", "speech", "motion", "renderers", "styles"},
    {"parts", "performance", "pipeline", "learn_style", "interchange", "exchange", "transcript"},
    {"interchange_command", "align_command", "weights_command"},
    {"serve", "cli", "doctor"},
)  # fmt: skip
SEPARATE = {("speech", "portrait"), ("portrait", "speech")}
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
ENTRANCES = {"__init__", "__main__"}
FOREIGN_TO_ADDON = {"inference_server", "torch", "cv2", "scipy", "mediapipe", "numba"}


def imported(path: Path, package: tuple[str, ...]) -> set[str]:
    """Absolute dotted names of everything that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            prefix = [*base, *([node.module] if node.module else [])]
            names |= {".".join([*prefix, alias.name]) for alias in node.names}
    return names


def part_of(dotted: str) -> str | None:
    """Module or package right below inference_server that a name belongs to."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "inference_server" and len(parts) > 1 else None


def server_files() -> list[Path]:
    return sorted(path for path in SERVER.rglob("*.py") if "training" not in path.parts)


@pytest.mark.parametrize("path", server_files(), ids=lambda p: str(p.relative_to(SERVER)))
def test_server_layers(path: Path) -> None:
    inside = path.relative_to(ROOT).parts
    own = Path(inside[1]).stem
    names = imported(path, inside[:-1])
    assert not any(name.split(".")[0] in ("bpy", "blender_addon") for name in names)
    if own in ENTRANCES:
        return
    assert own in RANK, f"{own} is in no layer: add it to LAYERS, where DESIGN wants it"
    for name in names:
        part = part_of(name)
        if part in RANK:
            assert RANK[part] <= RANK[own], f"{own} may not import {name}"
            assert (own, part) not in SEPARATE, f"{own} and {part} never meet"


def test_addon_imports_nothing_of_the_server() -> None:
    for path in ADDON.rglob("*.py"):
        package = path.relative_to(ROOT).parts[:-1]
        tops = {name.split(".")[0] for name in imported(path, package)}
        assert not tops & FOREIGN_TO_ADDON, path


def test_both_sides_speak_the_same_protocol() -> None:
    assert (ADDON / "protocol.py").read_bytes() == (SERVER / "protocol.py").read_bytes()
