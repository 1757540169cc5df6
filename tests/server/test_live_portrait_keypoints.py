"""LivePortrait's composition, smoothing, crop and paste-back, against the facts of its release."""

from __future__ import annotations

import numpy as np
import pytest

from inference_server.portrait.analysis import analyze
from inference_server.renderers.live_portrait import (
    composition,
    crop,
    keypoints,
    paste,
    smoothing,
)
from inference_server.renderers.live_portrait.composition import Composition, Corrections, compose
from inference_server.renderers.live_portrait.keypoints import Pose


def test_head_pose():
    assert keypoints.degrees(np.zeros((1, 66)))[0] == pytest.approx(0.0)
    one_hot = np.full((1, 66), -100.0)
    one_hot[0, 32] = 100.0
    assert keypoints.degrees(one_hot)[0] == pytest.approx(-1.5)
    assert keypoints.degrees(np.array([[12.0]]))[0, 0] == 12.0
    turn = keypoints.rotation(10.0, -20.0, 30.0)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    # row vectors: a yaw of 90 degrees takes z to x, a pitch takes y to z, a roll x to y
    np.testing.assert_allclose([0, 0, 1] @ keypoints.rotation(0, 90, 0), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose([0, 1, 0] @ keypoints.rotation(90, 0, 0), [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose([1, 0, 0] @ keypoints.rotation(0, 0, 90), [0, 1, 0], atol=1e-12)


def some_pose(seed: int, angles: tuple[float, float, float] = (5.0, -8.0, 3.0)) -> Pose:
    rng = np.random.default_rng(seed)
    return Pose(
        scale=1.2 + 0.1 * rng.random(),
        rotation=keypoints.rotation(*angles),
        expression=0.05 * rng.standard_normal((21, 3)),
        translation=np.append(0.1 * rng.standard_normal(2), 0.7),
        keypoints=0.4 * np.random.default_rng(99).standard_normal((21, 3)),
    )


def test_the_source_itself_moves_nothing():
    source = some_pose(1)
    for friendly in (False, True):
        how = Composition(expression_friendly=friendly)
        np.testing.assert_allclose(
            compose([source], [source], how)[0], source.transformed(), atol=1e-12
        )


def test_relative_motion_starts_at_the_source_whatever_the_driver():
    source, driver = some_pose(1), [some_pose(2), some_pose(3, (0.0, 20.0, 0.0))]
    placed = compose([source], driver, Composition(expression_friendly=False))
    np.testing.assert_allclose(placed[0], source.transformed(), atol=1e-12)
    turn = driver[1].rotation @ driver[0].rotation.T @ source.rotation
    expression = source.expression + driver[1].expression - driver[0].expression
    scale = source.scale * driver[1].scale / driver[0].scale
    shift = source.translation + driver[1].translation - driver[0].translation
    expected = scale * (source.keypoints @ turn + expression) + [shift[0], shift[1], 0]
    np.testing.assert_allclose(placed[1], expected, atol=1e-12)


def test_expression_friendly_keeps_the_proportions_of_the_source():
    source, driver = some_pose(1), [some_pose(2), some_pose(3)]
    plain = compose([source], driver, Composition(expression_friendly=False))
    friendly = compose([source], driver, Composition())
    size = composition.motion_multiplier(source.transformed(), plain[0])
    expected = source.transformed() + (plain[1] - plain[0]) * size
    np.testing.assert_allclose(friendly[1], expected, atol=1e-12)


def test_motion_multiplier_is_the_root_of_volumes():
    cube = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    assert composition.motion_multiplier(2 * cube, cube) == pytest.approx(np.sqrt(8))


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize(
    ("region", "points"), [("lip", composition.LIP), ("eyes", composition.EYES)]
)
def test_a_region_moves_alone(relative, region, points):
    source, driver = some_pose(1), [some_pose(2), some_pose(3, (0.0, 20.0, 0.0))]
    how = Composition(relative=relative, region=region, expression_friendly=False)
    moved = np.abs(compose([source], driver, how)[1] - source.transformed()).max(1) > 1e-9
    assert set(np.flatnonzero(moved)) == set(points)


def test_pose_alone_leaves_the_expression():
    source, driver = some_pose(1), [some_pose(2), some_pose(3, (0.0, 20.0, 0.0))]
    placed = compose([source], driver, Composition(relative=False, region="pose"))[1]
    shift = [*driver[1].translation[:2], 0]
    turned = source.keypoints @ driver[1].rotation + source.expression
    np.testing.assert_allclose(placed, source.scale * turned + shift, atol=1e-12)


def test_absolute_takes_only_what_does_not_shift_the_head():
    source, driver = some_pose(1), [some_pose(2)]
    placed = compose([source], driver, Composition(relative=False, region="exp"))[0]
    changed = np.abs(placed - source.transformed()) > 1e-9
    assert np.array_equal(changed, composition.PART)
    assert composition.PART.sum() == 13 * 3 + 2 + 1 + 1 + 2


def test_a_driving_picture_is_taken_against_the_neutral_expression():
    source, driver = some_pose(1), some_pose(2, (0.0, 20.0, 0.0))
    neutral = np.full((21, 3), 0.01)
    how = Composition(driving_image=True, neutral=neutral)
    expression = source.expression + driver.expression - neutral
    expected = keypoints.place(
        source.keypoints, source.scale, source.rotation, expression, source.translation
    )
    np.testing.assert_allclose(compose([source], [driver], how)[0], expected, atol=1e-12)


def test_a_source_video_keeps_its_own_scale_and_place():
    source = [some_pose(i) for i in range(5)]
    driver = [some_pose(10 + i, (0.0, float(i), 0.0)) for i in range(4)]
    how = Composition()
    placed = compose(source, driver, how)
    assert len(placed) == 4
    expressions = np.stack(
        [
            s.expression + d.expression - driver[0].expression
            for s, d in zip(source, driver, strict=False)
        ]
    )
    turns = np.stack(
        [
            d.rotation @ driver[0].rotation.T @ s.rotation
            for s, d in zip(source, driver, strict=False)
        ]
    )
    expression = np.where(composition.PART, smoothing.smooth(expressions)[2], source[2].expression)
    expected = keypoints.place(
        source[2].keypoints,
        source[2].scale,
        smoothing.smooth(turns)[2],
        expression,
        source[2].translation,
    )
    np.testing.assert_allclose(placed[2], expected, atol=1e-12)


def test_corrections():
    source, driver = some_pose(1), [some_pose(2), some_pose(3)]
    plain = compose([source], driver, Composition())
    rest = np.full((21, 3), 0.02)
    closed = compose([source], driver, Composition(), Corrections(lip_rest=rest))
    np.testing.assert_allclose(closed, plain + rest, atol=1e-12)
    stitched = compose(
        [source], driver, Composition(multiplier=0.5), Corrections(stitch=lambda s, d: d + 1)
    )
    start = source.transformed()
    np.testing.assert_allclose(stitched, start + (plain + 1 - start) * 0.5, atol=1e-12)
    retargeted = compose(
        [source],
        driver,
        Composition(),
        Corrections(retarget_lips=lambda s, frame: rest * frame, lip_rest=rest),
    )
    np.testing.assert_allclose(retargeted[1], start + rest, atol=1e-12)  # not the driver's motion


def test_nothing_to_compose_is_refused():
    with pytest.raises(ValueError, match="1 source and 0 driving poses"):
        compose([some_pose(1)], [], Composition())


def test_smoothing_solves_its_least_squares():
    """The smoothed path is the minimum of the walk's and the observations' squared errors."""
    rng = np.random.default_rng(0)
    noisy = np.cumsum(rng.standard_normal(30)) * 3e-3 + rng.standard_normal(30) * 1e-3
    q, r = smoothing.PROCESS_VARIANCE, 1e-6
    system = np.eye(30) / r
    system[0, 0] += 1.0  # initial variance 1 about the first sample
    for i in range(29):
        system[i : i + 2, i : i + 2] += np.array([[1, -1], [-1, 1]]) / q
    right = noisy / r
    right[0] += noisy[0]
    expected = np.linalg.solve(system, right)
    np.testing.assert_allclose(smoothing.smooth(noisy, r), expected, atol=1e-9)


def a_face(size: int) -> np.ndarray:
    """Points of a level face: eyes at y 40, mouth at y 80, of the set with that many points."""
    points = np.tile([50.0, 50.0], (size, 1))
    known = crop.POINT_SETS[size]
    for side, indices in ((-1, known.left_eye), (1, known.right_eye)):
        points[list(indices)] = [50 + 20 * side, 40]
    points[list(known.corners)] = [[40, 80], [60, 80]]
    return points


@pytest.mark.parametrize("size", sorted(crop.POINT_SETS))
def test_crop_finds_the_same_square_from_every_point_set(size):
    matrix = crop.crop_matrix(a_face(size), 512, crop.SOURCE_FRAMING)
    zoom = 512 / (40 * 2.3)  # the points span 40 px on both axes
    np.testing.assert_allclose(matrix[:, :2], zoom * np.eye(2), atol=1e-9)
    centre = np.array([50, 60 - 0.125 * 40 * 2.3])
    np.testing.assert_allclose(matrix @ [*centre, 1], [256, 256], atol=1e-9)


def test_crop_levels_a_tilted_source_but_not_a_driver():
    angle = np.radians(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    tilted = a_face(203) @ turn.T
    source = crop.crop_matrix(tilted, 256, crop.SOURCE_FRAMING)
    eyes = [source @ [*tilted[list(side)].mean(0), 1] for side in ((0, 6), (24, 30))]
    assert eyes[0][1] == pytest.approx(eyes[1][1])
    driving = crop.crop_matrix(tilted, 256, crop.DRIVING_FRAMING)
    assert driving[0, 1] == pytest.approx(0)


def test_unknown_point_sets():
    with pytest.raises(ValueError, match="7 points are no known set"):
        crop.crop_matrix(np.zeros((7, 2)), 512, crop.SOURCE_FRAMING)
    longer = np.vstack([a_face(101), np.full((30, 2), 1e4)])
    np.testing.assert_allclose(
        crop.crop_matrix(longer, 512, crop.SOURCE_FRAMING),
        crop.crop_matrix(a_face(101), 512, crop.SOURCE_FRAMING),
    )


def test_ratios_of_both_point_sets(portrait_path):
    points = np.zeros((203, 2))
    points[[6, 18]], points[[0, 12]] = [[0, 0], [0, 3]], [[-5, 0], [5, 0]]
    points[[30, 42]], points[[24, 36]] = [[0, 0], [0, 2]], [[-5, 0], [5, 0]]
    points[[90, 102]], points[[48, 66]] = [[0, 0], [0, 1]], [[-10, 0], [10, 0]]
    found = crop.ratios(points)
    assert (found.left_eye, found.right_eye, found.lips) == pytest.approx((0.3, 0.2, 0.05))
    straight = crop.ratios(analyze(portrait_path).faces[0].mesh)
    assert 0.15 < straight.left_eye < 0.5
    assert straight.right_eye == pytest.approx(straight.left_eye, rel=0.3)
    with pytest.raises(ValueError, match="not 68"):
        crop.ratios(np.zeros((68, 2)))


def test_paste_back_touches_nothing_outside_its_mask():
    mask = paste.border_mask()
    assert [mask[at] for at in ((0, 0), (8, 8), (16, 16), (256, 498))] == [0, 74, 255, 223]
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    to_picture = np.array([[0.25, 0, 100.0], [0, 0.25, 50.0]])
    crop_pixels = np.full((512, 512, 3), 7, np.uint8)
    pasted = paste.paste_back(crop_pixels, picture, to_picture)
    assert (pasted[60:170, 110:220] == 7).all()
    outside = np.ones((300, 400), bool)
    outside[49:180, 99:230] = False
    assert np.array_equal(pasted[outside], picture[outside])


def test_pictures_are_cut_off_to_bytes():
    floats = np.array([0.0, 0.999, 1.2, -0.1], np.float32).reshape(1, 1, 2, 2)
    assert paste.to_bytes(np.repeat(floats, 3, 1))[0, :, :, 0].ravel().tolist() == [0, 254, 255, 0]
