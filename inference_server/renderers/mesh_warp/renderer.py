"""The renderer that needs no network: the portrait itself, warped on a face mesh."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, FaceCrop, Look, Motion, Portrait
from inference_server.motion.body import BODY
from inference_server.motion.boil import drawing_of
from inference_server.portrait import face_mesh
from inference_server.portrait.face_mesh import Fit
from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT_LOWER,
    LID_LEFT_UPPER,
    LID_RIGHT_LOWER,
    LID_RIGHT_UPPER,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    rim,
)

from . import eyes, glasses, lids, light, mesh, mouth, restyle, rig
from .eyes import Eye, gaze_offset, lid_motion
from .glasses import Lenses
from .light import Light
from .mesh import HeadMesh
from .mouth import Jaw, Mouth, Wishes
from .palette import Palette
from .plates import Plates, Stage, closed_mouth, figure_plates, layers, stage
from .polygons import box_around
from .pose import Pose, PoseLimits, pose_of
from .raster import Map, backward_map, compose
from .restyle import Drawn, Medium, Patch
from .rig import Rig

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

_LOOK_X_DEG, _LOOK_Y_DEG = 30.0, 25.0  # what an eyeLook weight of 1 means
_LIDS_RIGHT = LID_RIGHT_UPPER + LID_RIGHT_LOWER
_LIDS_LEFT = LID_LEFT_UPPER + LID_LEFT_LOWER
_FINE_SIDE = 320  # px; smaller squares are rastered at full resolution
# outer then inner lip line, each once around from the person's right corner by the lower lip
_LIP_POINTS = (
    LIP_OUTER_LOWER + LIP_OUTER_UPPER[-2:0:-1] + LIP_INNER_LOWER + LIP_INNER_UPPER[-2:0:-1]
)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Everything about one portrait and look that does not depend on motion."""

    scene: Stage
    frames: tuple[Image, ...]  # (H, W, 4) the whole frame at rest, of each drawing
    patch: bool  # only what differs from the frame at rest is shown, to be laid over others
    fit: Fit
    limits: PoseLimits
    rig: Rig
    worn: Lenses
    loose: Array  # (478,) share of the expression that glasses leave each point
    head: HeadMesh
    eyes: tuple[Eye, Eye]  # the person's right, left
    mouth: Mouth
    photo: Plates
    drawn: tuple[Drawn, ...]  # in the medium, as often as it boils; none: a photo
    light: Light | None  # None: a medium without shade
    step: int  # px per sample of the backward map


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """The geometry of one frame."""

    pose: Pose
    gaze: tuple[Array, Array]  # (2,) deg of the right and left eye
    blinks: tuple[float, float]
    jaw: Jaw
    coarse: Array  # (n, 3) px of the square
    refined: Array  # (m, 3)
    drawing: int  # which of the drawings, when they boil


class MeshWarp:
    """See registry.Renderer."""

    name = "mesh_warp"
    version = "6"
    temporal_radius = 0
    parallel = True

    def prepare(self, portrait: Portrait, face_crop: FaceCrop, look: Look) -> Prepared:
        """Cut the portrait into layers and build its rig."""
        scene = stage(portrait, face_crop, look)
        patch = look.alpha and look.framing == "picture"
        fit = face_mesh.fit(scene.mesh)
        face_rig = rig.build(fit.canonical, fit.rotation[:2])
        worn = glasses.lenses(scene.image, fit, str(look.params.get("glasses", "auto")))
        palette = Palette.of(scene.image, scene.mesh, face_crop.kind)
        side = max(scene.shape)
        figure = closed_mouth(scene, face_rig.mouth.gap * fit.scale)
        cut_out, clean = layers(scene, figure, fit)
        drawn: tuple[Drawn, ...] = ()
        if look.style != "photo":
            drawn = restyle.drawings(scene, figure, clean, look, opaque=not look.alpha or patch)
        # drawn frames need the photo only as a model for what is drawn anew
        opaque = not look.alpha or patch or bool(drawn)
        photo = figure_plates(scene, cut_out, clean, opaque, still=scene.image)
        frames = [one.frame for one in drawn] or [scene.frame]
        return Prepared(
            scene=scene,
            frames=tuple(_at_rest(frame, 0 if patch else 255) for frame in frames),
            patch=patch,
            fit=fit,
            limits=PoseLimits.of(fit),
            rig=face_rig,
            worn=worn,
            loose=glasses.looseness(fit.canonical, worn),
            head=mesh.build(
                scene.mesh, fit, scene.shape, scene.pad, scene.held, not scene.figure_found
            ),
            eyes=eyes.prepare(scene.image, scene.mesh, fit, palette),
            mouth=mouth.prepare(
                scene.image,
                scene.mesh,
                fit,
                face_rig,
                palette,
                side / 512,
                look.seed,
                _wishes(look),
            ),  # fmt: skip
            photo=photo,
            drawn=drawn,
            light=light.measure(scene.image, scene.mesh, scene.matte, scene.pad, fit)
            if all(one.medium.style.shaded for one in drawn)
            else None,
            step=2 if side > _FINE_SIDE else 1,
        )

    def render(self, prepared: Prepared, motion: Motion, frames: Sequence[int]) -> Iterator[Image]:
        """(h, w, 4) uint8 straight-alpha RGBA for each index, in order."""
        for frame in frames:
            yield draw(prepared, shape_of(prepared, motion, frame))

    def landmarks(
        self, prepared: Prepared, motion: Motion, frames: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """(len(frames), 478, 2) mesh points in px of the frame, as drawn."""
        points = np.empty((len(frames), face_mesh.N_MESH, 2), np.float32)
        for k, frame in enumerate(frames):
            shape = shape_of(prepared, motion, frame)
            points[k] = shape.coarse[: face_mesh.N_MESH, :2] + prepared.scene.corner
            for iris, eye, gaze in zip(
                (IRIS_RIGHT, IRIS_LEFT), prepared.eyes, shape.gaze, strict=True
            ):
                points[k, list(iris)] += gaze_offset(eye, gaze) * shape.pose.zoom
        return points

    def lips(self, motion: Motion) -> npt.NDArray[np.float32]:
        """(N, 40, 3) lip points of the mean face under the motion, without head pose.

        Outer 20, then inner 20 points; the middle of the outer eye corners is the origin and
        their distance 1; x right, y down, z away.
        """
        face = rig.build(face_mesh.template(), np.eye(3)[:2])
        corners = face.canonical[[33, 263]]
        origin, unit = corners.mean(0), float(np.linalg.norm(corners[1] - corners[0]))
        lips = np.empty((motion.n_frames, len(_LIP_POINTS), 3), np.float32)
        for frame in range(motion.n_frames):
            moved = face.canonical + face.expression(motion.expression[frame], np.zeros(2))
            lips[frame] = (moved[list(_LIP_POINTS)] - origin) / unit
        return lips


def _at_rest(frame: Image, alpha: int) -> Image:
    return np.dstack([frame, np.full(frame.shape[:2], alpha, np.uint8)])


def _wishes(look: Look) -> Wishes:
    amounts = (float(look.params.get(name, 1.0)) for name in ("tooth_show", "tongue", "mouth_dark"))
    return Wishes(*amounts)


def shape_of(prepared: Prepared, motion: Motion, frame: int) -> Shape:
    """The geometry of one frame of a motion."""
    weights = motion.expression[frame]

    def weight(name: str) -> float:
        return float(weights[ARKIT_INDEX[name]])

    hidden = prepared.worn == "dark"
    gaze = (np.zeros(2), np.zeros(2)) if hidden else _gaze(motion.gaze[frame], weight)
    lids = np.array([lid_motion(float(one[1])) for one in gaze])
    pose = pose_of(motion.head[frame], prepared.fit, prepared.limits)
    blinks = weight("eyeBlinkRight") + lids[0], weight("eyeBlinkLeft") + lids[1]
    moved = prepared.rig.expression(weights, lids) * prepared.loose[:, None]
    body = motion.native[BODY][frame] if BODY in motion.native else np.zeros(3)
    coarse, refined = prepared.head.deform(moved, pose, body, prepared.fit)
    return Shape(
        pose=pose,
        gaze=gaze,
        blinks=(0.0, 0.0) if hidden else blinks,
        jaw=Jaw(
            opening=weight("jawOpen") * prepared.rig.jaw_gain,
            sideways=weight("jawLeft") - weight("jawRight"),
            forward=weight("jawForward"),
            tongue=weight("tongueOut"),
            rounding=_rounding(prepared.rig, moved, weight("jawOpen")),
        ),
        coarse=coarse,
        refined=refined,
        drawing=drawing_of(motion, frame),
    )


def _rounding(face_rig: Rig, moved: Array, jaw: float) -> float:
    """How round the lips are, 0..1, from how narrow the mouth has become."""
    corners = (face_rig.canonical + moved)[[61, 291], 0]
    half_width = 0.5 * float(corners[1] - corners[0])
    # against the mouth at rest; a falling jaw alone narrows it as well
    narrowed = 1 - half_width / face_rig.mouth.half_width - rig.JAW_NARROWING * jaw
    return float(np.clip((narrowed - 0.05) / 0.34, 0, 1))


def _gaze(gaze: npt.NDArray[np.float32], weight: Callable[[str], float]) -> tuple[Array, Array]:
    """Where the right and the left eye look, deg: Motion.gaze, else the eyeLook weights."""
    if gaze.any():
        both = gaze.astype(np.float64)
        return both, both
    right = [
        _LOOK_X_DEG * (weight("eyeLookInRight") - weight("eyeLookOutRight")),
        _LOOK_Y_DEG * (weight("eyeLookUpRight") - weight("eyeLookDownRight")),
    ]
    left = [
        _LOOK_X_DEG * (weight("eyeLookOutLeft") - weight("eyeLookInLeft")),
        _LOOK_Y_DEG * (weight("eyeLookUpLeft") - weight("eyeLookDownLeft")),
    ]
    return np.array(right), np.array(left)


def draw(prepared: Prepared, shape: Shape) -> Image:
    """(H, W, 4) one frame."""
    height, width = prepared.scene.shape
    head = prepared.head
    coarse = backward_map(
        shape.refined, head.uv, head.triangles, (height, width), step=prepared.step
    )
    canvas = np.empty((height, width, 4), np.uint8)
    drawn = prepared.drawn[shape.drawing % len(prepared.drawn)] if prepared.drawn else None
    plates = drawn.plates if drawn else prepared.photo
    _compose(coarse, plates, canvas, (0, 0))
    fine = list(_fine_maps(prepared, shape))
    for part in fine:
        x, y = part.corner
        view = canvas[y : y + part.x.shape[0], x : x + part.x.shape[1]]
        _compose(part, plates, view, part.corner)
    if drawn is None:
        _paint_features(prepared, shape, canvas, (0, 0))
    else:
        canvas[..., :3] = drawn.medium.develop(canvas[..., :3])
        for patch in _patches(prepared, shape):
            _redraw(prepared, shape, canvas, patch, [coarse, *fine], drawn.medium)
    if prepared.light is not None and shape.pose.turn.any():
        light.cast(canvas, coarse, prepared.light.factors(shape.pose))
    return _in_frame(prepared, canvas, prepared.frames[shape.drawing % len(prepared.frames)])


def _in_frame(prepared: Prepared, canvas: Image, frame: Image) -> Image:
    """(H, W, 4) the square in the frame that it is part of."""
    if frame.shape == canvas.shape and not prepared.patch:
        return canvas
    (x, y), (height, width) = prepared.scene.corner, prepared.scene.shape
    whole = frame.copy()
    square = whole[y : y + height, x : x + width]
    if prepared.patch:
        canvas[..., 3] = 255 * (canvas[..., :3] != square[..., :3]).any(2)
    square[:] = canvas
    return whole


def _fine_maps(prepared: Prepared, shape: Shape) -> Iterator[Map]:
    """Maps without skipped pixels of the lips and the eyes, where surfaces part."""
    if prepared.step == 1:
        return
    margin = 0.012 * prepared.fit.scale + 2
    for ring in (rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER), EYE_RIGHT_RIM, EYE_LEFT_RIM):
        outline = shape.coarse[list(ring), :2]
        x0, y0, x1, y1 = box_around(outline, margin, prepared.scene.shape)
        if x1 - x0 >= 2 and y1 - y0 >= 2:
            yield backward_map(
                shape.refined, prepared.head.uv, prepared.head.triangles, (y1 - y0, x1 - x0),
                corner=(x0, y0),
            )  # fmt: skip


def _compose(seen: Map, plates: Plates, out: Image, corner: tuple[int, int]) -> None:
    """Fill `out`, whose first pixel is `corner` (x, y) of the square, in place."""
    compose(
        seen.x, seen.y, seen.step, *seen.corner, *corner, plates.texture, plates.still,
        plates.background, out.view(np.uint32)[..., 0],
    )  # fmt: skip


def _redraw(
    prepared: Prepared, shape: Shape, canvas: Image, patch: Patch, maps: list[Map], medium: Medium
) -> None:
    """Draw a place anew in the prepared medium, from a photo of it, in place."""
    reach = 2 * patch.margin + medium.reach
    x0, y0, x1, y1 = box_around(patch.outline, reach, canvas.shape)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return
    photo = _seen(maps, prepared.photo, (x0, y0, x1, y1))
    _paint_features(prepared, shape, photo, (x0, y0))
    grain = None
    if medium.ground is not None:
        seen, rim = _seen(maps, medium.ground, (x0, y0, x1, y1)), prepared.head.mouth_rim
        lips, rest = shape.refined[rim, :2], prepared.head.uv[rim]
        grain = restyle.grain_under(medium, seen, (x0, y0), lips, rest)
    restyle.blend(canvas, photo, grain, (x0, y0), patch, medium)


def _seen(maps: list[Map], plates: Plates, box: tuple[int, int, int, int]) -> Image:
    """Part of a frame (h, w, 4), box xyxy px of the square: plates seen through all the maps."""
    x0, y0, x1, y1 = box
    part = np.empty((y1 - y0, x1 - x0, 4), np.uint8)
    for seen in maps:
        left, top = (max(a, b) for a, b in zip((x0, y0), seen.corner, strict=True))
        right = min(x1, seen.corner[0] + (seen.x.shape[1] - 1) * seen.step + 1)
        bottom = min(y1, seen.corner[1] + (seen.x.shape[0] - 1) * seen.step + 1)
        if right > left and bottom > top:
            view = part[top - y0 : bottom - y0, left - x0 : right - x0]
            _compose(seen, plates, view, (left, top))
    return part


def _paint_features(
    prepared: Prepared, shape: Shape, canvas: Image, corner: tuple[int, int]
) -> None:
    """Eyes and the inside of the mouth, in place."""
    features = zip(prepared.eyes, prepared.head.eye_rims, shape.gaze, shape.blinks, strict=True)
    for eye, lid_rim, gaze, blink in features:
        outline = shape.refined[lid_rim, :2]
        eyes.draw(canvas, corner, eye, outline, gaze, blink, shape.pose, prepared.fit)
    lips = shape.refined[prepared.head.mouth_rim, :2]
    mouth.draw(canvas, corner, prepared.mouth, lips, shape.jaw, shape.pose, prepared.fit)


def _patches(prepared: Prepared, shape: Shape) -> list[Patch]:
    """What a drawn frame must draw anew."""
    patches = []
    lips = shape.refined[prepared.head.mouth_rim, :2]
    half = len(lips) // 2
    gap = float(np.linalg.norm(lips[half + 1 :][::-1] - lips[1:half], axis=1).max())
    opening = (gap / prepared.mouth.unit - mouth.SHUT_PX) / 3
    width = prepared.fit.scale
    if opening > 0 or shape.jaw.tongue > 0.02 or prepared.mouth.seam:
        outline = shape.coarse[list(rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)), :2]
        if shape.jaw.tongue > 0.02:
            tip = outline.mean(0) + [0, 0.2 * width * shape.jaw.tongue]
            outline = np.concatenate([outline, tip[None]])
        always = shape.jaw.tongue > 0.02 or prepared.mouth.seam
        amount = 1.0 if always else min(1.0, opening)
        patches.append(Patch(outline, 0.03 * width, amount))
    rings = ((EYE_RIGHT_RIM, _LIDS_RIGHT), (EYE_LEFT_RIM, _LIDS_LEFT))
    for (ring, around), gaze, blink in zip(rings, shape.gaze, shape.blinks, strict=True):
        activity = (float(np.abs(gaze).sum()) / 30 + abs(blink)) / 0.10
        if activity > 0.1:
            outline, margin = shape.coarse[list(ring), :2], 0.03
            if blink > lids.FROM:  # skin is laid around the eye
                outline, margin = shape.coarse[list(ring + around), :2], 0.04
                outline = cv2.convexHull(outline.astype(np.float32))[:, 0].astype(np.float64)
            patches.append(Patch(outline, margin * width, min(1.0, activity)))
    return patches
