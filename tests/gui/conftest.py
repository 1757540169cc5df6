"""The root, the product in it and the screen, made once; skipped loudly where that cannot be."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import blender_root, product
from .blender_window import BlenderWindow
from .desktop import Desktop


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> product.Product:
    """The product, installed in a Debian root that has Blender."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        with capture.global_and_fixture_disabled():
            root = blender_root.prepare(blender_root.default_folder())
        return product.install(root)
    except blender_root.CannotSetUp as reason:
        warnings.warn(f"NO WINDOW TESTS: {reason}", stacklevel=1)
        pytest.skip(f"NO WINDOW TESTS: {reason}")


@pytest.fixture(scope="session")
def desktop(installed: product.Product) -> Iterator[Desktop]:
    """The screen that all windows open on, one after the other."""
    with Desktop() as screen:
        yield screen


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures of the window go: $ANIMATE_PORTRAIT_SCREENSHOTS, else a temporary folder."""
    chosen = os.environ.get("ANIMATE_PORTRAIT_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def open_window(
    installed: product.Product, desktop: Desktop
) -> Iterator[Callable[..., BlenderWindow]]:
    """Starts Blender; whatever still runs at the end of the module is ended."""
    windows: list[BlenderWindow] = []

    def start(name: str, *words: str) -> BlenderWindow:
        for earlier in windows:
            earlier.kill()  # one window at a time has the whole screen
        windows.append(BlenderWindow(installed.root, desktop, name, installed.environment, *words))
        return windows[-1]

    yield start
    for window in windows:
        window.kill()
