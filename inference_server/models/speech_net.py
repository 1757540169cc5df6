"""The network that hears mouth shapes: log-mel frames -> lip components, closure and visemes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class SpeechNetDims:
    """Sizes of a SpeechNet; travels in the header of its weight file."""

    n_mels: int = 64
    width: int = 96  # channels of the trunk
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4)
    n_visemes: int = 16
    n_components: int = 12  # principal components of lip and chin motion
    phone_width: int = 48  # channels for the recogniser's phones
    phone_kernel: int = 9
    dropout: float = 0.1

    @property
    def context(self) -> int:
        """Frames of 20 ms on either side that one output depends on."""
        return 3 + sum(self.dilations) * (self.kernel - 1) // 2


class GatedResidual(nn.Module):
    """x + W(GLU(dilated convolution(norm(x)))): one block of the trunk."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.gate = nn.Conv1d(width, 2 * width, kernel, dilation=dilation, padding="same")
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) -> (B, width, T)."""
        return x + self.dropout(self.mix(functional.glu(self.gate(self.norm(x)), 1)))


class SpeechNet(nn.Module):
    """Log-mel at 100 Hz -> mouth at 50 Hz; output frame i is centred at i * 20 ms."""

    def __init__(self, dims: SpeechNetDims) -> None:
        super().__init__()
        self.dims = dims
        self.stem = nn.Conv1d(dims.n_mels, dims.width, 6, stride=2)
        self.blocks = nn.ModuleList(
            GatedResidual(dims.width, dims.kernel, dilation, dims.dropout)
            for dilation in dims.dilations
        )
        self.norm = nn.BatchNorm1d(dims.width)
        self.visemes = nn.Linear(dims.width, dims.n_visemes)
        self.phones = nn.Sequential(
            nn.Conv1d(dims.n_visemes, dims.phone_width, dims.phone_kernel, padding="same"),
            nn.GELU(),
            nn.Conv1d(dims.phone_width, dims.phone_width, dims.phone_kernel, padding="same"),
            nn.GELU(),
        )
        self.mouth = nn.Sequential(
            nn.Linear(dims.width + dims.phone_width, dims.width),
            nn.GELU(),
            nn.Dropout(dims.dropout),
            nn.Linear(dims.width, dims.n_components + 1),
        )

    def forward(self, mel: Tensor, phones: Tensor) -> tuple[Tensor, Tensor]:
        """Hear.

        Args:
            mel: (B, 2 T, n_mels), normalised as in speech.features.
            phones: (B, T, n_visemes) 0..1, what a phone recogniser heard; zeros without one.

        Returns:
            (B, T, n_components + 1): components in units of their deviation, then the logit that
            the lips are closed; and (B, T, n_visemes) logits.
        """
        x = functional.gelu(self.stem(functional.pad(mel.transpose(1, 2), (2, 2))))
        for block in self.blocks:
            x = block(x)
        hidden = functional.gelu(self.norm(x)).transpose(1, 2)
        heard = self.phones(phones.transpose(1, 2)).transpose(1, 2)
        return self.mouth(torch.cat([hidden, heard], -1)), self.visemes(hidden)
