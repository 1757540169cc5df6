"""How much lips, head and eyes move, where an artist lets that change within a shot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inference_server.datatypes import Amounts, BlinkCue, Motion

from .channels import BROW_COLUMNS, MOUTH_COLUMNS, with_look
from .cues import blinks_of, with_blinks

HOLD_ON = 0.7  # share of the head's turn that the eyes take back, to keep the viewer in view
_CLOSEST_S = 0.45  # from one blink to the next
_STREAM = 21

Curve = npt.NDArray[np.float64]  # (N,)


def scale(motion: Motion, amounts: Amounts, eye_amount: float, seed: int, start_s: float) -> Motion:
    """The motion with each part of it as large as its amount says; 1 leaves a frame as it is.

    Lips scale with all of the mouth. Eyes: brows and gaze scale; below 1 some blinks are left out,
    above 1 some gaps between two blinks get one more. Which ones belongs to the moment of the
    sound, so a change of one range leaves the others as they are.

    Args:
        motion: N frames, of a motion source.
        amounts: curves over frames, linear; held beyond their ends.
        eye_amount: of the whole shot, as the source has had it.
        seed: of the shot.
        start_s: where in the sound the first frame is.
    """
    if not amounts:
        return motion
    lips, turn, eyes = (
        _curve(amounts.get(name, ()), motion.n_frames)
        for name in ("lip_amount", "head_amount", "eye_amount")
    )
    expression = motion.expression.copy()
    expression[:, MOUTH_COLUMNS] *= lips[:, None].astype(np.float32)
    expression[:, BROW_COLUMNS] *= eyes[:, None].astype(np.float32)
    native = dict(motion.native)
    if "lips" in native:
        native["lips"] = (native["lips"] * lips[:, None, None]).astype(np.float32)
    look = motion.gaze + HOLD_ON * min(1.0, eye_amount) * motion.head[:, :2]
    head = (motion.head * turn[:, None]).astype(np.float32)
    held_on = HOLD_ON * np.minimum(1.0, eye_amount * eyes)[:, None] * head[:, :2]
    gaze = (look * eyes[:, None] - held_on).astype(np.float32)
    expression = with_look(np.clip(expression, 0, 1), gaze)
    scaled = replace(motion, expression=expression, head=head, gaze=gaze, native=native)
    if not amounts.get("eye_amount"):
        return scaled
    return with_blinks(scaled, _blinks(blinks_of(motion), eyes, motion, seed, start_s))


def _curve(points: tuple[tuple[int, float], ...], n_frames: int) -> Curve:
    if not points:
        return np.ones(n_frames)
    frames, values = zip(*points, strict=True)
    return np.interp(np.arange(n_frames), frames, values)


def _blinks(
    generated: tuple[BlinkCue, ...], often: Curve, motion: Motion, seed: int, start_s: float
) -> list[BlinkCue]:
    """Fewer blinks where `often` is below 1, more where it is above."""
    rate = float(motion.fps)
    kept = [
        cue for cue in generated if _chance(seed, start_s + cue.frame / rate) < often[cue.frame]
    ]
    for before, after in zip(generated, generated[1:], strict=False):
        between = (before.frame + after.frame) // 2
        room = after.frame - before.frame >= 2 * _CLOSEST_S * rate
        if room and _chance(seed, start_s + between / rate) < often[between] - 1:
            kept.append(BlinkCue(between))
    return kept


def _chance(seed: int, moment_s: float) -> float:
    """A number 0..1 that belongs to a moment of the sound, whatever range shows it."""
    millisecond = round(1000 * moment_s + 0.123)  # frames of no usual rate lie on a border
    return float(np.random.default_rng([seed, _STREAM, millisecond]).random())
