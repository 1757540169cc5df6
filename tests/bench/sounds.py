"""What the default voice makes of many sounds: rates, closures, rest, warnings, one row a file.

    python tests/bench/sounds.py SOUND_OR_FOLDER [...]

`speech` is the share of frames in which the mouth may move, `std` and `peaks` those of lip_open in
them (per second), `shut` how often a closure comes, `rest` the share of silent frames in which lips
move, `open at rest` the widest opening there. Plausible speech in any language: std 0.1 to 0.25, 2
to 5 peaks, 0.5 to 2 closures a second, no motion at rest. That is plausibility, not accuracy.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.errors import AnimatePortraitError
from inference_server.motion.channels import measure
from inference_server.motion.closures import enforce
from inference_server.motion.report import report
from inference_server.registry import MOTION_SOURCES, load

FPS = 25
PEAK = 0.08  # of lip_open, at least
HEADS = ("file", "s", "speech", "std", "peaks /s", "shut /s", "rest", "open at rest", "said")


def row(source, path: Path) -> list[str]:
    """The cells of one file."""
    try:
        speech = read_speech(AudioRange(path))
    except AnimatePortraitError as failure:
        return [path.name, *[""] * (len(HEADS) - 2), f"{type(failure).__name__}: {failure.message}"]
    spoken = source.motion(speech, Fraction(FPS), max(1, round(speech.duration_s * FPS)), 0, {})
    motion = enforce(spoken)
    kept = report(motion, spoken.silent, spoken.closures)
    opened, talks = measure(motion)["lip_open"], ~spoken.silent
    inner = opened[1:-1]
    tops = (inner > opened[:-2]) & (inner >= opened[2:]) & (inner > PEAK)
    talk_s = max(0.1, talks.sum() / FPS)
    said = [*speech.warnings, *spoken.warnings]
    said += [f"frame {at.frame}: {at.kind}" for at in kept.breaches[:3]]
    deep = spoken.silent.copy()  # away from the way into and out of speech
    for frame in np.flatnonzero(talks):
        deep[max(0, frame - 3) : frame + 4] = False
    return [
        path.name,
        f"{speech.duration_s:.1f}",
        f"{talks.mean():.0%}",
        f"{opened[talks].std() if talks.any() else 0:.3f}",
        f"{tops.sum() / talk_s:.1f}",
        f"{kept.closure_total / talk_s:.1f}",
        f"{kept.silence_motion:.1%}",
        f"{opened[deep].max() if deep.any() else 0:.3f}",
        "; ".join(said),
    ]


def main() -> None:
    """Print the table."""
    paths: list[Path] = []
    for name in sys.argv[1:]:
        given = Path(name)
        paths += sorted(given.iterdir()) if given.is_dir() else [given]
    source = load(MOTION_SOURCES, "neural")
    print("|", " | ".join(HEADS), "|")
    print("|---" * len(HEADS) + "|")
    for path in paths:
        print("|", " | ".join(row(source, path)), "|", flush=True)


if __name__ == "__main__":
    main()
