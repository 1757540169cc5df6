"""Motion with and without the phone recogniser: never mistaken for each other, and said."""

from fractions import Fraction
from pathlib import Path

import pytest

from inference_server.cache import Cache
from inference_server.datatypes import AudioRange
from inference_server.parts import Parts
from inference_server.speech import phones, recogniser

AUDIO = AudioRange(Path(__file__).parents[1] / "fixtures" / "speech.wav", 0.0, 1.0)


def spoken(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str):
    monkeypatch.setattr(recogniser, "version", lambda: version)
    return Parts(Cache(folder)).spoken(AUDIO, Fraction(25), None, 0, {}, lambda: False)


def test_motion_without_the_recogniser_is_another_and_says_so(tmp_path, monkeypatch):
    for name in ("_ENGLISH", "_FOREIGN"):  # the voice of the fixture is synthetic
        monkeypatch.setattr(phones, name, getattr(phones, name) - 10)
    motion, label = spoken(tmp_path, monkeypatch, "5.0.4")
    assert (label.split(", ")[1], motion.warnings) == ("pocketsphinx 5.0.4", ())
    assert spoken(tmp_path, monkeypatch, "5.0.5")[1].endswith(", pocketsphinx 5.0.5")
    for _ in ("made", "from the disk"):
        deaf, label = spoken(tmp_path, monkeypatch, "")
        assert "pocketsphinx" not in label
        assert deaf.warnings == (recogniser.MISSING,)
        assert (deaf.motion.expression != motion.motion.expression).any()


def test_its_version_is_that_of_the_package(monkeypatch):
    pytest.importorskip("pocketsphinx")
    assert recogniser.version()
    monkeypatch.setattr(recogniser, "PACKAGE", "no-such-package")
    assert recogniser.version() == ""
