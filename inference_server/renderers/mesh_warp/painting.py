"""One frame, painted: figure over background, then eyes and mouth, then shade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.portrait.topology import (
    EYE_LEFT_RIM,
    EYE_RIGHT_RIM,
    FACE_OVAL,
    LID_LEFT_LOWER,
    LID_LEFT_UPPER,
    LID_RIGHT_LOWER,
    LID_RIGHT_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    rim,
)

from . import eyes, light, mouth, restyle
from .plates import Plates
from .polygons import box_around
from .prepared import Prepared
from .raster import Map, backward_map, compose
from .restyle import Drawn, Medium, Patch
from .shape import Shape

Image = npt.NDArray[np.uint8]

_LIDS_RIGHT = LID_RIGHT_UPPER + LID_RIGHT_LOWER
_LIDS_LEFT = LID_LEFT_UPPER + LID_LEFT_LOWER


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """The square with the figure in it, before eyes and mouth are painted."""

    canvas: Image  # (h, w, 4)
    coarse: Map  # of the whole square
    fine: list[Map]  # of lips and eyes, where surfaces part


def figure(prepared: Prepared, shape: Shape) -> Figure:
    """The figure over its background."""
    head = prepared.head
    coarse = backward_map(
        shape.refined, head.uv, head.triangles, prepared.scene.shape, step=prepared.step
    )
    fine = list(fine_maps(prepared, shape))
    return Figure(compose_all(plates_of(prepared, shape), coarse, fine), coarse, fine)


def finish(prepared: Prepared, shape: Shape, seen: Figure) -> Image:
    """(H, W, 4) the frame, once everything is painted; `seen.canvas` is used up."""
    for _ in stages(prepared, shape, seen):
        pass
    shade(prepared, shape, seen.canvas, seen.coarse)
    return in_frame(prepared, shape, seen.canvas)


def stages(prepared: Prepared, shape: Shape, seen: Figure) -> Iterator[str]:
    """Paint into `seen.canvas`; "head", "eyes", "mouth" as soon as each is there."""
    drawn, canvas = _drawn(prepared, shape), seen.canvas
    canvas[..., :3] = developed(prepared, shape, canvas[..., :3])
    yield "head"
    for part, paint, patches in (
        ("eyes", _paint_eyes, _eye_patches),
        ("mouth", _paint_mouth, _mouth_patches),
    ):
        if drawn is None:
            paint(prepared, shape, canvas, (0, 0))
        else:
            for patch in patches(prepared, shape):
                _redraw(prepared, shape, canvas, patch, [seen.coarse, *seen.fine], drawn.medium)
        yield part


def developed(prepared: Prepared, shape: Shape, plate: Image) -> Image:
    """(h, w, 3) what a plate looks like in the medium of this frame."""
    drawn = _drawn(prepared, shape)
    return plate if drawn is None else drawn.medium.develop(plate)


def shade(prepared: Prepared, shape: Shape, canvas: Image, coarse: Map) -> None:
    """Cast the light of the picture on the turned face, in place."""
    if prepared.light is not None and shape.pose.turn.any():
        face, reach = shape.coarse[list(FACE_OVAL), :2], 1.5 * light.FADE * prepared.fit.scale
        light.cast(canvas, coarse, prepared.light.factors(shape.pose), face, reach)


def _drawn(prepared: Prepared, shape: Shape) -> Drawn | None:
    return prepared.drawn[shape.drawing % len(prepared.drawn)] if prepared.drawn else None


def plates_of(prepared: Prepared, shape: Shape) -> Plates:
    """The pictures that this frame is put together from."""
    drawn = _drawn(prepared, shape)
    return prepared.photo if drawn is None else drawn.plates


def compose_all(plates: Plates, coarse: Map, fine: list[Map]) -> Image:
    """(h, w, 4) plates seen through the map of the square, and through the finer ones in it."""
    canvas = np.empty((*plates.still.shape, 4), np.uint8)
    compose_part(coarse, plates, canvas, (0, 0))
    compose_fine(plates, fine, canvas)
    return canvas


def compose_fine(plates: Plates, fine: list[Map], canvas: Image) -> None:
    """Plates seen through the finer maps, in place."""
    for part in fine:
        x, y = part.corner
        view = canvas[y : y + part.x.shape[0], x : x + part.x.shape[1]]
        compose_part(part, plates, view, part.corner)


def rest_of(prepared: Prepared, shape: Shape) -> Image:
    """(H, W, 4) the whole frame at rest; transparent when only what moves is shown."""
    return prepared.frames[shape.drawing % len(prepared.frames)]


def in_frame(prepared: Prepared, shape: Shape, canvas: Image) -> Image:
    """(H, W, 4) the square in the frame that it is part of."""
    frame = rest_of(prepared, shape)
    if frame.shape == canvas.shape and not prepared.patch:
        return canvas
    (x, y), (height, width) = prepared.scene.corner, prepared.scene.shape
    whole = frame.copy()
    square = whole[y : y + height, x : x + width]
    if prepared.patch:
        canvas[..., 3] = 255 * (canvas[..., :3] != square[..., :3]).any(2)
    square[:] = canvas
    return whole


def fine_maps(prepared: Prepared, shape: Shape) -> Iterator[Map]:
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


def compose_part(seen: Map, plates: Plates, out: Image, corner: tuple[int, int]) -> None:
    """Fill `out`, whose first pixel is `corner` (x, y) of the square, in place."""
    compose(
        seen.x, seen.y, seen.step, *seen.corner, *corner, plates.texture, plates.clear,
        plates.still, plates.background, out.view(np.uint32)[..., 0],
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
            compose_part(seen, plates, view, (left, top))
    return part


def _paint_features(
    prepared: Prepared, shape: Shape, canvas: Image, corner: tuple[int, int]
) -> None:
    _paint_eyes(prepared, shape, canvas, corner)
    _paint_mouth(prepared, shape, canvas, corner)


def _paint_eyes(prepared: Prepared, shape: Shape, canvas: Image, corner: tuple[int, int]) -> None:
    features = zip(prepared.eyes, prepared.head.eye_rims, shape.gaze, shape.blinks, strict=True)
    for eye, lid_rim, gaze, blink in features:
        outline = shape.refined[lid_rim, :2]
        eyes.draw(canvas, corner, eye, outline, gaze, blink, shape.pose, prepared.fit)


def _paint_mouth(prepared: Prepared, shape: Shape, canvas: Image, corner: tuple[int, int]) -> None:
    lips = shape.refined[prepared.head.mouth_rim, :2]
    mouth.draw(canvas, corner, prepared.mouth, lips, shape.jaw, shape.pose, prepared.fit)


def _mouth_patches(prepared: Prepared, shape: Shape) -> Iterator[Patch]:
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
        yield Patch(outline, 0.03 * width, amount)


def _eye_patches(prepared: Prepared, shape: Shape) -> Iterator[Patch]:
    rings = ((EYE_RIGHT_RIM, _LIDS_RIGHT), (EYE_LEFT_RIM, _LIDS_LEFT))
    features = zip(rings, prepared.eyes, shape.gaze, shape.blinks, strict=True)
    for (ring, around), eye, gaze, blink in features:
        activity = (float(np.abs(gaze).sum()) / 30 + abs(blink)) / 0.10
        if activity > 0.1:
            outline, margin = shape.coarse[list(ring), :2], 0.03
            if blink > eye.lid.appears[0]:  # skin is laid around the eye
                outline, margin = shape.coarse[list(ring + around), :2], 0.04
                outline = cv2.convexHull(outline.astype(np.float32))[:, 0].astype(np.float64)
            yield Patch(outline, margin * prepared.fit.scale, min(1.0, activity))
