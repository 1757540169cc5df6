"""The data that crosses module borders. N is the number of frames of a shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["photo", "painting", "drawing"]
Framing = Literal["crop", "picture"]

ARKIT_NAMES = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft",
    "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft",
    "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
ARKIT_INDEX: Mapping[str, int] = {name: index for index, name in enumerate(ARKIT_NAMES)}


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face, in pixels of the upright picture (origin top left, y down)."""

    box: npt.NDArray[np.float32]  # (4,) xyxy around the mesh
    score: float  # 0..1
    mesh: npt.NDArray[np.float32]  # (478, 3) MediaPipe topology; z in px, smaller is nearer
    landmarks: npt.NDArray[np.float32]  # (68, 2) iBUG order
    source: str  # "mediapipe", "face_alignment" or "manual"
    placed: tuple[str, ...] = ()  # what was placed by hand and stays there: contours.PLACES


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A picture that has been read and searched for faces."""

    rgba: npt.NDArray[np.uint8]  # (H, W, 4) sRGB, straight alpha, EXIF orientation applied
    faces: tuple[Face, ...]  # largest first
    kind: Kind
    key: str  # sha256 over the pixels and the landmarks


@dataclass(frozen=True, slots=True, eq=False)
class FaceCrop:
    """The square around one face of a portrait, resampled to the size of a frame."""

    rgba: npt.NDArray[np.uint8]  # (S, S, 4) straight alpha
    mesh: npt.NDArray[np.float32]  # (478, 3) px of the crop, seam and eye contours snapped
    matte: npt.NDArray[np.float32]  # (S, S) 0..1 coverage of the person
    matte_found: bool  # False: no usable matte, the renderer bends the whole picture instead
    to_picture: npt.NDArray[np.float64]  # (2, 3) affine, crop px -> picture px
    kind: Kind
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class Sitter:
    """Who a style draws: the face and the figure in a picture."""

    points: npt.NDArray[np.float64]  # (478, 2) px of the picture
    matte: npt.NDArray[np.float32] | None  # (H, W) 0..1 coverage of the figure; None: not known

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Around the face mesh, xyxy px."""
        low, high = self.points.min(0), self.points.max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A range of sound, ready for analysis; with what is around it in the file, where known."""

    samples: npt.NDArray[np.float32]  # (T,) mono, 16 kHz, about -1..1
    start_s: float  # where the range begins in the file
    duration_s: float  # of the range
    key: str  # sha256 over the samples
    warnings: tuple[str, ...] = ()  # what the artist should know
    before_s: float = 0.0  # how much of the samples comes before the range

    SAMPLE_RATE = 16_000  # Hz


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What a face does, frame by frame, for any renderer.

    `head` columns: yaw, pitch, roll in degrees (signs as in protocol.CHANNELS: yaw > 0 turns the
    nose to the right of the picture, pitch > 0 looks up, roll > 0 tilts clockwise), then x, y, z
    shift in face widths (x right, y down, z towards the camera).
    """

    fps: Fraction
    expression: npt.NDArray[np.float32]  # (N, 52) ARKit weights 0..1, columns as ARKIT_NAMES
    head: npt.NDArray[np.float32]  # (N, 6)
    gaze: npt.NDArray[np.float32]  # (N, 2) deg: x > 0 right of the picture, y > 0 up
    native: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)  # (N, ...) each

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.expression)


@dataclass(frozen=True, slots=True)
class AudioRange:
    """Which part of which file is spoken."""

    path: Path
    start_s: float = 0.0
    duration_s: float | None = None  # None: to the end of the file


@dataclass(frozen=True, slots=True)
class BlinkCue:
    """A blink that somebody has placed."""

    frame: int  # of the fullest closure
    eye: Literal["both", "l", "r"] = "both"  # the person's own left and right


@dataclass(frozen=True, slots=True)
class GazeCue:
    """Where the eyes look from a frame on, until the next such cue.

    A point is a direction from the camera axis in degrees, x > 0 right of the picture, y > 0 up;
    the eyes stay on it while the head moves. "wander" is the gaze that is generated.
    """

    frame: int
    target: Literal["camera", "wander"] | tuple[float, float]


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the transcript, in seconds of the range.

    It is shown at start_s..end_s and taken from from_start_s..from_end_s of the sound, where
    `said` is spoken; a word that differs from that is spoken from its pronunciation.
    """

    word: str
    start_s: float
    end_s: float
    from_start_s: float
    from_end_s: float
    said: str
    language: str = "en"  # one of speech.pronunciation.LANGUAGES


Cue = BlinkCue | GazeCue
Holds = int | tuple[int, ...]  # on ones, twos, threes; or frames that start a drawing, 0 first
Amounts = Mapping[str, tuple[tuple[int, float], ...]]  # name -> (frame, factor), in order


@dataclass(frozen=True, slots=True)
class ShotSpec:
    """A complete request: everything that decides the frames of one take."""

    shot_id: str
    image: Path
    audio: AudioRange
    fps: Fraction
    out_dir: Path
    n_frames: int | None = None  # None: the sound's duration times fps, rounded half up
    face_index: int = 0  # faces are sorted largest first
    landmarks: Path | None = None  # hand-placed points
    size: int = 512  # px, longer side of a frame
    renderer: str = "mesh_warp"
    style: str = "photo"
    params: Mapping[str, Any] = field(default_factory=dict)  # names in protocol.PARAMS
    seed: int = 0
    holds: Holds = 1
    lead: int = 0  # frames that the picture is ahead of the sound
    amounts: Amounts = field(default_factory=dict)  # names in protocol.AMOUNTS; linear, 1 if absent
    cues: tuple[Cue, ...] | None = None  # None: blinks and gaze are generated; see motion/cues.py
    words: tuple[Word, ...] = ()  # of the transcript; see speech/words.py
    overruled: tuple[int, ...] = ()  # frames whose breaches the artist accepts
    channels: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # the artist's edits
    base_take: Path | None = None  # unchanged frames are linked from here


@dataclass(frozen=True, slots=True)
class Look:
    """Everything but the portrait and the motion that decides how a frame looks."""

    size: int  # px, longer side
    style: str
    framing: Framing
    alpha: bool  # True: RGBA with the matte as alpha; False: over the portrait's background
    seed: int
    params: Mapping[str, Any] = field(default_factory=dict)  # of style and renderer


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule of lip sync that one frame breaks."""

    frame: int
    kind: str  # "silence_motion" or "open_closure"


@dataclass(frozen=True, slots=True)
class Report:
    """How well the mouth keeps the rules that can be read."""

    silence_motion: float  # share of silent frames in which the lips move
    closure_hits: int  # closures that shut the lips on at least one frame
    closure_total: int
    breaches: tuple[Breach, ...]
    overruled: tuple[Breach, ...] = ()  # those that the artist accepts
