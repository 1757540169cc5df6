"""Measure how the ARKit weights move the lips of mesh_warp's mean face, for speech.lip_fit.

    python -m inference_server.training.lip_shapes OUT_FILE

Run it again when renderers.mesh_warp.rig changes; tests/server/test_neural.py tells when that is
due.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from inference_server.datatypes import ARKIT_INDEX
from inference_server.portrait import face_mesh
from inference_server.portrait.video import CHIN, EYE_CORNERS, LIPS
from inference_server.renderers.mesh_warp import rig
from inference_server.speech.lip_fit import SHAPES, columns

MEASURED_AT = 0.5  # weight; the jaw's way is an arc


def measure() -> npt.NDArray[np.float32]:
    """(K, 45, 3) displacement of 40 lip and 5 chin points per unit of each of lip_fit.SHAPES.

    In outer-eye distances, x right, y down, z away; of a face that closes its lips.
    """
    face = rig.build(face_mesh.template(), np.eye(3)[:2])
    right, left = (face.canonical[corner] for corner in EYE_CORNERS)
    unit = float(np.linalg.norm(left - right))
    points = [*LIPS, *CHIN]

    def moved(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (face.canonical + face.expression(weights, np.zeros(2)))[points]

    rest = moved(np.zeros(len(ARKIT_INDEX)))
    shapes = []
    for name in SHAPES:
        weights = np.zeros(len(ARKIT_INDEX))
        weights[columns(name)] = MEASURED_AT
        shapes.append((moved(weights) - rest) / (MEASURED_AT * unit))
    return np.array(shapes, np.float32)


if __name__ == "__main__":
    save_file({"shapes": measure()}, sys.argv[1])
