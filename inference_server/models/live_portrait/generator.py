"""G: features -> picture, normalised by where they are (SPADE, Park et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from .layers import SpectralConv2d

_SLOPE = 0.2


@dataclass(frozen=True, slots=True)
class GeneratorDims:
    """Sizes of a Generator; the defaults are those of the released weights."""

    features: int = 256  # channels of what W gives
    width: int = 64  # channels of the last block
    max_width: int = 512  # channels of the first blocks
    n_middle: int = 6
    hidden: int = 128  # channels between features and modulation
    pixels: int = 2  # pixels on a side that one cell of the last block becomes


class Modulation(nn.Module):
    """Instance norm whose scale and shift depend on the place (SPADE)."""

    def __init__(self, width: int, features: int, hidden: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(features, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, width, 3, padding=1)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(B, width, H, W) and (B, features, H', W') -> (B, width, H, W)."""
        local = functional.interpolate(features, x.shape[2:], mode="nearest")
        hidden = self.mlp_shared(local)
        normed = functional.instance_norm(x)
        return normed * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class ModulatedBlock(nn.Module):
    """Two modulated convolutions, and a way past them."""

    def __init__(self, n_in: int, n_out: int, dims: GeneratorDims) -> None:
        super().__init__()
        middle = min(n_in, n_out)
        self.conv_0 = SpectralConv2d(n_in, middle, 3)
        self.conv_1 = SpectralConv2d(middle, n_out, 3)
        self.norm_0 = Modulation(n_in, dims.features, dims.hidden)
        self.norm_1 = Modulation(middle, dims.features, dims.hidden)
        self.straight = n_in == n_out
        if not self.straight:
            self.conv_s = SpectralConv2d(n_in, n_out, 1, bias=False)
            self.norm_s = Modulation(n_in, dims.features, dims.hidden)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        """(B, n_in, H, W) -> (B, n_out, H, W)."""
        past = x if self.straight else self.conv_s(self.norm_s(x, features))
        inner = self.conv_0(functional.leaky_relu(self.norm_0(x, features), _SLOPE))
        inner = self.conv_1(functional.leaky_relu(self.norm_1(inner, features), _SLOPE))
        return past + inner


class Generator(nn.Module):
    """Features of 64 x 64 -> a picture of 512 x 512."""

    def __init__(self, dims: GeneratorDims | None = None) -> None:
        super().__init__()
        self.dims = dims = dims or GeneratorDims()
        self.fc = nn.Conv2d(dims.features, dims.max_width, 3, padding=1)
        for i in range(dims.n_middle):
            block = ModulatedBlock(dims.max_width, dims.max_width, dims)
            self.add_module(f"G_middle_{i}", block)
        self.up_0 = ModulatedBlock(dims.max_width, dims.features, dims)
        self.up_1 = ModulatedBlock(dims.features, dims.width, dims)
        self.conv_img = nn.Sequential(
            nn.Conv2d(dims.width, 3 * dims.pixels**2, 3, padding=1), nn.PixelShuffle(dims.pixels)
        )

    def fold(self) -> None:
        """Divide every convolution by its spectral norm once and for all."""
        for module in self.modules():
            if isinstance(module, SpectralConv2d):
                module.fold()

    def forward(self, features: Tensor) -> Tensor:
        """(B, 256, 64, 64) -> (B, 3, 512, 512) RGB 0..1."""
        x = self.fc(features)
        for i in range(self.dims.n_middle):
            x = self.get_submodule(f"G_middle_{i}")(x, features)
        for block in (self.up_0, self.up_1):
            x = block(functional.interpolate(x, scale_factor=2, mode="nearest"), features)
        return self.conv_img(functional.leaky_relu(x, _SLOPE)).sigmoid()
