"""Pictures in and out of files: any portrait to 8-bit sRGB RGBA, and frames to PNG.

Reading refuses what it cannot show whole: a cut-off file is an error even where its first half
could be decoded, because a portrait with a grey lower half is a failure that is found too late.
Wide gamuts are converted by the picture's ICC profile; without one it is taken for sRGB.
Floating-point pictures (EXR, HDR, TIFF) hold linear light and are clipped at white.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# OpenCV asks for this before it opens any EXR file (it is read at the first call, not at import).
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, UnidentifiedImageError

from .errors import ImageUnreadable

log = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000  # 10 000 x 10 000: about 1 GB while it is being read
MAX_SIDE = 32_000  # px; OpenCV warps no longer side than 32 767

# What Pillow may try: not EPS (runs Ghostscript), nor vector, video and scientific containers.
FORMATS = (
    "JPEG", "PNG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "PSD", "AVIF", "JPEG2000", "MPO", "TGA",
    "PPM", "PCX", "SGI", "ICO", "ICNS", "DDS", "QOI", "XBM", "IM",
)  # fmt: skip
_FLOAT_MAGIC = (b"\x76\x2f\x31\x01", b"#?RADIANCE", b"#?RGBE")  # OpenEXR, Radiance HDR
_TIFF_MAGIC = (b"II*\0", b"MM\0*")
# What Pillow's decoders raise on damaged files (found by fuzzing; see test_image_io.py).
_DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, ArithmeticError,
    NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_SRGB_NAMES = ("sRGB IEC61966-2.1", "sRGB built-in", "sRGB")
_ORIENTATION_TAG = 0x0112
_HINT_EXPORT = "Open it in an image editor and save it again as PNG or JPEG."

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"animate-portrait-key"
_IHDR_END = len(_PNG_SIGNATURE) + 25  # length, type, 13 bytes, checksum
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture upright, in sRGB.

    The first frame of an animation, the flattened composite of a layered file.

    Returns:
        (H, W, 4) RGBA, straight alpha; alpha is 255 where the file has none.

    Raises:
        ImageUnreadable: missing, a folder, not permitted, empty, damaged, cut off, not a picture,
            or larger than MAX_PIXELS or MAX_SIDE.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if not head:
                raise _unreadable(path, "the file is empty (0 bytes)", "Choose another picture.")
            if head.startswith(_FLOAT_MAGIC):
                return _read_float(path, file)
            return _read_pillow(path, file, head)
    except FileNotFoundError as error:
        raise _unreadable(path, "there is no such file", "Choose the picture again.") from error
    except IsADirectoryError as error:
        raise _unreadable(path, "it is a folder", "Choose a picture file.") from error
    except PermissionError as error:
        reason = "it is a folder" if path.is_dir() else "you have no permission to read it"
        raise _unreadable(path, reason, "Change its permissions or copy it elsewhere.") from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "Choose another picture.") from error


def write_frame(path: Path, rgba: npt.NDArray[np.uint8], key: str) -> None:
    """Write a frame as PNG that knows its content key; the file appears whole or not at all.

    Args:
        path: its folder exists.
        rgba: (H, W, 3) RGB or (H, W, 4) straight-alpha RGBA.
        key: ASCII, stored in the text chunk "animate-portrait-key".

    Raises:
        OSError: as the system gives it (disk full, no permission); nothing is left behind.
    """
    order = cv2.COLOR_RGBA2BGRA if rgba.shape[2] == 4 else cv2.COLOR_RGB2BGR
    _, encoded = cv2.imencode(".png", cv2.cvtColor(rgba, order), _PNG_OPTIONS)
    png = encoded.tobytes()
    text = _chunk(b"tEXt", _KEYWORD + b"\0" + key.encode("ascii"))
    unique = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{unique}.part")
    try:
        with temporary.open("wb") as file:
            file.write(png[:_IHDR_END] + text + png[_IHDR_END:])
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_frame_key(path: Path) -> str | None:
    """Content key of a frame written by `write_frame`.

    Returns:
        None when the file is missing, damaged, cut off or has no key: every chunk's checksum is
        compared and the last chunk must end the file.
    """
    try:
        png = path.read_bytes()
    except OSError:
        return None
    if not png.startswith(_PNG_SIGNATURE):
        return None
    key = None
    start = len(_PNG_SIGNATURE)
    while start + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length
        if end > len(png):
            return None
        data = memoryview(png)[start + 4 : end - 4]
        if zlib.crc32(data) != int.from_bytes(png[end - 4 : end], "big"):
            return None
        if kind == b"tEXt" and data[4:].tobytes().startswith(_KEYWORD + b"\0"):
            key = data[4 + len(_KEYWORD) + 1 :].tobytes().decode("latin-1")
        if kind == b"IEND":
            return key if end == len(png) else None
        start = end
    return None


def over_white(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 4) straight alpha -> (H, W, 3): transparent parts turn to paper."""
    if (rgba[..., 3] == 255).all():
        return np.ascontiguousarray(rgba[..., :3])
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG chunk: length, type, data, checksum (PNG specification, 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _unreadable(path: Path, reason: str, hint: str = _HINT_EXPORT) -> ImageUnreadable:
    return ImageUnreadable(f'Cannot read the picture "{path.name}": {reason}.', hint)


def _too_large(path: Path, what: str) -> ImageUnreadable:
    limit = f"{MAX_PIXELS // 1_000_000} million pixels, or {MAX_SIDE} on a side"
    return _unreadable(
        path, f"{what} more than the limit of {limit}", "Scale it down; 4000 on a side are plenty."
    )


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise _too_large(path, f"{width}x{height} pixels are")
    if width < 1 or height < 1:
        raise _unreadable(path, f"it is {width}x{height} pixels")


def _read_pillow(path: Path, file: BinaryIO, head: bytes) -> npt.NDArray[np.uint8]:
    """Everything that Pillow reads, with OpenCV for the TIFFs that it does not know."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            # _check_size decides about size; a damaged EXIF block does not spoil the picture
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=_known_formats())
            _check_size(path, *image.size)
            image.load()
            return _to_rgba(image)
    except UnidentifiedImageError as error:
        if head.startswith(_TIFF_MAGIC):
            return _read_float(path, file)
        raise _unreadable(path, "it is not a picture in a format that is known") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, "it has") from error
    except MemoryError as error:
        raise _unreadable(path, "there is not enough memory", "Scale it down.") from error
    except _DECODER_ERRORS as error:
        reason = "the file is damaged or cut off"
        raise _unreadable(path, f"{reason} ({error})" if str(error) else reason) from error


def _known_formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _to_rgba(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Colour, depth and orientation of a loaded picture, to (H, W, 4) RGBA."""
    profile = image.info.get("icc_profile")
    orientation = _orientation(image)
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bit(np.asarray(image)))
    elif image.mode in ("P", "PA", "1", "La", "RGBa", "RGBX", "HSV", "YCbCr"):
        image = image.convert("RGBA")  # palette and "this colour is transparent" become alpha
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        image = _convert(image, lab)
    elif profile:
        image = _apply_profile(image, profile)
    rgba = np.array(image if image.mode == "RGBA" else image.convert("RGBA"))
    return _upright(rgba, orientation)


def _to_8_bit(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """One deep channel (H, W) to 8 bits: integers by their depth, floats as 0..1 or 0..255.

    32-bit integers say nothing about their range: the peak chooses between 8, 16 and 32 bits.
    Floats in 0..1 are linear light, larger ones are taken for plain 8-bit values.
    """
    values = np.nan_to_num(grey.astype(np.float32), nan=0.0)
    peak = float(values.max())
    if grey.dtype.kind == "f":
        if peak <= 1.0:
            return _encode_srgb(values)
    elif grey.dtype.itemsize == 2:
        values /= 257.0
    elif peak > 255:
        values /= 257.0 if peak <= 65535 else 2.0**31 / 255.0
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _encode_srgb(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Linear light to sRGB code values (IEC 61966-2-1), clipped to 0..1."""
    light = np.clip(linear, 0, 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(code * 255).astype(np.uint8)


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert by an embedded ICC profile; a profile that does not fit is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).strip() in _SRGB_NAMES:
            return image
        return _convert(image, source)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.warning("The picture's colour profile is not used: %s", error)
        return image


def _convert(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """Convert colours to sRGB and keep alpha."""
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colour = image.convert(image.mode[:-1]) if alpha is not None else image
    srgb = ImageCms.createProfile("sRGB")
    result = ImageCms.profileToProfile(colour, source, srgb, outputMode="RGB")
    assert result is not None  # None only when converting in place
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1..8; 1 where it is absent or damaged."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(rgba: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 2.32, tag 274): mirrored in 2 4 5 7, on its side in 5..8."""
    if orientation in (5, 6, 7, 8):
        rgba = rgba.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        rgba = rgba[:, ::-1]
    if orientation in (3, 4, 7, 8):
        rgba = rgba[::-1]
    return np.ascontiguousarray(rgba)


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's own complaints about a file off stderr: the error says it all."""
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # silent
    try:
        yield
    finally:
        cv2.setLogLevel(level)


def _read_float(path: Path, file: BinaryIO) -> npt.NDArray[np.uint8]:
    """Pictures that only OpenCV reads: OpenEXR, Radiance HDR, TIFF of three floats or 16 bits."""
    file.seek(0)
    data = np.frombuffer(file.read(), np.uint8)
    try:
        with _quiet_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _unreadable(path, f"the file is damaged or cut off ({error.err})") from error
    if image is None:
        raise _unreadable(path, "it is damaged or in a variant that is not known")
    _check_size(path, image.shape[1], image.shape[0])
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    order = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    rgba = cv2.cvtColor(image, order)
    if rgba.dtype in (np.uint8, np.uint16):
        return (rgba // (1 if rgba.dtype == np.uint8 else 257)).astype(np.uint8)
    rgba = np.nan_to_num(rgba.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    alpha = np.clip(rgba[..., 3:], 0, 1) if image.shape[2] == 4 else np.ones_like(rgba[..., 3:])
    colour = rgba[..., :3] / np.maximum(alpha, 1e-6)  # these formats keep colour times alpha
    return np.concatenate([_encode_srgb(colour), np.rint(alpha * 255).astype(np.uint8)], axis=2)
