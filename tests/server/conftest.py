"""What tests of whole shots share: a portrait, a sound, a motion source that can be counted on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
N_FRAMES = 12


@pytest.fixture(scope="session")
def portrait_path() -> Path:
    return FIXTURES / "astronaut.png"


@pytest.fixture(scope="session")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 220 Hz."""
    path = tmp_path_factory.mktemp("sound") / "tone.wav"
    seconds = np.arange(2 * 22_050) / 22_050
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 220 * seconds), 22_050)
    return path


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One warm studio: the portrait is searched once."""
    from inference_server.cache import Cache
    from inference_server.pipeline import Studio

    return Studio(Cache(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech becomes an even opening and closing; see steady_voice.py."""
    import steady_voice

    from inference_server import registry

    monkeypatch.setattr(registry, "MOTION_SOURCES", (steady_voice.ENTRY,))


@pytest.fixture
def shot(portrait_path: Path, tone: Path, tmp_path: Path, steady: None) -> Callable[..., Any]:
    """Makes the spec of a small, short shot; keywords replace fields."""
    from inference_server.spec import parse_spec

    def make(out: str = "take", **fields: Any) -> Any:
        document = {
            "image": str(portrait_path),
            "audio": {"path": str(tone)},
            "fps": [24, 1],
            "n_frames": N_FRAMES,
            "size": 128,
            "out_dir": str(tmp_path / out),
        }
        return parse_spec({**document, **fields})

    return make
