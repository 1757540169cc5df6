"""One step of Loop subdivision with creases, as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix


@dataclass(frozen=True, slots=True, eq=False)
class Subdivision:
    """What turns a mesh of n vertices and e edges into one of n + e; vertex n + k halves edge k."""

    triangles: npt.NDArray[np.int32]  # (4 * M, 3)
    midpoint: csr_matrix  # (n + e, n) keeps the old vertices and halves the edges
    smooth: csr_matrix  # (n + e, n) Loop's weights (Loop 1987), stiff along creases and borders
    edge_index: dict[tuple[int, int], int]  # (low, high) vertex -> k

    def ring(self, vertices: Sequence[int]) -> npt.NDArray[np.int32]:
        """A closed ring of old vertices with the new ones between them."""
        n = self.midpoint.shape[1]
        refined = []
        for a, b in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
            refined += [a, n + self.edge_index[min(a, b), max(a, b)]]
        return np.array(refined, np.int32)


def subdivide(
    triangles: npt.NDArray[np.integer], n_vertices: int, creases: Sequence[Sequence[int]]
) -> Subdivision:
    """Subdivide (M, 3) triangles; `creases` are closed rings across which nothing is smoothed."""
    faces = np.asarray(triangles, np.int64)
    half_edges = np.stack([faces, np.roll(faces, -1, 1)], -1).reshape(-1, 2)
    opposite = np.roll(faces, -2, 1).reshape(-1)
    edges, which = np.unique(np.sort(half_edges, 1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    n_edges = len(edges)
    edge_index = {(int(a), int(b)): k for k, (a, b) in enumerate(edges)}
    hard = np.bincount(which, minlength=n_edges) != 2
    for ring in creases:
        for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
            hard[edge_index[min(a, b), max(a, b)]] = True

    new = n_vertices + which.reshape(-1, 3)  # vertices on edges ab, bc, ca of each face
    a, b, c = faces.T
    ab, bc, ca = new.T
    refined = np.concatenate(
        [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )

    halves = n_vertices + np.arange(n_edges)
    keep = (np.arange(n_vertices), np.arange(n_vertices), np.ones(n_vertices))
    ends = [(halves, edges[:, side], np.full(n_edges, 0.5)) for side in (0, 1)]
    shape = (n_vertices + n_edges, n_vertices)
    midpoint = _sparse([keep, *ends], shape)

    soft = ~hard[which]
    weight = np.where(hard, 0.5, 0.375)
    edge_parts = [(halves, edges[:, side], weight) for side in (0, 1)]
    edge_parts.append((n_vertices + which[soft], opposite[soft], np.full(soft.sum(), 0.125)))
    smooth = _sparse([*_vertex_weights(edges, hard, n_vertices), *edge_parts], shape)
    return Subdivision(refined.astype(np.int32), midpoint, smooth, edge_index)


_Entries = tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.floating]]


def _sparse(parts: list[_Entries], shape: tuple[int, int]) -> csr_matrix:
    rows, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    return coo_matrix((values, (rows, columns)), shape=shape).tocsr()


def _vertex_weights(
    edges: npt.NDArray[np.int64], hard: npt.NDArray[np.bool_], n_vertices: int
) -> list[_Entries]:
    """Loop's rules for the old vertices: smooth inside, along the curve on a crease, else fixed."""
    one = np.concatenate([edges[:, 0], edges[:, 1]])
    other = np.concatenate([edges[:, 1], edges[:, 0]])
    on_hard = np.concatenate([hard, hard])
    valence = np.bincount(one, minlength=n_vertices)
    hard_valence = np.bincount(one[on_hard], minlength=n_vertices)
    beta = np.where(valence == 3, 3 / 16, 3 / (8 * np.maximum(valence, 1)))
    inner = hard_valence == 0
    curve = hard_valence == 2
    own = np.where(inner, 1 - valence * beta, np.where(curve, 0.75, 1.0))
    from_inner = inner[one]
    from_curve = curve[one] & on_hard
    every = np.arange(n_vertices)
    return [
        (every, every, own),
        (one[from_inner], other[from_inner], beta[one[from_inner]]),
        (one[from_curve], other[from_curve], np.full(from_curve.sum(), 0.125)),
    ]
