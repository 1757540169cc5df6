"""Frames and sound to an MP4 that any player shows: H.264, AAC, exact frame rate."""

from __future__ import annotations

import os
import subprocess
import uuid
from fractions import Fraction
from pathlib import Path

from .datatypes import ShotSpec
from .errors import AnimatePortraitError, FolderNotWritable
from .take_folder import check_out_file, writing
from .takes import TAKE_FILE, Take

_CRF = "17"  # H.264 quality: no difference to be seen
_COLOUR = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1")


class Movie:
    """A movie that is wanted of a take.

    Args:
        target: the file; an older one is replaced.
        spec: of the take, which is not there yet.

    Raises:
        FolderNotWritable: it could not be written; better said before the frames are drawn.
        SpecInvalid: it would replace the picture or the sound.
    """

    def __init__(self, target: Path, spec: ShotSpec) -> None:
        self._target = target.absolute()
        self._had_take = (spec.out_dir / TAKE_FILE).exists()
        check_out_file(self._target, spec.image, spec.audio.path)

    def write(self, take: Take) -> None:
        """Write the frames with their stretch of sound; the file appears whole or not at all.

        An odd width or height loses one row of pixels, since 4:2:0 colour needs even ones.
        Transparent frames are shown over black.

        Raises:
            FolderNotWritable, DiskFull: the movie cannot be written; says what ffmpeg says. A take
                that was made for it is unfinished again: the next run takes its frames over.
        """
        try:
            _write(take, self._target)
        except AnimatePortraitError:
            if not self._had_take:
                (take.path / TAKE_FILE).unlink(missing_ok=True)
            raise


def _write(take: Take, target: Path) -> None:
    import imageio_ffmpeg

    part = target.with_name(f".{uuid.uuid4().hex}.part")
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    try:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), *_arguments(take, part)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            text = f'ffmpeg could not write "{target}": {lines[-1]}.'
            raise FolderNotWritable(text, "Check the folder, its free space and the sound.")
        with writing(target.parent):
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _arguments(take: Take, target: Path) -> list[str]:
    duration_s = _decimal(take.n_frames / take.fps)
    pattern = str(take.path).replace("%", "%%") + os.sep + "%06d.png"
    even = "crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0"
    straight = "format=rgba,premultiply=inplace=1," if take.spec.params.get("alpha") else ""
    return [
        "-hide_banner", "-loglevel", "error", "-y",
        "-framerate", f"{take.fps.numerator}/{take.fps.denominator}",
        "-start_number", "0", "-i", pattern,
        "-ss", _decimal(Fraction(take.spec.audio.start_s)), "-i", str(take.spec.audio.path),
        "-map", "0:v:0", "-map", "1:a:0",
        "-filter:v", f"{straight}{even},scale=out_color_matrix=bt709:out_range=tv,format=yuv420p",
        "-filter:a", f"apad=whole_dur={duration_s},atrim=duration={duration_s}",
        "-c:v", "libx264", "-preset", "medium", "-crf", _CRF, *_COLOUR,
        "-c:a", "aac", "-b:a", "192k",
        "-movflags", "+faststart", "-f", "mp4", str(target),
    ]  # fmt: skip


def _decimal(seconds: Fraction) -> str:
    """Seconds as ffmpeg reads them, to the microsecond it counts in."""
    return f"{float(seconds):.6f}"
