"""The style that leaves the picture as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt


class Photo:
    """No redrawing; see registry.Style."""

    name = "photo"
    version = "1"
    reach = 0

    def tuning(
        self,
        image: npt.NDArray[np.uint8],
        scale: float,
        face: tuple[float, float, float, float] | None = None,
    ) -> Mapping[str, Any]:
        """Nothing to measure."""
        return {}

    def grain(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> None:
        """A photo lies on nothing."""

    def apply(
        self, image: npt.NDArray[np.uint8], scale: float, seed: int, params: Mapping[str, Any]
    ) -> npt.NDArray[np.uint8]:
        """The same (H, W, 3) uint8 pixels."""
        return image
