"""Where somebody speaks: Silero's voice activity network, run over a whole sound at once.

The network comes with the silero-vad package as a TorchScript file; its Python package is never
imported, because it wants torchaudio. Its convolutions look at single chunks of 32 ms, so they run
in batches; only the small recurrent layer goes step by step. The result equals that of the
network called chunk by chunk (within 3e-6), five times faster.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import torch

from inference_server.datatypes import Speech
from inference_server.errors import WeightsMissing

STEP = 160  # samples = 10 ms between values of everything this package analyses
STEPS_PER_S = Speech.SAMPLE_RATE // STEP

_CHUNK = 512  # samples the network looks at, after
_CONTEXT = 64  # samples of the chunk before
_BATCH = 256  # chunks
_ENTER, _LEAVE = 0.5, 0.35  # probability at which speech begins and ends (Silero's defaults)
_SHORTEST_S = 0.06  # briefer bursts are clicks
_BRIEFEST_PAUSE_S = 0.10  # briefer gaps are part of speech
_LATE_S = 0.03  # the network answers at the end of a chunk

_LOUD_DBFS = -20.0  # level to which sound is brought before the network hears it
_MOST_GAIN_DB, _LEAST_GAIN_DB = 50.0, -10.0
_LEVEL_REACH_S = 4.0  # the level is that of the sound within this distance


def speaking(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Whether somebody speaks, every 10 ms.

    Args:
        samples: (T,) 16 kHz at any level.

    Returns:
        (T / 160 + 1,); value i is for the moment i * 10 ms.
    """
    n_steps = len(samples) // STEP + 1
    chances = probability(samples)
    spans = _spans(chances)
    mask = np.zeros(n_steps, bool)
    for first, last in spans:
        begin_s = first * _CHUNK / Speech.SAMPLE_RATE - _LATE_S
        end_s = last * _CHUNK / Speech.SAMPLE_RATE
        mask[max(0, round(begin_s * STEPS_PER_S)) : round(end_s * STEPS_PER_S)] = True
    return mask


def probability(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probability of speech in each chunk of 512 samples, (ceil(T / 512),), 0..1."""
    network = _network()
    gain = _gain(samples)
    n_chunks = -(-len(samples) // _CHUNK)
    state = (torch.zeros(1, 1, 128), torch.zeros(1, 1, 128))
    context = np.zeros(_CONTEXT, np.float32)
    answers = []
    with torch.inference_mode(), _one_thread():
        for first in range(0, n_chunks, _BATCH):
            begin, end = first * _CHUNK, min(first + _BATCH, n_chunks) * _CHUNK
            block = samples[begin:end]
            block = block * _at_samples(gain, begin, len(block))
            block = np.pad(block, (0, end - begin - len(block))).astype(np.float32)
            chunks = np.lib.stride_tricks.sliding_window_view(
                np.concatenate([context, block]), _CONTEXT + _CHUNK
            )[::_CHUNK]
            context = block[-_CONTEXT:]
            heard = network.encoder(network.stft(torch.from_numpy(chunks.copy())))
            answer, state = _recur(heard[..., 0], state)
            answers.append(answer.numpy())
    return np.concatenate(answers) if answers else np.zeros(0, np.float32)


def loudness(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Level of each 10 ms in dB of full scale, (T / 160 + 1,), not below -120."""
    whole = len(samples) // STEP
    rows = samples[: whole * STEP].reshape(whole, STEP)
    rest = samples[whole * STEP :].astype(np.float64)
    power = np.append(np.einsum("ij,ij->i", rows, rows), rest @ rest) / STEP
    return 10 * np.log10(power.astype(np.float64) + 1e-12)


def _gain(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Factor that brings each tenth of a second to one loudness, (T / 1600 + 1,)."""
    tenths = loudness(samples)[:: STEPS_PER_S // 10]
    window = 2 * round(_LEVEL_REACH_S * 10) + 1
    loud = scipy.ndimage.percentile_filter(tenths, 90, window, mode="nearest")
    return 10 ** (np.clip(_LOUD_DBFS - loud, _LEAST_GAIN_DB, _MOST_GAIN_DB) / 20)


def _at_samples(
    gain: npt.NDArray[np.float64], begin: int, n_samples: int
) -> npt.NDArray[np.float32]:
    """The gain, given ten times a second, for samples `begin` and following."""
    tenth = Speech.SAMPLE_RATE // 10
    moments = (begin + np.arange(n_samples)) / tenth
    return np.interp(moments, np.arange(len(gain)), gain).astype(np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in the same order on every machine; more threads would not be faster either."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _recur(
    heard: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """The recurrent layer and the answer, over (n, 128) encoded chunks in order."""
    weights = _weights()
    layer = [weights[f"rnn.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    hidden, last, cell = torch.lstm(heard[:, None], state, layer, True, 1, 0.0, False, False, False)
    answer = torch.nn.functional.linear(
        torch.relu(hidden[:, 0]), weights["decoder.2.weight"][..., 0], weights["decoder.2.bias"]
    )
    return torch.sigmoid(answer)[:, 0], (last, cell)


@lru_cache(maxsize=1)
def _network() -> torch.jit.ScriptModule:
    """The part of Silero for 16 kHz, on the CPU."""
    found = importlib.util.find_spec("silero_vad")  # looks, does not import
    path = Path(found.origin).parent / "data" / "silero_vad.jit" if found and found.origin else None
    if path is None or not path.is_file():
        raise WeightsMissing(
            "The voice activity model of silero-vad is not installed.",
            "Run install.py again with --upgrade.",
        )
    return torch.jit.load(str(path), map_location="cpu").eval()._model


@lru_cache(maxsize=1)
def _weights() -> Mapping[str, torch.Tensor]:
    """Weights of the recurrent layer and of the answer."""
    return {name: value.detach() for name, value in _network().decoder.named_parameters()}


def _spans(chances: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    """Runs of speech as [first, last) chunks: in at one threshold, out at a lower one."""
    spans: list[tuple[int, int]] = []
    inside = np.flatnonzero(np.diff(np.concatenate([[0], chances > _LEAVE, [0]])))
    shortest = _SHORTEST_S * Speech.SAMPLE_RATE / _CHUNK
    pause = _BRIEFEST_PAUSE_S * Speech.SAMPLE_RATE / _CHUNK
    for first, last in inside.reshape(-1, 2):
        if chances[first:last].max() <= _ENTER or last - first < shortest:
            continue
        if spans and first - spans[-1][1] < pause:
            spans[-1] = (spans[-1][0], int(last))
        else:
            spans.append((int(first), int(last)))
    return spans
