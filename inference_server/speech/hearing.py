"""The bundled network at work: from spectra and phones to the mouth, 50 times a second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from inference_server.device import choose, spending_memory
from inference_server.errors import WeightsMissing
from inference_server.models.speech_net import SpeechNet, SpeechNetDims

WEIGHTS_FILE = Path(__file__).parents[1] / "weights" / "speech.safetensors"
DEPTH_WEIGHT = 0.5  # of z in the network's components

_CHUNK = 500  # frames = 10 s at a time, so that memory does not grow with length

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """SpeechNet and what its numbers mean."""

    net: SpeechNet
    basis: Array  # (12, 135) components of 40 lip and 5 chin points, z weighted
    deviation: Array  # (12,) units of the components
    closed: Array  # (135,) where the points are when the lips meet

    def points(self, coefficients: Array) -> Array:
        """(U, 45, 3) displacement from the mean mouth, in outer-eye distances."""
        flat = (coefficients * self.deviation) @ self.basis
        return flat.reshape(-1, 45, 3) / np.array([1, 1, DEPTH_WEIGHT], np.float32)

    @property
    def rest(self) -> Array:
        """(45, 3) closed lips, relative to the mean mouth."""
        return self.closed.reshape(45, 3) / np.array([1, 1, DEPTH_WEIGHT], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What the network makes of a sound, every 20 ms."""

    coefficients: Array  # (U, 12) in units of their deviation
    closed: Array  # (U,) chance that the lips meet
    visemes: Array  # (U, 16) chances


def load(path: Path = WEIGHTS_FILE) -> Network:
    """The network of a file as training.train_speech writes it.

    Raises:
        WeightsMissing: there is no such file.
    """
    if not path.is_file():
        raise WeightsMissing(
            f'The speech network "{path.name}" is missing.', "Run install.py again."
        )
    with safe_open(path, "pt") as file:
        dims = json.loads(file.metadata()["dims"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    net = SpeechNet(SpeechNetDims(**{**dims, "dilations": tuple(dims["dilations"])}))
    state = {
        name.removeprefix("net."): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
        if name.startswith("net.")
    }
    net.load_state_dict(state)
    arrays = {name: tensors[name].float().numpy() for name in ("basis", "deviation", "closed")}
    return Network(net.eval(), **arrays)


@lru_cache(maxsize=1)
def bundled() -> Network:
    """The network that comes with the program."""
    return load()


def hear(network: Network, mel: Array, phones: Array, chunk: int = _CHUNK) -> Heard:
    """Run the network over a sound of any length.

    Each chunk is given all the frames that its answers depend on, so the joins cannot be seen.

    Args:
        network: which one.
        mel: (M, 64) normalised spectra at 100 Hz.
        phones: (U, 16) of the recogniser at 50 Hz, U >= M / 2; zeros without one.
        chunk: frames at a time.
    """
    total = (len(mel) + 1) // 2
    mel = np.pad(mel, ((0, 2 * total - len(mel)), (0, 0)), mode="edge")
    phones = phones[:total]
    margin = max(network.net.dims.context, network.net.dims.phone_kernel)
    device = choose()
    answers = []
    with spending_memory(device):
        net = network.net.to(device)
        with torch.inference_mode(), exact_sums():
            for first in range(0, total, chunk):
                begin, end = max(0, first - margin), min(total, first + chunk + margin)
                batch = torch.from_numpy(np.ascontiguousarray(mel[2 * begin : 2 * end]))[None]
                known = torch.from_numpy(np.ascontiguousarray(phones[begin:end]))[None]
                mouth, visemes = net(batch.to(device), known.to(device))
                inside = slice(first - begin, min(total, first + chunk) - begin)
                kept = torch.cat([mouth[0, inside], visemes[0, inside].softmax(-1)], -1)
                answers.append(kept.cpu().numpy())
    heard = np.concatenate(answers)
    n = network.net.dims.n_components
    closed = 1 / (1 + np.exp(-heard[:, n].astype(np.float64)))
    return Heard(heard[:, :n], closed.astype(np.float32), heard[:, n + 1 :])


@contextmanager
def exact_sums() -> Iterator[None]:
    """Sums in the same order on every run: one thread, no search for faster kernels."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    torch.set_num_threads(1)
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = True, False, False
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = before


def with_last_layer(network: Network, change: Mapping[str, Array]) -> Network:
    """The network with something added to `weight` (13, 96) and `bias` (13,) of its last layer."""
    net = SpeechNet(network.net.dims)
    net.load_state_dict(network.net.state_dict())
    last = net.mouth[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.weight.add_(torch.from_numpy(change["weight"]))
        last.bias.add_(torch.from_numpy(change["bias"]))
    return Network(net.eval(), network.basis, network.deviation, network.closed)
