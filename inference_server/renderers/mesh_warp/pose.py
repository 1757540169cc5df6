"""Head pose: which pose a portrait can take, and what it does to points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit

Array = npt.NDArray[np.float64]

PIVOT = np.array([0.0, 0.25, 0.05])  # face widths: where the skull sits on the neck
CHEST = np.array([0.0, 2.0, 0.1])  # face widths: about which shoulders roll
# What a detector sees of a turn that is drawn is less than the turn: about three quarters
# (tests/bench/obedience). Real heads agree best with no gain at all (tests/bench/picture); with
# these it sees 9 degrees where 10 are asked for, and the real pictures lose less than 0.1 dB.
DEPTH_GAIN = 1.0  # depth of the mesh against its width
YAW_GAIN, PITCH_GAIN = 1.08, 1.12
CAMERA_DISTANCE = 5.0  # face widths; only for moving towards the camera
YAW_DEG, YAW_SLACK_DEG = 20.0, 5.0  # obeyed exactly, then softly this much more
PITCH_DEG, PITCH_SLACK_DEG = 12.0, 5.0
ROLL_DEG, ROLL_SLACK_DEG = 25.0, 10.0
HEAD_LENGTH = 1.28  # of its breadth: 197 and 154 mm in the mean (ISO 7250, heads of adults)
NEAR_SHARE = 0.3  # of an outline's slide that the side may show that turns to the camera
NEAR_YAW, NEAR_SIDE = 0.1, 0.3  # radians and face widths over which a side becomes that one


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A change of pose relative to the pictured one."""

    turn: Array  # (3,) rotation vector, radians, picture axes
    shift: Array  # (2,) px
    zoom: float


@dataclass(frozen=True, slots=True)
class PoseLimits:
    """How far a portrait may be turned: less towards a side that the picture does not show."""

    yaw_left_deg: float  # > 0
    yaw_right_deg: float

    @staticmethod
    def of(fit: Fit) -> PoseLimits:
        """From how far the face is turned already."""
        yaw = source_yaw_deg(fit)
        hidden = max(6.0, YAW_DEG - 0.4 * abs(yaw))
        shown = max(6.0, YAW_DEG - 0.25 * abs(yaw))
        # a nose that points to the right hides the right cheek: turning left would bare it
        return PoseLimits(hidden, shown) if yaw > 0 else PoseLimits(shown, hidden)


def source_yaw_deg(fit: Fit) -> float:
    """Yaw of a fitted face; > 0: the nose points to the right of the picture."""
    return float(np.degrees(np.arctan2(-fit.rotation[0, 2], fit.rotation[2, 2])))


def _soft(value: float, exact: float, slack: float) -> float:
    """The value up to `exact`, then ever less, never beyond `exact + slack`."""
    beyond = abs(value) - exact
    if beyond <= 0:
        return value
    return float(np.copysign(exact + slack * np.tanh(beyond / slack), value))


def pose_of(head: npt.NDArray[np.floating], fit: Fit, limits: PoseLimits) -> Pose:
    """The pose for one row of Motion.head (yaw, pitch, roll, x, y, z)."""
    yaw, pitch, roll, x, y, z = (float(value) for value in head)
    yaw = _soft(yaw, limits.yaw_right_deg if yaw > 0 else limits.yaw_left_deg, YAW_SLACK_DEG)
    pitch = _soft(pitch, PITCH_DEG, PITCH_SLACK_DEG)
    roll = _soft(roll, ROLL_DEG, ROLL_SLACK_DEG)
    zoom = CAMERA_DISTANCE / (CAMERA_DISTANCE - float(np.clip(z, -1.5, 1.5)))
    turn = np.radians([-pitch * PITCH_GAIN, -yaw * YAW_GAIN, roll])
    return Pose(turn, np.array([x, y]) * fit.scale, zoom)


def place(points: Array, weights: Array, pose: Pose, fit: Fit) -> Array:
    """Points (n, 3) in px turned, moved and zoomed by their share (n,) of the pose."""
    pivot = fit.to_picture(PIVOT)
    offset = (points - pivot) * [1.0, 1.0, DEPTH_GAIN]
    angle = float(np.linalg.norm(pose.turn))
    if angle > 1e-9:
        axis = pose.turn / angle
        cosine = np.cos(weights * angle)[:, None]
        sine = np.sin(weights * angle)[:, None]
        along = (offset @ axis)[:, None] * axis
        # Rodrigues' formula
        offset = along + (offset - along) * cosine + _cross(axis, offset) * sine
    offset = offset * (1 + weights * (pose.zoom - 1))[:, None]
    moved = offset + pivot
    moved[:, :2] += weights[:, None] * pose.shift
    return moved


def _cross(axis: Array, points: Array) -> Array:
    """axis x point for points (n, 3); numpy's own is slow for this."""
    x, y, z = points.T
    a, b, c = axis
    return np.stack([b * z - c * y, c * x - a * z, a * y - b * x], 1)


def breadth(yaw: float) -> float:
    """Width of a head turned by `yaw` radians against the same from the front: an ellipsoid's."""
    return float(np.hypot(np.cos(yaw), HEAD_LENGTH * np.sin(yaw)))


def slide(rest: Array, axis: Array, share: Array, pose: Pose, fit: Fit) -> Array:
    """(n, 2) px that points at the outline of a head move in excess of its turn.

    An outline is no line on the head: as a head turns, ever other places of hair and skull make
    it. Turned like a face, it would be narrow in one pose and wide in the next.

    Args:
        rest: (n, 3) px at rest.
        axis: (n, 3) px at rest: the head's axis at the level of each point.
        share: (n,) 0 on the face, 1 at the outline.
    """
    yaw, source = -float(pose.turn[1]), np.radians(source_yaw_deg(fit))
    across, behind = (rest - axis)[:, 0], (rest - axis)[:, 2]
    grown = breadth(source + yaw) / breadth(source) - np.cos(yaw)
    excess = share * (across * grown + behind * np.sin(yaw))
    # the side that turns to the camera has no skin to show for it: what is there would be stretched
    near = 0.5 - 0.5 * np.tanh(yaw / NEAR_YAW) * np.tanh(across / (NEAR_SIDE * fit.scale))
    outwards = excess * across > 0
    excess *= pose.zoom * np.where(outwards, 1 - (1 - NEAR_SHARE) * near, 1.0)
    return excess[:, None] * [np.cos(pose.turn[2]), np.sin(pose.turn[2])]


def sway(rest: Array, weights: Array, body: Array, fit: Fit) -> Array:
    """(n, 2) px that points (n, 3) move with the shoulders, each by its share (n,).

    `body` (3,): shift right and down in face widths, roll in degrees; see motion.body.
    """
    x, y = (rest - fit.to_picture(CHEST))[:, :2].T
    angle = np.radians(body[2])
    moved = np.column_stack([-angle * y, angle * x]) + fit.scale * body[:2]
    return weights[:, None] * moved


def rigid_affine(anchor: Array, pose: Pose, fit: Fit) -> Array:
    """(2, 3) affine: px of the picture at rest to px now, of a skull-fixed patch at `anchor`.

    The patch lies parallel to the picture at the canonical point `anchor` (3,).
    """
    at = fit.to_picture(anchor)
    corners = place(at + np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.ones(3), pose, fit)
    linear = np.stack([corners[1] - corners[0], corners[2] - corners[0]], 1)[:2]
    return np.column_stack([linear, corners[0, :2] - linear @ at[:2]])
