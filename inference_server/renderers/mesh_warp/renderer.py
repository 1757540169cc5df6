"""The renderer that needs no network: the portrait itself, warped on a face mesh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import FaceCrop, Look, Motion, Portrait
from inference_server.device import for_drawing
from inference_server.portrait import face_mesh
from inference_server.portrait.topology import (
    IRIS_LEFT,
    IRIS_RIGHT,
    LIP_INNER_LOWER,
    LIP_INNER_UPPER,
    LIP_OUTER_LOWER,
    LIP_OUTER_UPPER,
)

from . import eyes, glasses, layering, light, mesh, mouth, painting, restyle, rig
from .eyes import gaze_offset
from .mouth import Wishes
from .painting import Figure
from .palette import Palette
from .plates import closed_mouth, figure_plates, layers, stage
from .pose import PoseLimits
from .prepared import Prepared
from .restyle import Drawn
from .shape import Shape, shape_of

Image = npt.NDArray[np.uint8]

_VERSION = "7"  # part of every frame key: change it when pixels change
_BATCH = 8  # frames that a graphics card draws at once
_FINE_SIDE = 320  # px; smaller squares are rastered at full resolution
# outer then inner lip line, each once around from the person's right corner by the lower lip
_LIP_POINTS = (
    LIP_OUTER_LOWER + LIP_OUTER_UPPER[-2:0:-1] + LIP_INNER_LOWER + LIP_INNER_UPPER[-2:0:-1]
)


class MeshWarp:
    """See registry.Renderer."""

    name = "mesh_warp"
    temporal_radius = 0
    parallel = True

    def __init__(self, device: str | None = None) -> None:
        """`device` draws; None takes the one that fits this machine."""
        self._device = device or for_drawing()

    @property
    def version(self) -> str:
        """A graphics card rounds in its own way."""
        return _VERSION if self._device == "cpu" else f"{_VERSION} {self._device}"

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
        silhouette = None
        if "background" in layering.names(look):
            silhouette = figure_plates(scene, cut_out, clean, opaque=False, crisp=bool(drawn))
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
                scene.mesh,
                fit,
                scene.shape,
                scene.pad,
                scene.held,
                not scene.figure_found,
                scene.others,
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
            layers=layering.names(look),
            silhouette=silhouette,
            step=2 if side > _FINE_SIDE else 1,
        )

    def render(self, prepared: Prepared, motion: Motion, frames: Sequence[int]) -> Iterator[Image]:
        """(h, w, 4) uint8 straight-alpha RGBA for each index, in order."""
        for shape, seen in self._figures(prepared, motion, frames):
            yield painting.finish(prepared, shape, seen)

    def _figures(
        self, prepared: Prepared, motion: Motion, frames: Sequence[int]
    ) -> Iterator[tuple[Shape, Figure]]:
        shapes = (shape_of(prepared, motion, frame) for frame in frames)
        if self._device == "cpu":
            for shape in shapes:
                yield shape, painting.figure(prepared, shape)
            return
        from . import torch_raster  # takes seconds to import

        for batch in iter(lambda: list(islice(shapes, _BATCH)), []):
            figures = torch_raster.figures(prepared, batch, self._device)
            yield from zip(batch, figures, strict=True)

    def layers(self, look: Look) -> tuple[str, ...]:
        """Names of the layers that `render_layers` gives for a look, bottom to top."""
        return layering.names(look)

    def render_layers(
        self, prepared: Prepared, motion: Motion, frames: Sequence[int]
    ) -> Iterator[tuple[Image, dict[str, Image]]]:
        """As `render`, each frame with its layers."""
        for shape, seen in self._figures(prepared, motion, frames):
            yield layering.finish(prepared, shape, seen)

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
