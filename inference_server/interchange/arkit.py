"""ARKit curves: the CSV of Live Link Face, and JSON with the 52 names.

Live Link Face writes 61 curves: 52 blend shapes 0..1 and nine angles in radians, those of ARKit's
face anchor (yaw > 0 turns to the right of the picture, pitch > 0 looks down, roll > 0 tilts
counterclockwise). Each row has a time code HH:MM:SS:FF.fff whose frame rate is nowhere written: it
is the usual one at which the rows follow each other most evenly. The gaze is read from the eyeLook
weights.
"""

from __future__ import annotations

import csv
import io
import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import ARKIT_INDEX, ARKIT_NAMES, Motion
from inference_server.motion.channels import gaze_of, with_look

from .timing import round_half_up, unreadable

Rows = npt.NDArray[np.float64]

_SHAPES = (  # in the order of Live Link Face, which writes them with a capital
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft",
    "eyeSquintLeft", "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight",
    "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight",
    "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft",
    "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight",
    "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
_HEAD = ("HeadYaw", "HeadPitch", "HeadRoll")
_HEAD_SIGNS = np.array([1.0, -1.0, -1.0])
_EYES = tuple(f"{side}Eye{turn}" for side in ("Left", "Right") for turn in ("Yaw", "Pitch", "Roll"))
_TIME_CODE = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d)[:;](\d+(?:\.\d+)?)")
_USUAL_RATES = (60, 24, 25, 30, 48, 50, 100, 120, 240, 1000)  # the likeliest first
_MOST_FRAMES = 1_000_000
_ROUNDED = Fraction(1, 100)  # frames: time codes have three decimals


def read_csv(path: Path, text: str, fps: Fraction) -> Motion:
    """A recording of Live Link Face, taken to `fps`; frame 0 shows its first row.

    Raises:
        TimingUnreadable: columns, numbers or time codes that cannot be.
    """
    rows = list(csv.reader(io.StringIO(text)))
    if not rows or "Timecode" not in rows[0]:
        raise unreadable(path, "has no column Timecode in its first line")
    column = {name.strip().lower(): at for at, name in enumerate(rows[0])}
    missing = [name for name in ARKIT_NAMES if name.lower() not in column]
    if missing:
        raise unreadable(path, f"lacks {len(missing)} of the 52 columns, the first is {missing[0]}")
    body = [(number, row) for number, row in enumerate(rows[1:], 2) if any(row)]
    for number, row in body:
        if len(row) != len(rows[0]):
            raise unreadable(path, f"has {len(row)} values in line {number}, not {len(rows[0])}")
    times = _times(path, [(number, row[column["timecode"]]) for number, row in body])
    wanted = [column[name.lower()] for name in (*ARKIT_NAMES, *_HEAD) if name.lower() in column]
    values = np.array([_numbers(path, number, row, wanted) for number, row in body])
    expression = values[:, : len(ARKIT_NAMES)]
    angles = values[:, len(ARKIT_NAMES) :]
    head = np.zeros((len(body), 3))
    if angles.shape[1] == len(_HEAD):
        head = np.degrees(angles) * _HEAD_SIGNS
    return _motion(fps, times, np.clip(expression, 0, 1), head)


def write_csv(motion: Motion) -> str:
    """What `read_csv` reads; the time code counts sixtieths of a second, or what is usual above."""
    rate = next(rate for rate in sorted(_USUAL_RATES) if rate >= max(60.0, float(motion.fps)))
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    names = [name[0].upper() + name[1:] for name in _SHAPES]
    out.writerow(["Timecode", "BlendShapeCount", *names, *_HEAD, *_EYES])
    columns = [ARKIT_INDEX[name] for name in _SHAPES]
    head = np.radians(motion.head[:, :3]) * _HEAD_SIGNS
    gaze = np.radians(motion.gaze) * [1, -1]
    for frame in range(motion.n_frames):
        eye = [*gaze[frame], 0.0]
        values = [*motion.expression[frame, columns], *head[frame], *eye, *eye]
        code = _time_code(frame / motion.fps, rate)
        out.writerow([code, len(values), *(f"{value:.6f}" for value in values)])
    return text.getvalue()


def read_json(path: Path, document: dict[str, Any], fps: Fraction) -> Motion:
    """What `write_json` has written, taken to `fps`.

    Raises:
        TimingUnreadable: other names, or rows of another length.
    """
    if document.get("names") != list(ARKIT_NAMES):
        raise unreadable(path, "has other names than the 52 of ARKit")
    try:
        given = Fraction(*document["fps"])
        weights = np.array(document["frames"], np.float64)
        head = np.array(document["head_deg"], np.float64)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as failure:
        raise unreadable(path, f"is incomplete: {failure}") from failure
    if weights.ndim != 2 or weights.shape[1:] != (52,) or head.shape != (len(weights), 3):
        raise unreadable(path, "has rows of the wrong length")
    if not (len(weights) and given > 0 and np.isfinite(weights).all() and np.isfinite(head).all()):
        raise unreadable(path, "has no frames, or values that are no numbers")
    times = [frame / given for frame in range(len(weights))]
    return _motion(fps, times, np.clip(weights, 0, 1), head)


def write_json(motion: Motion) -> str:
    """Names, frame rate, one row of 52 weights and one of yaw, pitch, roll a frame."""
    fields = {
        "fps": [motion.fps.numerator, motion.fps.denominator],
        "names": list(ARKIT_NAMES),
        "frames": np.round(motion.expression.astype(np.float64), 6).tolist(),
        "head_deg": np.round(motion.head[:, :3].astype(np.float64), 4).tolist(),
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _motion(fps: Fraction, times: list[Fraction], weights: Rows, head: Rows) -> Motion:
    """Rows at some times (s), linearly at the frames of a shot."""
    n_frames = int((times[-1] - times[0]) * fps + _ROUNDED) + 1
    at = np.array([float(frame / fps) for frame in range(n_frames)])
    since = np.array([float(time - times[0]) for time in times])

    def sampled(rows: Rows) -> npt.NDArray[np.float32]:
        return np.stack([np.interp(at, since, row) for row in rows.T], 1).astype(np.float32)

    expression = sampled(weights)
    gaze = gaze_of(expression)
    turned = np.pad(sampled(head), ((0, 0), (0, 3)))
    return Motion(fps, with_look(expression, gaze), turned, gaze)


def _times(path: Path, codes: list[tuple[int, str]]) -> list[Fraction]:
    """Seconds of each time code."""
    if not codes:
        raise unreadable(path, "holds no rows")
    parts = []
    for number, code in codes:
        found = _TIME_CODE.fullmatch(code.strip())
        if found is None:
            raise unreadable(path, f'has the time code "{code[:20]}" in line {number}')
        hours, minutes, seconds = (int(part) for part in found.groups()[:3])
        parts.append(((hours * 60 + minutes) * 60 + seconds, Fraction(found[4])))
    most = max(frame for _, frame in parts)
    rates = [rate for rate in _USUAL_RATES if rate > most]
    if not rates:
        raise unreadable(path, f"has the frame number {float(most):g} in a time code")
    rate = min(rates, key=lambda rate: _unevenness(parts, rate))
    times = [second + frame / rate for second, frame in parts]
    for (number, code), before, time in zip(codes[1:], times, times[1:], strict=False):
        if time <= before:
            raise unreadable(path, f"goes back in time in line {number} ({code})")
    if times[-1] - times[0] > _MOST_FRAMES / rate:
        raise unreadable(path, f"is {float(times[-1] - times[0]):.0f} s long")
    return times


def _unevenness(parts: list[tuple[int, Fraction]], rate: int) -> float:
    """How much the distance of the rows varies if time codes count at this rate."""
    times = np.array([second + float(frame) / rate for second, frame in parts])
    steps = np.diff(times)
    return round(float(steps.std() / abs(steps.mean())), 3) if steps.any() else 0.0


def _numbers(path: Path, number: int, row: list[str], columns: list[int]) -> list[float]:
    try:
        values = [float(row[column]) for column in columns]
    except ValueError as failure:
        raise unreadable(path, f"has no number in line {number}: {failure}") from failure
    if not np.isfinite(values).all():
        raise unreadable(path, f"has a value in line {number} that is no number")
    return values


def _time_code(moment: Fraction, rate: int) -> str:
    second = int(moment)
    thousandths = round_half_up((moment - second) * rate * 1000)
    second, thousandths = second + thousandths // (rate * 1000), thousandths % (rate * 1000)
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{clock}:{thousandths // 1000:02}.{thousandths % 1000:03}"
