"""Flat pictures that a frame is put together from, and the part of a picture that is animated."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import FaceCrop, Look, Portrait
from inference_server.image_io import over_white
from inference_server.portrait.face_mesh import Fit
from inference_server.portrait.resampling import square_rgba
from inference_server.portrait.topology import (
    FACE_OVAL,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
    MOUTH_RIM,
    rim,
)

from .background import push_pull, separate
from .palette import LUMA
from .polygons import box_around, coverage
from .raster import clear_cells, lanes

Image = npt.NDArray[np.uint8]

PAD = 0.17  # of the side: texture beyond the picture, for what moves in from outside
_LIP_LINE = rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)
_BLEND = 0.05  # of the side: a square's background turns into the picture around it over this
_HEAD = 1.25  # of a face: about as large is the head around it
_CUTOUT_SHARE = 0.005  # of the pixels transparent: the source is a cut-out


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The animated square and what lies around it, all in px of the frame."""

    frame: Image  # (H, W, 3) the frame at rest
    corner: tuple[int, int]  # x, y of the square in the frame
    shape: tuple[int, int]  # height and width of the square
    wide: Image  # (h + 2 pad, w + 2 pad, 3) the square and what surrounds it
    pad: int  # px
    mesh: npt.NDArray[np.float64]  # (478, 3) px of the square
    matte: npt.NDArray[np.float32]  # (h, w) 0..1
    figure_found: bool  # the matte tells a figure from a background
    held: tuple[bool, bool, bool, bool]  # borders (left, top, right, bottom) that must not move
    others: tuple[npt.NDArray[np.float64], ...]  # (36, 2) px each: ovals of other faces

    @property
    def image(self) -> Image:
        """(h, w, 3) the square at rest."""
        height, width = self.shape
        return self.wide[self.pad : self.pad + height, self.pad : self.pad + width]


@dataclass(frozen=True, slots=True, eq=False)
class Plates:
    """One medium's pictures of the square; arguments of raster.compose."""

    texture: npt.NDArray[np.int64]  # (h + 2 pad, w + 2 pad) lanes of the figure, premultiplied
    clear: npt.NDArray[np.bool_]  # where the texture shows nothing; see raster.clear_cells
    still: npt.NDArray[np.int64]  # (h, w) lanes of the square at rest, straight alpha
    background: npt.NDArray[np.int64]  # (h, w) lanes without the figure


def _resized(image: npt.NDArray, size: tuple[int, int]) -> npt.NDArray:
    """An image at (width, height), without moiré when it shrinks."""
    if size == image.shape[1::-1]:
        return image
    shrinks = size[0] < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _matte(crop: FaceCrop) -> tuple[npt.NDArray[np.float32], bool]:
    """Coverage (S, S) of the figure, and whether it is one."""
    alpha = crop.rgba[..., 3].astype(np.float32) / 255
    cutout = float((alpha < 0.5).mean()) > _CUTOUT_SHARE
    if crop.matte_found:
        return np.minimum(crop.matte, alpha) if cutout else crop.matte.astype(np.float32), True
    return (alpha, True) if cutout else (np.ones_like(alpha), False)


def stage(portrait: Portrait, crop: FaceCrop, look: Look) -> Stage:
    """Lay out a frame: the face crop alone, or the whole picture around it."""
    if look.framing == "picture":
        return _picture_stage(portrait, crop, look.size)
    return _crop_stage(portrait, crop, look.size)


def _crop_stage(portrait: Portrait, crop: FaceCrop, size: int) -> Stage:
    zoom = size / crop.rgba.shape[0]
    shift = (zoom - 1) / 2
    image = over_white(_resized(crop.rgba, (size, size)))
    matte, found = _matte(crop)
    pad = int(PAD * size)
    wide = _surroundings(portrait, crop.to_picture, zoom, size, pad)
    wide[pad : pad + size, pad : pad + size] = image
    return Stage(
        frame=image,
        corner=(0, 0),
        shape=(size, size),
        wide=wide,
        pad=pad,
        mesh=_scaled_mesh(crop, zoom),
        matte=np.clip(_resized(matte, (size, size)), 0, 1),
        figure_found=found,
        held=(False, False, False, False),
        others=_others(portrait, crop, np.array([[zoom, 0, shift], [0, zoom, shift]])),
    )


def _others(
    portrait: Portrait, crop: FaceCrop, into: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], ...]:
    """Ovals of the faces that the crop is not about; `into` (2, 3): px of the crop to the square's.

    A little larger than the faces: hair goes with its head.
    """
    to_crop = cv2.invertAffineTransform(crop.to_picture)
    own = crop.mesh[:, :2].astype(np.float64).mean(0)
    reach = float(np.ptp(crop.mesh[:, 0])) / 2
    found = []
    for face in portrait.faces:
        oval = face.mesh[list(FACE_OVAL), :2].astype(np.float64) @ to_crop[:, :2].T + to_crop[:, 2]
        middle = oval.mean(0)
        if np.linalg.norm(middle - own) > reach:
            grown = middle + _HEAD * (oval - middle)
            found.append(grown @ into[:, :2].T + into[:, 2])
    return tuple(found)


def _scaled_mesh(crop: FaceCrop, zoom: float) -> npt.NDArray[np.float64]:
    """The mesh (478, 3) of the resized crop; pixel centres lie at whole numbers."""
    mesh = crop.mesh.astype(np.float64) * zoom
    mesh[:, :2] += (zoom - 1) / 2
    return mesh


def _surroundings(
    portrait: Portrait,
    to_picture: npt.NDArray[np.float64],
    zoom: float,
    size: int,
    pad: int,
) -> Image:
    """The picture in and around a crop, mirrored where the picture ends."""
    scale = float(np.sqrt(abs(np.linalg.det(to_picture[:, :2])))) / zoom  # picture px per frame px
    wide = size + 2 * pad
    middle = to_picture[:, :2] @ np.full(2, (size - zoom + 1) / (2 * zoom)) + to_picture[:, 2]
    cut = square_rgba(portrait.rgba, middle, wide * scale, wide, cv2.BORDER_REFLECT_101)
    return over_white(cut)


def _picture_stage(portrait: Portrait, crop: FaceCrop, size: int) -> Stage:
    height, width = portrait.rgba.shape[:2]
    scale = size / max(height, width)
    frame_size = (max(2, round(width * scale)), max(2, round(height * scale)))
    frame = over_white(_resized(portrait.rgba, frame_size))
    to_frame = crop.to_picture * scale  # crop px -> frame px
    to_frame[:, 2] += (scale - 1) / 2
    side = crop.rgba.shape[0]
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ to_frame.T
    x0, y0 = np.clip(np.round(corners.min(0)).astype(int), 0, np.array(frame_size) - 2)
    x1, y1 = np.clip(np.round(corners.max(0)).astype(int), [x0 + 2, y0 + 2], frame_size)
    shape = (int(y1 - y0), int(x1 - x0))
    pad = int(PAD * max(shape))
    bordered = cv2.copyMakeBorder(frame, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    into = to_frame.copy()
    into[:, 2] -= [x0, y0]
    matte, found = _matte(crop)
    mesh = crop.mesh.astype(np.float64)
    zoom = float(np.sqrt(abs(np.linalg.det(into[:, :2]))))
    placed = np.column_stack([mesh[:, :2] @ into[:, :2].T + into[:, 2], mesh[:, 2] * zoom])
    if zoom < 1:
        soft = 0.4 / zoom
        matte = cv2.GaussianBlur(matte, (0, 0), soft)
    matte = cv2.warpAffine(
        matte, into, shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    held = (x0 > 0, y0 > 0, int(x1) < frame_size[0], int(y1) < frame_size[1])
    return Stage(
        frame=frame,
        corner=(int(x0), int(y0)),
        shape=shape,
        wide=np.ascontiguousarray(bordered[y0 : y1 + 2 * pad, x0 : x1 + 2 * pad]),
        pad=pad,
        mesh=placed,
        matte=np.clip(matte, 0, 1),
        figure_found=found,
        held=held,
        others=_others(portrait, crop, into),
    )


def closed_mouth(scene: Stage, gap_px: float) -> Image:
    """The wide picture (h + 2 pad, w + 2 pad, 3) with lip colours instead of an open mouth.

    Without this teeth would shine through the seam when the lips of a smiling portrait close.
    """
    if not shows_inside(gap_px):
        return scene.wide
    opening = scene.mesh[list(MOUTH_RIM), :2]
    unit = max(scene.shape) / 512
    x0, y0, x1, y1 = box_around(opening, 14 * unit + 4, scene.shape)
    if x1 - x0 < 8 or y1 - y0 < 8:
        return scene.wide
    figure = scene.wide.copy()
    view = figure[scene.pad + y0 : scene.pad + y1, scene.pad + x0 : scene.pad + x1]
    lips = scene.mesh[list(_LIP_LINE), :2]
    hole = _inside_of_mouth(view, opening - [x0, y0], lips - [x0, y0], unit)
    known = (hole < 0.02).astype(np.float32)
    filled = push_pull(view.astype(np.float32), known)
    soft = np.maximum(cv2.GaussianBlur(hole, (3, 3), 0), hole)[..., None]
    view[:] = (view * (1 - soft) + filled * soft + 0.5).astype(np.uint8)
    return figure


def shows_inside(gap_px: float) -> bool:
    """Whether lips this far apart let something between them be seen."""
    return gap_px >= 1.5


def _inside_of_mouth(
    view: Image, opening: npt.NDArray[np.floating], lips: npt.NDArray[np.floating], unit: float
) -> npt.NDArray[np.float32]:
    """Coverage (h, w) of all that is no lip: between the rims, and what teeth and dark spill over.

    Args:
        view: (h, w, 3).
        opening: (k, 2) px, inner lip line. lips: (k, 2) px, outer lip line.
        unit: px per pixel of a 512 px crop.
    """
    hole = coverage(opening, view.shape)
    near = cv2.dilate(hole, _disc(4.5 * unit))
    ring = (near > 0.5) & (cv2.dilate(hole, _disc(2 * unit)) < 0.02)
    ring |= (coverage(lips, view.shape) > 0.9) & (near < 0.02)
    picture = view.astype(np.float32)
    inner = picture[hole > 0.9]
    spilt = np.zeros(view.shape[:2], np.float32)
    if ring.sum() > 12 and len(inner) > 12:
        lip = np.median(picture[ring], 0)
        luma = inner @ LUMA
        for chosen in (luma >= np.percentile(luma, 60), luma <= np.percentile(luma, 15)):
            away = np.median(inner[chosen], 0) - lip
            length = float(away @ away)
            if length > 30**2:
                like = (picture - lip) @ away / length
                spilt = np.maximum(spilt, (like > 0.35).astype(np.float32))
    spilt = spilt * (near > 0.5)
    # only what hangs together with the opening
    joined = ((spilt > 0) | (hole > 0.5)).astype(np.uint8)
    count, labels = cv2.connectedComponents(joined)
    for label in range(1, count):
        part = labels == label
        if not (hole[part] > 0.5).any():
            spilt[part] = 0
    return cv2.dilate(np.maximum(hole, spilt), _disc(1.3 * unit))


def _disc(radius: float) -> npt.NDArray[np.uint8]:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def layers(scene: Stage, figure: Image, fit: Fit) -> tuple[Image, Image]:
    """Colours of the figure (h + 2 pad, w + 2 pad, 3), and the square (h, w, 3) without it.

    `figure` is the wide picture without what the mouth shows.
    """
    if not scene.figure_found:
        return figure, scene.image
    wide = figure.copy()
    height, width = scene.shape
    inner = wide[scene.pad : scene.pad + height, scene.pad : scene.pad + width]
    y, x = np.mgrid[:height, :width]
    down = fit.rotation[:2, 1] / fit.scale
    level = (x - fit.translation[0]) * down[0] + (y - fit.translation[1]) * down[1]
    below_mouth = np.clip((level - 0.36) / 0.14, 0, 1).astype(np.float32)  # face widths
    inner[:], background = separate(inner.copy(), scene.matte, below_mouth)
    if any(scene.held):
        share = _inwards(scene.shape, scene.held)[..., None]
        mixed = scene.image * (1 - share) + background * share
        background = (mixed + 0.5).astype(np.uint8)
    return wide, background


def _inwards(
    shape: tuple[int, int], held: tuple[bool, bool, bool, bool]
) -> npt.NDArray[np.float32]:
    """(h, w) 0 at borders beyond which the picture goes on, 1 a little inside of them."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    gap = np.full(shape, np.inf)
    for on, away in zip(held, (x, y, width - 1 - x, height - 1 - y), strict=True):
        if on:
            gap = np.minimum(gap, away)
    t = np.clip((gap - 1) / (_BLEND * max(shape)), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def figure_plates(
    scene: Stage,
    figure: Image,
    background: Image,
    opaque: bool,
    still: Image | None = None,
    crisp: bool = False,
) -> Plates:
    """Plates from a figure (h + 2 pad, w + 2 pad, 3) and a background (h, w, 3).

    `still` (h, w, 3) is the square at rest; without it, the figure over the background. `crisp`
    cuts the figure out with scissors, outside of the line that a drawing has around it.
    """
    pad, (height, width) = scene.pad, scene.shape
    shares = _cut_out(scene.matte) if crisp and scene.figure_found else scene.matte
    matte = cv2.copyMakeBorder(shares, pad, pad, pad, pad, cv2.BORDER_REPLICATE)[..., None]
    texture = np.dstack([figure * matte, matte * 255]) + 0.5
    inner = figure[pad : pad + height, pad : pad + width]
    solid = np.full(scene.shape, 255, np.uint8)
    if opaque:
        alpha = shares[..., None]
        if still is None:
            still = (inner * alpha + background * (1 - alpha) + 0.5).astype(np.uint8)
        # a pixel without any figure shows the background, moving face or not
        still = np.where(shares[..., None] * 255 < 0.5, background, still)
        rest, behind = np.dstack([still, solid]), np.dstack([background, solid])
    else:
        alpha = (shares * 255 + 0.5).astype(np.uint8)
        # colours of transparent pixels: what is behind, in the moving frame as well
        rest = np.dstack([np.where(alpha[..., None] > 0, inner, background), alpha])
        behind = np.dstack([background, 0 * solid])
    whole = texture.astype(np.uint8)
    return Plates(lanes(whole), clear_cells(whole), lanes(rest), lanes(behind))


def _cut_out(matte: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A matte (h, w) with a sharp edge, a little outside of the soft one."""
    unit = max(matte.shape) / 512
    grown = cv2.GaussianBlur(matte, (0, 0), 1.5 * unit)
    return np.clip((grown - 0.18) * 3 / max(unit, 0.25) ** 0.5 + 0.5, 0, 1)
