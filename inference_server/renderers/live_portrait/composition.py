"""From the poses of source and driver to driving keypoints: S3 section 6, case by case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.spatial

from .keypoints import Array, Pose, place
from .smoothing import OBSERVATION_VARIANCE, smooth

Region = Literal["all", "exp", "pose", "lip", "eyes"]
Shift = Callable[[Array, int], Array]  # (K, 3) source keypoints, frame -> (K, 3) shift

LIP = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
_PART = ((1, 2, 6, *range(11, 21)), (0, 1, 2)), ((3, 4), (1,)), ((5, 8), (2,)), ((9,), (1, 2))


def _mask(*parts: tuple[tuple[int, ...], tuple[int, ...]]) -> npt.NDArray[np.bool_]:
    mask = np.zeros((21, 3), bool)
    for points, axes in parts:
        mask[np.ix_(points, axes)] = True
    return mask


WHOLE = np.ones((21, 3), bool)
PART = _mask(*_PART)  # the entries of an expression that do not shift the head
_OF_REGION = {
    "all": PART,
    "exp": PART,
    "pose": np.zeros((21, 3), bool),
    "lip": _mask((LIP, (0, 1, 2))),
    "eyes": _mask((EYES, (0, 1, 2))),
}


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """How a driver moves a source."""

    relative: bool = True  # the driver's change since its first frame, not its pose itself
    region: Region = "all"
    expression_friendly: bool = True  # keep the source's own proportions; relative, still sources
    multiplier: float = 1.0  # of everything, after everything
    observation_variance: float = OBSERVATION_VARIANCE  # of the smoothing for source videos
    driving_image: bool = False  # the driver is one picture
    neutral: Array = field(default_factory=lambda: np.zeros((21, 3)))  # expression at rest

    @property
    def turns(self) -> bool:
        """Whether the head moves."""
        return self.region in ("all", "pose")


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """The networks that move keypoints after the composition; None is not asked for."""

    stitch: Callable[[Array, Array], Array] | None = None  # source, driving -> driving
    lip_rest: Array | None = None  # (K, 3) shift that closes the lips of the source
    eye_rest: Array | None = None  # (K, 3) shift that opens the eyes of a source video
    retarget_eyes: Shift | None = None
    retarget_lips: Shift | None = None


def compose(
    source: Sequence[Pose],
    driver: Sequence[Pose],
    how: Composition,
    corrections: Corrections | None = None,
) -> Array:
    """Driving keypoints of every frame.

    Args:
        source: one pose of a still source, or one of every frame of a source video.
        driver: poses of the driver, at least one.
        how: the settings.
        corrections: stitching and retargeting.

    Returns:
        (N, K, 3); N is the driver's length, for a source video the shorter of both, and for a
        source video driven by one picture the source's.

    Raises:
        ValueError: source or driver is empty.
    """
    if not source or not driver:
        raise ValueError(f"{len(source)} source and {len(driver)} driving poses: none may be 0")
    video = len(source) > 1
    n_frames = _n_frames(len(source), len(driver), how)
    sources = [source[i if video else 0] for i in range(n_frames)]
    drivers = [driver[0 if how.driving_image else i] for i in range(n_frames)]
    paths = _smooth_paths(sources, drivers, how) if video else None
    placed = [
        _driven(sources[i], drivers[i], drivers[0], how, None if paths is None else paths.at(i))
        for i in range(n_frames)
    ]
    if how.relative and how.expression_friendly and not video and not how.driving_image:
        placed = _kept_proportions(sources[0].transformed(), placed)
    return np.stack(
        [
            _corrected(sources[i].transformed(), placed[i], i, how, corrections or Corrections())
            for i in range(n_frames)
        ]
    )


def _n_frames(n_source: int, n_driver: int, how: Composition) -> int:
    if n_source == 1:
        return 1 if how.driving_image else n_driver
    return n_source if how.driving_image else min(n_source, n_driver)


@dataclass(frozen=True, slots=True, eq=False)
class _Paths:
    """What a source video's expressions and turns are to be."""

    expression: Array  # (N, K, 3)
    rotation: Array  # (N, 3, 3)

    def at(self, i: int) -> tuple[Array, Array]:
        return self.expression[i], self.rotation[i]


def _smooth_paths(source: list[Pose], driver: list[Pose], how: Composition) -> _Paths:
    """Smoothed over the whole clip, unless the driver is one picture."""
    expression = np.stack(
        [_expression(s, d, driver[0], how) for s, d in zip(source, driver, strict=True)]
    )
    turn = np.stack([_turn(s, d, driver[0], how) for s, d in zip(source, driver, strict=True)])
    if how.driving_image:
        return _Paths(expression, turn)
    variance = how.observation_variance
    return _Paths(smooth(expression, variance), smooth(turn, variance))


def _expression(source: Pose, driver: Pose, first: Pose, how: Composition) -> Array:
    """The driver's expression as the source would wear it, whole."""
    if not how.relative:
        return driver.expression
    if how.driving_image:
        rest = np.zeros_like(how.neutral) if how.region == "eyes" else how.neutral
    else:
        rest = first.expression
    return source.expression + (driver.expression - rest)


def _turn(source: Pose, driver: Pose, first: Pose, how: Composition) -> Array:
    if not how.relative:
        return driver.rotation
    return driver.rotation @ first.rotation.T @ source.rotation


def _driven(
    source: Pose, driver: Pose, first: Pose, how: Composition, path: tuple[Array, Array] | None
) -> Array:
    """(K, 3) keypoints of one frame; `path` is that of a source video."""
    wanted, turned = path or (
        _expression(source, driver, first, how),
        _turn(source, driver, first, how),
    )
    mask = _OF_REGION[how.region]
    if how.relative and path is None and how.region in ("all", "exp"):
        mask = WHOLE
    expression = np.where(mask, wanted, source.expression)
    turn = turned if how.turns else source.rotation
    scale, translation = source.scale, source.translation
    if how.relative and path is None:
        if how.region == "all":
            scale = source.scale * (driver.scale / first.scale)
        if how.turns:
            translation = source.translation + (driver.translation - first.translation)
    elif not how.relative and how.turns:
        translation = driver.translation
    return place(source.keypoints, scale, turn, expression, translation)


def _kept_proportions(source: Array, placed: list[Array]) -> list[Array]:
    """Motion since the first frame, scaled as the faces' sizes compare, on the source."""
    size = motion_multiplier(source, placed[0])
    return [source + (points - placed[0]) * size for points in placed]


def motion_multiplier(source: Array, driving: Array) -> float:
    """Square root of the ratio of the volumes of the keypoints' convex hulls."""
    volumes = [scipy.spatial.ConvexHull(points).volume for points in (source, driving)]
    return float(np.sqrt(volumes[0] / volumes[1]))


def _corrected(
    source: Array, driving: Array, frame: int, how: Composition, corrections: Corrections
) -> Array:
    """Stitched and retargeted, then everything times the multiplier."""
    shifts = [
        shift(source, frame)
        for shift in (corrections.retarget_eyes, corrections.retarget_lips)
        if shift is not None
    ]
    if shifts:
        start = source if how.relative else driving  # relative: the driver's motion is dropped
        driving = start + sum(shifts)
    if corrections.stitch is not None:
        driving = corrections.stitch(source, driving)
    if not shifts:
        for rest in (corrections.lip_rest, corrections.eye_rest):
            driving = driving if rest is None else driving + rest
    return source + (driving - source) * how.multiplier
