"""The mesh that carries the picture: the face, the head around it and the body below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.spatial import Delaunay, cKDTree

from inference_server.portrait.face_mesh import Fit, triangles
from inference_server.portrait.topology import (
    EYE_LEFT_LOWER,
    EYE_LEFT_RIM,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_RIM,
    EYE_RIGHT_UPPER,
    FACE_OVAL,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    MOUTH_RIM,
    N_MESH,
)

from .pose import Pose, place, slide, sway
from .subdivision import subdivide

Array = npt.NDArray[np.float64]

GRID_CELLS = 26  # of the hexagonal grid around the face, per side of the picture
MARGIN = 0.16  # of the side: how far the grid reaches beyond the picture
SHELL_DEPTH = 0.16  # face widths: how far the head recedes behind the oval of the face
OUTLINE = 0.22  # face widths from the oval of the face to where hair and skull make the outline
FADE = 0.14  # of the side: motion dies away over this towards borders that must hold still


@dataclass(frozen=True, slots=True, eq=False)
class HeadMesh:
    """Vertices 0..477 are the face mesh; then the grid around it; refined once for drawing."""

    rest: Array  # (n, 3) px, at rest
    pose_weights: Array  # (n,) 1 turns with the head, 0 stays
    motion_weights: Array  # (n,) share of the expression that is shown: 0 at borders held still
    body_weights: Array  # (n,) 1 goes with the shoulders
    axis: Array  # (n, 3) px: the head's axis at the level of each vertex, at rest
    outline: Array  # (n,) 1 on the outline of the head, 0 on the face and on the body
    follow_oval: csr_matrix  # (n - 478, 36) expression of the grid, from that of the face's oval
    rest_refined: Array  # (m, 3) px
    refine: csr_matrix  # (m, n) Loop smoothing of a displacement
    uv: npt.NDArray[np.float32]  # (m, 2) px of the padded texture
    triangles: npt.NDArray[np.int32]  # (M, 3) of the refined mesh
    mouth_rim: npt.NDArray[np.int32]  # refined inner lip line: upper row, then lower row back
    eye_rims: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]  # right, left

    def deform(self, expression: Array, pose: Pose, body: Array, fit: Fit) -> tuple[Array, Array]:
        """Coarse (n, 3) and refined (m, 3) vertices in px.

        `expression` is (478, 3) in face widths, canonical axes; `body` (3,) as in motion.body.
        """
        moved = fit.scale * expression @ fit.rotation.T
        moved = np.concatenate([moved, self.follow_oval @ moved[list(FACE_OVAL)]])
        moved *= self.motion_weights[:, None]
        coarse = place(self.rest + moved, self.pose_weights, pose, fit)
        coarse[:, :2] += slide(self.rest, self.axis, self.outline, pose, fit)
        coarse[:, :2] += sway(self.rest, self.body_weights, body, fit)
        return coarse, self.rest_refined + self.refine @ (coarse - self.rest)


def build(
    mesh: npt.NDArray[np.floating],
    fit: Fit,
    shape: tuple[int, int],
    pad: int,
    held: tuple[bool, bool, bool, bool],
    sheet: bool,
    others: Sequence[Array] = (),
) -> HeadMesh:
    """The mesh of one portrait.

    Args:
        mesh: (478, 3) face mesh in px.
        fit: of that mesh.
        shape: height and width of the picture.
        pad: px of texture added on each side.
        held: which borders (left, top, right, bottom) must not move.
        sheet: True: there is no figure apart from the background, so motion fades out around
            the head instead of reaching the shoulders.
        others: (36, 2) px each: ovals of other heads, which hold still.
    """
    oval = np.asarray(mesh, np.float64)[list(FACE_OVAL), :2]
    grid = _hexagonal_grid(shape, oval)
    points = np.concatenate([oval, grid])
    outer = Delaunay(points).simplices
    outer = outer[_signed_distance(points[outer].mean(1), oval) < 0]
    vertex_of = np.concatenate([FACE_OVAL, N_MESH + np.arange(len(grid))])
    faces = np.concatenate([triangles(), _hole_triangles(), vertex_of[outer]])

    distance = -_signed_distance(grid, oval) / fit.scale  # face widths
    reach, near = cKDTree(oval).query(grid, k=6)
    share = 1 / (reach / fit.scale + 0.03) ** 2
    share /= share.sum(1, keepdims=True)
    rest_grid, canonical = _shell(grid, distance, near, share, fit, faces, sheet)
    pose_weights = _neck(canonical)
    if sheet:
        radius = np.hypot(canonical[:, 0], canonical[:, 1]) / 1.25
        pose_weights = pose_weights * (1 - _smoothstep(radius, 0.75, 1.25))
    rest = np.concatenate([np.asarray(mesh, np.float64), rest_grid])
    hold = _held_weights(rest[:, :2], shape, held)
    for other in others:
        hold = hold * _nearer(rest[:, :2], oval, other)

    loose = share * np.exp(-((distance[:, None] / 0.16) ** 1.5))
    rows = np.repeat(np.arange(len(grid)), near.shape[1])
    follow = coo_matrix((loose.ravel(), (rows, near.ravel())), shape=(len(grid), len(FACE_OVAL)))
    shoulders = 0 * pose_weights if sheet else 1 - pose_weights
    level = np.concatenate([fit.canonical, canonical])[:, 1]
    axis = np.column_stack([0 * level, level, np.full_like(level, SHELL_DEPTH)])
    outline = pose_weights * _smoothstep(distance, 0, OUTLINE) * (0 if sheet else 1)
    fine = subdivide(faces, len(rest), [MOUTH_RIM, EYE_RIGHT_RIM, EYE_LEFT_RIM])
    rest_refined = fine.midpoint @ rest
    return HeadMesh(
        rest=rest,
        pose_weights=np.concatenate([np.ones(N_MESH), pose_weights]) * hold,
        motion_weights=hold,
        body_weights=np.concatenate([np.zeros(N_MESH), shoulders]) * hold,
        axis=fit.to_picture(axis),
        outline=np.concatenate([np.zeros(N_MESH), outline]) * hold,
        follow_oval=follow.tocsr(),
        rest_refined=rest_refined,
        refine=fine.smooth,
        uv=np.ascontiguousarray(rest_refined[:, :2] + pad, np.float32),
        triangles=fine.triangles,
        mouth_rim=fine.ring(MOUTH_RIM),
        eye_rims=(fine.ring(EYE_RIGHT_RIM), fine.ring(EYE_LEFT_RIM)),
    )


def _smoothstep(x: Array, low: float, high: float) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _signed_distance(points: Array, polygon: Array) -> Array:
    """Distance of points (k, 2) to a polygon (p, 2) in px; > 0 inside."""
    contour = polygon.astype(np.float32).reshape(-1, 1, 2)
    return np.array([cv2.pointPolygonTest(contour, (float(x), float(y)), True) for x, y in points])


def _hexagonal_grid(shape: tuple[int, int], oval: Array) -> Array:
    """Grid points (k, 2) outside the face and clear of its rim, reaching beyond the picture."""
    height, width = shape
    side = max(shape)
    step = side / GRID_CELLS
    xs = np.arange(-MARGIN * side, width + MARGIN * side + step, step)
    ys = np.arange(-MARGIN * side, height + MARGIN * side + step, 0.87 * step)
    grid = np.array([(x + (row % 2) * step / 2, y) for row, y in enumerate(ys) for x in xs])
    spacing = np.linalg.norm(np.roll(oval, -1, 0) - oval, axis=1).mean()
    return grid[_signed_distance(grid, oval) < -0.75 * spacing]


def _hole_triangles() -> npt.NDArray[np.int32]:
    """(46, 3) triangles that close the mouth and the eyes, so that texture is drawn there too."""
    found: list[tuple[int, int, int]] = []
    for upper, lower in (
        (LIP_INNER_UPPER, LIP_INNER_LOWER),
        (EYE_RIGHT_UPPER, EYE_RIGHT_LOWER),
        (EYE_LEFT_UPPER, EYE_LEFT_LOWER),
    ):
        for k in range(len(upper) - 1):
            a, b, c, d = upper[k], upper[k + 1], lower[k], lower[k + 1]
            if a != c:
                found.append((a, d, c))
            if b != d:
                found.append((a, b, d))
    return np.array(found, np.int32)


def _lift_grid(grid: Array, depth: Array, fit: Fit) -> tuple[Array, Array]:
    """Grid points (k, 2) px given their canonical depth: (k, 3) px and (k, 3) canonical."""
    offset = grid - fit.translation[:2]
    turned = fit.rotation
    z = (fit.scale * depth - offset @ turned[:2, 2]) / turned[2, 2] + fit.translation[2]
    px = np.column_stack([grid, z])
    return px, (px - fit.translation) @ turned / fit.scale


def _shell(
    grid: Array,
    distance: Array,
    near: npt.NDArray[np.integer],
    share: Array,
    fit: Fit,
    faces: npt.NDArray[np.integer],
    sheet: bool,
) -> tuple[Array, Array]:
    """Depth of the grid: the head curves back from the oval of the face, the chin least."""
    rim_depth = (fit.canonical[list(FACE_OVAL), 2][near] * share).sum(1)
    px, canonical = _lift_grid(grid, rim_depth, fit)
    if sheet:
        return px, canonical
    below = _smoothstep(canonical[:, 1], 0.30, 0.62) * np.exp(-((canonical[:, 0] / 0.75) ** 4))
    curve = 1 - np.exp(-distance / (0.20 - 0.13 * below))
    depth = rim_depth + (SHELL_DEPTH - rim_depth) * curve
    # a few Laplacian steps take the wobble out of the outline of ears and jaw
    total = N_MESH + len(grid)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, 1), axis=0)
    both = np.concatenate([edges, edges[:, ::-1]])
    links = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(total, total)).tocsr()
    valence = np.asarray(links.sum(1)).ravel()
    full = np.concatenate([fit.canonical[:, 2], depth])
    linked = valence[N_MESH:] > 0
    for _ in range(6):
        mean = (links @ full)[N_MESH:] / np.maximum(valence[N_MESH:], 1)
        full[N_MESH:] = np.where(linked, 0.6 * mean + 0.4 * full[N_MESH:], full[N_MESH:])
    return _lift_grid(grid, full[N_MESH:], fit)


def _neck(canonical: Array) -> Array:
    """How much of the head's pose a point takes: all above the chin, none at the shoulders."""
    start = 0.60 - 0.24 * _smoothstep(np.abs(canonical[:, 0]), 0.15, 0.5)
    t = np.clip((canonical[:, 1] - start + 0.02) / 0.74, 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return 1.0 - smooth


def _nearer(points: Array, own: Array, other: Array) -> Array:
    """(n,) 1 nearer to the own head than to another, 0 on that one; both are outlines (36, 2)."""
    to_own = np.maximum(-_signed_distance(points, own), 0)
    to_other = np.maximum(-_signed_distance(points, other), 0)
    return _smoothstep(to_other / np.maximum(to_own + to_other, 1e-6), 0.1, 0.45)


def _held_weights(
    points: Array, shape: tuple[int, int], held: tuple[bool, bool, bool, bool]
) -> Array:
    """(n,) 0 at and beyond borders that hold still, 1 well inside."""
    height, width = shape
    x, y = points.T
    weights = np.ones(len(points), np.float64)
    gaps = (x, y, width - 1 - x, height - 1 - y)
    for still, gap in zip(held, gaps, strict=True):
        if still:
            # two px at rest, so that the outermost pixels are the picture's own
            weights = weights * _smoothstep(gap - 2, 0, FADE * max(shape))
    return weights
