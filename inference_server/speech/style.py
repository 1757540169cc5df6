"""How one person speaks, as `animate-portrait learn-style` measured it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from inference_server.errors import WeightsCorrupt, WeightsMissing

from .face import Habits
from .hearing import Network, with_last_layer

Array = npt.NDArray[np.float32]

_KIND = "animate-portrait voice style 1"
_SHAPES = {"weight": (13, 96), "bias": (13,), "rest": (45, 3)}


@dataclass(frozen=True, slots=True, eq=False)
class VoiceStyle:
    """A speaker's mouth and habits."""

    habits: Habits
    gain: float  # of the mouth's movement, on top of life size
    rest: Array  # (45, 3) added to every mouth, outer-eye distances
    weight: Array | None = None  # (13, 96) added to the network's last layer
    bias: Array | None = None  # (13,)

    def adapt(self, network: Network) -> Network:
        """The network with this speaker's mouth habits."""
        if self.weight is None or self.bias is None:
            return network
        return with_last_layer(network, {"weight": self.weight, "bias": self.bias})


NOBODY = VoiceStyle(Habits(), 1.0, np.zeros((45, 3), np.float32))


def write_style(style: VoiceStyle, path: Path, about: str) -> None:
    """Save a style; `about` is a line for people."""
    assert style.weight is not None and style.bias is not None
    header = {
        "kind": _KIND,
        "about": about,
        "gain": repr(style.gain),
        "habits": json.dumps(asdict(style.habits)),
    }
    tensors = {"weight": style.weight, "bias": style.bias, "rest": style.rest}
    save_file({n: np.ascontiguousarray(a, np.float32) for n, a in tensors.items()}, path, header)


def read_style(path: Path) -> VoiceStyle:
    """A style that `write_style` saved.

    Raises:
        WeightsMissing: there is no such file.
        WeightsCorrupt: it is something else.
    """
    if not path.is_file():
        raise WeightsMissing(f'There is no voice style "{path}".', "Choose another file, or none.")
    try:
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as failure:
        raise _no_style(path) from failure
    fits = all(n in arrays and arrays[n].shape == shape for n, shape in _SHAPES.items())
    if header.get("kind") != _KIND or not fits:
        raise _no_style(path)
    fields = json.loads(header["habits"])
    habits = Habits(
        tuple(fields["sway_deg"]), tuple(fields["sway_speed"]), fields["blinks_per_minute"]
    )
    return VoiceStyle(habits, float(header["gain"]), **arrays)


def _no_style(path: Path) -> WeightsCorrupt:
    text = f'"{path.name}" is no voice style.'
    return WeightsCorrupt(text, "Make one with animate-portrait learn-style CLIP -o FILE.")
