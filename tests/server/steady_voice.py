"""A motion source that hears nothing: lips open and close evenly, so tests can count on it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from inference_server.datatypes import ARKIT_INDEX, Motion, Speech
from inference_server.registry import Entry, Heed, SpokenMotion, unheeded

CYCLE = 8  # frames from one closure to the next


class SteadyVoice:
    version = "1"

    def motion(
        self,
        speech: Speech,
        fps: Fraction,
        n_frames: int,
        seed: int,
        params: Mapping[str, Any],
        heed: Heed = unheeded,
    ) -> SpokenMotion:
        frames = np.arange(n_frames)
        expression = np.zeros((n_frames, 52), np.float32)
        amount = float(params.get("lip_amount", 1.0))
        expression[:, ARKIT_INDEX["jawOpen"]] = (
            0.25 * amount * (1 - np.cos(frames * 2 * np.pi / CYCLE))
        )
        head = np.zeros((n_frames, 6), np.float32)
        head[:, 0] = 3 * np.sin(frames / 7 + seed)
        gaze = np.zeros((n_frames, 2), np.float32)
        silent = np.zeros(n_frames, bool)
        closures = tuple((int(f), int(f)) for f in frames[::CYCLE])
        return SpokenMotion(Motion(fps, expression, head, gaze), silent, closures)


ENTRY = Entry("steady", "Steady", "steady_voice", "SteadyVoice")
