"""Shut lids: smooth skin where lashes, outlines and make-up would be dragged over the eye."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit

from .background import push_pull
from .palette import LUMA, Palette
from .polygons import box_around, coverage
from .pose import Pose, rigid_affine

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

ABOVE, BELOW, BESIDE = 0.17, 0.10, 0.05  # of the eye's width: how far around it skin is laid
OUTLINE = 0.05  # of the eye's width: how much further in drawings, where lines go around the eye
CLEAN, SMEARED = 8.0, 26.0  # levels by which what lies around an eye differs from the skin there
LARGE = 0.116  # face widths between the lids: larger eyes are those of cartoons
IN_PHOTOS = 0.4  # strength there: real lids fold well by themselves
FROM, TO = 0.30, 0.75  # eyeBlink over which the laid skin appears
FLAT_FROM, FLAT_TO = 0.08, 0.25  # in drawings, where a half-laid tone would be seen as such


@dataclass(frozen=True, slots=True, eq=False)
class Lid:
    """What one eye's shut lids look like, fixed to the skull."""

    origin: tuple[int, int]  # x, y px of the patch in the picture
    patch: Image  # (h, w, 4) RGB 0..255 and coverage 0..1
    anchor: Array  # (3,) canonical place of the eye
    appears: tuple[float, float]  # eyeBlink from which and at which it lies there


def prepare(
    image: npt.NDArray[np.uint8],
    upper: Array,
    lower: Array,
    brow: Array,
    anchor: Array,
    palette: Palette,
    opening: float,
) -> Lid:
    """The lids of an (H, W, 3) picture.

    Args:
        upper: (k, 2) px, the upper lid from corner to corner; `lower` likewise.
        brow: (b, 2) px.
        anchor: (3,) canonical place of the eye.
        opening: face widths between the lids of the wider eye.
    """
    width = max(float(np.linalg.norm(upper[-1] - upper[0])), 2.0)
    bell = np.sin(np.linspace(0, np.pi, len(upper)))[:, None] ** 0.7
    across = (upper[-1] - upper[0]) / width
    down = np.array([-across[1], across[0]])
    down *= np.sign(down[1]) or 1.0
    more = OUTLINE if palette.flat else 0.0
    sides = np.linspace(-1, 1, len(upper))[:, None] * (BESIDE + more) * width * across
    top = upper - (0.35 + 0.65 * bell) * (ABOVE + more) * width * down + sides
    bottom = lower + (0.35 + 0.65 * bell) * BELOW * width * down + sides
    region = np.concatenate([top, bottom[::-1]])
    x0, y0, x1, y1 = box_around(region, 0.35 * width + 2, image.shape)
    view = image[y0:y1, x0:x1].astype(np.float32)
    origin = np.array([x0, y0], np.float64)
    hole = coverage(region - origin, view.shape)
    reach = max(1, round(0.03 * width)) * 2 + 1
    hidden = cv2.dilate(hole, np.ones((reach, reach), np.uint8))
    brows = coverage(cv2.convexHull(brow.astype(np.float32))[:, 0] - origin, view.shape)
    hidden = np.maximum(hidden, cv2.dilate(brows, np.ones((reach, reach), np.uint8)))
    least = 0.85 if palette.flat else 0.62  # darker is hair, glasses or ink
    known = (hidden < 0.02) & (view @ LUMA > least * float(palette.skin @ LUMA))
    if known.sum() < 12:
        known = hidden < 0.02
    skin = push_pull(view, known.astype(np.float32))
    skin = cv2.GaussianBlur(skin, (0, 0), max(0.6, 0.04 * width))
    eye = coverage(np.concatenate([upper, lower[::-1]]) - origin, view.shape)
    around = (hole > 0.5) & (eye < 0.02)
    smear = 0.0
    if around.any():
        smear = float(np.percentile(np.abs((view - skin) @ LUMA)[around], 70))
    strength = float(np.clip((smear - CLEAN) / (SMEARED - CLEAN), 0, 1))
    if palette.flat:
        strength = 1.0  # a line is drawn or it is not
    elif palette.kind == "photo" and opening < LARGE:
        strength *= IN_PHOTOS
    soft = cv2.GaussianBlur(hole, (0, 0), max(0.6, 0.035 * width)) * np.float32(strength)
    appears = (FLAT_FROM, FLAT_TO) if palette.flat else (FROM, TO)
    return Lid((x0, y0), np.dstack([skin, soft]).astype(np.float32), anchor, appears)


def draw(
    canvas: npt.NDArray[np.uint8],
    corner: tuple[int, int],
    lid: Lid,
    blink: float,
    pose: Pose,
    fit: Fit,
) -> None:
    """Lay skin over a shutting eye, in place.

    Args:
        canvas: (h, w, 4) uint8; only its colours change.
        corner: x, y of the canvas in the picture.
        blink: eyeBlink, with what the gaze adds.
    """
    first, full = lid.appears
    t = np.clip((blink - first) / (full - first), 0, 1)
    amount = np.float32(t * t * (3 - 2 * t))
    if amount <= 0 or lid.patch[..., 3].max() < 0.02:
        return
    height, width = lid.patch.shape[:2]
    forward = rigid_affine(lid.anchor, pose, fit)
    forward[:, 2] += forward[:, :2] @ np.array(lid.origin, np.float64) - corner
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1.0]])
    x0, y0, x1, y1 = box_around(corners @ forward.T, 1, canvas.shape)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return
    forward[:, 2] -= [x0, y0]
    laid = cv2.warpAffine(lid.patch, forward, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    view = canvas[y0:y1, x0:x1, :3]
    share = laid[..., 3:] * amount
    view[:] = (view * (1 - share) + laid[..., :3] * share + 0.5).astype(np.uint8)
