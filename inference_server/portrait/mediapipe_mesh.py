"""Every face of a picture as a MediaPipe mesh, large or small, upright or not.

The box detectors are run over a pyramid of overlapping tiles, because they miss faces narrower
than about a tenth of what they are shown. Every box is then looked at again in crops of its own,
of several sizes: a face that is there has the same mesh in all of them, a swirl of paint has not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Face

from .looks import CROP_PER_MESH, look, place, settle
from .mediapipe_graphs import Detection, detect_far, detect_near
from .resampling import square, turned_back
from .topology import IBUG_68, N_SKIN

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float64]

_WORK_SIDE = 2880  # px; larger pictures are searched in a smaller copy, but meshed as they are
_TILE_INPUT = 256  # px, what a tile is shown as
_LEVELS = 4  # tiles of 1, 1/2, 1/4 and 1/8 of the longer side
_FAR_LEVELS = 3  # the slower detector finds nothing more in the smallest tiles
_TURNED_LEVELS = 2
_SMALLEST_TILE = 100  # px
_TILE_SCORE = 0.5  # wanted inside tiles; the whole picture is believed from MIN_SCORE on
_CROP_PER_BOX = (2.0, 3.0, 1.5)  # first look: crop side per box side, until a mesh is found
# Seen on 84 photos, paintings and drawings: of true faces the near detector is sure by 0.83 and
# more or the far one by 0.75, save scribbled ones (near 0.6 to 0.77). Patches of cloth and paint
# that pass the looks reach 0.73 and 0.62, the eyeball of a monster 0.69.
_SURE_NEAR, _SURE_FAR = 0.75, 0.7
_WEAK_NEAR, _WEAK_FAR = 0.72, 0.6  # believed only where the picture has no surer face
_OVERLAP = 0.3  # intersection over union from which on two boxes are one face
_MAX_FACES = 64


class MediaPipeMesh:
    """The default landmark detector; stateless, the models are loaded once per process."""

    def detect(self, image: Image) -> list[Face]:
        """Faces of an (H, W, 3) RGB picture, surest first.

        A picture without any is searched again turned by 90, 270 and 180 degrees, for faces of at
        least about a twentieth of its longer side.
        """
        height, width = image.shape[:2]
        found = _search(image, _LEVELS)
        if not found:
            for turns in (1, 3, 2):
                turned = _search(np.ascontiguousarray(np.rot90(image, turns)), _TURNED_LEVELS)
                found = [
                    replace(look, mesh=turned_back(look.mesh, turns, width, height))
                    for look in turned
                    if look.sure
                ]
                if found:
                    break
        return [_to_face(look) for look in found]


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A mesh (478, 3) in px of the picture, and how sure the detector is of it."""

    mesh: Array
    score: float
    sure: bool

    @property
    def box(self) -> Array:
        """(4,) xyxy around the skin."""
        skin = self.mesh[:N_SKIN, :2]
        return np.concatenate([skin.min(0), skin.max(0)])


def _search(image: Image, levels: int) -> list[_Look]:
    """Faces of an upright picture: the sure ones, or else the weak ones."""
    candidates = _distinct(_tile_detections(image, levels), lambda found: found.box)
    looks = [_look_again(image, found.box) for found in candidates[:_MAX_FACES]]
    distinct = _distinct([look for look in looks if look], lambda look: look.box)
    return [look for look in distinct if look.sure] or distinct


def _tile_detections(image: Image, levels: int) -> list[Detection]:
    """Boxes of all tiles, in px of `image`."""
    height, width = image.shape[:2]
    longest = max(height, width)
    scale = min(1.0, _WORK_SIDE / longest)
    work = image
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        work = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    found = []
    for level in range(levels):
        side = max(work.shape[:2]) / 2**level
        if level and side < _SMALLEST_TILE:
            break
        detectors = (detect_near, detect_far) if level < _FAR_LEVELS else (detect_near,)
        for x in _tile_starts(work.shape[1], side):
            for y in _tile_starts(work.shape[0], side):
                tile = square(work, np.array([x + side / 2, y + side / 2]), side, _TILE_INPUT)
                for detection in (hit for detector in detectors for hit in detector(tile)):
                    if level and detection.score < _TILE_SCORE:
                        continue
                    box = detection.box * (side / _TILE_INPUT) + np.array([x, y, x, y])
                    found.append(Detection(box / scale, detection.score))
    return found


def _tile_starts(length: float, side: float) -> Array:
    """Where tiles begin along an axis: half overlapping, spread evenly, centred if only one."""
    if length <= side:
        return np.array([(length - side) / 2])
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return np.linspace(0, length - side, count)


def _look_again(image: Image, box: Array) -> _Look | None:
    """The mesh of the face in `box` if most looks at it agree, else None."""
    centre, side = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())
    for factor in _CROP_PER_BOX:
        first = look(image, centre, factor * side)
        if first is not None and _contains(box, *first[:N_SKIN, :2].mean(0)):
            break
    else:
        return None
    centre, side = place(first)
    near, far = _scores(image, centre, CROP_PER_MESH[1] * side)
    if near < _WEAK_NEAR and far < _WEAK_FAR:
        return None
    mesh = settle(image, first)
    if mesh is None:
        return None
    return _Look(mesh, max(near, far), near >= _SURE_NEAR or far >= _SURE_FAR)


def _scores(image: Image, centre: Array, side: float) -> list[float]:
    """How sure the near and the far detector are of a face in the middle of a crop."""
    crop = square(image, centre, side, _TILE_INPUT)
    middle = _TILE_INPUT / 2
    return [
        max((hit.score for hit in detect(crop) if _contains(hit.box, middle, middle)), default=0.0)
        for detect in (detect_near, detect_far)
    ]


def _contains(box: Array, x: float, y: float) -> bool:
    return bool(box[0] < x < box[2] and box[1] < y < box[3])


def _distinct(found: list, box_of: Callable) -> list:
    """Surest first, without those that overlap a surer one."""
    kept: list = []
    for item in sorted(found, key=lambda item: -item.score):
        if all(overlap(box_of(item), box_of(other)) < _OVERLAP for other in kept):
            kept.append(item)
    return kept


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two xyxy boxes."""
    shared = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (shared <= 0).any():
        return 0.0
    both = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
    return float(np.prod(shared) / (both - np.prod(shared)))


def _to_face(look: _Look) -> Face:
    mesh = look.mesh.astype(np.float32)
    return Face(
        box=look.box.astype(np.float32),
        score=look.score,
        mesh=mesh,
        landmarks=mesh[list(IBUG_68), :2],
        source="mediapipe",
    )
