"""From lip landmarks to ARKit weights: bounded least squares on the shapes of mesh_warp's lips."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from inference_server.datatypes import ARKIT_INDEX

Array = npt.NDArray[np.float64]

SHAPES_FILE = Path(__file__).parents[1] / "weights" / "lip_shapes.safetensors"

# weights that speech uses; those that come as Left and Right move together
SHAPES = (
    "jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthStretch", "mouthPucker", "mouthFunnel",
    "mouthRollLower", "mouthRollUpper", "mouthShrugUpper", "mouthShrugLower", "mouthPress",
    "mouthSmile", "mouthFrown",
)  # fmt: skip
MOST = np.array([1.0, 0.6, 0.6, 1.0, 1.0, 1.0, 0.6, 0.6, 0.5, 0.5, 0.5, 0.7, 0.5])
_PARTING = [SHAPES.index("mouthLowerDown"), SHAPES.index("mouthUpperUp")]
_RIDGE = 2e-3  # outer-eye distances squared: small weights where shapes are alike
_DEPTH_TRUST = 0.5  # as in training: the tracker's depth is its least certain coordinate
_OPENING_TRUST, _WIDTH_TRUST = 2.0, 2.5  # of these two distances, against that of one coordinate
# outer-eye distances; lips that nearly meet close softly instead of stopping dead: what the network
# hears as nearer than touching stays nearer (a third of it costs a tenth of the closures' F1)
_KNEE = 0.03
_SWEEPS = 80
_INNER_LOWER, _INNER_UPPER = (24, 25, 26), (36, 35, 34)
_RIGHT_CORNER, _LEFT_CORNER = 0, 10


def columns(shape: str) -> list[int]:
    """Columns of Motion.expression that a shape stands for."""
    sides = (shape, f"{shape}Left", f"{shape}Right")
    return [ARKIT_INDEX[name] for name in sides if name in ARKIT_INDEX]


@lru_cache(maxsize=1)
def shapes() -> Array:
    """(K, 45, 3) displacement of 40 lip and 5 chin points per unit of each shape."""
    stored: Array = load_file(SHAPES_FILE)["shapes"].astype(np.float64)
    stored.setflags(write=False)
    return stored


def features(points: Array) -> Array:
    """What the fit compares, (..., F), of displacements (..., 45, 3): places, opening and width."""
    flat = (points * [1, 1, _DEPTH_TRUST]).reshape(*points.shape[:-2], -1)
    gap = opening(points)[..., None]
    width = points[..., _LEFT_CORNER, 0] - points[..., _RIGHT_CORNER, 0]
    return np.concatenate([flat, _OPENING_TRUST * gap, _WIDTH_TRUST * width[..., None]], axis=-1)


def fit(displacement: Array, life: Array | float = 1.0) -> Array:
    """Weights (N, K) of SHAPES, 0..MOST, that bring closed lips nearest to (N, 45, 3).

    Coordinate descent on all frames at once. The solution moves continuously with its target, so
    smooth lips give smooth weights.

    Args:
        displacement: (N, 45, 3) from closed lips.
        life: (N,) 0 at rest .. 1 speaking: how softly lips that nearly meet close.
    """
    basis = features(shapes())
    opens = opening(shapes())
    gram = basis @ basis.T + _RIDGE * np.eye(len(basis))
    wanted = features(displacement) @ basis.T
    weights = np.zeros((len(displacement), len(basis)))
    for _ in range(_SWEEPS):
        for k in range(len(basis)):
            error = wanted[:, k] - weights @ gram[k]
            weights[:, k] = np.clip(weights[:, k] + error / gram[k, k], 0, MOST[k])
    knee = np.maximum(1e-6, _KNEE * np.asarray(life))
    return _opened(weights, opens, knee * np.logaddexp(0, opening(displacement) / knee))


def opening(points: Array) -> Array:
    """(...,) mean height between the inner lips of displacements (..., 45, 3)."""
    return (points[..., _INNER_LOWER, 1] - points[..., _INNER_UPPER, 1]).mean(-1)


def _opened(weights: Array, opens: Array, wanted: Array) -> Array:
    """The weights with the jaw turned so far that the lips are as far apart as wanted.

    Args:
        weights: (N, K).
        opens: (K,) opening per unit of each shape.
        wanted: (N,) opening.
    """
    by_lips = weights[:, 1:] @ opens[1:]
    share = np.minimum(1, wanted / np.maximum(by_lips, 1e-9))
    opened = weights.copy()
    opened[:, _PARTING] *= share[:, None]
    opened[:, 0] = np.clip((wanted - opened[:, 1:] @ opens[1:]) / opens[0], 0, MOST[0])
    return opened


def spread(weights: Array) -> Array:
    """(N, 52) ARKit weights of (N, K) weights of SHAPES."""
    expression = np.zeros((len(weights), len(ARKIT_INDEX)))
    for k, shape in enumerate(SHAPES):
        expression[:, columns(shape)] = weights[:, k : k + 1]
    return expression
