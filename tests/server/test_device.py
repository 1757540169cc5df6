"""What is said when a graphics card is full; no card is needed for that."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference_server.device import spending_memory
from inference_server.errors import GpuOutOfMemory
from inference_server.speech import hearing


def test_a_full_card_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    network = hearing.load()
    monkeypatch.setattr(network.net, "forward", full)
    monkeypatch.setenv("ANIMATE_PORTRAIT_DEVICE", "cpu")
    mel, phones = np.zeros((20, 64), np.float32), np.zeros((10, 16), np.float32)
    with pytest.raises(GpuOutOfMemory, match="too little free memory") as caught:
        hearing.hear(network, mel, phones)
    assert "ANIMATE_PORTRAIT_DEVICE" in caught.value.hint


def test_metal_says_it_in_words_only() -> None:
    with pytest.raises(GpuOutOfMemory, match="mps"), spending_memory("mps"):
        raise RuntimeError("MPS backend out of memory (MPS allocated: 8.9 GB)")


def test_other_faults_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes") as caught, spending_memory("cuda"):
        raise RuntimeError("shapes do not fit")
    assert type(caught.value) is RuntimeError
