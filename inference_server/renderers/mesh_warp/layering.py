"""A frame taken apart into layers that give it back when they are laid over each other."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Look
from inference_server.portrait.topology import LIP_OUTER_LOWER, LIP_OUTER_UPPER, rim
from inference_server.registry import STYLES, Style, load

from . import painting
from .painting import Figure
from .polygons import coverage
from .prepared import Prepared
from .raster import unpacked
from .shape import Shape

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LIP_LINE = rim(LIP_OUTER_UPPER, LIP_OUTER_LOWER)
_SAME = 0.5  # levels: what is closer than that to what lies below needs no layer
_LINE_PX = 7.0  # of a 512 px crop: dark things thinner than this are lines


def names(look: Look) -> tuple[str, ...]:
    """The layers of a look, bottom to top; none when none are asked for."""
    if not look.params.get("layers", False):
        return ()
    style: Style = load(STYLES, look.style)
    clear = look.alpha and look.framing == "crop"
    behind = () if clear else ("background",)
    return (*behind, "head", "eyes", "mouth", *(("lines",) if style.lined else ()))


def finish(prepared: Prepared, shape: Shape, seen: Figure) -> tuple[Image, dict[str, Image]]:
    """The frame (H, W, 4), and layers of the same size, straight alpha, by their `names`.

    As painting.finish, `seen.canvas` is used up.
    """
    hints = _hints(prepared, shape, seen)
    states = _states(prepared, shape, seen)
    last = states["mouth"]
    solid = last[..., 3] == 255
    if "lines" in prepared.layers:
        size = max(3, round(_LINE_PX * prepared.drawn[0].medium.scale) | 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        states = {name: _without_lines(each, kernel, solid) for name, each in states.items()}
        states["lines"] = last
    layers: dict[str, Image] = {}
    below: Floats | None = None
    for name in prepared.layers:
        if below is None:
            # where it shows through, nothing is laid over it: there it is the frame itself
            layer = np.where(solid[..., None], states[name], last)
            below = layer[..., :3].astype(np.float32)
        else:
            hint = np.where(solid, hints.get(name, 0), 0).astype(np.uint8)
            layer, below = _over(below, states[name], hint)
        layers[name] = layer
    frame = painting.in_frame(prepared, shape, last)
    return frame, {
        name: _in_frame(prepared, shape, frame, layer, name) for name, layer in layers.items()
    }


def _states(prepared: Prepared, shape: Shape, seen: Figure) -> dict[str, Image]:
    """The square (h, w, 4) without a figure, and as it is painted step by step."""
    states = {}
    if "background" in prepared.layers:
        bare = unpacked(painting.plates_of(prepared, shape).background)
        if prepared.drawn:
            bare[..., :3] = painting.developed(prepared, shape, bare[..., :3])
        states["background"] = bare
    for name in painting.stages(prepared, shape, seen):
        state = seen.canvas.copy()
        painting.shade(prepared, shape, state, seen.coarse)
        states[name] = state
    return states


def _hints(prepared: Prepared, shape: Shape, seen: Figure) -> Mapping[str, Image]:
    """(h, w) 0..255 for each layer: how much of a pixel is its own, whatever it shows."""
    square = prepared.scene.shape
    lids = [coverage(shape.refined[ring, :2], square) for ring in prepared.head.eye_rims]
    lips = coverage(shape.coarse[list(_LIP_LINE), :2], square)
    hints = {"eyes": np.maximum(*lids), "mouth": lips}
    found = {name: (share * 255 + 0.5).astype(np.uint8) for name, share in hints.items()}
    if prepared.silhouette is not None:
        outline = painting.compose_all(prepared.silhouette, seen.coarse, seen.fine)
        found["head"] = outline[..., 3]
    return found


def _without_lines(state: Image, kernel: Image, solid: npt.NDArray[np.bool_]) -> Image:
    closed = cv2.morphologyEx(state, cv2.MORPH_CLOSE, kernel)
    return np.where(solid[..., None], closed, state).astype(np.uint8)


def _over(below: Floats, state: Image, hint: Image) -> tuple[Image, Floats]:
    """The layer (h, w, 4) that turns what is below (h, w, 3) into a state, and the result.

    It covers as much as `hint` (h, w) says, and more where the change could not be made otherwise.
    """
    change = state[..., :3].astype(np.float32) - below
    same = np.abs(change).max(2) < _SAME
    room = np.where(change > 0, 255 - below, below)
    needed = np.ceil((255 * np.abs(change) / np.maximum(room, 1e-3)).max(2))
    alpha = np.where(same, hint, np.maximum(hint, np.clip(needed, 0, 255))).astype(np.float32)
    colour = below + change * 255 / np.maximum(alpha, 1)[..., None]
    colour = np.clip(np.rint(np.where(alpha[..., None] > 0, colour, state[..., :3])), 0, 255)
    result = below + (colour - below) * (alpha[..., None] / 255)
    return np.dstack([colour, alpha]).astype(np.uint8), result.astype(np.float32)


def _in_frame(prepared: Prepared, shape: Shape, frame: Image, layer: Image, name: str) -> Image:
    """(H, W, 4) a layer of the square in the frame that it is part of."""
    (x, y), (height, width) = prepared.scene.corner, prepared.scene.shape
    if prepared.patch:
        shown = frame[y : y + height, x : x + width, 3] > 0
        layer = layer * np.dstack([np.ones((*shown.shape, 3), np.uint8), shown])
    if frame.shape == layer.shape:
        return layer
    whole = (
        painting.rest_of(prepared, shape).copy() if name == "background" else np.zeros_like(frame)
    )
    whole[y : y + height, x : x + width] = layer
    return whole
