"""Follow one face through a video, and take its head motion out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.errors import ImageUnreadable

from .face_mesh import similarity, template
from .topology import (
    EYE_LEFT_LOWER,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_UPPER,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    N_MESH,
)

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LIPS = (
    LIP_OUTER_LOWER + LIP_OUTER_UPPER[-2:0:-1] + LIP_INNER_LOWER + LIP_INNER_UPPER[-2:0:-1]
)  # outer 20, then inner 20, each from the picture's left corner along the lower lip
CHIN = (152, 148, 377, 176, 400)
EYE_CORNERS = (33, 263)  # outer
# forehead, temples, nose and eye corners: what speech does not move
STABLE = (
    10, 338, 297, 332, 284, 251, 109, 67, 103, 54, 21, 168, 6, 197, 195, 5, 33, 133, 362, 263,
    151, 9, 8, 162, 389, 127, 356,
)  # fmt: skip
_LONGEST_SIDE = 800  # px; larger pictures are tracked at this size
_FACE_SURE = 0.3
_SAME_FACE = 1.5  # widths between the eyes that a face may move from frame to frame


def track(clip: Path, longest_s: float = 1e9) -> tuple[Array, Flags, float]:
    """Mesh of every frame (T, 478, 3) px (NaN where lost), found (T,), and fps.

    Raises:
        ImageUnreadable: not a video.
    """
    frames, fps = _faces(clip, longest_s, 1)
    lost = np.full((N_MESH, 3), np.nan)
    mesh = np.array([faces[0] if faces else lost for faces in frames]).reshape(-1, N_MESH, 3)
    return mesh, np.isfinite(mesh[:, 0, 0]), fps


def track_all(
    clip: Path, longest_s: float, most: int
) -> tuple[list[tuple[Array, Flags]], int, float]:
    """Mesh and found of each face, up to `most` at a time, longest seen first; frames; and fps.

    Raises:
        ImageUnreadable: not a video.
    """
    frames, fps = _faces(clip, longest_s, most)
    people: list[Array] = []
    last: list[Array] = []  # of each, the face as it was seen last
    for t, faces in enumerate(frames):
        free = list(range(len(people)))
        for points in faces:
            near = [i for i in free if _apart(points, last[i]) < _SAME_FACE]
            if near:
                who = min(near, key=lambda i: _apart(points, last[i]))
                free.remove(who)
            else:
                who = len(people)
                people.append(np.full((len(frames), N_MESH, 3), np.nan))
                last.append(points)
            people[who][t] = last[who] = points
    tracks = [(mesh, np.isfinite(mesh[:, 0, 0])) for mesh in people]
    return sorted(tracks, key=lambda each: -int(each[1].sum())), len(frames), fps


def _apart(a: Array, b: Array) -> float:
    """Distance of two faces, in the width between the eyes of the larger."""
    eyes = max(float(np.linalg.norm(np.subtract(*p[list(EYE_CORNERS)]))) for p in (a, b))
    return float(np.linalg.norm(a.mean(0) - b.mean(0))) / eyes


def _faces(clip: Path, longest_s: float, most: int) -> tuple[list[list[Array]], float]:
    """The meshes (478, 3) px of each frame, and fps."""
    import mediapipe

    capture = cv2.VideoCapture(str(clip))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    if not capture.isOpened() or not fps > 0:
        raise ImageUnreadable(f'"{clip.name}" holds no pictures.', "Choose a video of a speaker.")
    face_mesh = mediapipe.solutions.face_mesh.FaceMesh(
        refine_landmarks=True, min_detection_confidence=_FACE_SURE, max_num_faces=most
    )
    frames: list[list[Array]] = []
    while len(frames) < longest_s * fps:
        ok, bgr = capture.read()
        if not ok:
            break
        height, width = bgr.shape[:2]
        shrink = _LONGEST_SIDE / max(height, width)
        if shrink < 1:
            bgr = cv2.resize(bgr, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        faces = face_mesh.process(np.ascontiguousarray(bgr[..., ::-1])).multi_face_landmarks
        frames.append(
            [
                np.array([(p.x * width, p.y * height, p.z * width) for p in face.landmark])
                for face in faces or ()
            ]
        )
    face_mesh.close()
    capture.release()
    return frames, fps


def filled(mesh: Array, found: Flags) -> Array:
    """The meshes with those of lost frames interpolated; at least one must be found."""
    frames, flat = np.arange(len(mesh)), mesh.reshape(len(mesh), -1)
    known = frames[found]
    columns = [np.interp(frames, known, column[found]) for column in flat.T]
    return np.stack(columns, 1).reshape(mesh.shape)


def stabilise(mesh: Array, found: Flags) -> Array:
    """Remove head pose: (T, 478, 3) px -> frontal, outer-eye distance 1, origin between the eyes.

    Each frame is fitted to the clip's own median face, so that identity does not leak into pose.
    """
    whole = filled(mesh, found)
    stable = list(STABLE)

    def aligned(reference: Array) -> Array:
        out = np.empty_like(whole)
        for t, points in enumerate(whole):
            scale, rotation, shift = similarity(points[stable], reference)
            out[t] = scale * points @ rotation.T + shift
        return out

    middle = np.median(aligned(template()[stable]), 0)
    scale, rotation, shift = similarity(middle[stable], template()[stable])
    middle = scale * middle @ rotation.T + shift
    out = aligned(middle[stable])
    right, left = (middle[i] for i in EYE_CORNERS)
    return (out - (right + left) / 2) / np.linalg.norm(left - right)


def head_angles(mesh: Array, found: Flags) -> Array:
    """(T, 3) yaw, pitch and roll in degrees, as Motion.head."""
    stable = list(STABLE)
    angles = np.empty((len(mesh), 3))
    for t, points in enumerate(filled(mesh, found)):
        rotation = similarity(template()[stable], points[stable])[1]
        nose = -rotation[:, 2]  # out of the face
        yaw = np.arctan2(nose[0], -nose[2])
        pitch = -np.arcsin(np.clip(nose[1], -1, 1))
        angles[t] = yaw, pitch, np.arctan2(rotation[1, 0], rotation[0, 0])
    return np.degrees(angles)


def eyes_open(mesh: Array, found: Flags) -> Array:
    """(T,) height of the eyes over their width, mean of both."""
    whole = filled(mesh, found)[..., :2]
    ratios = []
    for upper, lower in ((EYE_RIGHT_UPPER, EYE_RIGHT_LOWER), (EYE_LEFT_UPPER, EYE_LEFT_LOWER)):
        middle = len(upper) // 2
        height = np.linalg.norm(whole[:, upper[middle]] - whole[:, lower[middle]], axis=1)
        width = np.linalg.norm(whole[:, upper[0]] - whole[:, upper[-1]], axis=1)
        ratios.append(height / np.maximum(width, 1e-6))
    return np.mean(ratios, 0)
