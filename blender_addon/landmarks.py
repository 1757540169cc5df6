"""Face landmarks in the .blend: one mesh datablock per shot, and keyed Empties on request.

The mesh is never linked to a scene: it only carries numbers, at next to no cost for saving and
undo. Vertex `frame * 68 + i` is landmark i (iBUG order) at a shot frame: x to the right and y up,
in pixels of the frame, from its lower left corner; z is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from . import fcurves

POINTS = 68
_SLICE = 60_000  # vertices; adding them takes 1 to 5 ms
_MARK = "animportrait_shot"

GROUPS: dict[str, tuple[str, range]] = {  # iBUG order
    "LIPS": ("Lips", range(48, 68)),
    "EYES": ("Eyes", range(36, 48)),
    "BROWS": ("Brows", range(17, 27)),
    "JAW": ("Jaw", range(17)),
    "ALL": ("All 68", range(POINTS)),
}


def positions(points: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Landmarks of a take as vertex positions.

    Args:
        points: (N, 68, 2) px, origin top left, y down.
        size: (w, h) px of the frame.

    Returns:
        (N * 68 * 3,) x, y, z of all vertices.
    """
    vertices = np.zeros((len(points) * POINTS, 3), np.float32)
    vertices[:, 0] = points[..., 0].ravel()
    vertices[:, 1] = size[1] - points[..., 1].ravel()
    return vertices.ravel()


def mesh_of(name: str, shot_id: str) -> Any | None:
    """The mesh with this name, if it belongs to the shot."""
    mesh = bpy.data.meshes.get(name)
    return mesh if mesh is not None and mesh.get(_MARK) == shot_id else None


def new_mesh(shot_id: str, size: tuple[int, int]) -> str:
    """Makes an empty mesh for a shot and returns its name."""
    mesh = bpy.data.meshes.new(f"{shot_id} landmarks")
    mesh.use_fake_user = True
    mesh[_MARK] = shot_id
    mesh["points_per_frame"] = POINTS
    mesh["frame_size"] = size
    return mesh.name


def fill(name: str, shot_id: str, vertices: npt.NDArray[np.float32]) -> Iterator[None]:
    """Writes the vertices of a shot's mesh, in slices.

    Args:
        name: of the mesh.
        shot_id: of its shot.
        vertices: (N * 68 * 3,), see `positions`.
    """
    wanted = len(vertices) // 3
    while (mesh := mesh_of(name, shot_id)) is not None:
        missing = wanted - len(mesh.vertices)
        if missing == 0:
            mesh.attributes["position"].data.foreach_set("vector", vertices)
            mesh.update()
            return
        if missing < 0:
            mesh.clear_geometry()
        else:
            mesh.vertices.add(min(missing, _SLICE))
        yield


def read(mesh: Any) -> npt.NDArray[np.float32]:
    """The vertices of a shot's mesh: (N, 68, 3)."""
    vertices = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.attributes["position"].data.foreach_get("vector", vertices)
    return vertices.reshape(-1, POINTS, 3)


def expose(scene: Any, mesh: Any, group: str, first_frame: int, width: float) -> Any:
    """Makes or updates one keyed Empty per landmark of a group.

    The Empties stand in the front view (X to the right, Z up) below one parent that may be moved,
    turned and scaled as a whole. They do not follow the strip: expose again after moving it.

    Args:
        scene: gets a collection named after the mesh.
        mesh: of the shot.
        group: a key of GROUPS.
        first_frame: scene frame of shot frame 0.
        width: of the frame, in scene units, centred on the parent.

    Returns:
        The parent object.
    """
    points = read(mesh)
    size = np.array(mesh["frame_size"], np.float64)
    scale = width / size[0]
    collection = _collection(scene, mesh.name)
    parent = _object(collection, f"{mesh.name} root", None, "PLAIN_AXES", width / 4)
    frames = np.arange(len(points), dtype=np.float64) + first_frame
    for index in GROUPS[group][1]:
        empty = _object(collection, f"{mesh.name} {index:02d}", parent, "SPHERE", width / 150)
        place = (points[:, index, :2] - size / 2) * scale
        for axis, values in ((0, place[:, 0]), (2, place[:, 1])):
            fcurves.rewrite(fcurves.ensure(empty, "location", axis), frames, values)
    return parent


def _collection(scene: Any, name: str) -> Any:
    collection = bpy.data.collections.get(name)
    if collection is None:
        collection = bpy.data.collections.new(name)
    if collection.name not in scene.collection.children:
        scene.collection.children.link(collection)
    return collection


def _object(collection: Any, name: str, parent: Any | None, shape: str, size: float) -> Any:
    found = collection.objects.get(name)
    if found is None:
        found = bpy.data.objects.new(name, None)
        found.empty_display_type = shape
        found.empty_display_size = size
        found.parent = parent
        collection.objects.link(found)
    return found
