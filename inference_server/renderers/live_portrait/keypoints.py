"""Head pose and keypoints of LivePortrait (S3 section 5), as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

N_BINS = 66
_BIN_DEG = 3.0
_FIRST_DEG = -97.5


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """What the motion extractor knows of one face."""

    scale: float
    rotation: Array  # (3, 3) for row vectors: points @ rotation
    expression: Array  # (K, 3)
    translation: Array  # (3,) x, y, z; z moves nothing
    keypoints: Array  # (K, 3) canonical, before rotation

    def transformed(self) -> Array:
        """(K, 3) keypoints where the face has them: the x_s of a source."""
        return place(self.keypoints, self.scale, self.rotation, self.expression, self.translation)


def degrees(angle: Array) -> Array:
    """An angle of the motion extractor in degrees.

    Args:
        angle: (B, 66) logits of bins of 3 degrees, or anything else, which is taken for degrees.

    Returns:
        (B,) for logits: the mean of the bins, weighted by their chances; else `angle` itself.
    """
    if angle.ndim < 2 or angle.shape[1] != N_BINS:
        return angle
    chances = np.exp(angle - angle.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    return chances @ np.arange(N_BINS, dtype=chances.dtype) * _BIN_DEG + _FIRST_DEG


def rotation(pitch: float, yaw: float, roll: float) -> npt.NDArray[np.float64]:
    """(3, 3) transpose(Rz(roll) Ry(yaw) Rx(pitch)) of angles in degrees, for row vectors."""
    (cx, cy, cz), (sx, sy, sz) = (f(np.radians([pitch, yaw, roll])) for f in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_z @ about_y @ about_x).T


def place(
    keypoints: Array, scale: float, turn: Array, expression: Array, translation: Array
) -> Array:
    """(K, 3) scale * (keypoints @ turn + expression) + (tx, ty, 0)."""
    return scale * (keypoints @ turn + expression) + translation * np.array([1, 1, 0])


def pose_of(info: dict[str, Array]) -> list[Pose]:
    """The poses of a batch, from what the motion extractor returns (as numpy arrays)."""
    angles = np.stack([degrees(info[name]).reshape(-1) for name in ("pitch", "yaw", "roll")], 1)
    return [
        Pose(
            scale=float(info["scale"][i].item()),
            rotation=rotation(*angle).astype(info["kp"].dtype),
            expression=info["exp"][i].reshape(-1, 3),
            translation=info["t"][i].reshape(3),
            keypoints=info["kp"][i].reshape(-1, 3),
        )
        for i, angle in enumerate(angles)
    ]
