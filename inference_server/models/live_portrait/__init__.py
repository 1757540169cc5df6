"""The networks of LivePortrait (Guo et al. 2024), written anew; weights are the user's.

Shapes, names of the tensors and constants are those of the released checkpoints, so that those
load strictly; every builder also makes smaller networks. B is the batch, K = 21 keypoints.
Keypoints are xyz in -1..1 of the 256 px crop, z into the picture. Pictures are RGB in 0..1.
"""

from .appearance import AppearanceDims, AppearanceExtractor
from .generator import Generator, GeneratorDims
from .motion import MotionDims, MotionExtractor
from .retargeting import EYE_WIDTHS, LIP_WIDTHS, STITCHING_WIDTHS, Perceptron
from .warping import Warper, WarperDims

__all__ = [
    "EYE_WIDTHS",
    "LIP_WIDTHS",
    "STITCHING_WIDTHS",
    "AppearanceDims",
    "AppearanceExtractor",
    "Generator",
    "GeneratorDims",
    "MotionDims",
    "MotionExtractor",
    "Perceptron",
    "Warper",
    "WarperDims",
]
