"""The square around a face that a renderer works on: cut, found again, snapped, matted."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Face, FaceCrop, Portrait
from inference_server.errors import NoFaceFound

from . import eye_contour, matting, seam
from .resampling import opaque, square_affine, square_rgba

Array = npt.NDArray[np.float64]

_SHIFT = 0.04  # of the side, towards the chin: more room for the shoulders than above the hair
_WIDTH_AS_HEIGHT = 1.15  # a wide face counts by its width
_LARGEST_FACE = 0.8  # of the side; a picture that leaves less room is continued by reflection
_OVERSCAN = 0.06  # of the side: picture kept around the square, for what a turn brings in
_TOP, _CHIN, _RIGHT, _LEFT = 10, 152, 234, 454
_FACE_FRACTION = 0.44  # height of the face as a part of the side
_SETTLED_SIDE = 512  # px


def crop_face(
    portrait: Portrait, face_index: int, size: int, face_fraction: float = _FACE_FRACTION
) -> FaceCrop:
    """Cut one face out of a portrait.

    The square has its sides along the picture's and lies inside the picture, with a margin that the
    frames do not show, unless the face would then fill more than 0.8 of it; what is missing is a
    reflection of the picture.

    Args:
        portrait: from `analysis.analyze`.
        face_index: 0 is the largest face.
        size: px of the square's sides in the result.
        face_fraction: height of the face as a part of the side, as far as the picture reaches.

    Returns:
        `to_picture` maps px of the crop to px of the picture, pixel centres at whole numbers.

    Raises:
        NoFaceFound: the portrait has no such face.
    """
    if not 0 <= face_index < len(portrait.faces):
        count = len(portrait.faces)
        raise NoFaceFound(
            f"There is no face {face_index}: the picture has {count} face{'s' * (count != 1)}.",
            f"Choose a face from 0 (the largest) to {count - 1}.",
        )
    face = portrait.faces[face_index]
    centre, side = _square_around(face.mesh, portrait.rgba.shape, face_fraction)
    to_picture = square_affine(centre, side, size)
    rgba = square_rgba(portrait.rgba, centre, side, size, cv2.BORDER_REFLECT_101)
    image = opaque(rgba)
    exact = _settled(image, _in_crop(face.mesh, to_picture), face)
    matte = matting.matte(rgba, exact)
    mesh = exact.astype(np.float32)
    found = matte is not None
    if matte is None:
        matte = np.ones((size, size), np.float32)
    return FaceCrop(
        rgba=rgba,
        mesh=mesh,
        matte=matte,
        matte_found=found,
        to_picture=to_picture,
        kind=portrait.kind,
        key=_key(rgba, mesh, matte, found, to_picture),
    )


def _square_around(
    mesh: npt.NDArray[np.float32], shape: tuple[int, ...], face_fraction: float
) -> tuple[Array, float]:
    """Centre (2,) and side of the square, px of the picture."""
    points = mesh[:, :2].astype(np.float64)
    down = points[_CHIN] - points[_TOP]
    width = np.linalg.norm(points[_LEFT] - points[_RIGHT])
    face = max(float(np.linalg.norm(down)), _WIDTH_AS_HEIGHT * float(width))
    extent = np.array(shape[1::-1], np.float64)
    side = face / face_fraction
    room = 1 + 2 * _OVERSCAN
    side = max(min(side, float(extent.min()) / room), face / _LARGEST_FACE)
    centre = (points[_TOP] + points[_CHIN]) / 2 + _SHIFT * side * down / np.linalg.norm(down)
    # pixels reach half a pixel beyond their centres: the picture spans -0.5 .. extent - 0.5
    reach = np.minimum(room * side, np.maximum(extent, side)) / 2
    low, high = reach - 0.5, extent - 0.5 - reach
    inside = np.clip(centre, low, np.maximum(low, high))
    return np.where(extent >= side, inside, (extent - 1) / 2), side


def settled(portrait: Portrait, face_index: int) -> npt.NDArray[np.float32]:
    """The mesh (478, 3) px of the picture, snapped as in a crop of 512 px."""
    face = portrait.faces[face_index]
    centre, side = _square_around(face.mesh, portrait.rgba.shape, _FACE_FRACTION)
    to_picture = square_affine(centre, side, _SETTLED_SIDE)
    image = opaque(square_rgba(portrait.rgba, centre, side, _SETTLED_SIDE, cv2.BORDER_REFLECT_101))
    mesh = _settled(image, _in_crop(face.mesh, to_picture), face)
    mesh *= to_picture[0, 0]
    mesh[:, :2] += to_picture[:, 2]
    return mesh.astype(np.float32)


def _in_crop(mesh: npt.NDArray[np.float32], to_picture: Array) -> Array:
    """A mesh (478, 3) px of the picture in px of the crop."""
    inside = mesh.astype(np.float64) / to_picture[0, 0]
    inside[:, :2] -= to_picture[:, 2] / to_picture[0, 0]
    return inside


def _settled(image: npt.NDArray[np.uint8], mesh: Array, face: Face) -> Array:
    """The mesh with lips and eyes where the picture has them, unless they were placed by hand."""
    if face.source == "mediapipe":
        mesh = _found_again(image, mesh)
    if "mouth" not in face.placed:
        mesh = seam.snap(image, mesh)
    return eye_contour.snap(image, mesh, face.placed)


def _found_again(image: npt.NDArray[np.uint8], mesh: Array) -> Array:
    """The mesh as the detector sees it in the crop, if it is the same face."""
    from .looks import settle  # only for faces that MediaPipe found

    again = settle(image, mesh)
    return mesh if again is None else again


def _key(*parts: npt.NDArray[np.generic] | bool) -> str:
    digest = hashlib.sha256()
    for part in parts:
        array = np.asarray(part)
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
