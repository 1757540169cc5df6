"""A picture file drawn over the preview, where a strip's own picture lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import gpu
from gpu_extras.batch import batch_for_shader
from mathutils import Matrix

from . import preview

_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


class Picture:
    """One file at a time, as an image datablock without users: it is never saved."""

    def __init__(self, name: str) -> None:
        """The name begins with a dot, which hides it from menus."""
        self.name = name
        self._path: Path | None = None

    def follow(self, path: Path | None) -> bool:
        """Loads another file; called by a timer, as drawing must not change data.

        Returns:
            True when there is something new to see.
        """
        image = bpy.data.images.get(self.name)
        if path == self._path and (path is None) == (image is None):
            return False
        self._path = path
        if path is None:
            if image is not None:
                bpy.data.images.remove(image)
        elif image is None:
            bpy.data.images.load(str(path)).name = self.name
        else:
            image.filepath = str(path)
            image.reload()
        return True

    def draw(self, strip: Any, size: tuple[int, int], alpha: float) -> None:
        """Draws it where the strip's picture of this size is; only inside a draw handler."""
        image = bpy.data.images.get(self.name)
        if image is None:
            return
        shader = gpu.shader.from_builtin("IMAGE_COLOR")
        shape = {
            "pos": [(x * size[0], y * size[1]) for x, y in _CORNERS],
            "texCoord": [(x, 1.0 - y) for x, y in _CORNERS],
        }
        batch = batch_for_shader(shader, "TRI_FAN", shape)
        gpu.state.blend_set("ALPHA")
        with gpu.matrix.push_pop():
            matrix = preview.frame_to_view(strip, size)
            gpu.matrix.multiply_matrix(Matrix(preview.four_by_four(matrix)))
            shader.bind()
            shader.uniform_sampler("image", gpu.texture.from_image(image))
            shader.uniform_float("color", (1.0, 1.0, 1.0, alpha))
            batch.draw(shader)
        gpu.state.blend_set("NONE")
