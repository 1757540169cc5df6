"""F: what a face looks like, as a volume of features."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from .layers import ConvNorm, Residual3d


@dataclass(frozen=True, slots=True)
class AppearanceDims:
    """Sizes of an AppearanceExtractor; the defaults are those of the released weights."""

    width: int = 64  # channels at full size, doubled by each halving
    max_width: int = 512  # limit of that, and channels times depth of the volume
    n_halvings: int = 2
    volume_width: int = 32
    volume_depth: int = 16
    n_residuals: int = 6

    def __post_init__(self) -> None:
        if self.volume_width * self.volume_depth != self.max_width:
            raise ValueError(
                f"volume_width {self.volume_width} times volume_depth {self.volume_depth} "
                f"must be max_width {self.max_width}"
            )


class AppearanceExtractor(nn.Module):
    """A 256 px crop -> a volume of 32 channels and 16 layers of depth at 64 x 64."""

    def __init__(self, dims: AppearanceDims | None = None) -> None:
        super().__init__()
        self.dims = dims = dims or AppearanceDims()
        widths = [min(dims.max_width, dims.width << i) for i in range(dims.n_halvings + 1)]
        self.first = ConvNorm(3, dims.width)
        self.down_blocks = nn.ModuleList(
            ConvNorm(n_in, n_out) for n_in, n_out in zip(widths, widths[1:], strict=False)
        )
        self.second = nn.Conv2d(widths[-1], dims.max_width, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(dims.n_residuals):
            self.resblocks_3d.add_module(f"3dr{i}", Residual3d(dims.volume_width))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, 256, 256) RGB 0..1 -> (B, 32, 16, 64, 64)."""
        x = self.first(picture)
        for block in self.down_blocks:
            x = functional.avg_pool2d(block(x), 2)
        x = self.second(x)
        batch, _, height, width = x.shape
        volume = x.view(batch, self.dims.volume_width, self.dims.volume_depth, height, width)
        return self.resblocks_3d(volume)
