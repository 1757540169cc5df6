"""Reading any picture and writing frames; every file is made here from the astronaut."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from inference_server import image_io
from inference_server.errors import ImageUnreadable
from inference_server.image_io import read_frame_key, read_picture, write_frame

REPO = Path(__file__).resolve().parents[2]
ASTRONAUT = REPO / "tests" / "fixtures" / "astronaut.png"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """128 px of the astronaut; blocks of one colour would hide transposed axes."""
    return Image.open(ASTRONAUT).convert("RGB").resize((128, 96))


def rgb(path: Path) -> np.ndarray:
    picture = read_picture(path)
    assert picture.dtype == np.uint8 and picture.shape[2] == 4
    assert picture.flags["C_CONTIGUOUS"]
    return picture[..., :3].astype(float)


def error_db(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR, dB."""
    return 10 * np.log10(255**2 / max(float(np.mean((a - np.asarray(b, float)) ** 2)), 1e-9))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "webp", "tga", "ppm", "jpg", "jp2"])
def test_common_formats(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    photo.save(path)
    assert error_db(rgb(path), photo) > 24
    assert (read_picture(path)[..., 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation(tmp_path: Path, photo: Image.Image, orientation: int) -> None:
    # how the camera stored it: the inverse of what the tag asks a viewer to do
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = photo
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("jpg", "png", "webp", "tif"):
        path = tmp_path / f"a.{suffix}"
        stored.save(path, exif=exif)
        assert error_db(rgb(path), photo) > 24, suffix


def test_damaged_exif_is_ignored(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.jpg"
    photo.save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f rubbish")
    assert error_db(rgb(path), photo) > 24


def test_cmyk_with_adobe_inversion(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.jpg"
    photo.convert("CMYK").save(path, quality=95)
    assert b"Adobe" in path.read_bytes()
    assert error_db(rgb(path), photo) > 24


def test_16_bit_rgb_and_grey(tmp_path: Path, photo: Image.Image) -> None:
    deep = np.asarray(photo).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "rgb.png"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "rgb.tif"), deep[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), deep[..., 1])
    cv2.imwrite(str(tmp_path / "grey.tif"), deep[..., 1])
    for name in ("rgb.png", "rgb.tif"):
        assert np.abs(rgb(tmp_path / name) - np.asarray(photo)).max() <= 1, name
    for name in ("grey.png", "grey.tif"):
        green = np.asarray(photo)[..., 1:2].astype(float)
        assert np.abs(rgb(tmp_path / name) - green).max() <= 1, name


@pytest.mark.parametrize("suffix", ["exr", "tif", "hdr"])
def test_float_is_linear_light(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    code = np.asarray(photo)[..., ::-1].astype(np.float32) / 255
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    linear[:4, :4] = 7.5  # a highlight
    path = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(path), linear.astype(np.float32))
    expected = np.asarray(photo).copy()
    expected[:4, :4] = 255
    assert error_db(rgb(path), expected) > 40


def test_exr_alpha_is_made_straight(tmp_path: Path) -> None:
    premultiplied = np.full((8, 8, 4), 0.5, np.float32)  # white at half coverage
    path = tmp_path / "a.exr"
    assert cv2.imwrite(str(path), premultiplied)
    assert (read_picture(path) == (255, 255, 255, 128)).all()


def test_float_grey_tiff(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (8, 1))
    Image.fromarray(ramp).save(tmp_path / "linear.tif")
    Image.fromarray(ramp * 255).save(tmp_path / "code.tif")
    assert abs(read_picture(tmp_path / "linear.tif")[0, 32, 0] - 188) <= 2  # sRGB of 0.508
    assert abs(read_picture(tmp_path / "code.tif")[0, 32, 0] - 130) <= 1


def test_lab(tmp_path: Path, photo: Image.Image) -> None:
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    path = tmp_path / "a.tif"
    ImageCms.applyTransform(photo, to_lab).save(path)
    assert Image.open(path).mode == "LAB"
    assert error_db(rgb(path), photo) > 30


def test_palette_and_grey(tmp_path: Path, photo: Image.Image) -> None:
    photo.quantize(64).save(tmp_path / "palette.png")
    photo.convert("L").save(tmp_path / "grey.jpg")
    photo.convert("1").save(tmp_path / "bits.png")
    assert error_db(rgb(tmp_path / "palette.png"), photo) > 20
    grey = rgb(tmp_path / "grey.jpg")
    assert (grey[..., 0] == grey[..., 2]).all()
    assert set(np.unique(rgb(tmp_path / "bits.png"))) == {0.0, 255.0}


def test_alpha_stays_straight(tmp_path: Path, photo: Image.Image) -> None:
    alpha = Image.linear_gradient("L").resize(photo.size)
    rgba = photo.copy()
    rgba.putalpha(alpha)
    rgba.save(tmp_path / "rgba.png")
    assert (read_picture(tmp_path / "rgba.png") == np.asarray(rgba)).all()
    rgba.convert("LA").save(tmp_path / "la.png")
    assert (read_picture(tmp_path / "la.png")[..., 3] == np.asarray(alpha)).all()


def test_transparent_palette_entry(tmp_path: Path, photo: Image.Image) -> None:
    palette = photo.quantize(16)
    path = tmp_path / "a.gif"
    palette.save(path, transparency=palette.getpixel((0, 0)))
    assert read_picture(path)[0, 0, 3] == 0
    assert (read_picture(path)[..., 3] == 255).any()


def test_first_frame_of_an_animation(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.gif"
    photo.quantize(255).save(path, save_all=True, append_images=[Image.new("P", photo.size)])
    assert error_db(rgb(path), photo) > 24


def test_psd_composite(tmp_path: Path, photo: Image.Image) -> None:
    height, width = photo.size[1], photo.size[0]
    planes = np.asarray(photo).transpose(2, 0, 1).tobytes()
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    path = tmp_path / "a.psd"
    path.write_bytes(header + bytes(12) + struct.pack(">H", 0) + planes)
    assert (rgb(path) == np.asarray(photo)).all()


def linear_profile() -> bytes:
    """A minimal ICC 2.1 display profile: sRGB's primaries, gamma 1."""

    def fixed(value: float) -> int:
        return round(value * 65536)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *map(fixed, values))

    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(4 + 4 + 2 + 1 + 67),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
    } | {name: b"curv\0\0\0\0" + struct.pack(">I", 0) for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    header = struct.pack(">I4xI4s4s4s12x4s", start + len(body), 0x02100000, b"mntr", b"RGB ",
                         b"XYZ ", b"acsp")  # fmt: skip
    header += bytes(68 - len(header)) + struct.pack(">3i", fixed(0.9642), fixed(1), fixed(0.8249))
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def test_colour_profile_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (8, 8), (128, 128, 128, 77))
    path = tmp_path / "a.png"
    picture.save(path, icc_profile=linear_profile())
    red, green, blue, alpha = read_picture(path)[4, 4]
    assert abs(int(red) - 188) <= 2 and abs(int(green) - 188) <= 2 and abs(int(blue) - 188) <= 2
    assert alpha == 77


def test_damaged_colour_profile_is_ignored(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.png"
    photo.save(path, icc_profile=b"not a profile")
    assert (rgb(path) == np.asarray(photo)).all()


def test_srgb_profile_changes_nothing(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.png"
    photo.save(path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert (rgb(path) == np.asarray(photo)).all()


def test_lying_extension(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.jpg"
    photo.save(path, format="PNG")
    assert (rgb(path) == np.asarray(photo)).all()


def test_one_pixel(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (1, 1), (1, 2, 3)).save(path)
    assert read_picture(path).tolist() == [[[1, 2, 3, 255]]]


def test_odd_letters_in_the_name(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "Žofie č. 1 – портрет.png"
    photo.save(path)
    assert (rgb(path) == np.asarray(photo)).all()


def refused(path: Path) -> str:
    with pytest.raises(ImageUnreadable) as caught:
        read_picture(path)
    assert path.name in caught.value.message and caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value.message


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "gone.png")
    assert "folder" in refused(tmp_path)
    (tmp_path / "empty.png").write_bytes(b"")
    assert "0 bytes" in refused(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("Dear diary, " * 20)
    assert "not a picture" in refused(tmp_path / "text.png")
    (tmp_path / "file").write_bytes(b"x")
    assert "not a picture" in refused(tmp_path / "file")
    refused(tmp_path / "file" / "a.png")  # its "folder" is a file


def test_no_permission(tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    photo.save(path)

    def denied(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)  # the tests may run as root, whom nothing stops
    assert "permission" in refused(path)


def test_postscript_is_never_run(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "a.png"
    photo.save(path, format="EPS")
    assert "not a picture" in refused(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "bmp", "psd", "exr"])
def test_a_cut_off_file_is_refused(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "psd":
        test_psd_composite(tmp_path, photo)
    elif suffix == "exr":
        cv2.imwrite(str(path), np.asarray(photo).astype(np.float32) / 255)
    else:
        photo.save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    refused(path)


def test_too_many_pixels_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(path)
    started = time.perf_counter()
    message = refused(path)
    assert "100 million" in message
    assert time.perf_counter() - started < 1.0
    Image.new("1", (10_001, 10_000)).save(path)
    assert "10001x10000" in refused(path)
    Image.new("1", (33_000, 10)).save(path)
    assert "33000x10" in refused(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "gif", "bmp", "tga", "jp2"])
def test_fuzzed_files_never_crash(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    photo.resize((32, 24)).save(path)
    whole = path.read_bytes()
    rng = random.Random(suffix)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 4, 40))):
            data[rng.randrange(min(len(data), rng.choice((40, 400, 10**6))))] = rng.randrange(256)
        path.write_bytes(data)
        try:
            assert read_picture(path).dtype == np.uint8
        except ImageUnreadable as error:
            assert path.name in error.message


# ---------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize("channels", [3, 4])
def test_frame_round_trip(tmp_path: Path, channels: int) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 50, channels), np.uint8)
    path = tmp_path / "000000.png"
    write_frame(path, frame, "ab" * 32)
    assert (np.asarray(Image.open(path)) == frame).all()
    assert read_frame_key(path) == "ab" * 32
    assert [entry.name for entry in tmp_path.iterdir()] == ["000000.png"]


def test_frame_bytes_are_the_same_every_time(tmp_path: Path) -> None:
    frame = read_picture(ASTRONAUT)
    write_frame(tmp_path / "a.png", frame, "k")
    write_frame(tmp_path / "b.png", frame, "k")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_frame(tmp_path / "b.png", frame, "other")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_damaged_frame_has_no_key(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_frame(path, np.zeros((20, 20, 3), np.uint8), "key")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_frame_key(path) is None, length
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        assert read_frame_key(path) is None, position
    path.write_bytes(whole + b"more")
    assert read_frame_key(path) is None
    assert read_frame_key(tmp_path / "gone.png") is None
    Image.new("RGB", (4, 4)).save(path)
    assert read_frame_key(path) is None


def test_a_failed_write_leaves_the_old_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_frame(path, np.zeros((8, 8, 3), np.uint8), "old")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_io.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_frame(path, np.ones((8, 8, 3), np.uint8), "new")
    assert read_frame_key(path) == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_frame(tmp_path / "no" / "a.png", np.zeros((8, 8, 3), np.uint8), "k")


def test_imports_no_torch() -> None:
    code = "import sys, inference_server.image_io; print('torch' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "False"
