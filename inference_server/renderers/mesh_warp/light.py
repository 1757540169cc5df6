"""Shade that changes as the head turns: what the light of the picture does to a turned face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit, triangles
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    N_SKIN,
    rim,
)

from .background import push_pull
from .palette import LUMA
from .polygons import box_around, coverage
from .pose import Pose
from .raster import Map, backward_map, compiled

Array = npt.NDArray[np.float64]
Grid = npt.NDArray[np.float32]

CELL = 8  # px of the texture: shade is smooth
SMOOTH = 0.10  # face widths: finer shapes than this throw no shade of their own
AMOUNT = 0.8  # of what a dull surface would do
LEAST, MOST = 0.78, 1.25  # factors of brightness
_MOST_SLOPE = 0.6  # of the light's mean: more is hair or paint, not light
_MIDDLE = np.array([0.0, 0.05, 0.1])  # of the head, canonical
FADE = 0.16  # face widths outside of the oval over which shade ends


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """The light of a picture, and the shape that it falls on; cells cover the padded texture."""

    normals: Grid  # (gh, gw, 3) towards the camera, picture axes, at rest
    share: Grid  # (gh, gw) 0..1 how much of the shade shows
    slope: Array  # (3,) brightness = 1 + slope @ normal, relative to a mean

    def factors(self, pose: Pose) -> Grid:
        """(gh, gw) brightness after a turn against that at rest."""
        turned = cv2.Rodrigues(pose.turn)[0].T @ self.slope
        now = 1 + self.normals @ turned.astype(np.float32)
        before = 1 + self.normals @ self.slope.astype(np.float32)
        ratio = np.clip(now / np.maximum(before, 0.2), LEAST, MOST)
        return 1 + self.share * np.float32(AMOUNT) * (ratio - 1)


def measure(
    image: npt.NDArray[np.uint8],
    mesh: npt.NDArray[np.floating],
    matte: npt.NDArray[np.float32],
    pad: int,
    fit: Fit,
) -> Light:
    """The light of an (h, w, 3) picture with its face mesh (478, 3) and matte (h, w), in px."""
    normals = _normals(np.asarray(mesh, np.float64)[:N_SKIN], fit.to_picture(_MIDDLE))
    slope = _slope(image, mesh, normals, fit)
    height, width = ((extent + 2 * pad) // CELL + 2 for extent in image.shape[:2])
    at = np.column_stack([mesh[:N_SKIN, :2] + pad, mesh[:N_SKIN, 2]]) / CELL
    both = [
        backward_map(at, part.astype(np.float32), triangles(), (height, width))
        for part in (normals[:, :2], normals[:, [2, 2]])
    ]
    drawn = np.dstack([both[0].x, both[0].y, both[1].x])
    known = (drawn[..., 0] > -10).astype(np.float32)
    radius = SMOOTH * fit.scale / CELL
    filled = push_pull(np.where(known[..., None] > 0, drawn, 0), known)
    filled = cv2.GaussianBlur(filled, (0, 0), max(0.6, radius))
    filled /= np.maximum(np.linalg.norm(filled, axis=2, keepdims=True), 1e-3)
    return Light(filled, _share(mesh, matte, pad, fit, (height, width)), slope)


def _normals(points: Array, middle: Array) -> Array:
    """(468, 3) unit normals of the skin (468, 3), away from the middle (3,) of the head."""
    faces = triangles()
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    flat = np.cross(b - a, c - a)
    outwards = ((a + b + c) / 3 - middle) * flat
    flat *= np.sign(outwards.sum(1, keepdims=True))  # triangles come in either winding
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], flat)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _slope(
    image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating], normals: Array, fit: Fit
) -> Array:
    """(3,) how brightness of skin grows with each axis of its normal, relative to the mean."""
    luma = image.astype(np.float32) @ LUMA.astype(np.float32)
    luma = cv2.GaussianBlur(luma, (0, 0), max(0.6, 0.03 * fit.scale))
    height, width = luma.shape
    x, y = np.round(mesh[:N_SKIN, :2]).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (normals[:, 2] < -0.3)
    for ring in (rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER), EYE_RIGHT_RIM, EYE_LEFT_RIM):
        inside[list(ring)] = False
    seen = luma[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
    model = np.column_stack([np.ones(N_SKIN), normals])
    found = np.zeros(4)
    for _ in range(3):  # hair, brows and beard do not fit, and are left out
        used = model[inside]
        ridge = 0.02 * len(used) * np.diag([0.0, 1, 1, 1])
        found = np.linalg.solve(used.T @ used + ridge + 1e-9 * np.eye(4), used.T @ seen[inside])
        off = np.abs(seen - model @ found)
        inside &= off <= 2 * max(float(np.median(off[inside])), 2.0)
        if inside.sum() < 60:
            return np.zeros(3)
    slope: Array = found[1:] / max(float(found[0]), 1.0)
    length = float(np.linalg.norm(slope))
    return slope * min(1.0, _MOST_SLOPE / max(length, 1e-9))


def _share(
    mesh: npt.NDArray[np.floating],
    matte: npt.NDArray[np.float32],
    pad: int,
    fit: Fit,
    shape: tuple[int, int],
) -> Grid:
    """(gh, gw) 1 on the face, 0 beside the head and on whatever shows what is behind it."""
    oval = (mesh[list(FACE_OVAL), :2] + pad) / CELL
    inside = (coverage(oval, shape) > 0.5).astype(np.uint8)
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5) * CELL / fit.scale
    t = np.clip(1 - away / FADE, 0, 1)
    figure = cv2.copyMakeBorder(matte, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    rows, columns = figure.shape[0] // CELL, figure.shape[1] // CELL
    cells = figure[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).min((1, 3))
    cells = np.pad(cells, ((0, shape[0] - rows), (0, shape[1] - columns)))
    # a pixel lies between four cells: where it shows what is behind, none of them has a share
    inner = cv2.erode((cells > 0.02).astype(np.float32), np.ones((5, 5)))
    inner = np.clip(2 * cv2.GaussianBlur(inner, (0, 0), 1.0) - 1, 0, 1)
    return (t * t * (3 - 2 * t) * inner).astype(np.float32)


def cast(
    canvas: npt.NDArray[np.uint8], seen: Map, factors: Grid, face: Array, reach: float
) -> None:
    """Lighten and darken a square (h, w, 4) by factors seen through its map, in place.

    `face` (k, 2) are px that the face covers; shade ends `reach` px around them.
    """
    x0, y0, x1, y1 = box_around(face, reach, canvas.shape)
    x0, y0 = x0 // seen.step * seen.step, y0 // seen.step * seen.step
    if x1 - x0 > 1 and y1 - y0 > 1:
        first = y0 // seen.step, x0 // seen.step
        maps = seen.x[first[0] :, first[1] :], seen.y[first[0] :, first[1] :]
        _cast(canvas[y0:y1, x0:x1], *maps, seen.step, factors)


@compiled
def _cast(canvas, map_x, map_y, step, factors):  # type: ignore[no-untyped-def]
    shift = step - 1
    rows, columns = (canvas.shape[0] >> shift) + 1, (canvas.shape[1] >> shift) + 1
    rows, columns = min(rows, map_x.shape[0]), min(columns, map_x.shape[1])
    scale, one = np.float32(1.0 / CELL), np.float32(1.0)
    light = np.ones((rows, columns), np.float32)
    for j in range(rows):
        for k in range(columns):
            if map_x[j, k] < 0:
                continue
            u = min(max(map_x[j, k] * scale, np.float32(0)), np.float32(factors.shape[1] - 1.001))
            v = min(max(map_y[j, k] * scale, np.float32(0)), np.float32(factors.shape[0] - 1.001))
            p, q = int(u), int(v)
            u -= p
            v -= q
            upper = factors[q, p] * (one - u) + factors[q, p + 1] * u
            lower = factors[q + 1, p] * (one - u) + factors[q + 1, p + 1] * u
            light[j, k] = upper * (one - v) + lower * v
    quarter, half = np.float32(0.25), np.float32(0.5)
    for i in range(canvas.shape[0]):
        j0 = i >> shift
        j1 = min(j0 + (i & shift), rows - 1)
        for j in range(canvas.shape[1]):
            k0 = j >> shift
            k1 = min(k0 + (j & shift), columns - 1)
            f = quarter * (light[j0, k0] + light[j0, k1] + light[j1, k0] + light[j1, k1])
            if f == one:
                continue
            for c in range(3):
                canvas[i, j, c] = np.uint8(min(canvas[i, j, c] * f + half, np.float32(255)))
