"""What is known of a portrait and a look before anything moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_server.portrait.face_mesh import Fit

from .eyes import Eye
from .glasses import Lenses
from .light import Light
from .mesh import HeadMesh
from .mouth import Mouth
from .plates import Plates, Stage
from .pose import PoseLimits
from .restyle import Drawn
from .rig import Rig

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]


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
    layers: tuple[str, ...]  # names, bottom to top; none when none are asked for
    silhouette: Plates | None  # the figure alone, for how much of a pixel it covers
    step: int  # px per sample of the backward map
