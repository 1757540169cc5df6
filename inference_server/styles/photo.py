"""The style that leaves the picture as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference_server.datatypes import Sitter

from .line_filters import Image


class Photo:
    """No redrawing; see registry.Style."""

    name = "photo"
    version = "1"
    reach = 0
    shaded = True
    lined = False
    regional = False

    def tuning(
        self,
        image: Image,
        scale: float,
        who: Sitter | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]:
        """Nothing to measure."""
        return {}

    def grain(
        self, image: Image, scale: float, seed: int, params: Mapping[str, Any],
        who: Sitter | None = None,
    ) -> None:  # fmt: skip
        """A photo lies on nothing."""

    def develop(self, plate: Image, scale: float, params: Mapping[str, Any]) -> Image:
        """A plate is what is seen."""
        return plate

    def plate(self, image: Image, scale: float, seed: int, params: Mapping[str, Any]) -> Image:
        """The same (H, W, 3) uint8 pixels."""
        return image
