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
    directions,
)
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
