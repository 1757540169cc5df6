"""Sound that libsndfile cannot read, decoded by the ffmpeg that imageio-ffmpeg carries."""

from __future__ import annotations

import re
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

from .errors import AudioUnreadable

Block = npt.NDArray[np.float32]  # (n, channels)

BLOCK_FRAMES = 1 << 16  # frames read at a time
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz; outside it the header is damaged
RE_ENCODE = "Save it again as WAV, FLAC, OGG, MP3 or M4A, or choose another sound."
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows: open no console
_SEEK_MARGIN_S = 1.0  # containers are entered this long before the range, then cut by time stamps
_AU_HEADER = struct.Struct(">4sIIIII")  # magic, offset of the data, bytes, encoding, rate, channels
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+(?:\.\d+)?)")
_FIRST_FRAME = re.compile(r"pts_time:(\S+).* channels:(\d+).* rate:(\d+)")


@dataclass(frozen=True, slots=True)
class Source:
    """An opened sound file."""

    rate: int  # Hz
    channels: int
    n_frames: int | None  # None: not known before decoding
    vorbis_order: bool  # surround is L C R ... LFE, not the L R C LFE ... of WAV
    blocks: Callable[[int, int | None], Iterator[Block]]  # (first frame, count or None for all)


def open_ffmpeg(path: Path) -> Source:
    """The first sound track of the file as ffmpeg reads it.

    Raises:
        AudioUnreadable: ffmpeg finds no sound in it.
    """
    said = _ffmpeg_about(path)
    if "Audio:" not in said:
        what = "has no sound track" if "Stream #" in said else "is not a sound, or is damaged"
        raise AudioUnreadable(f'"{path.name}" {what}.', RE_ENCODE)
    frame = _FIRST_FRAME.search(said)
    if frame is None or not MIN_RATE <= int(frame[3]) <= MAX_RATE:
        raise AudioUnreadable(f'"{path.name}" holds no sound that can be decoded.', RE_ENCODE)
    channels, rate = int(frame[2]), int(frame[3])
    zero_s = 0.0 if frame[1] == "NOPTS" else float(frame[1])
    length = _DURATION.search(said)
    n_frames = None
    if length:
        hours, minutes, seconds = (float(part) for part in length.groups())
        n_frames = round((hours * 3600 + minutes * 60 + seconds) * rate)

    def blocks(first: int, count: int | None) -> Iterator[Block]:
        length_s = None if count is None else count / rate
        return _ffmpeg_blocks(path, channels, first / rate, zero_s, length_s)

    return Source(rate, channels, n_frames, False, blocks)


def _ffmpeg_command(path: Path, *seek: str) -> list[str]:
    """Start of a command line; other protocols are shut out, so no playlist reaches a network."""
    return [
        imageio_ffmpeg.get_ffmpeg_exe(),
        *("-hide_banner", "-nostdin", "-protocol_whitelist", "file,pipe", "-copyts", *seek),
        *("-i", f"file:{path.absolute()}", "-map", "0:a:0"),
    ]


def _ffmpeg_about(path: Path) -> str:
    """What ffmpeg says about a file and its first frame of sound."""
    done = subprocess.run(
        [*_ffmpeg_command(path), "-af", "ashowinfo", "-frames:a", "1", "-f", "null", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        creationflags=_NO_WINDOW,
        check=False,  # the text says what is wrong
    )
    return done.stderr.decode(errors="replace")


def _ffmpeg_blocks(
    path: Path, channels: int, start_s: float, zero_s: float, length_s: float | None
) -> Iterator[Block]:
    """Blocks from `start_s` on; `zero_s` is the time stamp of the first sample of the file.

    A plain seek (-ss) of ffmpeg misses by up to one codec frame, 23 ms for AAC, so the cut is
    made by time stamps. Sun AU is the container because its header is short.
    """
    seek = ("-ss", f"{start_s - _SEEK_MARGIN_S:.6f}") if start_s > _SEEK_MARGIN_S else ()
    trim = f"atrim=start={zero_s + start_s:.6f}"
    if length_s is not None:
        trim += f":duration={length_s:.6f}"
    command = [*_ffmpeg_command(path, *seek), "-v", "error", "-af", trim]
    with tempfile.TemporaryFile() as said:  # a pipe nobody reads would fill up
        child = subprocess.Popen(
            [*command, "-c:a", "pcm_f32be", "-f", "au", "pipe:1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            creationflags=_NO_WINDOW,
        )
        assert child.stdout is not None
        try:
            header = child.stdout.read(_AU_HEADER.size)
            if len(header) == _AU_HEADER.size:
                child.stdout.read(_AU_HEADER.unpack(header)[1] - _AU_HEADER.size)
                yield from _float_blocks(child.stdout, channels)
        finally:
            child.kill()
            child.stdout.close()
            child.wait()


def _float_blocks(pipe: IO[bytes], channels: int) -> Iterator[Block]:
    frame_bytes = 4 * channels
    while raw := pipe.read(BLOCK_FRAMES * frame_bytes):
        whole = len(raw) - len(raw) % frame_bytes
        if whole:
            yield np.frombuffer(raw[:whole], ">f4").astype(np.float32).reshape(-1, channels)
