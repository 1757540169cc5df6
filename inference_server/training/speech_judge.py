"""Judge speech networks on people they did not see, up to the lips that are drawn."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from inference_server.motion.closures import enforce
from inference_server.motion.report import report
from inference_server.registry import RENDERERS, load
from inference_server.speech import hearing, neural
from inference_server.speech.face import Amounts
from inference_server.speech.frames import Frames
from inference_server.speech.style import NOBODY
from inference_server.training import speech_scores
from inference_server.training.speech_clips import Clip
from inference_server.training.speech_nets import Components

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Lips = npt.NDArray[np.float64]  # (T, 40, 3)
Rows = list[tuple[str, dict[str, float]]]  # (person, scores) of each clip

SHOWN = ("r_open", "r_width", "r_lower", "lmd", "ev_f1", "gain", "lag_ms", "jitter")
_COMPARED = ("r_open", "r_width", "lmd", "ev_f1")
_ENERGY_MELS = slice(0, 40)  # of 64: up to 3 kHz
_N_LIPS = 40


@dataclass(frozen=True, slots=True)
class Verdict:
    """Scores of many clips by several methods."""

    tables: dict[str, Rows] = field(default_factory=dict)  # by method
    closures: list[tuple[int, int]] = field(default_factory=list)  # (met, wanted) of each clip
    silence: list[float] = field(default_factory=list)  # share of silent frames that move

    def add(self, clip: Clip, network: hearing.Network, baseline: Array) -> None:
        """Judge one clip of a person that neither network nor baseline saw."""
        heard = neural.attend(network, clip.mel, clip.phones, clip.spoken)
        alone = neural.attend(network, clip.mel, clip.phones * 0, clip.spoken)
        guesses = {
            "phones": _at_frames(clip, neural.mouth_points(heard.coefficients, NOBODY, network)),
            "no phones": _at_frames(clip, neural.mouth_points(alone.coefficients, NOBODY, network)),
            "motion": self._drawn(clip, heard, network),
            "energy": _at_frames(clip, network.points(loudness(clip) @ baseline)),
            "mean face": np.zeros((len(clip.lips), _N_LIPS, 3)),
        }
        middle = clip.lips.mean(0).astype(np.float64)
        for name, lips in guesses.items():
            scores = speech_scores.score(lips + middle, clip.lips.astype(np.float64), clip.fps)
            self.tables.setdefault(name, []).append((clip.person, scores))

    def _drawn(self, clip: Clip, heard: hearing.Heard, network: hearing.Network) -> Lips:
        """Lips that mesh_warp draws: through ARKit weights, closures and rest."""
        at = Frames(Fraction(clip.fps).limit_denominator(1001), len(clip.lips))
        said = neural.express(
            heard, clip.phones, clip.spoken, at, NOBODY, Amounts.of({}), 0.0, 0, network
        )
        motion = enforce(said)
        kept = report(motion, said.silent, said.closures)
        self.closures.append((kept.closure_hits, kept.closure_total))
        self.silence.append(kept.silence_motion)
        lips: Lips = load(RENDERERS, "mesh_warp").lips(motion).astype(np.float64)
        return lips - lips.mean(0)

    def print(self) -> None:
        """Tables of studio and wild recordings, and whether the rules were kept."""
        for group in ("grid", "wild"):
            _print_group(group, self.tables)
        met, wanted = np.sum(self.closures, 0)
        moved = 100 * max(self.silence)
        log.info("closures met: %d of %d; most motion in silence: %.2f %%", met, wanted, moved)


def energy_to_jaw(clips: Sequence[Clip], axes: Components) -> Array:
    """(2, K) coefficients of the baseline that moves the mouth with loudness alone."""
    loud = np.concatenate([loudness(clip) for clip in clips])
    coefficients = np.concatenate([clip.target @ axes.basis.T for clip in clips])
    fitted = np.linalg.lstsq(loud, coefficients / axes.deviation, rcond=None)[0]
    return fitted.astype(np.float32)


def loudness(clip: Clip) -> Array:
    """(U, 2) energy below 3 kHz, and 1."""
    level = clip.mel[::2, _ENERGY_MELS].mean(1)[: len(clip.target)]
    return np.stack([level, np.ones_like(level)], 1)


def _at_frames(clip: Clip, points: npt.NDArray[np.floating]) -> Lips:
    """Lips (T, 40, 3) at the clip's frames, minus their mean, of points (U, 45, 3) at 50 Hz."""
    times = np.arange(len(clip.lips)) / clip.fps * 50
    flat = points[:, :_N_LIPS].reshape(len(points), -1)
    columns = [np.interp(times, np.arange(len(flat)), column) for column in flat.T]
    lips = np.stack(columns, 1).reshape(-1, _N_LIPS, 3)
    return lips - lips.mean(0)


def _print_group(group: str, tables: Mapping[str, Rows]) -> None:
    """Means over people, paired differences, and what the way to the drawn lips costs."""
    means = {}
    for name, rows in tables.items():
        chosen = [row for row in rows if row[0].startswith("grid") == (group == "grid")]
        means[name] = speech_scores.by_person(chosen)
    log.info("%s, %d people", group, len(means["motion"]) - 1)
    log.info("%-34s" + " %7s" * len(SHOWN), "", *SHOWN)
    for name in ("motion", "phones", "no phones"):
        for person, scores in means[name].items():
            label = f"  {name}, {person}"
            log.info("%-34s" + " %7.3f" * len(SHOWN), label[:34], *(scores[k] for k in SHOWN))
    for name in tables:
        scores = means[name]["all"]
        log.info("%-34s" + " %7.3f" * len(SHOWN), name, *(scores[k] for k in SHOWN))
    for name in ("no phones", "energy", "motion"):
        for key in _COMPARED:
            difference = speech_scores.paired(means["phones"], means[name], key)
            log.info("phones - %s, %s: %s", name, key, difference)
    for key in ("r_open", "r_width", "lmd"):
        before, after = means["phones"]["all"][key], means["motion"]["all"][key]
        log.info("mapping, rules and rest change %s by %+.1f %%", key, 100 * (after / before - 1))
