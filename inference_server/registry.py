"""The plug-in points: what detectors, motion sources, renderers and styles offer.

Nothing heavy is imported here: an entry names a module and a class, which are loaded when chosen.
A plug-in that cannot run here is listed as unavailable with the reason, and raises when chosen.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .datatypes import Face, FaceCrop, Look, Motion, Portrait, Sitter, Speech
from .errors import RendererUnavailable
from .home import home


class LandmarkDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, image: npt.NDArray[np.uint8]) -> list[Face]:
        """Faces of an (H, W, 3) uint8 RGB picture, in any order; empty when there is none."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SpokenMotion:
    """What a motion source makes of a sound."""

    motion: Motion
    silent: npt.NDArray[np.bool_]  # (N,) no speech in this frame
    closures: tuple[tuple[int, int], ...]  # [first, last] frames in which the lips must meet once
    warnings: tuple[str, ...] = ()  # what the artist should know


Heed = Callable[[int, int], None]  # told how much is done of how much; may raise to end it


def unheeded(done: int, total: int) -> None:
    """Go on."""


class MotionSource(Protocol):
    """Turns speech into motion."""

    version: str

    def motion(
        self,
        speech: Speech,
        fps: Fraction,
        n_frames: int,
        seed: int,
        params: Mapping[str, Any],
        heed: Heed = unheeded,
    ) -> SpokenMotion:
        """Motion of `n_frames` frames; frame i shows the sound at i / fps seconds.

        Args:
            speech: the sound.
            fps: frames per second, exact.
            n_frames: N; frames beyond the sound are silent.
            seed: of the random part.
            params: those in keys.SOURCE_PARAMS, and "words", a tuple of Word.
        """
        ...


class Renderer(Protocol):
    """Draws a portrait in motion."""

    name: str
    version: str  # part of every frame key: change it when pixels change
    temporal_radius: int  # frames before and after that a frame depends on
    parallel: bool  # `render` may run in several threads on one `prepared`

    def prepare(self, portrait: Portrait, face_crop: FaceCrop, look: Look) -> Any:
        """Everything that is slow and does not depend on motion; the result is immutable."""
        ...

    def render(
        self, prepared: Any, motion: Motion, frames: Sequence[int]
    ) -> Iterable[npt.NDArray[np.uint8]]:
        """(h, w, 4) uint8 straight-alpha RGBA for each index, in order; pure in its arguments."""
        ...

    def layers(self, look: Look) -> tuple[str, ...]:
        """Names of the layers that frames of a look come apart into, bottom to top; or none."""
        ...

    def render_layers(
        self, prepared: Any, motion: Motion, frames: Sequence[int]
    ) -> Iterable[tuple[npt.NDArray[np.uint8], Mapping[str, npt.NDArray[np.uint8]]]]:
        """As `render`, each frame with its layers: laid over each other they give the frame."""
        ...

    def landmarks(
        self, prepared: Any, motion: Motion, frames: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """(len(frames), 478, 2) mesh points in px of the frame, as drawn."""
        ...


class Style(Protocol):
    """Redraws a picture in a medium: a plate is drawn once and warped, then developed per frame.

    Measure once, redraw often: `tuning` looks at the whole picture, and its answer merged into the
    params (`{**params, **style.tuning(image, scale, who)}`) makes `plate` of a part of that
    picture, or of the same picture in motion, agree with `plate` of the whole near the part's
    centre. Without it `plate` measures the pixels that it is given.

    What lies on the surface (tooth of the paper, hatching, relief of the brush, which part of the
    sitter it is) is the `grain`: made once for the whole picture and then moved with it, so that
    it is locked to the face. Its part (H, W, 3) under the pixels of `image` goes to `plate` as
    params["grain"]; without it `plate` takes the grain of the pixels that it is given.
    """

    name: str
    version: str  # part of every frame key: change it when pixels change
    reach: int  # px of a 512 px crop: how far around a pixel `plate` looks
    shaded: bool  # shade may change as the head turns; not so where light is but paper
    lined: bool  # what is darker and thin is a line, which may be a layer of its own
    regional: bool  # the grain tells the figure from what is behind it

    def tuning(
        self,
        image: npt.NDArray[np.uint8],
        scale: float,
        who: Sitter | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """What `plate` must know about the whole (H, W, 3) uint8 RGB picture."""
        ...

    def grain(
        self,
        image: npt.NDArray[np.uint8],
        scale: float,
        seed: int,
        params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> npt.NDArray[np.uint8] | None:
        """What stays on the surface while the picture moves, (H, W, 3) uint8; None: nothing.

        What the values mean is the style's own affair, but they may be interpolated.
        """
        ...

    def plate(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """Redraw an (H, W, 3) uint8 RGB picture as something that can be warped, of that shape.

        `scale` is pixels per pixel of a 512 px crop, so that line widths follow the frame size.
        """
        ...

    def develop(
        self, plate: npt.NDArray[np.uint8], scale: float, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """What is seen of a plate, warped or not: (H, W, 3) uint8 RGB."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a plug-in lives and what people call it."""

    name: str
    label: str
    module: str  # relative to this package
    attribute: str
    needs: tuple[str, ...] = ()  # packages without which it cannot run
    weights: str = ""  # folder of <home>/models that the user must have imported


RENDERERS = (
    Entry("mesh_warp", "Mesh Warp", ".renderers.mesh_warp", "MeshWarp", ("cv2", "numba", "scipy")),
    Entry(
        "live_portrait", "LivePortrait", ".renderers.live_portrait", "LivePortrait",
        ("torch", "cv2", "scipy"), weights="live_portrait",
    ),
)  # fmt: skip
STYLES = (
    Entry("photo", "Photo", ".styles.photo", "Photo"),
    Entry("ink", "Ink", ".styles.ink", "Ink", ("cv2", "numba")),
    Entry("pencil", "Pencil", ".styles.pencil", "Pencil", ("cv2", "numba")),
    Entry("cartoon", "Cartoon", ".styles.cartoon", "Cartoon", ("cv2", "numba")),
    Entry("oil", "Oil", ".styles.oil", "Oil", ("cv2", "numba")),
    Entry("watercolour", "Watercolour", ".styles.watercolour", "Watercolour", ("cv2", "numba")),
)
MOTION_SOURCES = (
    Entry("neural", "Neural", ".speech.neural", "Neural", ("torch",)),
    Entry("rules", "Rules", ".speech.rules", "Rules", ("torch",)),
)
DETECTORS = (
    Entry("mediapipe", "MediaPipe Face Mesh", ".portrait.mediapipe_mesh", "MediaPipeMesh"),
    Entry("face_alignment", "face-alignment", ".portrait.fan_points", "FanPoints"),
)


def load(entries: Sequence[Entry], name: str) -> Any:
    """The plug-in called `name`, constructed.

    Raises:
        RendererUnavailable: no entry has that name; the message lists those that exist.
        AnimatePortraitError: the plug-in's own reason why it cannot run here.
    """
    for entry in entries:
        if entry.name == name:
            return getattr(importlib.import_module(entry.module, __package__), entry.attribute)()
    known = ", ".join(entry.name for entry in entries)
    raise RendererUnavailable(f'There is no "{name}".', f"Choose one of: {known}.")


def listing(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """What `hello` tells of each plug-in: name, label, available, reason; loads none of them."""
    rows = []
    for entry in entries:
        missing = [name for name in entry.needs if importlib.util.find_spec(name) is None]
        reason = f"Not installed: {', '.join(missing)}." if missing else _lacks_weights(entry)
        rows.append(
            {"name": entry.name, "label": entry.label, "available": not reason, "reason": reason}
        )
    return rows


def _lacks_weights(entry: Entry) -> str:
    """What to do when the weights of a plug-in are not there; empty when they are."""
    if not entry.weights or (home() / "models" / entry.weights / "manifest.json").is_file():
        return ""
    return f'No weights: run "animate-portrait models import {entry.weights} FOLDER".'
