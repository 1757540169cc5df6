"""Builds the extension zip: the add-on, and beside it in `server/` what sets up the server.

blender_manifest.toml, __init__.py, ...      the add-on
LICENSE
server/install.py  server/pyproject.toml  server/inference_server/...
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from . import blenders
from .bpy_wheels import WITH_SOUND, BpyWheels
from .children import Children
from .console import Console, InstallError
from .packages import venv_python
from .workplace import ADDON, ROOT, Workplace, remove_tree

SERVER_FILES = ("install.py", "pyproject.toml", "README.md", "LICENSE")
_NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "training")


class Archive:
    """Builds and checks with Blender's own tool."""

    def __init__(self, place: Workplace, console: Console, children: Children) -> None:
        self._place = place
        self._console = console
        self._children = children

    def build(self, out: Path) -> Path:
        """Writes animate_portrait-<version>.zip into `out`; returns its path."""
        if not ADDON.is_dir():
            raise InstallError(f"No blender_addon folder in {ROOT}.", "Run this from the sources.")
        tool = self._tool()
        out.mkdir(parents=True, exist_ok=True)
        staged = self._place.scratch_of("package")
        try:
            remove_tree(staged)
            _stage(staged)
            before = set(out.glob("*.zip"))
            ages = {path: path.stat().st_mtime_ns for path in before}
            self._run(tool, "build", "--source-dir", str(staged), "--output-dir", str(out))
            made = [path for path in out.glob("*.zip") if ages.get(path) != path.stat().st_mtime_ns]
            self._run(tool, "validate", str(made[0]))
        finally:
            remove_tree(staged)
        size_mb = made[0].stat().st_size / 1e6
        self._console.say(f"Extension: {made[0]} ({size_mb:.1f} MB), validated")
        return made[0]

    def _tool(self) -> list[str]:
        """The command before `build` and `validate`: a Blender's, else the one in a bpy wheel."""
        for blender in blenders.installed():
            return [str(blender.program), "--command", "extension"]
        python = BpyWheels(self._place, self._console, self._children).make(WITH_SOUND)
        return bpy_tool(python)

    def _run(self, tool: list[str], *words: str) -> None:
        lines: list[str] = []
        status = self._children.run([*tool, *words], on_line=lines.append)
        for line in lines:
            self._console.note("  " + line)
        if status != 0:
            raise InstallError(f"Blender's extension tool refused to {words[0]}: {lines[-1:]}")


def bpy_tool(python: Path) -> list[str]:
    """The command line tool for extensions that every bpy wheel carries."""
    assert python == venv_python(python.parent.parent)
    packages = "Lib" if sys.platform == "win32" else "lib/python*"
    pattern = f"{packages}/site-packages/bpy/*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    script = next(python.parent.parent.glob(pattern), None)
    if script is None:
        raise InstallError(f"No extension tool was found beside {python}.")
    return [str(python), str(script)]


def _stage(folder: Path) -> None:
    shutil.copytree(ADDON, folder, ignore=_NOT_SHIPPED)
    if (ROOT / "LICENSE").is_file():
        shutil.copy2(ROOT / "LICENSE", folder)
    server = folder / "server"
    server.mkdir()
    for name in SERVER_FILES:
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, server)
    shutil.copytree(ROOT / "inference_server", server / "inference_server", ignore=_NOT_SHIPPED)
