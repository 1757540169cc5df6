"""Stitching and retargeting: small perceptrons that move keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

STITCHING_WIDTHS = (126, 128, 128, 64, 65)  # source and driving keypoints -> 63 shifts, tx, ty
LIP_WIDTHS = (65, 128, 128, 64, 63)  # source keypoints, lip ratio of the source, target
EYE_WIDTHS = (66, 256, 256, 128, 128, 64, 63)  # source keypoints, both eye ratios, target


class Perceptron(nn.Module):
    """Linear layers with rectifiers between them."""

    def __init__(self, widths: Sequence[int] = STITCHING_WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, widths[0]) -> (B, widths[-1])."""
        return self.mlp(x)
