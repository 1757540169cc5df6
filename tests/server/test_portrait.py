"""Finding faces, reading hand-placed points and cutting crops, on the astronaut."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from inference_server.datatypes import Portrait
from inference_server.errors import (
    ImageUnreadable,
    NoFaceFound,
    RendererUnavailable,
    SpecInvalid,
    WeightsMissing,
)
from inference_server.portrait import kind
from inference_server.portrait.analysis import analyze
from inference_server.portrait.crop import crop_face
from inference_server.portrait.manual import read_landmarks
from inference_server.portrait.resampling import opaque, square, square_affine, square_rgba
from inference_server.portrait.topology import IBUG_68, LIP_INNER_LOWER, LIP_INNER_UPPER, N_SKIN

REPO = Path(__file__).resolve().parents[2]
ASTRONAUT = REPO / "tests" / "fixtures" / "astronaut.png"
# by eye on the fixture, px
PUPIL_RIGHT, PUPIL_LEFT, NOSE = (203, 101), (246.5, 103.5), (223, 126)
MOUTH_RIGHT, MOUTH_LEFT = (202, 139), (247, 139)

Saver = Callable[[np.ndarray], Path]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.array(Image.open(ASTRONAUT).convert("RGB"))


@pytest.fixture(scope="module")
def astronaut() -> Portrait:
    return analyze(ASTRONAUT)


@pytest.fixture
def save(tmp_path: Path) -> Saver:
    def write(image: np.ndarray) -> Path:
        path = tmp_path / "picture.png"
        Image.fromarray(image).save(path)
        return path

    return write


def face_width(mesh: np.ndarray) -> float:
    return float(np.linalg.norm(mesh[454, :2] - mesh[234, :2]))


# ------------------------------------------------------------------------------------- detection


def test_one_face_in_its_place(astronaut: Portrait) -> None:
    (face,) = astronaut.faces
    assert face.source == "mediapipe" and 0.75 < face.score <= 1
    assert face.mesh.shape == (478, 3) and face.landmarks.shape == (68, 2)
    assert face.mesh.dtype == face.landmarks.dtype == face.box.dtype == np.float32
    for point, place, within in (
        (468, PUPIL_RIGHT, 1.5), (473, PUPIL_LEFT, 1.5), (4, NOSE, 3),
        (61, MOUTH_RIGHT, 3), (291, MOUTH_LEFT, 3),
    ):  # fmt: skip
        assert np.linalg.norm(face.mesh[point, :2] - place) < within, point
    assert (face.landmarks == face.mesh[list(IBUG_68), :2]).all()
    assert face.mesh[4, 2] < face.mesh[[234, 454], 2].min(), "the nose is nearer than the ears"
    skin = face.mesh[:N_SKIN, :2]
    assert np.allclose(face.box, [*skin.min(0), *skin.max(0)])
    assert astronaut.kind == "photo"


def test_the_same_picture_gives_the_same_key(astronaut: Portrait, photo: np.ndarray,
                                             save: Saver) -> None:  # fmt: skip
    analyze(save(photo[:, ::-1]))  # something else in between
    again = analyze(save(photo))
    assert again.key == astronaut.key
    assert (again.faces[0].mesh == astronaut.faces[0].mesh).all()
    changed = photo.copy()
    changed[0, 0] ^= 1
    assert analyze(save(changed)).key != astronaut.key


def test_several_faces_largest_first(photo: np.ndarray, save: Saver) -> None:
    canvas = np.full((700, 1100, 3), 120, np.uint8)
    canvas[100:356, 20:276] = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    canvas[150:662, 300:812] = photo
    canvas[40:424, 716:1100] = cv2.resize(photo, (384, 384), interpolation=cv2.INTER_AREA)
    faces = analyze(save(canvas)).faces
    widths = [face_width(face.mesh) for face in faces]
    assert len(faces) == 3
    assert widths == sorted(widths, reverse=True)
    assert np.linalg.norm(faces[0].mesh[4, :2] - np.add(NOSE, (300, 150))) < 3


def test_a_tiny_face_in_a_wide_picture(photo: np.ndarray, save: Saver) -> None:
    canvas = np.full((900, 1600, 3), (70, 90, 80), np.uint8)
    canvas[400:528, 1200:1328] = cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA)
    (face,) = analyze(save(canvas)).faces  # 23 px wide
    assert np.linalg.norm(face.mesh[4, :2] - (1200 + NOSE[0] / 4, 400 + NOSE[1] / 4)) < 3


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pictures(astronaut: Portrait, photo: np.ndarray, save: Saver, turns: int) -> None:
    (face,) = analyze(save(np.rot90(photo, turns))).faces
    x, y = astronaut.faces[0].mesh[:, 0], astronaut.faces[0].mesh[:, 1]
    last = photo.shape[0] - 1
    expected = {1: (y, last - x), 2: (last - x, last - y), 3: (last - y, x)}[turns]
    error = np.linalg.norm(face.mesh[:, :2] - np.stack(expected, axis=1), axis=1).mean()
    assert error < 0.03 * face_width(face.mesh)


def test_a_tilted_head(photo: np.ndarray, save: Saver) -> None:
    affine = cv2.getRotationMatrix2D((256, 256), 35, 0.7)
    (face,) = analyze(save(cv2.warpAffine(photo, affine, (512, 512)))).faces
    assert np.linalg.norm(face.mesh[4, :2] - affine @ (*NOSE, 1)) < 5


def test_a_cut_out_on_nothing(photo: np.ndarray, save: Saver) -> None:
    alpha = np.zeros((512, 512, 1), np.uint8)
    cv2.ellipse(alpha, (224, 130), (75, 105), 0, 0, 360, (255,), -1)
    rgba = np.concatenate([np.where(alpha > 0, photo, 0), alpha], axis=2)
    (face,) = analyze(save(rgba)).faces
    assert np.linalg.norm(face.mesh[4, :2] - NOSE) < 5


@pytest.mark.parametrize("name", ["noise", "ramp", "pixel", "stripes"])
def test_no_face(save: Saver, name: str) -> None:
    picture = {
        "noise": np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8),
        "ramp": np.tile(np.arange(256, dtype=np.uint8)[:, None, None], (1, 200, 3)),
        "pixel": np.zeros((1, 1, 3), np.uint8),
        "stripes": np.tile((np.arange(512) // 8 % 2 * 255)[:, None, None], (1, 64, 3)),
    }[name].astype(np.uint8)
    with pytest.raises(NoFaceFound) as caught:
        analyze(save(picture))
    height, width = picture.shape[:2]
    assert f'"picture.png" ({width}x{height})' in caught.value.message
    assert "by hand" in caught.value.hint


def test_the_photo_without_its_face(photo: np.ndarray, save: Saver) -> None:
    headless = photo.copy()
    headless[10:200, 140:310] = 120
    with pytest.raises(NoFaceFound):
        analyze(save(headless))


def test_unknown_detector() -> None:
    with pytest.raises(RendererUnavailable, match="mediapipe, face_alignment"):
        analyze(ASTRONAUT, detector="magic")


def test_nothing_reaches_stderr() -> None:
    code = (
        "from pathlib import Path; from inference_server.portrait.analysis import analyze;"
        "from inference_server.portrait.crop import crop_face;"
        f"crop_face(analyze(Path({str(ASTRONAUT)!r})), 0, 256); print('done')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("done\n", "")


def test_kind_of_a_line_drawing(astronaut: Portrait, photo: np.ndarray) -> None:
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    lines = cv2.adaptiveThreshold(cv2.medianBlur(grey, 7), 255, 0, cv2.THRESH_BINARY, 15, 6)
    drawing = np.dstack([lines, lines, lines, np.full_like(lines, 255)])
    assert kind.guess(drawing, astronaut.faces[0]) == "drawing"
    dark = np.dstack([(photo * 0.12).astype(np.uint8), np.full_like(lines, 255)])
    assert kind.guess(dark, astronaut.faces[0]) == "photo"


# ---------------------------------------------------------------------------------- hand-placed


def test_points_by_hand_need_no_detection(tmp_path: Path, astronaut: Portrait, save: Saver) -> None:
    blank = save(np.full((512, 512, 3), 200, np.uint8))
    points = tmp_path / "points.json"
    landmarks = astronaut.faces[0].landmarks
    points.write_text(json.dumps({"faces": [{"landmarks": landmarks.tolist(), "score": 1}]}))
    (face,) = analyze(blank, points).faces
    assert face.source == "manual"
    assert np.allclose(face.landmarks, landmarks, atol=1e-3)
    width = face_width(astronaut.faces[0].mesh)
    error = np.linalg.norm(face.mesh[:N_SKIN, :2] - astronaut.faces[0].mesh[:N_SKIN, :2], axis=1)
    assert error.mean() < 0.03 * width
    mesh = astronaut.faces[0].mesh[:, :2]
    points.write_text(json.dumps({"faces": [{"landmarks": mesh.tolist()}]}))
    (face,) = analyze(blank, points).faces
    assert np.allclose(face.mesh[:, :2], mesh, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "no face"),
        ('{"faces": []}', "no face"),
        ('{"faces": [{}]}', "Face 0"),
        ('{"faces": [{"landmarks": [[1, 2]]}]}', "1 x 2 numbers"),
        ('{"faces": [{"landmarks": "none"}]}', "other than numbers"),
        (json.dumps({"faces": [{"landmarks": [[1, 2]] * 68}]}), "one spot"),
        (json.dumps({"faces": [{"landmarks": [[1, None]] * 68}]}), "not finite"),
    ],
)
def test_wrong_landmark_files(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "points.json"
    path.write_text(text)
    with pytest.raises(SpecInvalid, match=words) as caught:
        read_landmarks(path)
    assert "points.json" in caught.value.message and "faces" in caught.value.hint


def test_missing_landmark_file_and_points_outside(tmp_path: Path) -> None:
    with pytest.raises(SpecInvalid, match="No such file"):
        read_landmarks(tmp_path / "gone.json")
    path = tmp_path / "points.json"
    outside = (np.random.default_rng(0).random((68, 2)) * 50 + 5000).tolist()
    path.write_text(json.dumps({"faces": [{"landmarks": outside}]}))
    with pytest.raises(SpecInvalid, match="outside the picture"):
        analyze(ASTRONAUT, path)


# --------------------------------------------------------------------------------- face-alignment


def test_weights_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATE_PORTRAIT_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing) as caught:
        analyze(ASTRONAUT, detector="face_alignment")
    assert "install.py models fetch face-alignment" in caught.value.hint


# ------------------------------------------------------------------------------------------ crops


def test_crop(astronaut: Portrait) -> None:
    crop = crop_face(astronaut, 0, 384)
    assert crop.rgba.shape == (384, 384, 4) and crop.matte.shape == (384, 384)
    assert crop.mesh.dtype == crop.matte.dtype == np.float32
    assert crop.matte_found and crop.kind == "photo"
    height = np.linalg.norm(crop.mesh[152, :2] - crop.mesh[10, :2])
    width = face_width(crop.mesh)
    assert abs(max(height, 1.15 * width) / 384 - 0.44) < 0.03
    back = crop.mesh[:, :2] @ crop.to_picture[:, :2].T + crop.to_picture[:, 2]
    found = astronaut.faces[0].mesh[:, :2]
    assert np.linalg.norm(back - found, axis=1).mean() < 0.02 * face_width(found)
    corners = np.array([[-0.5, -0.5], [383.5, 383.5]]) @ crop.to_picture[:, :2].T
    corners += crop.to_picture[:, 2]
    assert (corners >= -0.5 - 1e-6).all() and (corners <= 511.5 + 1e-6).all()
    again = crop_face(astronaut, 0, 384)
    assert again.key == crop.key and (again.mesh == crop.mesh).all()
    assert crop_face(astronaut, 0, 380).key != crop.key


def test_face_index(astronaut: Portrait) -> None:
    for index in (1, -1):
        with pytest.raises(NoFaceFound, match="1 face"):
            crop_face(astronaut, index, 128)


def test_a_picture_too_small_is_reflected(photo: np.ndarray, save: Saver) -> None:
    tight = photo[75:195, 170:280]  # the face touches all sides
    portrait = analyze(save(tight))
    crop = crop_face(portrait, 0, 256)
    side = crop.to_picture[0, 0] * 256
    assert side > 120
    corner = np.rint(crop.to_picture[:, 2]).astype(int)
    assert corner[0] < 0
    inverse = np.linalg.inv(crop.to_picture[:, :2])
    left_edge = (inverse @ (-crop.to_picture[:, 2]))[0]
    column = int(np.ceil(left_edge)) + 1
    mirror = crop.rgba[100:150, column - 4, :3].astype(int)
    assert np.abs(mirror - crop.rgba[100:150, column + 2, :3]).mean() < 12


def test_a_face_at_the_edge_stays_inside(photo: np.ndarray, save: Saver) -> None:
    portrait = analyze(save(photo[60:, 150:]))
    crop = crop_face(portrait, 0, 256)
    assert (crop.to_picture[:, 2] >= -0.5).all()


def test_square_of_whole_pixels_is_a_copy(photo: np.ndarray) -> None:
    cut = square(photo, np.array([200.0, 150.0]), 100, 100)
    assert (cut == photo[100:200, 150:250]).all()
    assert square_affine(np.array([200.0, 150.0]), 100, 100).tolist() == [[1, 0, 150], [0, 1, 100]]


@pytest.mark.parametrize(("side", "size"), [(400, 100), (150, 100), (37.5, 100)])
def test_square_agrees_with_its_affine(side: float, size: int) -> None:
    ramp = np.tile(np.linspace(0, 250, 600)[None, :, None], (600, 1, 3))
    ramp = np.concatenate([ramp[..., :1], ramp.transpose(1, 0, 2)[..., :2]], axis=2)
    image = np.rint(ramp).astype(np.uint8)
    centre = np.array([301.3, 287.9])
    cut = square(image, centre, side, size).astype(float)
    affine = square_affine(centre, side, size)
    x = affine[0, 0] * np.arange(size) + affine[0, 2]
    y = affine[1, 1] * np.arange(size) + affine[1, 2]
    inner = slice(2, -2)
    assert np.abs(cut[50, inner, 0] - x[inner] * 250 / 599).max() < 1.1
    assert np.abs(cut[inner, 50, 1] - y[inner] * 250 / 599).max() < 1.1
    assert abs((cut[50, inner, 0] - x[inner] * 250 / 599).mean()) < 0.15


def test_hidden_colours_do_not_bleed() -> None:
    rgba = np.zeros((200, 200, 4), np.uint8)
    rgba[..., 1] = 255  # green where nothing is seen
    rgba[60:140, 60:140] = (255, 0, 0, 255)
    cut = square_rgba(rgba, np.array([99.5, 99.5]), 180, 67, cv2.BORDER_REFLECT_101)
    seen = cut[cut[..., 3] > 20]
    assert seen[:, 1].max() < 16 and seen[:, 0].min() > 239


def test_opaque_blends_over_light_grey() -> None:
    rgba = np.array([[[10, 20, 30, 255], [0, 0, 0, 0], [255, 255, 255, 128]]], np.uint8)
    assert opaque(rgba).tolist() == [[[10, 20, 30], [224] * 3, [240] * 3]]


def test_lips_of_an_open_mouth_are_left_alone(astronaut: Portrait) -> None:
    crop = crop_face(astronaut, 0, 512)
    gap = crop.mesh[list(LIP_INNER_LOWER), 1] - crop.mesh[list(LIP_INNER_UPPER), 1]
    assert gap[5] > 0.03 * face_width(crop.mesh)


# -------------------------------------------------------------------------------- large and media


@pytest.mark.slow
def test_a_huge_picture_in_time_and_memory(tmp_path: Path, photo: np.ndarray) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("asks Linux for the memory: ru_maxrss counts that of the parent process too")
    path = tmp_path / "huge.jpg"
    Image.fromarray(cv2.resize(photo, (6000, 6000))).save(path)
    code = (
        "import time; from pathlib import Path;"
        "from inference_server.portrait.analysis import analyze; t = time.time();"
        f"faces = analyze(Path({str(path)!r})).faces;"
        "status = Path('/proc/self/status').read_text();"
        "print(len(faces), time.time() - t, status.split('VmHWM:')[1].split()[0])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    count, seconds, kilobytes = run.stdout.split()
    assert count == "1"
    assert float(seconds) < 15  # 4 s on an idle core
    assert int(kilobytes) < 1_200_000


MEDIA = REPO.parent / "shared" / "media"
UNREADABLE = ("text_file_named.png", "truncated_half__astronaut.jpg", "zero_bytes.jpg")
NO_FACE = (
    "animal_cat_chelsea.png", "bad_exif_hopper.jpg", "blurred__astronaut.jpg",
    "bw_soldiers_2560.jpg", "cartoon_nonhuman_bluehead.jpg", "drawing_child_stickfigure.png",
    "noface_coffee_cup.png", "noface_mountain_vector.jpg", "noface_starry_night.jpg",
    "one_pixel__astronaut.png", "painting_the_scream_munch.jpg", "tiny_48px__astronaut.png",
)  # fmt: skip


@pytest.mark.slow
def test_every_hard_picture() -> None:
    folder = MEDIA / "hard"
    if not folder.is_dir():
        pytest.skip(f"needs the development media in {folder}")
    for path in sorted(folder.iterdir()):
        outcome = "face"
        try:
            crop_face(analyze(path), 0, 256)
        except (NoFaceFound, ImageUnreadable) as error:
            outcome = error.kind
        expected = "ImageUnreadable" if path.name in UNREADABLE else "face"
        expected = "NoFaceFound" if path.name in NO_FACE else expected
        assert outcome == expected, path.name


@pytest.mark.slow
def test_every_portrait() -> None:
    folder = MEDIA / "portraits"
    if not folder.is_dir():
        pytest.skip(f"needs the development media in {folder}")
    for path in sorted(folder.iterdir()):
        portrait = analyze(path)
        assert len(portrait.faces) == 1, path.name
        assert crop_face(portrait, 0, 512).matte_found, path.name
