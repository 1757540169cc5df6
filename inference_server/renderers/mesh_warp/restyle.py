"""Drawn portraits: everything is drawn once and warped; what appears anew is drawn per frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Look, Sitter
from inference_server.motion.boil import DRAWINGS
from inference_server.registry import STYLES, Style, load

from .plates import Plates, Stage, figure_plates
from .polygons import box_around, coverage

Image = npt.NDArray[np.uint8]

_NEXT_SEED = 1_000_003  # from one drawing to the next
_SHAKE = 0.45  # px of a 512 px crop: how far a hand is off from drawing to drawing
_WAVES = (
    (93.0, 61.0),
    (-57.0, 83.0),
    (71.0, -101.0),
)  # px of a 512 px crop, per turn along x and y


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """A style tuned to one portrait."""

    style: Style
    scale: float  # px per pixel of a 512 px crop
    seed: int
    params: Mapping[str, Any]
    grain: Image | None  # of the whole picture: figure and what is around it, or the frame
    behind: Image | None  # the same if there were no figure
    around: Image | None  # grain of the figure and its surroundings, in px of the texture
    ground: Plates | None  # the same, to be seen through the maps of a frame

    @property
    def reach(self) -> float:
        """How far around a pixel the style looks, px."""
        return self.style.reach * self.scale

    def plate(self, image: Image, grain: Image | None, corner: tuple[int, int]) -> Image:
        """The plate of part of a picture (h, w, 3), on its part of the grain.

        `corner` is x, y of that part in the square.
        """
        params = self.params if grain is None else {**self.params, "grain": grain}
        if params.get("boil", "off") != "off":
            image = _shaken(image, corner, self.scale, self.seed)
        return self.style.plate(np.ascontiguousarray(image), self.scale, self.seed, params)

    def develop(self, plate: Image) -> Image:
        """What is seen of a plate (h, w, 3)."""
        return self.style.develop(plate, self.scale, self.params)

    def redraw(self, image: Image, grain: Image | None, corner: tuple[int, int]) -> Image:
        """Part of a picture, drawn; see `plate`."""
        return self.develop(self.plate(image, grain, corner))


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A portrait in a medium."""

    medium: Medium
    plates: Plates
    frame: Image  # (H, W, 3) the whole frame at rest


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A place that must be drawn anew in one frame."""

    outline: npt.NDArray[np.float64]  # (k, 2) px of the square
    margin: float  # px around the outline that is drawn anew in full, and again to fade out
    amount: float  # 0..1


def drawings(
    scene: Stage, figure: Image, clean: Image, look: Look, opaque: bool
) -> tuple[Drawn, ...]:
    """The portrait in the medium that a look asks for, as often as it is drawn when it boils.

    `figure` is the scene's wide picture without what the mouth shows, `clean` the square (h, w, 3)
    without the figure.
    """
    style: Style = load(STYLES, look.style)
    scale = look.size / 512
    who = _sitter(scene, scene.frame)
    params = {**look.params, **style.tuning(scene.frame, scale, who, look.params)}
    count = 1 if params.get("boil", "off") == "off" else DRAWINGS
    made = []
    for k in range(count):
        medium = _medium(scene, figure, style, look.seed + _NEXT_SEED * k, params, scale)
        made.append(_drawn(scene, figure, clean, medium, opaque))
    return tuple(made)


def _medium(
    scene: Stage, figure: Image, style: Style, seed: int, params: Mapping[str, Any], scale: float
) -> Medium:
    whole = _whole(scene, figure)
    who = _sitter(scene, whole)
    grain = style.grain(whole, scale, seed, params, who)
    behind, around, ground = grain, None, None
    if style.regional and who.matte is not None:
        nobody = dataclasses.replace(who, matte=np.zeros_like(who.matte))
        behind = style.grain(whole, scale, seed, params, nobody)
    if grain is not None:
        around = _around(scene, grain)
        ground = figure_plates(scene, around, _inside(scene, around), opaque=True, crisp=True)
    return Medium(style, scale, seed, params, grain, behind, around, ground)


def _shaken(image: Image, corner: tuple[int, int], scale: float, seed: int) -> Image:
    """Part of a picture as an unsteady hand repeats it; `corner` is its x, y in the square."""
    height, width = image.shape[:2]
    x, y = (
        np.arange(n, dtype=np.float32) + c for n, c in zip((width, height), corner, strict=True)
    )
    turns = np.random.default_rng(seed).random((2, len(_WAVES)))
    off = []
    for start in turns:
        angles = [
            (x / np.float32(u * scale))[None] + (y / np.float32(v * scale))[:, None] + s
            for (u, v), s in zip(_WAVES, start, strict=True)
        ]
        off.append(sum(np.sin(2 * np.pi * angle) for angle in angles) * _SHAKE * scale)
    grid_x, grid_y = np.meshgrid(np.arange(width), np.arange(height))
    source_x, source_y = grid_x + off[0], grid_y + off[1]
    return cv2.remap(
        np.ascontiguousarray(image), source_x.astype(np.float32), source_y.astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def _sitter(scene: Stage, picture: Image) -> Sitter:
    """Who is seen in a frame, or in the wide picture of a square."""
    left, top = scene.corner
    if picture.shape[:2] != scene.frame.shape[:2]:
        left, top = scene.pad, scene.pad
    matte = None
    if scene.figure_found:
        (height, width), (rows, columns) = picture.shape[:2], scene.shape
        matte = cv2.copyMakeBorder(
            scene.matte, top, height - top - rows, left, width - left - columns,
            cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return Sitter(scene.mesh[:, :2] + [left, top], matte)


def _whole(scene: Stage, figure: Image) -> Image:
    """All that is drawn at once: the figure and its surroundings, or the frame that it is in."""
    if scene.frame.shape[:2] == scene.shape:
        return figure
    (x0, y0), (height, width) = scene.corner, scene.shape
    closed = scene.frame.copy()
    closed[y0 : y0 + height, x0 : x0 + width] = _inside(scene, figure)
    return closed


def _inside(scene: Stage, wide: Image) -> Image:
    """The square (h, w, 3) of a wide picture."""
    height, width = scene.shape
    return wide[scene.pad : scene.pad + height, scene.pad : scene.pad + width]


def _around(scene: Stage, whole: Image) -> Image:
    """The wide picture (h + 2 pad, w + 2 pad, 3) of `_whole`, redrawn."""
    if scene.frame.shape[:2] == scene.shape:
        return whole
    pad, (x0, y0), (height, width) = scene.pad, scene.corner, scene.wide.shape[:2]
    bordered = cv2.copyMakeBorder(whole, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(bordered[y0 : y0 + height, x0 : x0 + width])


def _drawn(scene: Stage, figure: Image, clean: Image, medium: Medium, opaque: bool) -> Drawn:
    whole = _whole(scene, figure)
    corner = (-scene.pad, -scene.pad)
    if whole.shape[:2] == scene.frame.shape[:2]:
        corner = (-scene.corner[0], -scene.corner[1])
    plate = medium.plate(whole, medium.grain, corner)
    under = None
    if medium.behind is not None:
        under = np.ascontiguousarray(_inside(scene, _around(scene, medium.behind)))
    background = medium.plate(clean, under, (0, 0))
    wide = _around(scene, plate)
    frame = _inside(scene, plate) if scene.frame.shape[:2] == scene.shape else plate
    plates = figure_plates(scene, wide, background, opaque, crisp=True)
    return Drawn(medium, plates, medium.develop(frame))


def grain_under(
    drawing: Medium,
    seen: Image,
    corner: tuple[int, int],
    lips: npt.NDArray[np.floating],
    rest: npt.NDArray[np.floating],
) -> Image:
    """The grain under part of a frame, (h, w, 3).

    In an open mouth, where skin would be stretched, it is the grain around the lips at rest.

    Args:
        seen: (h, w, 4) the ground through the maps of the frame.
        corner: x, y of that part in the square.
        lips: (k, 2) inner rim of the lips, px of the square.
        rest: (k, 2) the same at rest, px of the texture.
    """
    grain = np.ascontiguousarray(seen[..., :3])
    hole = coverage(lips - corner, grain.shape) > 0.5
    if drawing.around is None or not hole.any():
        return grain
    ends = [0, len(lips) // 2]  # the corners of the mouth
    height, width = grain.shape[:2]
    middle = np.array(corner) + (np.array([width, height]) - 1) / 2
    x, y = (middle + rest[ends].mean(0) - lips[ends].mean(0)).tolist()
    still = cv2.getRectSubPix(drawing.around, (width, height), (x, y))
    return np.where(hole[..., None], still, grain)


def blend(
    canvas: Image,
    photo: Image,
    grain: Image | None,
    corner: tuple[int, int],
    patch: Patch,
    drawing: Medium,
) -> None:
    """Draw a patch of the photo anew and blend it into the drawn canvas, in place.

    Args:
        canvas: (h, w, 4) the whole square, drawn; only colours change.
        photo: (a, b, 4) part of the same frame, not drawn.
        grain: (a, b, 3) the grain under it.
        corner: x, y of that part in the square.
    """
    drawn = drawing.redraw(photo[..., :3], grain, corner)
    x0, y0, x1, y1 = box_around(patch.outline - corner, 2 * patch.margin + 2, photo.shape)
    mask = coverage(patch.outline - corner - [x0, y0], (y1 - y0, x1 - x0))
    reach = max(1, int(patch.margin)) * 2 + 1
    mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.4 * patch.margin))
    mask = (mask * np.float32(patch.amount))[..., None]
    view = canvas[corner[1] + y0 : corner[1] + y1, corner[0] + x0 : corner[0] + x1, :3]
    view[:] = (view * (1 - mask) + drawn[y0:y1, x0:x1] * mask + 0.5).astype(np.uint8)
