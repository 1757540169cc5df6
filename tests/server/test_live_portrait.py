"""LivePortrait's networks and the functions around them, against the facts of its release."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from inference_server import cli, image_io, pipeline, registry
from inference_server.datatypes import Look, Motion
from inference_server.errors import WeightsCorrupt, WeightsMissing
from inference_server.models.live_portrait import (
    EYE_WIDTHS,
    LIP_WIDTHS,
    STITCHING_WIDTHS,
    AppearanceDims,
    AppearanceExtractor,
    Generator,
    GeneratorDims,
    MotionDims,
    MotionExtractor,
    Perceptron,
    Warper,
    WarperDims,
    released,
)
from inference_server.models.live_portrait.layers import coordinate_grid
from inference_server.models.live_portrait.released import Sizes
from inference_server.motion.channels import apply
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.renderers.live_portrait import (
    LivePortrait,
    composition,
    crop,
    directions,
    keypoints,
    paste,
    smoothing,
)
from inference_server.renderers.live_portrait.composition import Composition, Corrections, compose
from inference_server.renderers.live_portrait.keypoints import Pose
from inference_server.renderers.live_portrait.renderer import driving_keypoints

TINY_WARPER = WarperDims(
    width=4, max_width=16, volume_width=8, volume_depth=4, n_halvings=2, out_width=16
)


def digest(net: nn.Module) -> str:
    """Names, shapes and types of all tensors."""
    lines = sorted(
        f"{name} {'x'.join(map(str, value.shape))} {str(value.dtype).removeprefix('torch.')}"
        for name, value in net.state_dict().items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("net", "n_parameters", "tensors"),
    [  # digests of the released checkpoints' tables, specs/liveportrait_keys.json
        (AppearanceExtractor, 836_224, "a73a7c86e641aecc"),
        (MotionExtractor, 28_118_728, "5297ea63395a0491"),
        (Warper, 45_529_829, "f1be333f5fa76182"),
        (Generator, 55_365_388, "c0b31dd2dee894ea"),
        (lambda: Perceptron(STITCHING_WIDTHS), 45_249, "29798fc804df06c3"),
        (lambda: Perceptron(LIP_WIDTHS), 37_311, "e8d0f29d6a0ea03e"),
        (lambda: Perceptron(EYE_WIDTHS), 144_703, "8e151c90f2afbff7"),
    ],
    ids=["appearance", "motion", "warper", "generator", "stitching", "lips", "eyes"],
)
def test_networks_have_the_tensors_of_the_released_ones(net, n_parameters, tensors):
    with torch.device("meta"):
        built = net()
    assert sum(value.numel() for value in built.parameters()) == n_parameters
    assert digest(built) == tensors


def test_shapes_of_small_networks():
    torch.manual_seed(0)
    picture = torch.rand(2, 3, 64, 64)
    look = AppearanceExtractor(AppearanceDims(8, 32, 2, 8, 4, 1)).eval()
    volume = look(picture)
    assert volume.shape == (2, 8, 4, 16, 16)
    info = MotionExtractor(MotionDims(depths=(1, 1, 1, 1), widths=(8, 8, 8, 8))).eval()(picture)
    shapes = {name: tuple(value.shape[1:]) for name, value in info.items()}
    assert shapes == {
        "pitch": (66,),
        "yaw": (66,),
        "roll": (66,),
        "t": (3,),
        "exp": (63,),
        "kp": (63,),
        "scale": (1,),
    }
    points = torch.rand(2, 21, 3) * 2 - 1
    warped = Warper(TINY_WARPER).eval()(volume, points, points)
    assert warped.features.shape == (2, 16, 16, 16)
    assert warped.occlusion.shape == (2, 1, 16, 16)
    drawn = Generator(GeneratorDims(16, 8, 16, 1, 8)).eval()(warped.features)
    assert drawn.shape == (2, 3, 128, 128)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_volume_that_does_not_fit_its_channels_is_refused():
    with pytest.raises(
        ValueError, match="volume_width 8 times volume_depth 4 must be max_width 99"
    ):
        AppearanceDims(8, 99, 2, 8, 4, 1)


def test_nothing_moves_when_the_keypoints_do_not():
    torch.manual_seed(1)
    points = torch.rand(1, 21, 3) * 2 - 1
    warped = Warper(TINY_WARPER).eval()(torch.randn(1, 8, 4, 16, 16), points, points)
    torch.testing.assert_close(warped.deformation[0], coordinate_grid(4, 16, 16))


def test_the_background_stays_and_the_keypoints_pull():
    """With all weight on one flow, the deformation is that flow: driving first, source second."""
    warper = Warper(TINY_WARPER).eval()
    mask = warper.dense_motion_network.mask
    nn.init.zeros_(mask.weight)
    nn.init.constant_(mask.bias, -30.0)
    with torch.no_grad():
        mask.bias[3] = 30.0  # the background comes first: this is keypoint 2
    source = torch.rand(1, 21, 3)
    driving = source.clone()
    driving[0, 2] += torch.tensor([0.25, 0.0, -0.5])
    warped = warper(torch.randn(1, 8, 4, 16, 16), driving, source)
    shift = warped.deformation[0] - coordinate_grid(4, 16, 16)
    torch.testing.assert_close(shift, torch.tensor([-0.25, 0.0, 0.5]).expand(4, 16, 16, 3))


def test_generator_folds_its_spectral_norms_without_a_change():
    torch.manual_seed(2)
    net = Generator(GeneratorDims(16, 8, 16, 1, 8)).eval()
    features = torch.randn(1, 16, 8, 8)
    with torch.inference_mode():
        before = net(features)
        net.fold()
        assert torch.equal(net(features), before)
    assert torch.linalg.matrix_norm(net.up_0.conv_0.weight.flatten(1), 2).item() == pytest.approx(
        1, rel=0.05
    )


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


TINY = Sizes(
    AppearanceDims(8, 32, 2, 8, 4, 1),
    MotionDims(depths=(1, 1, 1, 1), widths=(8, 8, 8, 8)),
    TINY_WARPER,
    GeneratorDims(16, 8, 16, 1, 8),
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder like that of the official release, of small networks with random weights."""
    torch.manual_seed(3)
    networks = released.build(TINY)
    base, small = tmp_path / "base_models", tmp_path / "retargeting_models"
    base.mkdir()
    small.mkdir()
    for name, file in (
        ("appearance", "appearance_feature_extractor.pth"),
        ("motion", "motion_extractor.pth"),
        ("warper", "warping_module.pth"),
        ("generator", "spade_generator.pth"),
    ):
        torch.save(networks.by_name[name].state_dict(), base / file)
    perceptrons = {
        "retarget_shoulder": networks.stitching.state_dict(),
        "retarget_mouth": {f"module.{k}": v for k, v in networks.lips.state_dict().items()},
        "retarget_eye": networks.eyes.state_dict(),
        "something else": torch.zeros(3),
    }
    torch.save(perceptrons, small / "stitching_retargeting_module.pth")
    return tmp_path


def test_a_release_is_imported_and_loaded(release, tmp_path):
    home = tmp_path / "models"
    paths = released.import_release(release, home, sizes=TINY)
    assert [path.name for path in paths][-1] == "manifest.json"
    loaded = released.load(home)
    original = torch.load(release / "base_models" / "spade_generator.pth", weights_only=True)
    assert torch.equal(loaded.generator.state_dict()["fc.weight"], original["fc.weight"])
    assert len(released.digest(home)) == 64
    assert "MIT" in (home / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("fc.bias"), "fc.bias is missing"),
        (lambda state: state.update(more=torch.zeros(1)), "more is not known"),
        (
            lambda state: state.update({"fc.bias": torch.zeros(5)}),
            r"fc.bias has the shape \(5,\), not \(16,\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_written(
    release, tmp_path, change, message
):
    path = release / "base_models" / "spade_generator.pth"
    state = dict(torch.load(path, weights_only=True))
    change(state)
    torch.save(state, path)
    with pytest.raises(WeightsCorrupt, match=message):
        released.import_release(release, tmp_path / "models", sizes=TINY)
    assert not (tmp_path / "models").exists()


def test_files_that_are_missing_damaged_or_hold_code(release, tmp_path):
    path = release / "base_models" / "motion_extractor.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(WeightsCorrupt, match="cannot be read as weights"):
        released.import_release(release, tmp_path / "models", sizes=TINY)
    path.write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(WeightsCorrupt, match="cannot be read as weights"):
        released.import_release(release, tmp_path / "models", sizes=TINY)
    path.unlink()
    with pytest.raises(WeightsMissing, match='holds no "motion_extractor.pth"'):
        released.import_release(release, tmp_path / "models", sizes=TINY)


def test_imported_files_are_checked_when_they_are_loaded(release, tmp_path):
    home = tmp_path / "models"
    with pytest.raises(WeightsMissing) as missing:
        released.load(home)
    assert "models import live_portrait FOLDER" in missing.value.hint
    released.import_release(release, home, sizes=TINY)
    (home / "lips.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsCorrupt, match=r"lips.safetensors.* is missing or damaged"):
        released.load(home)


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with weights of small networks."""
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "home"))
    torch.manual_seed(4)
    released.write(released.build(TINY), TINY, tmp_path / "home" / "models" / "live_portrait")
    return tmp_path / "home"


def available(name: str) -> dict[str, object]:
    return next(row for row in registry.listing(registry.RENDERERS) if row["name"] == name)


def test_without_weights_it_says_which_command_helps(shot, tmp_path, monkeypatch):
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "home"))
    row = available("live_portrait")
    assert not row["available"]
    assert "animate-portrait models import live_portrait FOLDER" in str(row["reason"])
    with pytest.raises(WeightsMissing):
        pipeline.render(shot(renderer="live_portrait"))


@pytest.mark.parametrize("framing", ["crop", "picture"])
def test_a_shot_is_drawn_with_small_networks(shot, imported, framing):
    assert available("live_portrait")["available"]
    spec = shot(renderer="live_portrait", n_frames=3, size=192, params={"framing": framing})
    take = pipeline.render(spec)
    assert take.rendered == (0, 1, 2)
    first = image_io.read_picture(spec.out_dir / "000000.png")
    again = shot("again", renderer="live_portrait", n_frames=3, size=192, style="ink",
                 params={"framing": framing})  # fmt: skip
    styled = pipeline.render(again)
    assert styled.rendered == (0, 1, 2)
    assert (image_io.read_picture(again.out_dir / "000000.png") != first).any()


def test_other_weights_are_other_frames(shot, imported):
    one = pipeline.render(shot(renderer="live_portrait", n_frames=1, size=128))
    torch.manual_seed(5)
    released.write(released.build(TINY), TINY, imported / "models" / "live_portrait")
    two = pipeline.render(shot("again", renderer="live_portrait", n_frames=1, size=128))
    assert one.frame_keys != two.frame_keys


def test_each_channel_moves_keypoints(portrait_path, imported):
    portrait = analyze(portrait_path)
    look = Look(256, "photo", "crop", False, 0)
    prepared = LivePortrait().prepare(portrait, crop_face(portrait, 0, 256), look)
    rest = neutral(3)
    still = driving_keypoints(prepared, rest, 0)
    values = {"lip_open": 0.6, "lip_width": 0.5, "lip_round": 0.7, "smile": 0.5, "brow": -0.5,
              "eye_open_l": 0.2, "eye_open_r": 0.2, "gaze_x": 10.0, "gaze_y": 5.0,
              "head_yaw": 10.0, "head_pitch": 5.0, "head_roll": -5.0}  # fmt: skip
    for name, value in values.items():
        moved = driving_keypoints(prepared, apply(rest, {name: {1: value}}), 1)
        assert np.abs(moved - still).max() > 1e-5, name


def test_head_turns_as_the_channels_say():
    """A keypoint at the tip of the nose goes right, up, and down on the right when it tilts."""
    nose, ear = np.zeros((21, 3)), np.zeros((21, 3))
    nose[0], ear[0] = [0, 0, -1], [1, 0, 0]
    at = {}
    for name, points in (("nose", nose), ("ear", ear)):
        pose = Pose(1.0, np.eye(3), np.zeros((21, 3)), np.zeros(3), points)
        at[name] = [
            directions.posed(pose, (0, 0, 0), np.eye(6)[column] * 20, np.zeros((21, 3)), 1.0)[0]
            for column in range(3)
        ]
    assert at["nose"][0][0] > 0.3
    assert at["nose"][1][1] < -0.3
    assert at["ear"][2][1] > 0.3


def test_native_motion_passes_through(portrait_path, imported):
    portrait = analyze(portrait_path)
    look = Look(256, "photo", "crop", False, 0)
    prepared = LivePortrait().prepare(portrait, crop_face(portrait, 0, 256), look)
    still = dataclasses.replace(neutral(2), native={"live_portrait": np.zeros((2, 63), np.float32)})
    moved = {"live_portrait": np.full((2, 63), 0.1, np.float32)}
    nudged = dataclasses.replace(still, native=moved)
    difference = driving_keypoints(prepared, nudged, 0) - driving_keypoints(prepared, still, 0)
    assert difference.mean() == pytest.approx(0.1, abs=0.05)


def neutral(n_frames: int) -> Motion:
    return Motion(
        Fraction(24),
        np.zeros((n_frames, 52), np.float32),
        np.zeros((n_frames, 6), np.float32),
        np.zeros((n_frames, 2), np.float32),
    )


def test_the_command_imports_and_names_the_licence(release, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path / "home"))
    assert cli.main(["models", "import", "live_portrait", str(release)]) == 1  # small: misshapen
    told = capfd.readouterr()
    assert "MIT" in told.out
    assert "has the shape" in told.err
    assert not (tmp_path / "home" / "models" / "live_portrait").exists()


def test_the_command_needs_a_folder(capfd):
    assert cli.main(["models", "import", "live_portrait"]) == 1
    assert "needs one folder, and 0 were given" in capfd.readouterr().err
