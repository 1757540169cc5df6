"""What of the lip sync survives the renderer: rendered faces, tracked, against the real speakers.

    python tests/bench/rendered_speech.py TRACKS_DIR [--networks DIR] [--portrait FILE]
        [--size 320] [--seconds 6] [--clips NAME ...]

TRACKS_DIR holds the NPZ files of training.speech_tracks. The sound of each clip goes through the
default pipeline to a movie; the mesh detector tracks the face in it, and training.speech_scores
compares its lips with the tracked lips of the real speaker. Beside that: the score of the lips in
motion.npz, and how near rendered and meant lips are to each other. The sound is moved as to agree
best with the speaker, as the clips' own offsets demand (one offset for both scores). With
--networks DIR each person is heard by DIR/without_<person>.safetensors, as train_speech writes it.
"""

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from inference_server.cache import Cache
from inference_server.movie import Movie
from inference_server.pipeline import Studio
from inference_server.portrait.video import LIPS, stabilise, track
from inference_server.spec import parse_spec
from inference_server.speech import hearing
from inference_server.training.speech_clips import identity
from inference_server.training.speech_scores import (
    LOWEST,
    by_person,
    correlation,
    opening,
    score,
    width,
)  # fmt: skip
from inference_server.training.speech_tracks import SAMPLE_RATE

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.png"
LARGEST_LAG_S, LAG_STEP_S = 0.3, 0.02
SHOWN = ("r_open", "r_width", "r_lower", "lmd", "ev_f1", "gain", "lag_ms", "jitter")


def main() -> None:
    """Print a line for each clip and the means over people."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tracks", type=Path)
    parser.add_argument("--clips", nargs="*", help="names; all without")
    parser.add_argument("--networks", type=Path)
    parser.add_argument("--portrait", type=Path, default=PORTRAIT)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--seconds", type=float, default=6.0)
    chosen = parser.parse_args()
    names = chosen.clips or sorted(path.stem for path in chosen.tracks.glob("*.npz"))
    rows: dict[str, list[tuple[str, dict[str, float]]]] = {"meant": [], "rendered": []}
    for name in names:
        person = identity(name)[0]
        if chosen.networks:
            network = hearing.load(chosen.networks / f"without_{person}.safetensors")
            hearing.bundled = lambda network=network: network
        meant, drawn, seen, fps, sure = rendered(chosen, chosen.tracks / f"{name}.npz")
        lag_s = best_lag_s(meant, seen, fps)
        for kind, lips in (("meant", meant), ("rendered", drawn)):
            scored = score(moved(lips, lag_s * fps), seen, fps)
            rows[kind].append((person, scored))
            print(f"{name[:32]:32} {kind:8}", line(scored), flush=True)
        print(
            f"{'':32} rendered against meant: r_open "
            f"{correlation(opening(drawn), opening(meant)):.2f} r_width "
            f"{correlation(width(drawn), width(meant)):.2f}, lag {1000 * lag_s:.0f} ms, "
            f"face found in {sure:.0%}"
        )
    for kind, scored in rows.items():
        means = by_person(scored)
        print(f"{kind:9}{len(means) - 1} people: {line(means['all'])}")


def rendered(chosen: argparse.Namespace, clip: Path):
    """Lips meant, drawn and seen, (T, 40, 3) each; frames per second; share of faces found."""
    with np.load(clip) as data, tempfile.TemporaryDirectory() as folder:
        fps, seen = float(data["fps"]), data["lips"].astype(float)
        seen = seen[: round(chosen.seconds * fps)]
        sound = Path(folder, "sound.wav")
        soundfile.write(sound, data["samples"], SAMPLE_RATE)
        rate = Fraction(fps).limit_denominator(1001)
        spec = parse_spec(
            {
                "image": str(chosen.portrait),
                "audio": {"path": str(sound)},
                "fps": [rate.numerator, rate.denominator],
                "n_frames": len(seen),
                "size": chosen.size,
                "out_dir": f"{folder}/take",
            }
        )
        movie = Movie(Path(folder, "take.mp4"), spec)
        movie.write(
            Studio(Cache(Path(folder, "cache"))).render(spec, lambda event: None, lambda: False)
        )
        meant = np.load(f"{folder}/take/motion.npz")["lips"].astype(float)
        mesh, found, _ = track(Path(folder, "take.mp4"))
    drawn = stabilise(mesh, found)[:, LIPS].astype(float)
    length = min(len(meant), len(drawn), len(seen))
    return meant[:length], drawn[:length], seen[:length], fps, float(found.mean())


def best_lag_s(heard: np.ndarray, seen: np.ndarray, fps: float) -> float:
    """By how much later lips agree best with those that were seen."""

    def agreement(lag_s: float) -> float:
        late = moved(heard, lag_s * fps)
        curves = ((opening(late), opening(seen)), (width(late), width(seen)))
        return sum(correlation(*pair) for pair in curves) + correlation(
            late[:, LOWEST, 1], seen[:, LOWEST, 1]
        )

    return float(max(np.arange(-LARGEST_LAG_S, LARGEST_LAG_S + 0.01, LAG_STEP_S), key=agreement))


def moved(lips: np.ndarray, frames: float) -> np.ndarray:
    """The lips of `frames` later, (T, 40, 3)."""
    at = np.arange(len(lips)) + frames
    flat = lips.reshape(len(lips), -1)
    columns = [np.interp(at, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns, 1).reshape(lips.shape)


def line(scored: dict[str, float]) -> str:
    """The numbers that are shown."""
    return " ".join(f"{name} {scored[name]:.2f}" for name in SHOWN)


if __name__ == "__main__":
    main()
