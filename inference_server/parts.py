"""The slow parts of a shot: each is kept in memory, and on disk where it can be.

Memory answers by the identity of a file (path, size, time of change), so that an edit of one frame
opens neither picture nor sound. The disk answers by content.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from . import audio_io, image_io, registry
from .cache import Cache, code_key, digest
from .checkpoints import bundled_weights, sha256_of
from .datatypes import AudioRange, Face, FaceCrop, Look, Motion, Portrait, Speech, Word
from .errors import AudioUnreadable, Cancelled, ImageUnreadable, WeightsMissing
from .keys import SOURCE_PARAMS
from .portrait import analysis, crop
from .registry import SpokenMotion
from .speech import blocks, recogniser

_KEPT_PORTRAITS = 2  # a picture of 6000 x 6000 px takes 144 MB
_KEPT_CROPS = 4
_KEPT_MOTIONS = 4
_KEPT_PREPARED = 3  # looks that a renderer has prepared
_LENGTH_TOLERANCE_S = 0.05  # a header further off than this is not believed
_MAX_DENOMINATOR = 1_000_000  # turns a length in seconds back into the exact ratio it came from

Value = TypeVar("Value")
Arrays = dict[str, npt.NDArray[Any]]


class Recent(Generic[Value]):
    """The last few values, by key."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of `key`, made when it is not there."""
        if key not in self._values:
            self._values[key] = make()
            while len(self._values) > self._limit:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()


@dataclasses.dataclass(frozen=True, slots=True)
class Voice:
    """A stretch of sound, without its samples."""

    key: str
    duration_s: Fraction
    warnings: tuple[str, ...]


class Parts:
    """Makes the parts of a shot and remembers them; not for several threads at once."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._portraits: Recent[Portrait] = Recent(_KEPT_PORTRAITS)
        self._crops: Recent[FaceCrop] = Recent(_KEPT_CROPS)
        self._voices: Recent[Voice] = Recent(_KEPT_MOTIONS)
        self._motions: Recent[tuple[SpokenMotion, str]] = Recent(_KEPT_MOTIONS)
        self._prepared: Recent[Any] = Recent(_KEPT_PREPARED)

    def forget(self) -> None:
        """Drop what is kept in memory."""
        for kept in (self._portraits, self._crops, self._voices, self._motions, self._prepared):
            kept.clear()

    def portrait(
        self, image: Path, landmarks: Path | None, cancelled: Callable[[], bool]
    ) -> Portrait:
        """A picture with its faces, largest first."""
        identity = (_identity(image), landmarks and _identity(landmarks))

        def make() -> Portrait:
            if not _may_be_read(image):
                raise ImageUnreadable(f'"{image}" is not a file.', "Choose a picture file.")
            try:
                contents = [sha256_of(path) for path in (image, landmarks) if path]
            except OSError:
                return analysis.analyze(image, landmarks)  # says what is wrong with the file
            code = code_key("portrait", "image_io", "parts")
            key = digest("portrait", code, bundled_weights(), contents)
            stored = self._cache.load(key)
            if stored is not None and "about" in stored:
                return _portrait_from(stored, image_io.read_picture(image))
            _check(cancelled)
            portrait = analysis.analyze(image, landmarks)
            self._cache.store(key, _portrait_arrays(portrait))
            return portrait

        return self._portraits.get(identity, make)

    def face_crop(self, portrait: Portrait, face_index: int, size: int) -> FaceCrop:
        """The square around one face, at the size of a frame."""
        code = code_key("portrait", "parts")
        key = digest("crop", code, bundled_weights(), portrait.key, face_index, size)

        def make() -> FaceCrop:
            stored = self._cache.load(key)
            if stored is not None and "about" in stored:
                return _crop_from(stored)
            made = crop.crop_face(portrait, face_index, size)
            self._cache.store(key, _crop_arrays(made))
            return made

        return self._crops.get(key, make)

    def spoken(
        self,
        audio: AudioRange,
        fps: Fraction,
        n_frames: int | None,
        seed: int,
        params: Mapping[str, Any],
        cancelled: Callable[[], bool],
        lead: int = 0,
        words: tuple[Word, ...] = (),
        on_heard: registry.Heed = registry.unheeded,
    ) -> tuple[SpokenMotion, str]:
        """What a motion source makes of the sound: that of params["mouth"], or the first one.

        The source is loaded only when it has something to do: it may bring torch with it.

        Args:
            n_frames: None takes the length of the sound; see `count_frames`.
            params: those in keys.SOURCE_PARAMS count.
            lead: frames that are wanted beyond `n_frames`.
            words: of the transcript.
            on_heard: told how much of the sound has been heard.

        Returns:
            The motion, with the warnings of sound and source; name and version of the source.
        """
        name = _source_name(params)
        heard: list[Speech] = []  # filled when the sound had to be decoded

        def listen() -> Voice:
            if not _may_be_read(audio.path):
                raise AudioUnreadable(f'"{audio.path}" is not a file.', "Choose a sound file.")
            heard.append(audio_io.read_speech(audio, blocks.around(audio)))
            return Voice(heard[0].key, _duration(audio, heard[0]), heard[0].warnings)

        identity = (_identity(audio.path), audio.start_s, audio.duration_s)
        voice = self._voices.get(identity, listen)
        _check(cancelled)
        count = (n_frames or count_frames(voice.duration_s, fps)) + lead
        amounts = {name: params[name] for name in SOURCE_PARAMS if name in params}
        key = digest(
            "motion",
            code_key("speech", "motion", "models", "audio_io", "ffmpeg_sound", "parts"),
            bundled_weights(),
            recogniser.version(),
            [name, voice.key, audio.start_s, audio.duration_s, str(fps), count, seed],
            [amounts, _style_key(params), [dataclasses.astuple(word) for word in words]],
        )

        def make() -> tuple[SpokenMotion, str]:
            stored = self._cache.load(key)
            if stored is not None and "about" in stored:
                return _spoken_from(stored, fps)
            source: registry.MotionSource = registry.load(registry.MOTION_SOURCES, name)
            speech = heard[0] if heard else audio_io.read_speech(audio, blocks.around(audio))

            def heed(done: int, total: int) -> None:
                _check(cancelled)
                on_heard(done, total)

            made = source.motion(speech, fps, count, seed, {**amounts, "words": words}, heed)
            label = f"{name} {source.version}"
            self._cache.store(key, _spoken_arrays(made, label))
            return made, label

        spoken, label = self._motions.get(key, make)
        both = (*voice.warnings, *spoken.warnings)
        return dataclasses.replace(spoken, warnings=both), label

    def prepared(
        self,
        look_key: str,
        renderer: registry.Renderer,
        portrait: Portrait,
        face_crop: FaceCrop,
        look: Look,
    ) -> Any:
        """What the renderer makes of a portrait and a look; `look_key` as in keys.py."""
        return self._prepared.get(look_key, lambda: renderer.prepare(portrait, face_crop, look))


def count_frames(duration_s: Fraction, fps: Fraction) -> int:
    """Duration times fps, rounded half up, at least 1."""
    return max(1, int(duration_s * fps + Fraction(1, 2)))


def _source_name(params: Mapping[str, Any]) -> str:
    names = [entry.name for entry in registry.MOTION_SOURCES]
    wanted = str(params.get("mouth", names[0]))
    return wanted if wanted in names else names[0]


def _style_key(params: Mapping[str, Any]) -> str:
    """Digest of the file that params["voice_style"] names; empty without one."""
    path = params.get("voice_style")
    if not path:
        return ""
    try:
        return sha256_of(Path(path))
    except OSError as failure:
        text = f'Cannot read the voice style "{path}": {failure.strerror}.'
        raise WeightsMissing(text, "Choose another file, or none.") from failure


def _check(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise Cancelled("The job was cancelled.")


def _may_be_read(path: Path) -> bool:
    """Not so of folders, pipes and devices, which would never end; a missing file may."""
    return path.is_file() or not path.exists()


def _identity(path: Path) -> tuple[str, int, int, int]:
    """Tells whether a file is still the one that was read; zeros when it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return str(path), 0, 0, 0
    return str(path), status.st_size, status.st_mtime_ns, status.st_ino


def _duration(audio: AudioRange, speech: Speech) -> Fraction:
    """Length of the range, exact: from the request or the file's header, else as decoded."""
    seconds = audio.duration_s
    if seconds is None:
        seconds = audio_io.duration_s(audio.path) - audio.start_s
        if abs(seconds - speech.duration_s) > _LENGTH_TOLERANCE_S:
            seconds = speech.duration_s
    return Fraction(seconds).limit_denominator(_MAX_DENOMINATOR)


def _about(fields: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """JSON as an array, for the cache."""
    return np.frombuffer(json.dumps(fields).encode(), np.uint8)


def _portrait_arrays(portrait: Portrait) -> Arrays:
    """Everything but the pixels, which the picture file holds."""
    faces = portrait.faces
    about = {
        "kind": portrait.kind,
        "key": portrait.key,
        "score": [float(face.score) for face in faces],
        "source": [face.source for face in faces],
        "placed": [face.placed for face in faces],
    }
    return {
        "about": _about(about),
        "box": np.array([face.box for face in faces], np.float32),
        "mesh": np.array([face.mesh for face in faces], np.float32),
        "landmarks": np.array([face.landmarks for face in faces], np.float32),
    }


def _portrait_from(stored: Arrays, rgba: npt.NDArray[np.uint8]) -> Portrait:
    about = json.loads(stored["about"].tobytes())
    faces = tuple(
        Face(*each)
        for each in zip(
            stored["box"],
            about["score"],
            stored["mesh"],
            stored["landmarks"],
            about["source"],
            map(tuple, about["placed"]),
            strict=True,
        )
    )
    return Portrait(rgba, faces, about["kind"], about["key"])


def _crop_arrays(face_crop: FaceCrop) -> Arrays:
    about = {
        "matte_found": bool(face_crop.matte_found),
        "kind": face_crop.kind,
        "key": face_crop.key,
    }
    return {
        "about": _about(about),
        "rgba": face_crop.rgba,
        "mesh": face_crop.mesh,
        "matte": face_crop.matte,
        "to_picture": face_crop.to_picture,
    }


def _crop_from(stored: Arrays) -> FaceCrop:
    about = json.loads(stored["about"].tobytes())
    return FaceCrop(
        rgba=stored["rgba"],
        mesh=stored["mesh"],
        matte=stored["matte"],
        to_picture=stored["to_picture"],
        **about,
    )


def _spoken_arrays(spoken: SpokenMotion, label: str) -> Arrays:
    motion = spoken.motion
    native = {f"native.{name}": rows for name, rows in motion.native.items()}
    return {
        "about": _about({"source": label, "warnings": spoken.warnings}),
        "expression": motion.expression,
        "head": motion.head,
        "gaze": motion.gaze,
        "silent": spoken.silent,
        "closures": np.array(spoken.closures, np.int64).reshape(-1, 2),
        **native,
    }


def _spoken_from(stored: Arrays, fps: Fraction) -> tuple[SpokenMotion, str]:
    native = {
        name.removeprefix("native."): rows
        for name, rows in stored.items()
        if name.startswith("native.")
    }
    motion = Motion(fps, stored["expression"], stored["head"], stored["gaze"], native)
    closures = tuple((int(first), int(last)) for first, last in stored["closures"])
    about = json.loads(stored["about"].tobytes())
    warnings = tuple(about["warnings"])
    return SpokenMotion(motion, stored["silent"], closures, warnings), about["source"]
