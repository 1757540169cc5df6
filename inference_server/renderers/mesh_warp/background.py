"""What is behind the figure, and what the figure looks like without it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]


def push_pull(image: Image, known: Image) -> Image:
    """Fill what is not known by ever coarser averages (Gortler 1996).

    Args:
        image: (h, w, 3).
        known: (h, w) 0..1.
    """
    height, width = known.shape
    weight = known[..., None]
    if min(height, width) <= 4:
        mean = (image * weight).sum((0, 1)) / max(float(known.sum()), 1e-6)
        return image * weight + mean.astype(np.float32) * (1 - weight)
    low = cv2.pyrDown(image * weight)
    low_known = cv2.pyrDown(known)
    filled = push_pull(low / np.maximum(low_known, 1e-4)[..., None], np.clip(low_known * 4, 0, 1))
    return image * weight + cv2.pyrUp(filled, dstsize=(width, height)) * (1 - weight)


def _odd(pixels: float) -> int:
    return max(int(pixels), 1) | 1


def separate(
    image: npt.NDArray[np.uint8], matte: Image, things: Image
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Colours of the figure alone, also where the matte mixes in the background; and the rest.

    Together they make the picture again: image = matte * figure + (1 - matte) * background.
    Where no figure can explain what is seen (the matte cuts through a thing that it does not
    know), the thing stays in the background as well, instead of losing a piece; around the head
    it is hair, which must not leave a ghost.

    Args:
        image: (h, w, 3) RGB.
        matte: (h, w) 0..1.
        things: (h, w) 0..1: where things may stay.

    Returns:
        Figure and background, (h, w, 3) each.
    """
    picture = image.astype(np.float32)
    alpha = matte[..., None]
    behind = _clean_plate(picture, matte)
    figure = _figure_colours(picture, matte)
    left_over = picture - alpha * figure - (1 - alpha) * behind
    figure = np.clip(figure + alpha * left_over / (alpha**2 + 0.02), 0, 255)
    figure = np.where(alpha > 0.98, picture, figure)
    left_over = picture - alpha * figure - (1 - alpha) * behind
    # small differences are the glow around hair, large ones are things
    t = np.clip((np.abs(left_over).max(2, keepdims=True) - 12) / 24, 0, 1)
    t = t * t * (3 - 2 * t) * np.clip((0.7 - alpha) / 0.3, 0, 1) * things[..., None]
    behind = behind + left_over / np.maximum(1 - alpha, 0.3) * t
    return _bytes(figure), _bytes(behind)


def _bytes(image: Image) -> npt.NDArray[np.uint8]:
    return (np.clip(image, 0, 255) + np.float32(0.5)).astype(np.uint8)


def _figure_colours(picture: Image, matte: Image) -> Image:
    """Blur fusion (Forte 2021, equations 4 to 7), two passes."""
    side = max(matte.shape)
    alpha = matte[..., None]
    figure, behind = picture, picture
    for radius in (0.05, 0.012):
        kernel = (_odd(radius * side), _odd(radius * side))
        coverage = cv2.blur(matte, kernel)[..., None]
        mean_figure = cv2.blur(figure * alpha, kernel) / (coverage + 1e-5)
        mean_behind = cv2.blur(behind * (1 - alpha), kernel) / (1 - coverage + 1e-5)
        left_over = picture - alpha * mean_figure - (1 - alpha) * mean_behind
        figure = np.clip(mean_figure + alpha * left_over, 0, 255)
        behind = mean_behind
    return figure


def _clean_plate(picture: Image, matte: Image) -> Image:
    """The picture (h, w, 3) without the figure.

    Tone comes from push-pull, texture from the background mirrored across the silhouette,
    fading out towards the middle of the figure, where nobody will ever see it.
    """
    height, width = matte.shape
    side = max(matte.shape)
    grown = cv2.dilate(matte, np.ones((_odd(0.012 * side),) * 2, np.uint8))
    known = (grown < 0.03).astype(np.float32)
    half = (max(width // 2, 2), max(height // 2, 2))
    small = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    small_known = (cv2.resize(known, half, interpolation=cv2.INTER_AREA) > 0.99).astype(np.float32)
    filled = np.clip(push_pull(small, small_known), 0, 255)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC)
    if known.mean() > 0.01:
        mirrored, share = _mirrored(picture, known)
        filled = filled * (1 - share) + mirrored * share
    keep = cv2.GaussianBlur(known, (0, 0), 1.5)[..., None]
    # a blurred edge must not bring the figure's own colours back
    keep = np.minimum(keep, np.clip((0.12 - grown) / 0.12, 0, 1)[..., None])
    return np.clip(picture * keep + filled * (1 - keep), 0, 255)


def _mirrored(picture: Image, known: Image) -> tuple[Image, Image]:
    """The known texture reflected at the silhouette, and how much of it to use (h, w, 1)."""
    height, width = known.shape
    side = max(known.shape)
    unknown = (known == 0).astype(np.uint8)
    distance = cv2.distanceTransform(unknown, cv2.DIST_L2, 5)
    smooth = cv2.GaussianBlur(distance, (0, 0), 0.012 * side)
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    length = np.sqrt(slope_x**2 + slope_y**2) + 1e-6
    y, x = np.mgrid[:height, :width].astype(np.float32)
    from_x = x - slope_x / length * (2 * distance + 1)
    from_y = y - slope_y / length * (2 * distance + 1)
    mirrored = cv2.remap(
        picture, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    inner = cv2.erode(known, np.ones((3, 3), np.uint8))
    share = cv2.remap(inner, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    share = cv2.GaussianBlur(cv2.erode(share, np.ones((5, 5), np.uint8)), (0, 0), 2)
    t = np.clip((distance - 0.10 * side) / (0.10 * side), 0, 1)
    return mirrored, (share * (1 - t * t * (3 - 2 * t)))[..., None]
