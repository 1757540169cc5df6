"""Teaching SpeechNet: first the visemes of synthetic speech, then the lips of tracked faces."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.models.speech_net import SpeechNet, SpeechNetDims
from inference_server.speech.features import log_mel, normalise
from inference_server.speech.visemes import CLOSED
from inference_server.training.speech_augment import augment
from inference_server.training.speech_clips import Clip

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Losses = list[tuple[str, int, float]]  # (phase, step, value)

SILENT_MEL = -2.2  # normalised log-mel of nothing
CORPUS = "grid_s1"  # one man with a thousand times more clips than anybody else
_HEAD = ("mouth", "phones")  # parts of the network that only tracked faces teach


@dataclass(frozen=True, slots=True)
class Config:
    """Numbers of one training; the defaults are those of the shipped weights."""

    seed: int = 0
    pretrain_steps: int = 4000
    pretrain_batch: int = 16
    pretrain_frames: int = 300  # 100 Hz
    pretrain_rate: float = 2e-3
    tune_steps: int = 150  # more fit the few people better, and others worse
    members: int = 3  # networks tuned from one beginning, whose weights are averaged
    tune_batch: int = 12
    tune_frames: int = 260  # 100 Hz
    tune_rate: float = 1.5e-3
    trunk_rate: float = 0.15  # of tune_rate
    corpus_share: float = 0.4  # of the examples of a batch that are of the one big corpus
    velocity_weight: float = 8.0
    closure_weight: float = 0.3
    deaf_share: float = 0.15  # of the examples without the recogniser's phones


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The principal ways in which lips and chin move."""

    basis: Array  # (K, 135) orthonormal rows
    deviation: Array  # (K,) of the training clips' coefficients


@dataclass(slots=True, eq=False)
class Cutter:
    """Draws random stretches of equal length out of sequences of unequal length."""

    rng: np.random.Generator
    frames: int  # 100 Hz
    known: Array = field(init=False)

    def cut(self, mel: Array, *tracks: Array) -> list[Array]:
        """Mel of `frames` rows, tracks of half as many, and 1 where there is sound (padding 0)."""
        wanted = self.frames // 2
        length = min(len(mel) // 2, *(len(track) for track in tracks))
        first = int(self.rng.integers(0, max(1, length - wanted + 1)))
        count = min(wanted, length - first)
        pieces = [_padded(mel[2 * first : 2 * (first + count)], self.frames, SILENT_MEL)]
        pieces += [_padded(track[first : first + count], wanted, 0) for track in tracks]
        return [*pieces, _padded(np.ones(count, np.float32), wanted, 0)]


def _padded(piece: Array, rows: int, value: float) -> Array:
    widths = [(0, rows - len(piece))] + [(0, 0)] * (piece.ndim - 1)
    if np.issubdtype(piece.dtype, np.floating):
        piece = piece.astype(np.float32)
    return np.pad(piece, widths, constant_values=value)


def pretrain(config: Config, synthetic: Path, losses: Losses) -> dict[str, Tensor]:
    """Weights of a trunk that hears visemes."""
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    net = SpeechNet(SpeechNetDims())
    utterances, voices = [], []
    for path in sorted(synthetic.glob("*.npz")):
        with np.load(path) as data:
            mel = log_mel(data["samples"].astype(np.float32) / 32768)
            mel = normalise(mel, np.ones(len(mel), bool)).astype(np.float16)
            utterances.append((mel, data["visemes"].astype(np.int64)))
            voices.append(str(data["voice"]))
    held_out = [i for i, v in enumerate(voices) if v.startswith(("flite:awb", "espeak:pl"))]
    learned = sorted(set(range(len(voices))) - set(held_out))
    cutter = Cutter(rng, config.pretrain_frames)
    optimiser = torch.optim.AdamW(net.parameters(), config.pretrain_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.pretrain_rate, config.pretrain_steps, pct_start=0.1
    )
    weight = torch.ones(SpeechNetDims().n_visemes)
    weight[CLOSED] = 2.0
    for step in range(config.pretrain_steps):
        pieces = [cutter.cut(*utterances[i]) for i in rng.choice(learned, config.pretrain_batch)]
        heard, visemes, known = (torch.from_numpy(np.stack(p)) for p in zip(*pieces, strict=True))
        logits = net(augment(heard, 1.25), _deaf(heard))[1]
        loss = functional.cross_entropy(
            logits.transpose(1, 2), visemes, weight=weight, label_smoothing=0.05, reduction="none"
        )
        loss = (loss * known).sum() / known.sum()
        _step(loss, net, optimiser, schedule)
        losses.append(("pretrain", step, float(loss.detach())))
        if step % 250 == 249:
            share = viseme_accuracy(net, [utterances[i] for i in held_out[:60]])
            log.info("pretrain %d: %.1f %% of unheard voices' frames", step + 1, 100 * share)
    return {n: t for n, t in net.state_dict().items() if not n.startswith(_HEAD)}


def _deaf(mel: Tensor) -> Tensor:
    """No phones, for (B, 2 T, M) spectra."""
    return torch.zeros(len(mel), mel.shape[1] // 2, SpeechNetDims().n_visemes)


def viseme_accuracy(net: SpeechNet, utterances: Sequence[tuple[Array, Array]]) -> float:
    """Share of 20 ms frames of (mel, visemes) pairs that the network names."""
    net.eval()
    hits = total = 0
    with torch.no_grad():
        for mel, visemes in utterances:
            mel = mel[: len(mel) // 2 * 2].astype(np.float32)
            batch = torch.from_numpy(mel)[None]
            guess = net(batch, _deaf(batch))[1][0].argmax(1).numpy()
            length = min(len(guess), len(visemes))
            hits += int((guess[:length] == visemes[:length]).sum())
            total += length
    net.train()
    return hits / total


def _step(
    loss: Tensor,
    net: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimiser.step()
    schedule.step()


def components(clips: Sequence[Clip]) -> Components:
    """Principal components of the targets; the big corpus is thinned so that it does not rule."""
    sample = np.concatenate([clip.target[:: 20 if clip.person == CORPUS else 5] for clip in clips])
    basis = np.linalg.svd(sample, full_matrices=False)[2][: SpeechNetDims().n_components]
    return Components(basis, (sample @ basis.T).std(0))


def tune(
    config: Config,
    start: Mapping[str, Tensor],
    clips: Sequence[Clip],
    axes: Components,
    losses: Losses,
) -> SpeechNet:
    """Fine-tune on tracked faces: the mean of networks that saw the examples in other orders."""
    torch.manual_seed(config.seed)
    begin = SpeechNet(SpeechNetDims())
    begin.load_state_dict(start, strict=False)
    states = []
    for member in range(config.members):
        net = SpeechNet(SpeechNetDims())
        net.load_state_dict(begin.state_dict())
        torch.manual_seed(config.seed + member)
        rng = np.random.default_rng((config.seed, member))
        _tune_one(config, net, clips, axes, rng, losses if member == 0 else [])
        states.append(net.state_dict())
    mean = {
        name: torch.stack([state[name] for state in states]).double().mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    begin.load_state_dict(mean)
    return begin.eval()


def _tune_one(
    config: Config,
    net: SpeechNet,
    clips: Sequence[Clip],
    axes: Components,
    rng: np.random.Generator,
    losses: Losses,
) -> None:
    head = [p for n, p in net.named_parameters() if n.startswith(_HEAD)]
    trunk = [p for n, p in net.named_parameters() if not n.startswith(_HEAD)]
    rates = [config.tune_rate, config.tune_rate * config.trunk_rate]
    groups = [{"params": head}, {"params": trunk}]
    optimiser = torch.optim.AdamW(groups, config.tune_rate, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, config.tune_steps, pct_start=0.15
    )
    weight = torch.from_numpy(np.clip(axes.deviation / axes.deviation[0], 0.15, None))
    draw = _Lottery(rng, clips, config.corpus_share)
    coded = {id(c): (c.target @ axes.basis.T / axes.deviation).astype(np.float32) for c in clips}
    cutter = Cutter(rng, config.tune_frames)
    for step in range(config.tune_steps):
        chosen = [draw() for _ in range(config.tune_batch)]
        pieces = [cutter.cut(c.mel, coded[id(c)], c.closed, c.phones) for c in chosen]
        mel, coefficients, closed, phones, known = (
            torch.from_numpy(np.stack(p)) for p in zip(*pieces, strict=True)
        )
        phones = phones * (torch.rand(len(phones), 1, 1) > config.deaf_share)
        heard = net(augment(mel), phones)[0]
        wrong = (heard[..., :-1] - coefficients) * weight
        loss = 3 * ((wrong**2).mean(-1) * known).sum() / known.sum()
        speed = ((wrong[:, 1:] - wrong[:, :-1]) ** 2).mean(-1) * known[:, 1:]
        loss = loss + config.velocity_weight * speed.sum() / known.sum()
        closure = functional.binary_cross_entropy_with_logits(
            heard[..., -1], closed, reduction="none"
        )
        loss = loss + config.closure_weight * (closure * known).sum() / known.sum()
        _step(loss, net, optimiser, schedule)
        losses.append(("tune", step, float(loss.detach())))


class _Lottery:
    """Draws clips: a fixed share of the big corpus, of the others longer ones more often."""

    def __init__(self, rng: np.random.Generator, clips: Sequence[Clip], share: float) -> None:
        self._rng = rng
        self._corpus = [clip for clip in clips if clip.person == CORPUS]
        self._others = [clip for clip in clips if clip.person != CORPUS]
        self._share = share if self._corpus and self._others else float(bool(self._corpus))
        chance = np.array([len(clip.target) for clip in self._others], float) ** 0.7
        self._chance = chance / chance.sum() if len(chance) else chance

    def __call__(self) -> Clip:
        if self._rng.random() < self._share:
            return self._corpus[self._rng.choice(len(self._corpus))]
        return self._others[self._rng.choice(len(self._others), p=self._chance)]


def predict(net: SpeechNet, axes: Components, mel: Array, phones: Array) -> tuple[Array, Array]:
    """(U, 135) lip and chin offsets and (U,) chance that the lips are closed."""
    with torch.no_grad():
        heard = net(torch.from_numpy(mel)[None], torch.from_numpy(phones)[None])[0][0].numpy()
    offsets = (heard[:, :-1] * axes.deviation) @ axes.basis
    return offsets, 1 / (1 + np.exp(-heard[:, -1]))
