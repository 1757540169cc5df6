"""M: where the head is and what the face does, as implicit keypoints (ConvNeXt V2, Woo 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-6


@dataclass(frozen=True, slots=True)
class MotionDims:
    """Sizes of a MotionExtractor; the defaults are those of the released weights (V2 Tiny)."""

    n_keypoints: int = 21
    depths: tuple[int, ...] = (3, 3, 9, 3)
    widths: tuple[int, ...] = (96, 192, 384, 768)
    n_bins: int = 66  # of each head angle


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        last = x.movedim(1, -1)
        normed = functional.layer_norm(last, self.weight.shape, self.weight, self.bias, _EPS)
        return normed.movedim(-1, 1)


class ResponseNorm(nn.Module):
    """Global response norm of (B, H, W, C): each channel against the mean channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, width))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        strength = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        relative = strength / (strength.mean(-1, keepdim=True) + _EPS)
        return self.gamma * (x * relative) + self.beta + x


class Block(nn.Module):
    """Depthwise 7x7, then two linear layers at four times the width; residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=_EPS)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.grn = ResponseNorm(4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        inner = self.norm(self.dwconv(x).movedim(1, -1))
        inner = self.pwconv2(self.grn(functional.gelu(self.pwconv1(inner))))
        return x + inner.movedim(-1, 1)


class Detector(nn.Module):
    """The backbone and its seven heads."""

    def __init__(self, dims: MotionDims) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, dims.widths[0], 4, 4), ChannelNorm(dims.widths[0]))
        self.downsample_layers = nn.ModuleList([stem])
        for n_in, n_out in zip(dims.widths, dims.widths[1:], strict=False):
            halving = nn.Sequential(ChannelNorm(n_in), nn.Conv2d(n_in, n_out, 2, 2))
            self.downsample_layers.append(halving)
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for depth, width in zip(dims.depths, dims.widths, strict=True)
        )
        self.norm = nn.LayerNorm(dims.widths[-1], eps=_EPS)
        sizes = {
            "kp": 3 * dims.n_keypoints,
            "scale": 1,
            "pitch": dims.n_bins,
            "yaw": dims.n_bins,
            "roll": dims.n_bins,
            "t": 3,
            "exp": 3 * dims.n_keypoints,
        }
        self.heads = tuple(sizes)
        for name, size in sizes.items():
            self.add_module(f"fc_{name}", nn.Linear(dims.widths[-1], size))

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        """See MotionExtractor.forward."""
        x = picture
        for halving, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(halving(x))
        features = self.norm(x.mean((-2, -1)))
        return {name: self.get_submodule(f"fc_{name}")(features) for name in self.heads}


class MotionExtractor(nn.Module):
    """A 256 px crop -> canonical keypoints, head pose, expression."""

    def __init__(self, dims: MotionDims | None = None) -> None:
        super().__init__()
        self.detector = Detector(dims or MotionDims())

    def forward(self, picture: Tensor) -> dict[str, Tensor]:
        """Look at a face.

        Args:
            picture: (B, 3, 256, 256) RGB 0..1.

        Returns:
            "pitch", "yaw", "roll": (B, 66) logits of bins of 3 degrees (keypoints.degrees);
            "t": (B, 3); "exp" and "kp": (B, 63) = K x xyz; "scale": (B, 1).
        """
        return self.detector(picture)
