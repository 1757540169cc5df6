"""Figures over their background, many frames at once, by torch: what a graphics card is good at.

The same steps as `raster`, in floating point. Every pixel is computed from its own frame alone, by
operations whose result does not depend on their order, so that no frame depends on its batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from inference_server.device import spending_memory

from . import painting
from .painting import Figure
from .plates import Plates
from .prepared import Prepared
from .raster import NOWHERE, Map, unpacked
from .shape import Shape

Image = npt.NDArray[np.uint8]

_TORN = 3.0  # px of the texture per px of the picture between samples: another surface
_STILL = 1 / 64  # px: what is closer to its place has not moved
_ROUNDING = 1e-4  # px that a triangle may end before a sample that it still holds
_INSIDE = -1e-5  # least barycentric weight


def figures(prepared: Prepared, shapes: Sequence[Shape], device: str) -> list[Figure]:
    """As `painting.figure` for each shape.

    Raises:
        GpuOutOfMemory: the graphics card has too little memory.
    """
    every = [painting.plates_of(prepared, shape) for shape in shapes]
    canvases: list[Image] = [np.empty(0, np.uint8)] * len(shapes)
    with torch.no_grad(), spending_memory(device):
        maps = _maps(prepared, shapes, device)
        for plates in {id(one): one for one in every}.values():
            theirs = [k for k, one in enumerate(every) if one is plates]
            drawn = _composed(maps[theirs], prepared.step, plates).cpu().numpy()
            for k, canvas in zip(theirs, drawn, strict=True):
                canvases[k] = canvas
        on_host = maps.cpu().numpy()
    made = []
    for shape, plates, canvas, seen in zip(shapes, every, canvases, on_host, strict=True):
        fine = list(painting.fine_maps(prepared, shape))
        painting.compose_fine(plates, fine, canvas)
        made.append(Figure(canvas, Map(seen[0], seen[1], prepared.step, (0, 0)), fine))
    return made


def _maps(prepared: Prepared, shapes: Sequence[Shape], device: str) -> Tensor:
    """(B, 2, h', w') texture x and y of every sample; NOWHERE where nothing is."""
    head, step = prepared.head, prepared.step
    rows, columns = (-(-(extent - 1) // step) + 1 for extent in prepared.scene.shape)
    vertices = np.stack([shape.refined for shape in shapes]).astype(np.float32)
    vertices[..., :2] /= step
    corners = torch.from_numpy(vertices).to(device)[:, torch.from_numpy(head.triangles).long()]
    corners = corners.flatten(0, 1)  # (B * M, 3, 3)
    which, pixel, weights = _candidates(corners, rows, columns)
    n_triangles = len(head.triangles)
    place = which // n_triangles * (rows * columns) + pixel
    depth = (weights * corners[which, :, 2]).sum(1)
    nearest = torch.full((len(shapes) * rows * columns,), 1e9, device=device)
    nearest.scatter_reduce_(0, place, depth, "amin")
    seen = depth == nearest[place]
    place, triangle, weights = place[seen], which[seen] % n_triangles, weights[seen]
    first = torch.full(nearest.shape, n_triangles, dtype=torch.int32, device=device)
    first.scatter_reduce_(0, place, triangle.int(), "amin")
    chosen = triangle == first[place]
    uv = torch.from_numpy(head.uv[head.triangles]).to(device)
    found = (weights[chosen, :, None] * uv[triangle[chosen]]).sum(1)
    maps = torch.full((len(nearest), 2), NOWHERE, device=device)
    maps[place[chosen]] = found
    return maps.view(len(shapes), rows, columns, 2).permute(0, 3, 1, 2)


def _candidates(corners: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which triangle (k,) holds which sample (k,), and its barycentric weights there (k, 3)."""
    low = (corners[..., :2].amin(1) - _ROUNDING).ceil().clamp(min=0).long()
    high = (corners[..., :2].amax(1) + _ROUNDING).floor().long()
    high = torch.minimum(high, torch.tensor([columns - 1, rows - 1], device=corners.device))
    extent = (high - low + 1).clamp(min=0)
    count = extent.prod(1)
    which = torch.repeat_interleave(count)
    start = count.cumsum(0) - count
    offset = torch.arange(len(which), device=corners.device) - start[which]
    x = low[which, 0] + offset % extent[which, 0]
    y = low[which, 1] + offset // extent[which, 0]
    (ax, ay), (bx, by), (cx, cy) = (corners[which, k, :2].unbind(1) for k in range(3))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    first = ((cx - bx) * (y - by) - (cy - by) * (x - bx)) / area
    second = ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) / area
    weights = torch.stack([first, second, 1 - first - second], 1)
    inside = (weights >= _INSIDE).all(1) & (area.abs() >= 1e-9)
    return which[inside], (y * columns + x)[inside], weights[inside]


def _composed(maps: Tensor, step: int, plates: Plates) -> Tensor:
    """(B, h, w, 4) uint8: plates seen through maps; see `raster.compose`."""
    device = maps.device
    height, width = plates.still.shape
    j0, j1 = _samples(height, step, device)
    k0, k1 = _samples(width, step, device)
    above = maps[:, :, j0] + maps[:, :, j1]
    at = (above[..., k0] + above[..., k1]) / 4
    torn = _torn(maps, _TORN * step)
    torn = torn[:, j0] | torn[:, j1]
    torn = torn[..., k0] | torn[..., k1]
    texture = _on(plates.texture, device)
    figure = _sampled(texture, at.permute(0, 2, 3, 1).reshape(-1, 2)).view(*torn.shape, 4)
    figure[torn] = _smoothed(maps, step, texture, torn.nonzero())
    y = torch.arange(height, device=device)[:, None]
    x = torch.arange(width, device=device)
    pad_y, pad_x = ((a - b) // 2 for a, b in zip(texture.shape, (height, width), strict=False))
    still = ((at[:, 0] - (x + pad_x)).abs() < _STILL) & ((at[:, 1] - (y + pad_y)).abs() < _STILL)
    alpha = figure[..., 3:]
    if int(plates.background[0, 0]) >> 48 & 255 == 255:
        composed = figure + _on(plates.background, device) * (1 - alpha / 255)
    else:
        colour = figure[..., :3] * 255 / alpha.clamp(min=1)
        composed = torch.cat([colour, alpha], -1)
        composed = torch.where(alpha > 0, composed, _on(plates.background, device))
    composed = torch.where(still[..., None], _on(plates.still, device), composed)
    return composed.clamp(0, 255).round().to(torch.uint8)


def _samples(n_pixels: int, step: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(n,) samples of the map that a pixel lies between."""
    pixel = torch.arange(n_pixels, device=device)
    before = pixel // step
    return before, before + (pixel % step > 0)


def _torn(maps: Tensor, apart: float) -> Tensor:
    """(B, h', w') whether a sample lies beside one of another surface."""
    torn = torch.zeros(maps[:, 0].shape, dtype=torch.bool, device=maps.device)
    across = (maps[..., 1:] - maps[..., :-1]).abs().sum(1) > apart
    down = (maps[:, :, 1:] - maps[:, :, :-1]).abs().sum(1) > apart
    torn[..., 1:] |= across
    torn[..., :-1] |= across
    torn[:, 1:] |= down
    torn[:, :-1] |= down
    return torn


def _smoothed(maps: Tensor, step: int, texture: Tensor, pixels: Tensor) -> Tensor:
    """(k, 4) colours at pixels (k, 3) frame, y, x: a tent of the samples around each."""
    frame, y, x = pixels.unbind(1)
    rows, columns = maps.shape[2:]
    off = torch.stack([x % step, y % step], 1)
    total = torch.zeros((len(pixels), 4), device=maps.device)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            # on a sample 1, 2, 1; half-way between two samples 0, 2, 2
            weight = torch.ones(len(pixels), device=maps.device)
            for shift, part in ((across, off[:, 0]), (down, off[:, 1])):
                between = 2.0 if shift >= 0 else 0.0
                weight = weight * torch.where(part > 0, between, 2.0 if shift == 0 else 1.0)
            j = (y // step + down).clamp(0, rows - 1)
            k = (x // step + across).clamp(0, columns - 1)
            away = off - torch.tensor([across * step, down * step], device=maps.device)
            total += weight[:, None] * _sampled(texture, maps[frame, :, j, k] + away)
    return (total / 16).round()


def _sampled(texture: Tensor, at: Tensor) -> Tensor:
    """(k, 4) a texture (th, tw, 4) at places (k, 2) x, y in px; nothing where nothing is."""
    height, width = texture.shape[:2]
    extent = torch.tensor([width - 1, height - 1], dtype=torch.float32, device=at.device)
    grid = (2 * at / extent - 1).clamp(-1, 1)[None, None]  # Metal knows no borders
    seen = grid_sample(texture.permute(2, 0, 1)[None], grid, align_corners=True)
    return (seen[0, :, 0].T * (at[:, :1] >= -1e3)).round()


def _on(packed: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """(h, w, 4) float32 of a picture in lanes."""
    return torch.from_numpy(unpacked(packed)).to(device).float()
