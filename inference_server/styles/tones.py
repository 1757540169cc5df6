"""How a picture is measured before it is drawn: the size of the analysis, tones, the face.

A picture is analysed at a size near that of a 512 px crop and drawn at the size of the frame, so
that a drawing does not change with the frame size.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .line_filters import Field

Box = tuple[float, float, float, float]  # xyxy px

LINE_WEIGHTS = (0.2, 0.65, 0.15)  # of RGB: green shows lips and lids best
TONE_WEIGHTS = (0.5, 0.4, 0.1)  # of RGB: red keeps skin, freckles and lips white

SOFT = 1.5  # blur before tones are measured
_SKIN_SHARE = 60  # percentile of the face that is lit skin: above brows, eyes, beard and fringe
_EYES_SHARE = 1  # percentile of the face that is pupils, lashes or nostrils
_EYES_TONE = 0.2  # a paler picture is stretched until its eyes are this dark ...
_MOST_BLACK = 0.75  # ... but no tone above this share of the skin's becomes black
_LEAST_RANGE = 0.05  # between black and skin, of full white: no noise from a black picture


def factor(scale: float, most: float) -> float:
    """Px of the analysis per px of the frame; `most` px per px of a 512 px crop, at least 1."""
    return min(max(scale, 1.0), most) / scale


def analysed(image: npt.NDArray[np.uint8], factor: float) -> Field:
    """(h, w, 3) float32 0..1, `factor` times as large."""
    if factor != 1:
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        height, width = (max(1, round(side * factor)) for side in image.shape[:2])
        resampled = cv2.resize(image, (width, height), interpolation=method)
        return resampled.astype(np.float32) * np.float32(1 / 255)
    return image.astype(np.float32) * np.float32(1 / 255)


def levelled(picture: Field, black: float, skin: float) -> Field:
    """`picture` with black at 0 and the tone of lit skin at 1; highlights end at 2."""
    return np.clip((picture - np.float32(black)) / np.float32(skin - black), 0, 2)


def mixed(picture: Field, weights: tuple[float, float, float]) -> Field:
    """(h, w) weighted sum of the channels."""
    one = cv2.transform(picture, np.array([weights], np.float32))
    return np.asarray(one, np.float32).reshape(picture.shape[:2])


def scaled_box(
    image: npt.NDArray[np.uint8], factor: float, face: Box | None
) -> npt.NDArray[np.float64]:
    """Box of the face in analysis px; where crop_face would put it when it is not known."""
    if face is None:
        height, width = image.shape[:2]
        side = min(height, width)
        x, y = width / 2, height / 2 - 0.04 * side
        face = (x - 0.2 * side, y - 0.22 * side, x + 0.2 * side, y + 0.22 * side)
    return (np.array(face, np.float64) + 0.5) * factor - 0.5


def oval(shape: tuple[int, ...], box: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """The inner face; everything when nothing of it lies in the picture."""
    x0, y0, x1, y1 = box
    y, x = np.ogrid[: shape[0], : shape[1]]
    across = (x - (x0 + x1) / 2) / max((x1 - x0) / 2, 1)
    down = (y - (y0 + y1) / 2) / max((y1 - y0) / 2, 1)
    inside = across**2 + down**2 < 0.8
    return inside if inside.any() else np.ones(shape, np.bool_)


def levels(tone: Field, inside: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Which tones, 0..1, count as black and as lit skin; `inside` marks the face."""
    eyes, skin = np.percentile(tone[inside], (_EYES_SHARE, _SKIN_SHARE))
    black = np.clip((eyes - _EYES_TONE * skin) / (1 - _EYES_TONE), 0, _MOST_BLACK * skin)
    return float(black), float(max(skin, black + _LEAST_RANGE))
