"""Which device networks run on; torch is imported only when that is asked."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import GpuOutOfMemory, SpecInvalid

CHOICES = ("auto", "cpu", "cuda", "mps")
_CARD_TRACES = (  # what drivers of NVIDIA and AMD leave on Linux and on Windows
    "/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "C:/Windows/System32/nvcuda.dll",
)  # fmt: skip


def choose(name: str | None = None) -> str:
    """ "cpu", "cuda" or "mps".

    Args:
        name: one of CHOICES; None takes ANIMATE_PORTRAIT_DEVICE, or "auto".

    Raises:
        SpecInvalid: an unknown name, or a device that this machine does not have.
    """
    wanted = name or os.environ.get("ANIMATE_PORTRAIT_DEVICE") or "auto"
    if wanted not in CHOICES:
        text = f'There is no device "{wanted}".'
        raise SpecInvalid(text, f"Choose one of: {', '.join(CHOICES)}.")
    if wanted == "cpu":
        return "cpu"
    import torch

    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next((device for device, there in present.items() if there), "cpu")
    if not present[wanted]:
        text = f'The device "{wanted}" was asked for, but torch finds none here.'
        raise SpecInvalid(text, "Choose auto or cpu; after a driver change run install.py again.")
    return wanted


def for_drawing() -> str:
    """The device that frames are drawn on: as `choose`, but where no graphics card can be, torch is
    not imported to find none.

    Raises:
        SpecInvalid: as `choose`.
    """
    asked = os.environ.get("ANIMATE_PORTRAIT_DEVICE") not in (None, "", "auto")
    if asked or sys.platform == "darwin" or any(Path(trace).exists() for trace in _CARD_TRACES):
        return choose()
    return "cpu"


@contextlib.contextmanager
def spending_memory(device: str) -> Iterator[None]:
    """Around what runs on a device: when its memory does not suffice, it says so for people.

    Raises:
        GpuOutOfMemory: torch found too little memory.
    """
    import torch

    try:
        yield
    except RuntimeError as failure:  # "mps" has no class of its own for it
        torchs_own = isinstance(failure, torch.cuda.OutOfMemoryError)
        if not torchs_own and not str(failure).startswith("MPS backend out of memory"):
            raise
        text = f'The graphics card ("{device}") has too little free memory.'
        hint = "Close other programs that use it, or set ANIMATE_PORTRAIT_DEVICE to cpu."
        raise GpuOutOfMemory(text, hint) from failure


def free_gpu() -> int:
    """Give memory that torch holds but does not use back to the system.

    Returns:
        Bytes freed; 0 when torch has not been used.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return 0
    before = torch.cuda.memory_reserved()
    torch.cuda.empty_cache()
    return int(before - torch.cuda.memory_reserved())
