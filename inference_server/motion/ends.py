"""How a shot begins and ends: at rest, where the artist wants it to cut well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inference_server.datatypes import Motion

from .channels import BROW_COLUMNS, with_look


def settle(motion: Motion, seconds: float) -> Motion:
    """The motion whose head, gaze and brows come from rest and go to rest.

    The first and the last frame are at rest; a shot too short for both ways gets as far as it can.

    Args:
        motion: N frames.
        seconds: of each way; 0 changes nothing.
    """
    if seconds <= 0:
        return motion
    frames = np.arange(motion.n_frames)
    from_end_s = np.minimum(frames, frames[::-1]) / float(motion.fps)
    share = np.clip(from_end_s / seconds, 0, 1)
    amount = (share * share * (3 - 2 * share)).astype(np.float32)[:, None]
    expression = motion.expression.copy()
    expression[:, BROW_COLUMNS] *= amount
    gaze = motion.gaze * amount
    return replace(
        motion, expression=with_look(expression, gaze), head=motion.head * amount, gaze=gaze
    )
