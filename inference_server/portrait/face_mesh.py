"""The canonical face: a mean 478-point mesh, its triangles, and fits of it to a face in a picture.

Canonical axes: x to the right of the picture, y down, z away from the camera; unit: the width of
the face (points 234 to 454), whose middle is the origin. `training/face_template.py` makes the
stored arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from scipy.sparse import coo_matrix, csc_matrix, diags
from scipy.sparse.linalg import splu

from .topology import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    IBUG_68,
    IRIS_LEFT,
    IRIS_RIGHT,
    N_MESH,
    N_SKIN,
    RIGID,
)

TEMPLATE_FILE = Path(__file__).parents[1] / "weights" / "face_template.safetensors"

Array = npt.NDArray[np.float64]

# the twelve points that matter most: outer and inner corner of the right eye, inner and outer of
# the left, tip of the nose, right and left corner of the mouth, upper and lower edge of the lips,
# chin, right and left side of the face in front of the ears
TWELVE = (33, 133, 362, 263, 4, 61, 291, 0, 17, 152, 234, 454)
# mesh points that expression moves least, with the trust in each: they give the pose of placed ones
_LIFT_TRUST = {
    168: 1, 197: 1, 5: 1, 4: 1, 98: 1, 97: 1, 2: 1, 326: 1, 327: 1, 33: 1, 133: 1, 362: 1, 263: 1,
    61: 0.5, 291: 0.5, 152: 0.3, 234: 0.3, 454: 0.3,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """How a face lies in a picture: px = scale * rotation @ canonical + translation."""

    scale: float  # px per face width
    rotation: Array  # (3, 3) canonical axes -> picture axes (x right, y down, z away)
    translation: Array  # (3,) px
    canonical: Array  # (478, 3) this face without its pose, in face widths

    def to_picture(self, points: npt.NDArray[np.floating]) -> Array:
        """Canonical points (..., 3) in px of the picture."""
        return self.scale * points @ self.rotation.T + self.translation


@lru_cache(maxsize=1)
def _stored() -> dict[str, npt.NDArray[Any]]:
    arrays = load_file(TEMPLATE_FILE)
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


@lru_cache(maxsize=1)
def template() -> Array:
    """The mean neutral face: (478, 3) read-only, canonical axes, mirror-symmetric."""
    vertices = _stored()["vertices"].astype(np.float64)
    vertices.setflags(write=False)
    return vertices


def triangles() -> npt.NDArray[np.int32]:
    """The skin: (852, 3) read-only vertex indices; mouth and eyes are holes."""
    return _stored()["triangles"]


def mirror() -> npt.NDArray[np.int32]:
    """For each of the 478 points the index of its mirror image; read-only."""
    return _stored()["mirror"]


def similarity(source: Array, target: Array) -> tuple[float, Array, Array]:
    """Scale, rotation (3, 3) and shift (3,) that bring `source` (K, 3) closest to `target`.

    Umeyama 1991, equations 40 to 43.
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    source_0, target_0 = source - source_mean, target - target_mean
    left, gains, right = np.linalg.svd(target_0.T @ source_0)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((gains * signs).sum() / (source_0**2).sum())
    return scale, rotation, target_mean - scale * rotation @ source_mean


def fit(mesh: npt.NDArray[np.floating]) -> Fit:
    """Pose of a mesh (478, 3) in px, from the points that move with the skull alone."""
    points = np.asarray(mesh, np.float64)
    rigid = list(RIGID)
    scale, rotation, translation = similarity(template()[rigid], points[rigid])
    return Fit(scale, rotation, translation, (points - translation) @ rotation / scale)


@lru_cache(maxsize=1)
def _bilaplacian() -> csc_matrix:
    """Cotangent bi-Laplacian L M^-1 L of the template's skin, (468, 468), natural borders."""
    points, faces = template()[:N_SKIN], triangles()
    mass = np.zeros(N_SKIN)
    rows, columns, weights = [], [], []
    for corner in range(3):
        i, j, k = (faces[:, (corner + step) % 3] for step in range(3))
        u, v = points[i] - points[k], points[j] - points[k]
        doubled_area = np.linalg.norm(np.cross(u, v), axis=1)
        # obtuse slivers would give negative or huge weights
        cotangent = np.clip((u * v).sum(1) / np.maximum(doubled_area, 1e-9), 0.05, 5.0) / 2
        np.add.at(mass, k, doubled_area / 6)
        rows += [i, j]
        columns += [j, i]
        weights += [cotangent, cotangent]
    off = coo_matrix(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))),
        shape=(N_SKIN, N_SKIN),
    ).tocsc()
    laplacian = diags(np.asarray(off.sum(1)).ravel()) - off
    return (laplacian @ diags(1 / mass) @ laplacian).tocsc()


@lru_cache(maxsize=32)
def spread(handles: tuple[int, ...]) -> Array:
    """Weights (468, len(handles)) that spread values given at skin points over the whole skin.

    The field is the smoothest one through the handles (least bi-Laplacian energy on the template;
    Botsch and Kobbelt 2004), so that lips move apart: mouth and eyes are holes in the mesh.
    """
    energy = _bilaplacian()
    fixed = np.array(handles)
    free = np.setdiff1d(np.arange(N_SKIN), fixed)
    weights = np.zeros((N_SKIN, len(fixed)))
    weights[fixed, np.arange(len(fixed))] = 1.0
    coupling = energy[free][:, fixed].toarray()
    weights[free] = -splu(energy[free][:, free].tocsc()).solve(coupling)
    weights.setflags(write=False)
    return weights


def _orthographic(points: Array, image: Array, trust: Array) -> tuple[float, Array]:
    """Scale and rotation of the scaled orthographic camera that sees `points` (K, 3) at `image`."""
    root = np.sqrt(trust / trust.sum())[:, None]
    centred = (points - (root**2 * points).sum(0)) * root
    seen = (image - (root**2 * image).sum(0)) * root
    # the depth of a face is small: a little ridge keeps noise from turning into rotation
    ridge = 1e-3 * np.trace(centred.T @ centred) / 3 * np.eye(3)
    camera = np.linalg.solve(centred.T @ centred + ridge, centred.T @ seen).T
    left, gains, right = np.linalg.svd(camera, full_matrices=False)
    top = left @ right
    return float(gains.mean()), np.vstack([top, np.cross(top[0], top[1])])


def lift(
    landmarks: npt.NDArray[np.floating], indices: tuple[int, ...] = IBUG_68
) -> npt.NDArray[np.float32]:
    """The whole mesh (478, 3) in px from some of its points (k, 2) in px.

    The template takes the pose that explains the points that expression moves least; what remains
    at each given point is spread smoothly over the skin. Depth comes from the template.

    Args:
        indices: (k,) which points of the mesh they are: the 68 iBUG points, or `TWELVE`.
    """
    image = np.asarray(landmarks, np.float64)
    points = template()
    stable = [place for place, index in enumerate(indices) if index in _LIFT_TRUST]
    chosen = [indices[place] for place in stable]
    trust = np.array([_LIFT_TRUST[index] for index in chosen])
    scale, rotation = _orthographic(points[chosen], image[stable], trust)
    mesh = scale * points @ rotation.T
    shift = (trust[:, None] * (image[stable] - mesh[chosen, :2])).sum(0)
    mesh[:, :2] += shift / trust.sum()
    mesh[:, 2] -= mesh[:N_SKIN, 2].mean()
    residual = np.zeros((N_MESH, 2))
    residual[:N_SKIN] = spread(indices) @ (image - mesh[list(indices), :2])
    for iris, upper, lower in (
        (IRIS_RIGHT, EYE_RIGHT_UPPER, EYE_RIGHT_LOWER),
        (IRIS_LEFT, EYE_LEFT_UPPER, EYE_LEFT_LOWER),
    ):
        residual[list(iris)] = residual[list(upper + lower)].mean(0)
    mesh[:, :2] += residual
    return mesh.astype(np.float32)
