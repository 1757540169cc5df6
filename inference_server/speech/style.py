"""How one person speaks, as `animate-portrait learn-style` measured it.

A style belongs to the network that listened when it was learned. With another network, of a later
version say, only what does not depend on it is used: amplitude, head motion and blinks.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from inference_server.errors import WeightsCorrupt, WeightsMissing

from .face import Habits
from .hearing import Network, with_last_layer

Array = npt.NDArray[np.float32]

VERSION = 2
_KIND = "animate-portrait voice style"
_HINT = "Make one with animate-portrait learn-style CLIP -o FILE."
_ARRAYS = ("weight", "bias", "closed")


@dataclass(frozen=True, slots=True, eq=False)
class VoiceStyle:
    """A speaker's mouth and habits."""

    habits: Habits
    gain: float  # of the mouth's movement, on top of life size
    plain_gain: float  # the same without the change of the last layer
    network: str = ""  # fingerprint of the network that the arrays belong to
    weight: Array | None = None  # (K, H) added to the last layer's lip components
    bias: Array | None = None  # (K,)
    closed: Array | None = None  # (45, 3) closed lips, relative to the mean mouth
    warnings: tuple[str, ...] = ()

    def adapt(self, network: Network) -> Network:
        """The network with this speaker's mouth habits."""
        if self.weight is None or self.bias is None:
            return network
        change = {  # the logit of closed lips is nobody's habit
            "weight": np.pad(self.weight, ((0, 1), (0, 0))),
            "bias": np.pad(self.bias, (0, 1)),
        }
        return with_last_layer(network, change)


NOBODY = VoiceStyle(Habits(), 1.0, 1.0)


def fingerprint(network: Network) -> str:
    """Tells one network from another."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.net.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    for array in (network.basis, network.deviation, network.closed):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_style(style: VoiceStyle, path: Path, about: str) -> None:
    """Save a style; `about` is for people who look into the file."""
    header = {
        "kind": _KIND,
        "version": str(VERSION),
        "network": style.network,
        "about": about,
        "gain": repr(style.gain),
        "plain_gain": repr(style.plain_gain),
        "habits": json.dumps(asdict(style.habits)),
    }
    arrays = {name: np.ascontiguousarray(getattr(style, name), np.float32) for name in _ARRAYS}
    save_file(arrays, path, header)


def read_style(path: Path, network: Network) -> VoiceStyle:
    """A style that `write_style` saved, as far as it can be used with a network.

    Raises:
        WeightsMissing: there is no such file.
        WeightsCorrupt: it is something else, or of another version.
    """
    if not path.is_file():
        raise WeightsMissing(f'There is no voice style "{path}".', "Choose another file, or none.")
    try:
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as failure:
        raise WeightsCorrupt(f'"{path.name}" is no voice style.', _HINT) from failure
    if not header.get("kind", "").startswith(_KIND):
        raise WeightsCorrupt(f'"{path.name}" is no voice style.', _HINT)
    version = header.get("version", "1")
    if version != str(VERSION):
        text = f'The voice style "{path.name}" is of version {version[:9]}, not {VERSION}.'
        raise WeightsCorrupt(text, "Learn it again from its clip: animate-portrait learn-style.")
    try:
        style = _parsed(header, arrays)
    except (KeyError, TypeError, ValueError) as failure:
        text = f'The voice style "{path.name}" is damaged ({failure}).'
        raise WeightsCorrupt(text, _HINT) from failure
    return _usable(style, path.name, network)


def _parsed(header: dict[str, str], arrays: dict[str, npt.NDArray[Any]]) -> VoiceStyle:
    fields = json.loads(header["habits"])
    sway, speed = (tuple(map(float, fields[name])) for name in ("sway_deg", "sway_speed"))
    if len(sway) != 3 or len(speed) != 3:
        raise ValueError("three numbers each for yaw, pitch and roll are needed")
    gain, plain_gain = float(header["gain"]), float(header["plain_gain"])
    often = float(fields["blinks_per_minute"])
    if min(gain, plain_gain, *speed) <= 0 or min(*sway, often) < 0:
        raise ValueError("a number is not positive")
    weight, bias, closed = (arrays[name].astype(np.float32) for name in _ARRAYS)
    numbers = np.concatenate([weight.ravel(), bias.ravel(), closed.ravel(), sway, speed])
    if not np.isfinite([*numbers, gain, plain_gain, often]).all():
        raise ValueError("a number is not finite")
    if closed.shape != (45, 3) or weight.ndim != 2 or bias.shape != weight.shape[:1]:
        raise ValueError("an array has the wrong shape")
    habits = Habits((sway[0], sway[1], sway[2]), (speed[0], speed[1], speed[2]), often)
    return VoiceStyle(habits, gain, plain_gain, header["network"], weight, bias, closed)


def _usable(style: VoiceStyle, name: str, network: Network) -> VoiceStyle:
    if style.network == fingerprint(network):
        return style
    text = (
        f'The voice style "{name}" was learned with another speech network: its amplitude, head '
        "motion and blinks are used, its mouth habits are not. Learn it again from its clip."
    )
    return VoiceStyle(style.habits, style.plain_gain, style.plain_gain, warnings=(text,))
