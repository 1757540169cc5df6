"""Which pixels of a crop belong to the person.

MediaPipe's selfie segmentation says roughly where the person is, a guided filter (He 2010) draws
its edge along the picture's own. Before a plain backdrop, what differs from it and touches the
figure is added: hair that the segmentation misses in drawings. A picture that was cut out by hand
keeps its own alpha.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .resampling import opaque, quarter_turns
from .topology import FACE_OVAL

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

_COVERED = 0.55  # mean coverage of the face below which a matte has missed it
_CUT_OUT = 0.02  # share of clear pixels from which on a picture counts as cut out
_GUIDE_RADIUS = 0.016  # of the crop's side
_GUIDE_EPS = 2e-4
_SOFT_FROM, _SOFT_TO = 0.12, 0.88
_SPECK = 0.3  # coverage that joins pixels into one figure
_NOSE = 4
_BACKDROP = 0.05  # segmentation below which a pixel is surely backdrop
_BACKDROP_SHARE = 0.08  # of the crop that it must fill to be judged
_PLAIN = 4.0  # Lab distance to a smooth ramp that 95 % of a plain backdrop stay under
_DIFFERS_FROM, _DIFFERS_TO = 10.0, 22.0  # Lab distance at which a pixel begins to count; counts
_RAMP_SIDE = 64  # px, the size at which the ramp is fitted


def matte(rgba: npt.NDArray[np.uint8], mesh: Array) -> Floats | None:
    """Coverage of the person in a crop.

    Args:
        rgba: (S, S, 4) straight alpha.
        mesh: (478, 3) px.

    Returns:
        (S, S) 0..1, or None when neither the picture's alpha nor the segmentation covers the face.
    """
    size = rgba.shape[0]
    oval = np.zeros((size, size), np.uint8)
    cv2.fillPoly(oval, [np.rint(mesh[list(FACE_OVAL), :2]).astype(np.int32)], (255,))
    if not oval.any():
        return None
    alpha = rgba[..., 3].astype(np.float32) / 255
    if (alpha < 0.5).mean() > _CUT_OUT:
        return alpha if alpha[oval > 0].mean() >= _COVERED else None
    found = _segmented(opaque(rgba), oval, mesh)
    return None if found is None else found * alpha


def _segmented(
    image: npt.NDArray[np.uint8], oval: npt.NDArray[np.uint8], mesh: Array
) -> Floats | None:
    from .mediapipe_graphs import segment  # not needed for pictures that are cut out

    size = image.shape[0]
    turns = quarter_turns(mesh)  # the segmentation knows people upright
    rough = np.rot90(segment(np.rot90(image, turns)), -turns)
    if rough[oval > 0].mean() < _COVERED:
        return None
    rough = np.maximum(rough, cv2.GaussianBlur(oval, (0, 0), size / 170).astype(np.float32) / 255)
    guide = image.astype(np.float32) / 255
    radius = max(1, int(size * _GUIDE_RADIUS))
    fine = cv2.ximgproc.guidedFilter(guide, rough, radius, _GUIDE_EPS)
    part = np.clip((fine - _SOFT_FROM) / (_SOFT_TO - _SOFT_FROM), 0, 1)
    coverage = part * part * (3 - 2 * part)
    inner = cv2.erode(oval, np.ones((3, 3), np.uint8)).astype(np.float32) / 255
    coverage = np.maximum(coverage, inner)
    differing = _unlike_backdrop(image, rough)
    if differing is not None:
        coverage = np.maximum(coverage, differing)
    return (coverage * _figure(coverage, mesh)).astype(np.float32)


def _unlike_backdrop(image: npt.NDArray[np.uint8], rough: Floats) -> Floats | None:
    """How little a pixel looks like the backdrop: (S, S) 0..1; None where that is not plain.

    The backdrop is taken for a quadratic ramp of colour, fitted where no person is.
    """
    size = image.shape[0]
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    small = cv2.resize(lab, (_RAMP_SIDE, _RAMP_SIDE), interpolation=cv2.INTER_AREA)
    clear = cv2.resize(rough, (_RAMP_SIDE, _RAMP_SIDE), interpolation=cv2.INTER_AREA) < _BACKDROP
    if clear.mean() < _BACKDROP_SHARE:
        return None
    ramp = _quadratic(_RAMP_SIDE)[clear]
    colours = small[clear]
    weights, *_ = np.linalg.lstsq(ramp, colours, rcond=None)
    near = np.linalg.norm(colours - ramp @ weights, axis=1) < _DIFFERS_FROM
    if near.mean() < 0.5:
        return None
    weights, *_ = np.linalg.lstsq(ramp[near], colours[near], rcond=None)  # without the outliers
    rest = np.linalg.norm(colours[near] - ramp[near] @ weights, axis=1)
    if np.percentile(rest, 95) > _PLAIN or near.mean() < 0.8:
        return None
    expected = (_quadratic(size).reshape(-1, 6) @ weights).reshape(lab.shape)
    apart = np.linalg.norm(lab - expected, axis=2)
    part = np.clip((apart - _DIFFERS_FROM) / (_DIFFERS_TO - _DIFFERS_FROM), 0, 1)
    return part.astype(np.float32)


def _quadratic(size: int) -> Array:
    """(size, size, 6): 1, x, y, x^2, xy, y^2 over -1..1."""
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _figure(coverage: Floats, mesh: Array) -> Floats:
    """1 on the connected figure that holds the face, 0 elsewhere."""
    _, labels = cv2.connectedComponents((coverage > _SPECK).astype(np.uint8))
    size = coverage.shape[0]
    x, y = np.clip(np.rint(mesh[_NOSE, :2]).astype(int), 0, size - 1)
    figure = (labels == labels[y, x]).astype(np.uint8)
    return cv2.dilate(figure, np.ones((5, 5), np.uint8)).astype(np.float32)
