"""The soak, short: see soak.py for the long one. Runs inside bpy."""

from __future__ import annotations

import pytest

from .conftest import Stage, addon
from .soak import Soak

pytestmark = pytest.mark.blender


def test_random_operations_lose_nothing(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    soak = Soak(stage, seed=1)
    soak.run(120)
    assert len(soak.done) >= 12
    assert not addon("jobs").JOBS.busy
    told = capfd.readouterr()
    assert "Traceback" not in told.err + told.out
