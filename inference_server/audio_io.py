"""Reads any sound as 16 kHz mono, and only the stretch that is asked for.

libsndfile is tried first (wav, flac, ogg, opus, mp3, aiff, w64, ...), then the ffmpeg that
imageio-ffmpeg carries (m4a, movies, damaged headers, ...). Sound streams through in blocks: what
stays in memory is the 16 kHz result, 3.8 MB a minute.
"""

from __future__ import annotations

import hashlib
import logging
import math
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
import soundfile
import soxr

from .clipping import Meter
from .datatypes import AudioRange, Speech
from .errors import AudioUnreadable

log = logging.getLogger(__name__)

Block = npt.NDArray[np.float32]  # (n, channels)
Around = tuple[float, float | None]  # seconds of the file, begin and end; None: to its end

_BLOCK = 1 << 16  # frames read at a time
_MIN_RATE, _MAX_RATE = 1_000, 1_000_000  # Hz; outside it the header is damaged
_MARK_S = 120
_MARGIN_S = 0.25  # read before and after the range, so that decoder and filters settle
_UNSAID_S = 0.1  # of silence at the end: a strip ends on a whole frame, the sound need not
_SILENT_CHANNEL = 1e-4  # power relative to the loudest channel: -40 dB
_CANCELLED = 0.02  # power of the mix relative to the loudest channel: -17 dB
_FULL_SCALE = 4.0  # float files above it were not written in -1..1
_RE_ENCODE = "Save it again as WAV, FLAC, OGG, MP3 or M4A, or choose another sound."


@dataclass(frozen=True, slots=True)
class _Source:
    """An opened sound file."""

    rate: int  # Hz
    channels: int
    n_frames: int | None  # None: not known before decoding
    vorbis_order: bool  # surround is L C R ... LFE, not the L R C LFE ... of WAV
    blocks: Callable[[int, int | None], Iterator[Block]]  # (first frame, count or None for all)


def read_speech(audio: AudioRange, around: Around | None = None) -> Speech:
    """The stretch `audio` of a sound file, mixed to one channel, without DC offset.

    The level is left as recorded. A range that ends beyond the sound is filled up with silence,
    as Blender's timeline plays it; `warnings` say so, and how much of it is clipped. Channels that
    are silent throughout the range do not count in the mix, so one-sided recordings keep their
    level.

    Args:
        audio: the range.
        around: what is to be read with it, where the file has it.

    Raises:
        AudioUnreadable: missing, damaged, empty or not a sound, or nothing of the range is in it.
    """
    _check_range(audio)
    wider = _wider(audio, around) if around else audio
    try:
        samples, meter = _decoded(wider, _open(audio.path), audio)
    except _Damaged as failure:  # ffmpeg finds its way back after a hole, libsndfile does not
        log.warning('"%s" is damaged: %s', audio.path.name, failure)
        samples, meter = _decoded(wider, _open_ffmpeg(audio.path), audio)
    rate = Speech.SAMPLE_RATE
    before = round(audio.start_s * rate) - round(wider.start_s * rate)
    if len(samples) <= before:
        raise _starts_beyond_end(audio, wider.start_s + len(samples) / rate)
    peak = float(np.abs(samples).max())
    if peak > _FULL_SCALE:
        samples /= np.float32(peak)
    warnings = meter.warnings(audio.path.name)
    if audio.duration_s is not None:
        samples, ends = _filled_up(samples, before, audio)
        warnings += ends
    key = hashlib.sha256(samples.data).hexdigest()
    length = len(samples) - before
    if audio.duration_s is not None:
        length = _n_samples(audio.duration_s)
    before_s = audio.start_s - wider.start_s  # exact, where samples are rounded
    return Speech(samples, audio.start_s, length / rate, key, warnings, before_s)


def duration_s(path: Path) -> float:
    """Length of a sound file in seconds, from its header where that is possible.

    Raises:
        AudioUnreadable: missing, damaged, empty or not a sound.
    """
    source = _open(path)
    if source.n_frames is not None:
        return source.n_frames / source.rate
    return sum(len(block) for block in source.blocks(0, None)) / source.rate


def _decoded(
    audio: AudioRange, source: _Source, metered: AudioRange
) -> tuple[npt.NDArray[np.float32], Meter]:
    """The range as 16 kHz mono, (T,), T > 0; shorter than asked for where the file ends.

    The meter has heard what of it is in the range `metered`.

    The samples are those of the whole file read at once: the cut is made after resampling and
    filtering. Both begin at a mark, one every two minutes, so that ranges which overlap have equal
    samples to the last bit; float sums depend on where they begin.
    """
    rate_out = Speech.SAMPLE_RATE
    first_out = round(audio.start_s * rate_out)
    n_out = None if audio.duration_s is None else max(1, round(audio.duration_s * rate_out))
    if source.n_frames is not None and audio.start_s >= source.n_frames / source.rate:
        raise _starts_beyond_end(audio, source.n_frames / source.rate)
    common = math.gcd(source.rate, rate_out)
    step_in, step_out = source.rate // common, rate_out // common  # equal times on both sides
    n_steps = max(0, first_out // step_out - math.ceil(_MARGIN_S * common))
    n_steps -= n_steps % (_MARK_S * common)
    skip_out = first_out - n_steps * step_out
    first, count = n_steps * step_in, None
    if n_out is not None:
        count = math.ceil(((skip_out + n_out) / rate_out + _MARGIN_S) * source.rate)
    weights = _channel_weights(source, first, count)
    meter = Meter.of(metered, source.rate, first)
    samples = _resampled(source, first, count, weights, meter)
    if len(samples) <= skip_out:
        where = f" at {audio.start_s:g} s" if first_out else ""
        message = f'"{audio.path.name}" holds no sound that can be decoded{where}.'
        raise AudioUnreadable(message, _RE_ENCODE)
    _remove_dc(samples)
    end = None if n_out is None else skip_out + n_out
    return samples[skip_out:end], meter


def _check_range(audio: AudioRange) -> None:
    if not (math.isfinite(audio.start_s) and audio.start_s >= 0):
        raise AudioUnreadable(
            f'The range of "{audio.path.name}" starts at {audio.start_s} s.',
            "Start at 0 s or later.",
        )
    if audio.duration_s is not None and not (
        math.isfinite(audio.duration_s) and audio.duration_s > 0
    ):
        raise AudioUnreadable(
            f'The range of "{audio.path.name}" is {audio.duration_s} s long.',
            "Give a duration above 0 s, or none for the whole sound.",
        )


def _starts_beyond_end(audio: AudioRange, length_s: float) -> AudioUnreadable:
    return AudioUnreadable(
        f'The range starts at {audio.start_s:g} s, but "{audio.path.name}" is only '
        f"{length_s:.3f} s long.",
        "Choose an earlier start.",
    )


def _wider(audio: AudioRange, around: Around) -> AudioRange:
    """The range and what is around it; nothing before the beginning of the file."""
    begin_s, end_s = around
    begin_s = min(audio.start_s, max(0.0, begin_s))
    if audio.duration_s is None or end_s is None:
        return AudioRange(audio.path, begin_s, None)
    return AudioRange(audio.path, begin_s, max(audio.start_s + audio.duration_s, end_s) - begin_s)


def _n_samples(duration_s: float) -> int:
    return max(1, round(duration_s * Speech.SAMPLE_RATE))


def _filled_up(
    samples: npt.NDArray[np.float32], before: int, audio: AudioRange
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """Filled up with silence to the duration that was asked for; with warnings."""
    assert audio.duration_s is not None
    missing = before + _n_samples(audio.duration_s) - len(samples)
    if missing <= 0:
        return samples, ()
    warnings: tuple[str, ...] = ()
    missing_s = missing / Speech.SAMPLE_RATE
    if missing_s > _UNSAID_S:
        text = f'"{audio.path.name}" ends {missing_s:.3f} s before the range does'
        warnings = (f"{text}: the rest is silence.",)
    return np.pad(samples, (0, missing)), warnings


def _open(path: Path) -> _Source:
    """Look into the file and find out who can read it."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as failure:
        raise AudioUnreadable(
            f'Cannot read the sound "{path}": {failure.strerror}.', "Check the path of the sound."
        ) from failure
    if size_bytes == 0:
        raise AudioUnreadable(f'"{path.name}" is empty (0 bytes).', _RE_ENCODE)
    return _open_sndfile(path) or _open_ffmpeg(path)


class _Damaged(Exception):
    """libsndfile gave up in the middle of the file."""


class _Forward(soundfile.SoundFile):
    """Reads block after block without a gap.

    The parent seeks to where it already is after each read. That empties the bit reservoir of an
    MP3 decoder: up to 55 ms of wrong sound at the start of every block (soundfile 0.14).
    """

    def seekable(self) -> bool:
        """Keeps `read` from seeking; `seek` itself works all the same."""
        return False


def _open_sndfile(path: Path) -> _Source | None:
    """The file as libsndfile reads it; None when it cannot decode even the beginning.

    Raises:
        AudioUnreadable: a sound file without a single sample.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames == 0:
                raise AudioUnreadable(f'"{path.name}" holds no sound: 0 samples.', _RE_ENCODE)
            if not _MIN_RATE <= file.samplerate <= _MAX_RATE:
                return None
            if len(file.read(1024, dtype="float32", always_2d=True)) == 0:
                return None
            rate, channels, n_frames = file.samplerate, file.channels, file.frames
            vorbis_order = file.format == "OGG"
    except soundfile.SoundFileError:
        return None

    def blocks(first: int, count: int | None) -> Iterator[Block]:
        left = n_frames - first if count is None else count
        try:
            with _Forward(path) as file:
                file.seek(min(first, n_frames))
                while left > 0:
                    block = file.read(min(_BLOCK, left), dtype="float32", always_2d=True)
                    if len(block) == 0:
                        return
                    left -= len(block)
                    yield block
        except soundfile.SoundFileError as failure:
            raise _Damaged(str(failure)) from failure

    return _Source(rate, channels, n_frames, vorbis_order, blocks)


_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows: open no console
_SEEK_MARGIN_S = 1.0  # containers are entered this long before the range, then cut by time stamps
_AU_HEADER = struct.Struct(">4sIIIII")  # magic, offset of the data, bytes, encoding, rate, channels
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+(?:\.\d+)?)")
_FIRST_FRAME = re.compile(r"pts_time:(\S+).* channels:(\d+).* rate:(\d+)")


def _open_ffmpeg(path: Path) -> _Source:
    """The first sound track of the file as ffmpeg reads it.

    Raises:
        AudioUnreadable: ffmpeg finds no sound in it.
    """
    said = _ffmpeg_about(path)
    if "Audio:" not in said:
        what = "has no sound track" if "Stream #" in said else "is not a sound, or is damaged"
        raise AudioUnreadable(f'"{path.name}" {what}.', _RE_ENCODE)
    frame = _FIRST_FRAME.search(said)
    if frame is None or not _MIN_RATE <= int(frame[3]) <= _MAX_RATE:
        raise AudioUnreadable(f'"{path.name}" holds no sound that can be decoded.', _RE_ENCODE)
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

    return _Source(rate, channels, n_frames, False, blocks)


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
    while raw := pipe.read(_BLOCK * frame_bytes):
        whole = len(raw) - len(raw) % frame_bytes
        if whole:
            yield np.frombuffer(raw[:whole], ">f4").astype(np.float32).reshape(-1, channels)


def _channel_weights(source: _Source, first: int, count: int | None) -> npt.NDArray[np.float32]:
    """How much of each channel goes into the mix, (channels,); sums to 1.

    Silent channels count nothing. Of surround sound the centre, where films put the voice, counts
    most. Where the mix would cancel itself (one side recorded upside down), the loudest channel
    is taken alone.
    """
    if source.channels == 1:
        return np.ones(1, np.float32)
    covariance = np.zeros((source.channels, source.channels))
    for block in source.blocks(first, count):
        values = _finite(block).astype(np.float64)
        values -= values.mean(axis=0)
        covariance += values.T @ values
    power = covariance.diagonal()
    active = power > _SILENT_CHANNEL * power.max()
    weights = _layout_weights(source) * active
    if not weights.any():
        weights = np.ones(source.channels)
    weights /= weights.sum()
    if weights @ covariance @ weights < _CANCELLED * power.max():
        weights = (np.arange(source.channels) == power.argmax()).astype(np.float64)
    return weights.astype(np.float32)


def _layout_weights(source: _Source) -> npt.NDArray[np.float64]:
    """Weights by the place of the loudspeaker, (channels,)."""
    if source.channels not in (5, 6, 7, 8):
        return np.ones(source.channels)
    weights = np.full(source.channels, 0.5)  # left, right and surround
    weights[1 if source.vorbis_order else 2] = 1.0  # centre
    if source.channels >= 6:
        weights[-1 if source.vorbis_order else 3] = 0.0  # low-frequency effects
    return weights


def _resampled(
    source: _Source,
    first: int,
    count: int | None,
    weights: npt.NDArray[np.float32],
    meter: Meter,
) -> npt.NDArray[np.float32]:
    """Frames `first` and following as 16 kHz mono, (T,); the meter hears them too."""
    same_rate = source.rate == Speech.SAMPLE_RATE
    stream = soxr.ResampleStream(source.rate, Speech.SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    collected = bytearray()  # grows in place: joining blocks would take the memory twice
    for block in source.blocks(first, count):
        meter.hear(block)
        mono = np.ascontiguousarray(_finite(block) @ weights)
        collected += (mono if same_rate else stream.resample_chunk(mono)).tobytes()
    if collected and not same_rate:
        collected += stream.resample_chunk(np.zeros(0, np.float32), last=True).tobytes()
    return np.frombuffer(collected, np.float32)


def _finite(block: Block) -> Block:
    """The block without NaN and infinity."""
    return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)


def _remove_dc(samples: npt.NDArray[np.float32]) -> None:
    """Take the mean of the last 100 ms out, in place: what is below 10 Hz goes.

    It looks back only, so that a longer range begins with the same samples. The mean is that of
    50 ms, taken twice; before the sound, that of its first 50 ms.
    """
    reach = Speech.SAMPLE_RATE // 20
    before = np.full(2 * reach, samples[:reach].mean(), np.float64)
    for begin in range(0, len(samples), _BLOCK):
        block = samples[begin : begin + _BLOCK]
        heard = np.concatenate([before, block])
        before = heard[-2 * reach :]
        mean = heard
        for _ in range(2):
            sums = np.cumsum(mean)
            mean = (sums[reach:] - sums[:-reach]) / reach
        block -= mean
