"""The second detector with weights of the right shape and random content: no real ones may ship."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from inference_server.errors import WeightsCorrupt
from inference_server.portrait import fan_points
from inference_server.portrait.face_mesh import template
from inference_server.portrait.fan_points import FanPoints, WeightFile
from inference_server.portrait.topology import IBUG_68


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def files(home: Path) -> tuple[WeightFile, WeightFile]:
    """Both weight files, named by their sha256 as the published ones are."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    torch.manual_seed(0)
    folder = home / "models" / "face_alignment"
    folder.mkdir(parents=True)
    named = []
    for network, pattern in ((s3fd(), "s3fd-{}.pth"), (FAN(4), "3DFAN4-{}.pth.tar")):
        path = folder / "weights"
        torch.save(network.state_dict(), path)
        name = pattern.format(hashlib.sha256(path.read_bytes()).hexdigest()[:10])
        path.rename(folder / name)
        named.append(WeightFile(name))
    return named[0], named[1]


@pytest.fixture
def installed(
    home: Path, files: tuple[WeightFile, WeightFile], monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(home))
    monkeypatch.setattr(fan_points, "BOX_WEIGHTS", files[0])
    monkeypatch.setattr(fan_points, "POINT_WEIGHTS", files[1])
    return home / "models" / "face_alignment"


def test_faces_without_network_or_side_effects(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    assert fan_points.available()
    detector = FanPoints()
    assert torch.backends.cudnn.benchmark is False

    class Boxes:
        """In place of the box network, whose random weights see nothing."""

        reference_scale = 195

        def detect_from_image(self, image: np.ndarray) -> list[np.ndarray]:
            assert max(image.shape[:2]) == 1024, "searched in a smaller copy"
            return [np.array([100, 100, 300, 320, 0.7]), np.array([500, 100, 700, 320, 0.9])]

    monkeypatch.setattr(detector._network, "face_detector", Boxes())
    points = template()[list(IBUG_68), :2] * 400 + 800
    monkeypatch.setattr(
        detector._network,
        "get_landmarks_from_image",
        lambda _image, detected_faces: [points + box[0] for box in detected_faces],
    )
    faces = detector.detect(np.zeros((1500, 2048, 3), np.uint8))
    assert [round(face.score, 2) for face in faces] == [0.9, 0.7]
    assert np.allclose(faces[0].landmarks, points + 1000), "boxes are in px of the picture"
    assert faces[0].mesh.shape == (478, 3) and faces[0].source == "face_alignment"


@pytest.mark.slow
def test_the_network_itself_runs(installed: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    box = [np.array([50, 50, 200, 200, 0.9])]
    points = FanPoints()._network.get_landmarks_from_image(image, detected_faces=box)
    assert len(points) == 1 and points[0].shape == (68, 2)


def test_a_damaged_file_is_named(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = WeightFile("s3fd-0123456789.pth")
    (installed / other.name).write_bytes(b"not these")
    monkeypatch.setattr(fan_points, "BOX_WEIGHTS", other)
    with pytest.raises(WeightsCorrupt, match="s3fd-0123456789.pth") as caught:
        FanPoints()
    assert "models fetch face-alignment" in caught.value.hint
