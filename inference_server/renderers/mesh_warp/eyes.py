"""Eyeballs: taken apart once into white and iris, drawn anew when the gaze or the lids move."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit
from inference_server.portrait.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT_LOWER,
    EYE_LEFT_RIM,
    EYE_LEFT_UPPER,
    EYE_RIGHT_LOWER,
    EYE_RIGHT_RIM,
    EYE_RIGHT_UPPER,
    IRIS_LEFT,
    IRIS_RIGHT,
)

from . import lids
from .background import push_pull
from .lids import Lid
from .palette import LUMA, Palette
from .polygons import box_around, coverage
from .pose import Pose, rigid_affine
from .raster import compiled

Array = npt.NDArray[np.float64]
Patch = npt.NDArray[np.float32]

BALL_RADIUS = 0.45  # of the eye's width
FULL_GAZE_DEG = 3.0  # below this the pictured eye fades into the repainted one
LEAST_SHUT = 0.5  # eyeBlink from which on the line of lashes grows thicker
LEAST_LASH = 0.6  # strength of the line between shut lids
LID_DROP = 0.38 / 25  # eyeBlink per degree of looking down
LID_RISE = 0.12 / 25  # per degree of looking up


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """One eye at rest; patches share their origin and shape."""

    origin: tuple[int, int]  # x, y px of the patches in the picture
    picture: Patch  # (h, w, 3)
    white: Patch  # (h, w, 3) the eye without its iris
    iris: Patch  # (h, w, 4) RGB and coverage of the whole disc
    width: float  # px between the corners
    height: float  # px between the lids
    anchor: Array  # (3,) canonical place of the iris
    lash: Array  # (3,) colour
    lash_strength: float  # 0..1
    soft: float  # px of blur that the picture has
    lid: Lid


def lid_motion(gaze_y_deg: float) -> float:
    """What looking up or down adds to eyeBlink: the upper lid follows the iris."""
    return -gaze_y_deg * (LID_DROP if gaze_y_deg < 0 else LID_RISE)


def gaze_offset(eye: Eye, gaze: Array) -> Array:
    """(2,) px that the iris moves for a gaze (2,) in degrees (x right, y up)."""
    angle = np.radians(np.clip(gaze, -35, 35))
    offset = BALL_RADIUS * eye.width * np.sin(angle) * [1, -1]
    # eyes that are drawn narrow keep their iris between the lids
    limit = 0.5 * eye.height
    offset[1] = limit * np.tanh(offset[1] / limit)
    return offset


def prepare(
    image: npt.NDArray[np.uint8], mesh: npt.NDArray[np.floating], fit: Fit, palette: Palette
) -> tuple[Eye, Eye]:
    """The person's right eye, then the left, of an (H, W, 3) picture."""
    right = _prepare(
        image, mesh, fit, palette, IRIS_RIGHT, EYE_RIGHT_RIM, EYE_RIGHT_UPPER, EYE_RIGHT_LOWER,
        BROW_RIGHT,
    )  # fmt: skip
    left = _prepare(
        image, mesh, fit, palette, IRIS_LEFT, EYE_LEFT_RIM, EYE_LEFT_UPPER, EYE_LEFT_LOWER,
        BROW_LEFT,
    )  # fmt: skip
    return right, left


def _prepare(
    image: npt.NDArray[np.uint8],
    mesh: npt.NDArray[np.floating],
    fit: Fit,
    palette: Palette,
    iris: tuple[int, ...],
    ring: tuple[int, ...],
    upper: tuple[int, ...],
    lower: tuple[int, ...],
    brow: tuple[int, ...],
) -> Eye:
    points = mesh[:, :2].astype(np.float64)
    centre = points[iris[0]]
    radius = max(float(np.linalg.norm(points[list(iris[1:])] - centre, axis=1).mean()), 1.0)
    contour = points[list(ring)]
    width = max(float(np.linalg.norm(points[upper[0]] - points[upper[-1]])), 2.0)
    x0, y0, x1, y1 = box_around(contour, 0.45 * width + 2, image.shape)
    picture = image[y0:y1, x0:x1].astype(np.float32)
    local = centre - [x0, y0]
    y, x = np.mgrid[: y1 - y0, : x1 - x0]
    distance = np.hypot(x - local[0], y - local[1]).astype(np.float32)
    inside = cv2.erode(coverage(contour - [x0, y0], picture.shape[:2]), np.ones((3, 3))) > 0.5
    white = _white(picture, inside & (distance > 1.16 * radius), radius, palette)
    disc = _iris(picture, inside, distance, radius, local)
    height = max(2.0, float(np.linalg.norm(points[upper[4]] - points[lower[4]])))
    lash, strength = _lash(image, points[list(upper)], width, height, palette)
    return Eye(
        origin=(x0, y0),
        picture=picture,
        white=white,
        iris=disc,
        width=width,
        height=height,
        anchor=fit.canonical[iris[0]],
        lash=lash,
        lash_strength=strength,
        soft=palette.soft,
        lid=lids.prepare(
            image,
            points[list(upper)],
            points[list(lower)],
            points[list(brow)],
            fit.canonical[iris[0]],
            palette,
            _widest(mesh) / fit.scale,
        ),  # fmt: skip
    )


def _widest(mesh: npt.NDArray[np.floating]) -> float:
    """Px between the lids of the eye that is open wider."""
    rows = ((EYE_RIGHT_UPPER, EYE_RIGHT_LOWER), (EYE_LEFT_UPPER, EYE_LEFT_LOWER))
    return max(float(np.linalg.norm(mesh[u[4], :2] - mesh[low[4], :2])) for u, low in rows)


def _white(
    picture: Patch, visible: npt.NDArray[np.bool_], radius: float, palette: Palette
) -> Patch:
    """The eye without its iris: what is seen of the white, spread under the iris."""
    if visible.sum() > 24:
        luma = picture @ LUMA
        visible = visible & (luma >= np.percentile(luma[visible], 45))
    if visible.sum() <= 12:
        return np.broadcast_to(palette.tooth * 0.92, picture.shape).astype(np.float32)
    known = visible.astype(np.float32)
    spread = cv2.GaussianBlur(push_pull(picture, known), (0, 0), max(1.0, 0.25 * radius))
    keep = cv2.GaussianBlur(known, (0, 0), 0.7)[..., None]
    return (picture * keep + spread * (1 - keep)).astype(np.float32)


def _iris(
    picture: Patch,
    inside: npt.NDArray[np.bool_],
    distance: Patch,
    radius: float,
    centre: Array,
) -> Patch:
    """(h, w, 4) the whole disc: hidden parts take the mean colour at their distance."""
    visible = inside & (distance < 1.02 * radius)
    profile = np.zeros((int(radius) + 3, 3), np.float32)
    at = np.clip(np.round(centre).astype(int), 0, np.array(picture.shape[1::-1]) - 1)
    for k in range(len(profile)):
        ring = visible & (np.abs(distance - k) < 0.9)
        if ring.sum() > 2:
            profile[k] = picture[ring].mean(0)
        else:
            profile[k] = profile[k - 1] if k else picture[at[1], at[0]]
    level = np.clip(distance, 0, len(profile) - 1.001)
    low = level.astype(int)
    mix = (level - low)[..., None]
    made = profile[low] * (1 - mix) + profile[np.minimum(low + 1, len(profile) - 1)] * mix
    seen = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8)[..., None]
    colour = picture * seen + made * (1 - seen)
    edge = np.clip((1.03 * radius - distance) / max(1.2, 0.12 * radius) + 0.5, 0, 1)
    return np.dstack([colour, edge]).astype(np.float32)


def _lash(
    image: npt.NDArray[np.uint8], upper: Array, width: float, opening: float, palette: Palette
) -> tuple[Array, float]:
    """Colour of the darkest line along the upper lid, and how much it stands out of the skin."""
    t = np.linspace(0, len(upper) - 1, 40)
    x = np.interp(t, range(len(upper)), upper[:, 0])
    y = np.interp(t, range(len(upper)), upper[:, 1])
    offsets = np.linspace(-0.05, 0.05, 9) * width
    around_x = np.broadcast_to(x, (9, 40)).astype(np.float32)
    around_y = (y + offsets[:, None]).astype(np.float32)
    samples = cv2.remap(image, around_x, around_y, cv2.INTER_LINEAR).astype(np.float64)
    darkest = np.take_along_axis(samples, (samples @ LUMA).argmin(0)[None, :, None], 0)[0]
    lash = np.percentile(darkest, 35, axis=0)
    strength = float(np.clip((palette.skin - lash) @ LUMA / 70, 0, 1))
    if (
        strength < LEAST_LASH and opening > 0.2 * width
    ):  # painted without lashes: shut lids still meet in a line
        return np.minimum(lash, 0.45 * palette.skin), LEAST_LASH
    return lash, strength


def draw(
    canvas: npt.NDArray[np.uint8],
    corner: tuple[int, int],
    eye: Eye,
    rim: Array,
    gaze: Array,
    blink: float,
    pose: Pose,
    fit: Fit,
) -> None:
    """Paint one eye into `canvas`, in place; leaves it alone where gaze and lids are at rest.

    Args:
        canvas: (h, w, 4) uint8; only its colours change.
        corner: x, y of the canvas in the picture.
        rim: (k, 2) px of the picture: the lids now, upper row first.
        gaze: (2,) deg, x right, y up.
        blink: eyeBlink, with what the gaze adds.
    """
    lids.draw(canvas, corner, eye.lid, blink, pose, fit)
    looking = float(np.abs(gaze).sum())
    activity = min(1.0, (looking / 30 + abs(blink)) / 0.05)
    if activity < 0.02:
        return
    x0, y0, x1, y1 = box_around(rim - corner, 4 + 2 * eye.soft, canvas.shape)
    if x1 - x0 < 3 or y1 - y0 < 3:
        return
    outline = rim - corner - [x0, y0]
    mask = cv2.GaussianBlur(coverage(outline, (y1 - y0, x1 - x0)), (0, 0), max(0.8, eye.soft))
    repaint = min(1.0, looking / FULL_GAZE_DEG)
    shut = float(np.clip(blink, 0, 1))
    # the upper lid throws a shadow on the ball
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, 0.05 * eye.width))
    soft = np.roll(soft, max(1, int(0.05 * eye.width)), axis=0)
    depth = 0.45 * min(1.0, 1.5 * shut + 0.35 * repaint)
    light = 1 - depth * (1 - np.clip(1.15 * soft - 0.15, 0, 1))
    back = cv2.invertAffineTransform(rigid_affine(eye.anchor, pose, fit))
    origin = np.array([corner[0] + x0, corner[1] + y0], np.float64)
    back[:, 2] += back[:, :2] @ origin - eye.origin
    shift = gaze_offset(eye, gaze)
    view = canvas[y0:y1, x0:x1]
    _paint_ball(
        view, mask * np.float32(activity), light, eye.picture, eye.white, eye.iris, back, shift,
        np.float32(repaint),
    )  # fmt: skip
    first, full = eye.lid.appears
    if shut > first:
        t = min(1.0, (shut - first) / (full - first))
        lashes = t * t * (3 - 2 * t) * eye.lash_strength
        thickness = 0.06 * eye.width * min(max(shut, LEAST_SHUT) * pose.zoom, 1.2)
        _draw_lashes(view, eye, outline[: len(outline) // 2 + 1], thickness, lashes)


def _draw_lashes(
    view: npt.NDArray[np.uint8], eye: Eye, lid: Array, thickness: float, strength: float
) -> None:
    """A line of lashes, `thickness` px in its middle, along the closing upper lid (k, 2)."""
    for _ in range(2):
        lid = np.concatenate([lid[:1], (lid[:-2] + 2 * lid[1:-1] + lid[2:]) / 4, lid[-1:]])
    along = lid[-1] - lid[0]
    across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-6)
    swell = 0.35 + 0.65 * np.sin(np.linspace(0, np.pi, len(lid)))
    half = 0.5 * np.maximum(thickness * swell, 0.8)[:, None] * across
    ink = coverage(np.concatenate([lid + half, (lid - half)[::-1]]), view.shape)
    ink = cv2.GaussianBlur(ink, (0, 0), max(0.5, 0.010 * eye.width, eye.soft))
    amount = (ink * (0.85 * strength))[..., None]
    mixed = view[..., :3] * (1 - amount) + eye.lash.astype(np.float32) * amount
    view[..., :3] = (mixed + 0.5).astype(np.uint8)


@compiled
def _paint_ball(view, mask, light, picture, white, iris, back, shift, repaint):  # type: ignore[no-untyped-def]
    height, width = picture.shape[0], picture.shape[1]
    for i in range(view.shape[0]):
        for j in range(view.shape[1]):
            m = mask[i, j]
            if m <= 0:
                continue
            u = back[0, 0] * j + back[0, 1] * i + back[0, 2]
            v = back[1, 0] * j + back[1, 1] * i + back[1, 2]
            u = min(max(u, 0.0), width - 1.001)
            v = min(max(v, 0.0), height - 1.001)
            iu, iv = int(u), int(v)
            fu, fv = u - iu, v - iv
            p = min(max(u - shift[0], 0.0), width - 1.001)
            q = min(max(v - shift[1], 0.0), height - 1.001)
            ip, iq = int(p), int(q)
            fp, fq = p - ip, q - iq
            cover = (iris[iq, ip, 3] * (1 - fp) + iris[iq, ip + 1, 3] * fp) * (1 - fq)
            cover += (iris[iq + 1, ip, 3] * (1 - fp) + iris[iq + 1, ip + 1, 3] * fp) * fq
            for c in range(3):
                seen = (picture[iv, iu, c] * (1 - fu) + picture[iv, iu + 1, c] * fu) * (1 - fv)
                seen += (picture[iv + 1, iu, c] * (1 - fu) + picture[iv + 1, iu + 1, c] * fu) * fv
                made = seen
                if repaint > 0:
                    disc = (iris[iq, ip, c] * (1 - fp) + iris[iq, ip + 1, c] * fp) * (1 - fq)
                    disc += (iris[iq + 1, ip, c] * (1 - fp) + iris[iq + 1, ip + 1, c] * fp) * fq
                    ball = (white[iv, iu, c] * (1 - fu) + white[iv, iu + 1, c] * fu) * (1 - fv)
                    ball += (white[iv + 1, iu, c] * (1 - fu) + white[iv + 1, iu + 1, c] * fu) * fv
                    made = repaint * (ball * (1 - cover) + disc * cover) + (1 - repaint) * seen
                value = view[i, j, c] * (1 - m) + made * light[i, j] * m
                view[i, j, c] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)
