"""W: the source's volume as the driving keypoints would have it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import ConvNorm, ConvNorm3d, coordinate_grid

HEAT_VARIANCE = 0.01


@dataclass(frozen=True, slots=True)
class WarperDims:
    """Sizes of a Warper; the defaults are those of the released weights."""

    n_keypoints: int = 21
    volume_width: int = 32
    volume_depth: int = 16
    compressed: int = 4  # channels of the volume that decide where things go
    width: int = 32  # channels of the hourglass, doubled by each halving
    max_width: int = 1024
    n_halvings: int = 5
    out_width: int = 256

    @property
    def seen(self) -> int:
        """Channels that the hourglass is given."""
        return (self.n_keypoints + 1) * (self.compressed + 1)

    @property
    def predicted(self) -> int:
        """Channels that it gives."""
        return self.seen + self.width


@dataclass(frozen=True, slots=True, eq=False)
class Warped:
    """What W makes of a volume."""

    features: Tensor  # (B, 256, 64, 64)
    deformation: Tensor  # (B, 16, 64, 64, 3) where each cell comes from, xyz in -1..1
    occlusion: Tensor  # (B, 1, 64, 64) 0..1, 0 where the source shows nothing that fits


class Encoder(nn.Module):
    """Halves height and width, again and again."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(
            ConvNorm3d(n_in, n_out) for n_in, n_out in zip(widths, widths[1:], strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, D, H, W) -> itself and every smaller one."""
        levels = [x]
        for block in self.down_blocks:
            levels.append(functional.avg_pool3d(block(levels[-1]), (1, 2, 2)))
        return levels


class Decoder(nn.Module):
    """Back to full size, with what the encoder had at each."""

    def __init__(self, widths: list[int], seen: int) -> None:
        super().__init__()
        n_in = [widths[-1], *(2 * width for width in widths[-2:0:-1])]
        n_out = widths[-2::-1]
        self.up_blocks = nn.ModuleList(ConvNorm3d(a, b) for a, b in zip(n_in, n_out, strict=True))
        self.conv = nn.Conv3d(widths[0] + seen, widths[0] + seen, 3, padding=1)
        self.norm = nn.BatchNorm3d(widths[0] + seen)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """The encoder's levels -> (B, width + seen, D, H, W)."""
        x = levels[-1]
        for block, skip in zip(self.up_blocks, levels[-2::-1], strict=True):
            larger = functional.interpolate(x, scale_factor=(1, 2, 2), mode="nearest")
            x = torch.cat([block(larger), skip], 1)
        return functional.relu(self.norm(self.conv(x)))


class Hourglass(nn.Module):
    """Encoder and decoder with a bridge at every size."""

    def __init__(self, dims: WarperDims) -> None:
        super().__init__()
        widths = [min(dims.max_width, dims.width << i) for i in range(dims.n_halvings + 1)]
        self.encoder = Encoder([dims.seen, *widths[1:]])
        self.decoder = Decoder(widths, dims.seen)

    def forward(self, x: Tensor) -> Tensor:
        """(B, seen, D, H, W) -> (B, seen + width, D, H, W)."""
        return self.decoder(self.encoder(x))


class DenseMotion(nn.Module):
    """From a shift of each keypoint to a shift of each cell, and what is hidden."""

    grid: Tensor

    def __init__(self, dims: WarperDims) -> None:
        super().__init__()
        self.dims = dims
        self.compress = nn.Conv3d(dims.volume_width, dims.compressed, 1)
        self.norm = nn.BatchNorm3d(dims.compressed)
        self.hourglass = Hourglass(dims)
        self.mask = nn.Conv3d(dims.predicted, dims.n_keypoints + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(dims.predicted * dims.volume_depth, 1, 7, padding=3)

    def forward(
        self, volume: Tensor, kp_driving: Tensor, kp_source: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See Warper.forward; returns deformation and occlusion."""
        batch, _, depth, height, width = volume.shape
        grid = coordinate_grid(depth, height, width).to(volume)
        flows = sparse_flows(grid, kp_driving, kp_source)  # (B, K + 1, D, H, W, 3)
        compressed = functional.relu(self.norm(self.compress(volume)))
        n_flows = flows.shape[1]
        moved = functional.grid_sample(
            compressed.repeat_interleave(n_flows, 0), flows.flatten(0, 1), align_corners=False
        ).view(batch, n_flows, -1, depth, height, width)
        shift = heat(grid, kp_driving) - heat(grid, kp_source)
        shift = functional.pad(shift, (0, 0, 0, 0, 0, 0, 1, 0))  # nothing for the background
        seen = torch.cat([shift[:, :, None], moved], 2).flatten(1, 2)
        predicted = self.hourglass(seen)
        mask = self.mask(predicted).softmax(1)
        deformation = torch.einsum("bkdhw,bkdhwc->bdhwc", mask, flows)
        occlusion = self.occlusion(predicted.flatten(1, 2)).sigmoid()
        return deformation, occlusion


def sparse_flows(grid: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Tensor:
    """Where each cell comes from if it moves with one keypoint; the first is the background's.

    Args:
        grid: (D, H, W, 3).
        kp_driving: (B, K, 3).
        kp_source: (B, K, 3).

    Returns:
        (B, K + 1, D, H, W, 3).
    """
    shift = (kp_source - kp_driving)[:, :, None, None, None]
    shift = functional.pad(shift, (0, 0, 0, 0, 0, 0, 0, 0, 1, 0))
    return grid + shift


def heat(grid: Tensor, keypoints: Tensor) -> Tensor:
    """(D, H, W, 3) and (B, K, 3) -> (B, K, D, H, W): 1 at a keypoint, falling as a Gaussian."""
    distance = grid - keypoints[:, :, None, None, None]
    return torch.exp(-distance.square().sum(-1) / (2 * HEAT_VARIANCE))


class Warper(nn.Module):
    """Bends a volume of features from the source's keypoints to the driving ones."""

    def __init__(self, dims: WarperDims | None = None) -> None:
        super().__init__()
        dims = dims or WarperDims()
        self.dense_motion_network = DenseMotion(dims)
        flat = dims.volume_width * dims.volume_depth
        self.third = ConvNorm(flat, dims.out_width, slope=0.01)
        self.fourth = nn.Conv2d(dims.out_width, dims.out_width, 1)

    def forward(self, volume: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Warped:
        """Warp.

        Args:
            volume: (B, 32, 16, 64, 64) of the source.
            kp_driving: (B, 21, 3) where the keypoints are to be. Driving comes first.
            kp_source: (B, 21, 3) where they are in the source.
        """
        deformation, occlusion = self.dense_motion_network(volume, kp_driving, kp_source)
        moved = functional.grid_sample(volume, deformation, align_corners=False)
        features = self.fourth(self.third(moved.flatten(1, 2))) * occlusion
        return Warped(features, deformation, occlusion)
