"""A face mesh from several looks at one place: crops of several sizes must agree.

MediaPipe's mesh of a drawing depends on the crop it is shown. Where the mouth lands on bare skin,
more crops are tried and the mesh whose lips stand out best is taken.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .mediapipe_graphs import meshes
from .resampling import quarter_turns, square, square_affine, turned_back
from .topology import FACE_OVAL, LIP_OUTER_LOWER, LIP_OUTER_UPPER, N_SKIN, rim

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

CROP_PER_MESH = (1.6, 1.9, 2.4)  # crop side per longer side of the mesh
SAME_MESH = 0.08  # mean distance of two looks, of the mesh's longer side
_MORE_CROPS = (1.2, 1.35, 3.2, 4.0)
_MESH_INPUT = 384  # px, the crop that the mesh is fitted in
# Lab distance of the lips to the face's median colour: 10 and more wherever a mouth was hit, on
# photos, paintings and drawings; 0 to 8 where the mesh put the lips of a drawing on its chin.
_BARE_LIPS = 9.0
_LIPS = rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)
_CONTRAST_SIDE = 256  # px


def look(image: Image, centre: Array, side: float, turns: int = 0) -> Array | None:
    """The mesh (478, 3) px nearest to the middle of a square crop, None when there is no face.

    The crop is shown after `turns` counter-clockwise quarter turns: lying faces come out better.
    """
    if side < 2:
        return None
    affine = square_affine(centre, side, _MESH_INPUT)
    found = []
    crop = np.rot90(square(image, centre, side, _MESH_INPUT), turns)
    for mesh in meshes(np.ascontiguousarray(crop)):
        mesh[:, :2] -= 0.5  # MediaPipe counts from the corner of a pixel
        mesh = turned_back(mesh, turns, _MESH_INPUT, _MESH_INPUT)
        mesh *= affine[0, 0]
        mesh[:, :2] += affine[:, 2]
        found.append(mesh)
    if not found:
        return None
    return min(found, key=lambda mesh: float(np.linalg.norm(mesh[:N_SKIN, :2].mean(0) - centre)))


def settle(image: Image, guess: Array) -> Array | None:
    """A better mesh from several looks at where `guess` (478, 3) px is; None when they disagree."""
    agreeing = _agreeing(image, guess, CROP_PER_MESH)
    if len(agreeing) < 2:
        return None
    mean = np.mean(agreeing, axis=0)
    if _lip_contrast(image, mean) >= _BARE_LIPS:
        return mean
    others = [mean, *_agreeing(image, guess, _MORE_CROPS)]
    return max(others, key=lambda mesh: _lip_contrast(image, mesh))


def place(mesh: Array) -> tuple[Array, float]:
    """Middle (2,) and longer side of the box around a mesh, px."""
    low, high = mesh[:N_SKIN, :2].min(0), mesh[:N_SKIN, :2].max(0)
    return (low + high) / 2, float((high - low).max())


def apart(a: Array, b: Array) -> float:
    """Mean distance of two meshes, px."""
    return float(np.linalg.norm(a[:N_SKIN, :2] - b[:N_SKIN, :2], axis=1).mean())


def _agreeing(image: Image, guess: Array, factors: tuple[float, ...]) -> list[Array]:
    centre, extent = place(guess)
    turns = quarter_turns(guess)
    found = (look(image, centre, factor * extent, turns) for factor in factors)
    return [mesh for mesh in found if mesh is not None and apart(guess, mesh) < SAME_MESH * extent]


def _lip_contrast(image: Image, mesh: Array) -> float:
    """Mean Lab distance of the lips to the median colour of the face."""
    centre, extent = place(mesh)
    crop = square(image, centre, 1.1 * extent, _CONTRAST_SIDE)
    affine = square_affine(centre, 1.1 * extent, _CONTRAST_SIDE)
    points = np.rint((mesh[:, :2] - affine[:, 2]) / affine[0, 0]).astype(np.int32)
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    face = np.zeros(crop.shape[:2], np.uint8)
    lips = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(face, [points[list(FACE_OVAL)]], (1,))
    cv2.fillPoly(lips, [points[list(_LIPS)]], (1,))
    if not lips.any() or not face.any():
        return 0.0
    median = np.median(lab[face > 0], axis=0)
    return float(np.linalg.norm(lab[lips > 0] - median, axis=-1).mean())
