"""MediaPipe's face models as plain functions of an RGB picture; the only file that knows MediaPipe.

The models lie inside MediaPipe's wheel. Graphs are built on first use, once per process, run one
call at a time, and are kept from writing to stderr, where the server's log goes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from mediapipe.python.solutions.face_detection import FaceDetection
from mediapipe.python.solutions.face_mesh import FaceMesh
from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

Image = npt.NDArray[np.uint8]

MIN_SCORE = 0.2  # of a detection: paintings score low; callers look twice before they believe it
_MESHES_PER_CROP = 4


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A face's place as the box detector gives it, in px of the picture it was given."""

    box: npt.NDArray[np.float64]  # (4,) xyxy, brow to chin
    score: float  # 0..1


def detect_near(image: Image) -> list[Detection]:
    """Faces wider than about a tenth of the picture (BlazeFace short range, 128 px)."""
    return _detections(_near(), image)


def detect_far(image: Image) -> list[Detection]:
    """Smaller faces as well (BlazeFace full range, 192 px)."""
    return _detections(_far(), image)


def meshes(image: Image) -> list[npt.NDArray[np.float64]]:
    """Face meshes of a square picture, at most four: each (478, 3) px, z of the same scale."""
    size = image.shape[1]
    found = _mesh().run(image).multi_face_landmarks or []
    return [np.array([(p.x, p.y, p.z) for p in face.landmark], np.float64) * size for face in found]


def segment(image: Image) -> npt.NDArray[np.float32]:
    """Probability (H, W) that a pixel belongs to the person (selfie segmentation, 256 px)."""
    return np.array(_selfie().run(image).segmentation_mask, np.float32)


class _Graph:
    """One MediaPipe solution with a lock; quiet until it has once shown all it has to say."""

    def __init__(self, build: Callable[[], Any], answered: Callable[[Any], bool]) -> None:
        with _silent_stderr():
            self._solution = build()
        self._answered = answered
        self._lock = threading.Lock()
        self._loud = True

    def run(self, image: Image) -> Any:
        """The solution's result for an RGB picture."""
        with self._lock:
            if not self._loud:
                return self._solution.process(np.ascontiguousarray(image))
            with _silent_stderr():
                result = self._solution.process(np.ascontiguousarray(image))
            self._loud = not self._answered(result)
            return result


def _detections(graph: _Graph, image: Image) -> list[Detection]:
    height, width = image.shape[:2]
    scale = np.array([width, height, width, height])
    found = []
    for detection in graph.run(image).detections or []:
        box = detection.location_data.relative_bounding_box
        corners = np.array([box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height])
        found.append(Detection(corners * scale, float(detection.score[0])))
    return found


@lru_cache(maxsize=1)
def _near() -> _Graph:
    return _Graph(lambda: FaceDetection(MIN_SCORE, model_selection=0), lambda r: bool(r.detections))


@lru_cache(maxsize=1)
def _far() -> _Graph:
    return _Graph(lambda: FaceDetection(MIN_SCORE, model_selection=1), lambda r: bool(r.detections))


@lru_cache(maxsize=1)
def _mesh() -> _Graph:
    def build() -> FaceMesh:
        return FaceMesh(
            static_image_mode=True,  # no memory of the picture before
            max_num_faces=_MESHES_PER_CROP,
            refine_landmarks=True,
            min_detection_confidence=MIN_SCORE,
            min_tracking_confidence=MIN_SCORE,
        )

    return _Graph(build, lambda result: bool(result.multi_face_landmarks))


@lru_cache(maxsize=1)
def _selfie() -> _Graph:
    return _Graph(lambda: SelfieSegmentation(model_selection=0), lambda _: True)


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Point file descriptor 2 to nowhere: MediaPipe's C++ side writes there, past Python."""
    try:
        kept = os.dup(2)
    except OSError:  # the process has no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
