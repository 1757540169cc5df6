"""The acoustic and phone models of pocketsphinx's en-us, read from its package.

42 phones of US English and noises, each of three states in a row. A state is a mixture of the 128
Gaussians of its phone, in each of three streams (cepstra and their differences). All mixtures of
all frames are summed in blocks, which is five times as fast as the recogniser's own search for the
best four of each, and loses none.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from .cepstra import CEPSTRA
from .hearing import exact_sums

STATES = 3  # of each phone
_STREAMS, _GAUSSIANS = 3, 128
_BLOCK = 64  # frames at a time: what stays in the processor's cache
_LOG_BASE = float(np.log(1.0001))  # of pocketsphinx's logarithms
_WEIGHT_STEP = 1024 * _LOG_BASE  # of the mixture weights, which are bytes
_LEAST_VARIANCE = _LEAST_TRANSITION = 1e-4
_FARTHEST = -96 * _WEIGHT_STEP  # below the best Gaussian: no stream can rule out a phone alone
_MAGIC_BYTES = 4  # tell the order of bytes; all released models are little-endian

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Acoustics:
    """How the phones sound and follow each other; K phones."""

    names: tuple[str, ...]  # (K,) ARPAbet
    shapes: torch.Tensor  # (3, 2 * 13, K * 128) of the squares and values of each stream
    levels: torch.Tensor  # (3, K * 128)
    weights: torch.Tensor  # (3, K, 128, 3) of each state
    steps: Array  # (K * 3, K * 3) chance to go from state to state within 10 ms

    @property
    def silence(self) -> int:
        """Index of the phone that is silence."""
        return self.names.index("SIL")

    def likelihoods(self, cepstra: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Log likelihood of each state relative to the nearest Gaussians, (T, K * 3).

        Args:
            cepstra: (3, T, 13) of cepstra.cepstra.
        """
        n_phones = len(self.names)
        found = np.empty((cepstra.shape[1], n_phones * STATES), np.float32)
        streams = torch.from_numpy(np.concatenate([cepstra**2, cepstra], axis=2))
        with torch.inference_mode(), exact_sums():
            for first in range(0, len(found), _BLOCK):
                block = streams[:, first : first + _BLOCK]
                total = torch.zeros(n_phones, block.shape[1], STATES)
                for stream, shape, level, weight in zip(
                    block, self.shapes, self.levels, self.weights, strict=True
                ):
                    near = torch.addmm(level, stream, shape)
                    near = near.sub_(near.amax(1, keepdim=True)).clamp_min_(_FARTHEST).exp_()
                    near = near.view(-1, n_phones, _GAUSSIANS).transpose(0, 1)
                    total += torch.bmm(near, weight).log_()
                found[first : first + _BLOCK] = total.transpose(0, 1).flatten(1).numpy()
        return found


@lru_cache(maxsize=1)
def bundled() -> Acoustics:
    """The model that comes with the installed pocketsphinx."""
    import pocketsphinx

    folder = Path(pocketsphinx.get_model_path("en-us"))
    sounds = folder / "en-us"
    names = _phone_names(sounds / "mdef")
    means = _gaussians(sounds / "means")
    variances = np.maximum(_gaussians(sounds / "variances"), _LEAST_VARIANCE)
    shapes = np.concatenate([-0.5 / variances, means / variances], axis=3)
    levels = -0.5 * (means**2 / variances + np.log(2 * np.pi * variances)).sum(3)
    return Acoustics(
        names,
        _tensor(shapes.reshape(_STREAMS, -1, 2 * CEPSTRA).transpose(0, 2, 1)),
        _tensor(levels.reshape(_STREAMS, -1)),
        _tensor(_mixtures(sounds / "sendump", len(names))),
        _steps(sounds / "transition_matrices", _follows(folder / "en-us-phone.lm.bin", names)),
    )


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _phone_names(path: Path) -> tuple[str, ...]:
    data = path.read_bytes()
    (format_length,) = struct.unpack_from("<i", data, 8)
    counts = 12 + format_length
    (n_phones,) = struct.unpack_from("<i", data, counts)
    names = data[counts + 10 * 4 :].split(b"\0", n_phones)[:n_phones]
    return tuple(name.decode() for name in names)


def _numbers(path: Path) -> tuple[bytes, int]:
    """A file of Sphinx 3 and where its numbers begin."""
    data = path.read_bytes()
    return data, data.index(b"endhdr\n") + len(b"endhdr\n") + _MAGIC_BYTES


def _gaussians(path: Path) -> Array:
    """Means or variances, (3, K, 128, 13)."""
    data, at = _numbers(path)
    n_phones, n_streams, n_gaussians = struct.unpack_from("<3i", data, at)
    at += 4 * (3 + n_streams + 1)
    count = n_phones * n_streams * n_gaussians * CEPSTRA
    values = np.frombuffer(data, "<f4", count, at).astype(np.float64)
    return values.reshape(n_phones, n_streams, n_gaussians, CEPSTRA).transpose(1, 0, 2, 3)


def _mixtures(path: Path, n_phones: int) -> Array:
    """Weights of the Gaussians in each state, (3, K, 128, 3)."""
    data, at = path.read_bytes(), 0
    while length := struct.unpack_from("<i", data, at)[0]:
        at += 4 + length
    n_gaussians, n_states = struct.unpack_from("<2i", data, at + 4)
    steps = np.frombuffer(data, np.uint8, _STREAMS * n_gaussians * n_states, at + 12)
    steps = steps.reshape(_STREAMS, n_gaussians, n_states)[..., : n_phones * STATES]
    weights = np.exp(-_WEIGHT_STEP * steps.astype(np.float64))
    return weights.reshape(_STREAMS, n_gaussians, n_phones, STATES).transpose(0, 2, 1, 3)


def _follows(path: Path, names: tuple[str, ...]) -> Array:
    """(K, K) chance that a phone is followed by another; noises follow as silence does."""
    import pocketsphinx

    model = pocketsphinx.NGramModel(
        pocketsphinx.Config(loglevel="FATAL"), pocketsphinx.LogMath(1.0001), str(path)
    )
    words = ["SIL" if name.startswith("+") else name for name in names]
    logs = [[model.prob([after, before]) for after in words] for before in words]
    chances = np.exp(np.array(logs) * _LOG_BASE)
    return chances / chances.sum(1, keepdims=True)


def _steps(path: Path, follows: Array) -> Array:
    """Chances of the steps between states, (K * 3, K * 3): stay, go on, or begin the next phone."""
    data, at = _numbers(path)
    n_phones = len(follows)
    counts = np.frombuffer(data, "<f4", n_phones * STATES * (STATES + 1), at + 16)
    inside = counts.reshape(n_phones, STATES, STATES + 1).astype(np.float64)
    inside = inside / inside.sum(2, keepdims=True)
    steps = np.zeros((n_phones, STATES, n_phones, STATES))
    for phone in range(n_phones):
        for state in range(STATES):
            steps[phone, state, phone, state] = inside[phone, state, state]
        for state in range(STATES - 1):
            steps[phone, state, phone, state + 1] = inside[phone, state, state + 1]
    leaves = np.maximum(_LEAST_TRANSITION, inside[:, -1, -1])
    steps[:, -1, :, 0] += leaves[:, None] * follows
    return steps.reshape(n_phones * STATES, n_phones * STATES)
