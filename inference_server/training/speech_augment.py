"""Other voices, rooms and microphones, made from log-mel spectra without touching the sound."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def augment(mel: Tensor, strength: float = 1.0) -> Tensor:
    """Another voice, room and microphone for (B, T, M) normalised log-mel, without waveforms."""
    batch, frames, bands = mel.shape
    x = mel * 4 - 5  # nats below the loud level
    warp = torch.exp(torch.empty(batch).uniform_(-0.16, 0.16) * strength)
    position = torch.arange(bands)[None] * warp[:, None]
    position = (position + torch.empty(batch, 1).uniform_(-1.5, 1.5) * strength).clamp(
        0, bands - 1.001
    )
    index = position.floor().long()
    fraction = (position - index)[:, None]
    index = index[:, None].expand(batch, frames, bands)
    x = torch.gather(x, 2, index) * (1 - fraction) + torch.gather(x, 2, index + 1) * fraction
    x = x + _curve(batch, 6, bands) * strength + torch.randn(batch, 1, 1) * 0.5 * strength
    x = _reverberate(x)
    noise = -torch.empty(batch, 1, 1).uniform_(5, 13) + 1.5 * _curve(batch, 5, bands)
    noise = noise + 0.5 * torch.randn(batch, frames, bands)
    babble = (mel[torch.randperm(batch)] * 4 - 5) - torch.empty(batch, 1, 1).uniform_(2.5, 7)
    noise = torch.where(torch.rand(batch, 1, 1) < 0.3, babble, noise)
    noise = torch.where(torch.rand(batch, 1, 1) < 0.7, noise, torch.full_like(noise, -20.0))
    x = torch.logaddexp(x, noise)
    loud = torch.quantile(x.amax(2), 0.95, dim=1)[:, None, None]
    x = (torch.maximum(x, loud - 14) - loud + 5) / 4
    width = torch.randint(2, 9, (batch,)) * (torch.rand(batch) < 0.5)
    start = (torch.rand(batch) * (bands - 9)).long()
    band = torch.arange(bands)[None]
    hidden = (band >= start[:, None]) & (band < (start + width)[:, None])
    return torch.where(hidden[:, None], x.mean((1, 2), keepdim=True), x)


def _curve(batch: int, knots: int, bands: int) -> Tensor:
    knot_values = torch.randn(batch, 1, knots)
    return functional.interpolate(knot_values, size=bands, mode="linear", align_corners=True)


def _reverberate(x: Tensor) -> Tensor:
    """Exponential decay of power (0.1-0.7 s to -60 dB) in 40 % of the examples."""
    batch, frames, bands = x.shape
    seconds = torch.arange(30) * 0.01
    decay = torch.exp(-13.8 * seconds / torch.empty(batch, 1).uniform_(0.1, 0.7))
    decay = decay * torch.empty(batch, 1).uniform_(0.02, 0.25) * (torch.rand(batch, 1) < 0.4)
    decay[:, 0] = 1
    power = x.exp().transpose(1, 2).reshape(1, batch * bands, frames)
    kernel = decay.flip(1).repeat_interleave(bands, 0)[:, None]
    power = functional.conv1d(functional.pad(power, (29, 0)), kernel, groups=batch * bands)
    return (power.view(batch, bands, frames).transpose(1, 2) + 1e-9).log()
