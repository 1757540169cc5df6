"""Reads any sound as 16 kHz mono, and only the stretch that is asked for.

libsndfile is tried first (wav, flac, ogg, opus, mp3, aiff, w64, ...), then the ffmpeg that
imageio-ffmpeg carries (m4a, movies, damaged headers, ...). Sound streams through in blocks: what
stays in memory is the 16 kHz result, 3.8 MB a minute.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from .clipping import Meter
from .datatypes import AudioRange, Speech
from .errors import AudioUnreadable
from .ffmpeg_sound import BLOCK_FRAMES, MAX_RATE, MIN_RATE, RE_ENCODE, Block, Source, open_ffmpeg

log = logging.getLogger(__name__)

Around = tuple[float, float | None]  # seconds of the file, begin and end; None: to its end

_MARK_S = 120
_MARGIN_S = 0.25  # read before and after the range, so that decoder and filters settle
_UNSAID_S = 0.1  # of silence at the end: a strip ends on a whole frame, the sound need not
_SILENT_CHANNEL = 1e-4  # power relative to the loudest channel: -40 dB
_CANCELLED = 0.02  # power of the mix relative to the loudest channel: -17 dB
_FULL_SCALE = 4.0  # float files above it were not written in -1..1


def read_speech(audio: AudioRange, around: Around | None = None) -> Speech:
    """The stretch `audio` of a sound file, mixed to one channel, without DC offset.

    The level is left as recorded. A range that ends beyond the sound is filled up with silence,
    as Blender's timeline plays it, unless it is read with what is around it; `warnings` say so,
    and how much of it is clipped. Channels that
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
        samples, meter = _decoded(wider, open_ffmpeg(audio.path), audio)
    rate = Speech.SAMPLE_RATE
    before = round(audio.start_s * rate) - round(wider.start_s * rate)
    if len(samples) <= before:
        raise _starts_beyond_end(audio, wider.start_s + len(samples) / rate)
    peak = float(np.abs(samples).max())
    if peak > _FULL_SCALE:
        samples /= np.float32(peak)
    warnings = meter.warnings(audio.path.name)
    if audio.duration_s is not None:
        missing = before + _n_samples(audio.duration_s) - len(samples)
        warnings += _ends_early(missing, audio)
        if not around:  # with it, sums over the samples must not depend on where the range ends
            samples = np.pad(samples, (0, max(0, missing)))
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
    audio: AudioRange, source: Source, metered: AudioRange
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
        raise AudioUnreadable(message, RE_ENCODE)
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


def _ends_early(missing: int, audio: AudioRange) -> tuple[str, ...]:
    """The warning that `missing` samples of the range are not in the file, where there is one."""
    missing_s = missing / Speech.SAMPLE_RATE
    if missing_s <= _UNSAID_S:
        return ()
    text = f'"{audio.path.name}" ends {missing_s:.3f} s before the range does'
    return (f"{text}: the rest is silence.",)


def _open(path: Path) -> Source:
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
        raise AudioUnreadable(f'"{path.name}" is empty (0 bytes).', RE_ENCODE)
    return _open_sndfile(path) or open_ffmpeg(path)


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


def _open_sndfile(path: Path) -> Source | None:
    """The file as libsndfile reads it; None when it cannot decode even the beginning.

    Raises:
        AudioUnreadable: a sound file without a single sample.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames == 0:
                raise AudioUnreadable(f'"{path.name}" holds no sound: 0 samples.', RE_ENCODE)
            if not MIN_RATE <= file.samplerate <= MAX_RATE:
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
                    block = file.read(min(BLOCK_FRAMES, left), dtype="float32", always_2d=True)
                    if len(block) == 0:
                        return
                    left -= len(block)
                    yield block
        except soundfile.SoundFileError as failure:
            raise _Damaged(str(failure)) from failure

    return Source(rate, channels, n_frames, vorbis_order, blocks)


def _channel_weights(source: Source, first: int, count: int | None) -> npt.NDArray[np.float32]:
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


def _layout_weights(source: Source) -> npt.NDArray[np.float64]:
    """Weights by the place of the loudspeaker, (channels,)."""
    if source.channels not in (5, 6, 7, 8):
        return np.ones(source.channels)
    weights = np.full(source.channels, 0.5)  # left, right and surround
    weights[1 if source.vorbis_order else 2] = 1.0  # centre
    if source.channels >= 6:
        weights[-1 if source.vorbis_order else 3] = 0.0  # low-frequency effects
    return weights


def _resampled(
    source: Source,
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
    for begin in range(0, len(samples), BLOCK_FRAMES):
        block = samples[begin : begin + BLOCK_FRAMES]
        heard = np.concatenate([before, block])
        before = heard[-2 * reach :]
        mean = heard
        for _ in range(2):
            sums = np.cumsum(mean)
            mean = (sums[reach:] - sums[:-reach]) / reach
        block -= mean
