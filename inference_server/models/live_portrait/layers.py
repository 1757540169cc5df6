"""Blocks that several of the networks share. Attribute names are those of the checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_POWER_STEPS = 10


class ConvNorm(nn.Module):
    """3x3 convolution, batch norm, rectifier; `slope` of negative values, 0 for a plain ReLU."""

    def __init__(self, n_in: int, n_out: int, slope: float = 0.0) -> None:
        super().__init__()
        self.slope = slope
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        return functional.leaky_relu(self.norm(self.conv(x)), self.slope)


class ConvNorm3d(nn.Module):
    """The same in three dimensions."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(n_in, n_out, 3, padding=1)
        self.norm = nn.BatchNorm3d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, D, H, W) -> (B, n_out, D, H, W)."""
        return functional.relu(self.norm(self.conv(x)))


class Residual3d(nn.Module):
    """x + convolution of what two rounds of norm, rectifier, convolution make of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(width)
        self.conv1 = nn.Conv3d(width, width, 3, padding=1)
        self.norm2 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, D, H, W) -> the same."""
        inner = self.conv1(functional.relu(self.norm1(x)))
        return x + self.conv2(functional.relu(self.norm2(inner)))


class SpectralConv2d(nn.Module):
    """A convolution divided by its spectral norm, as old checkpoints store it (S3 section 4).

    The singular vectors are those of the file; they are not iterated, which is what evaluation
    does. `fold` divides once and for all.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, n_in: int, n_out: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        like = nn.Conv2d(n_in, n_out, kernel, bias=bias)
        self.weight_orig = nn.Parameter(like.weight.detach())
        self.bias = nn.Parameter(like.bias.detach()) if like.bias is not None else None
        matrix = self.weight_orig.detach().flatten(1)
        right = torch.randn(matrix.shape[1])
        for _ in range(_POWER_STEPS):
            left = functional.normalize(matrix @ right, dim=0)
            right = functional.normalize(matrix.T @ left, dim=0)
        self.register_buffer("weight_u", left)
        self.register_buffer("weight_v", right)
        self.padding = kernel // 2
        self._folded: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """(n_out, n_in, kernel, kernel) with a spectral norm of 1."""
        if self._folded is not None:
            return self._folded
        norm = torch.dot(self.weight_u, torch.mv(self.weight_orig.flatten(1), self.weight_v))
        return self.weight_orig / norm

    def fold(self) -> None:
        """Divide now; for evaluation, after the weights are loaded and on their device."""
        self._folded = None
        self._folded = self.weight.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        return functional.conv2d(x, self.weight.to(x.dtype), self.bias, padding=self.padding)


def coordinate_grid(depth: int, height: int, width: int) -> Tensor:
    """(D, H, W, 3) xyz of the cells of a volume, -1 and 1 at the centres of the outer cells.

    Sampling reads -1 and 1 as the outer *edges* of the outer cells. The released weights were
    trained with that mismatch, so it stays (S3 section 3).
    """
    z, y, x = (2 * torch.arange(n) / (n - 1) - 1 for n in (depth, height, width))
    zyx = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack(zyx[::-1], -1)
