"""Peak memory of a long sound against a short one: it must not grow with the length of a shot.

python tests/bench/memory.py [--minutes 10] [--fps 25] [--size 128]

The number of frames is what counts, not their size: small frames keep the run short.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parent)]

from server import PORTRAIT, write_sound  # noqa: E402 - the path is set above

LIMIT_BYTES = 1.5e9
LIMIT_GROWTH = 0.10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--fps", default="25")
    parser.add_argument("--size", default="128")
    parser.add_argument("--measure", nargs=3, metavar=("SOUND", "OUT", "HOME"))
    options = parser.parse_args()
    if options.measure:
        measure(options.measure[0], options.measure[1], options.fps, options.size)
        return 0
    peaks = []
    for minutes in (1.0, options.minutes):
        with tempfile.TemporaryDirectory() as folder:
            sound = Path(folder) / "sound.wav"
            write_sound(sound, minutes * 60)
            words = ["--measure", str(sound), f"{folder}/take", f"{folder}/home"]
            words += ["--fps", options.fps, "--size", options.size]
            done = subprocess.run(
                [sys.executable, str(HERE), *words], check=True, capture_output=True, text=True
            )
        found = json.loads(done.stdout.splitlines()[-1])
        peaks.append(found["peak_bytes"])
        megabytes = found["peak_bytes"] / 1e6
        print(f"{minutes:g} min, {found['n_frames']} frames: peak {megabytes:.0f} MB")
    growth = peaks[1] / peaks[0] - 1
    print(f"growth {growth:+.1%} (limit {LIMIT_GROWTH:+.0%}), limit {LIMIT_BYTES / 1e6:.0f} MB")
    return 0 if peaks[1] <= LIMIT_BYTES and growth <= LIMIT_GROWTH else 1


def measure(sound: str, out: str, fps: str, size: str) -> None:
    """One render in this process; prints its peak."""
    from inference_server.cache import Cache
    from inference_server.pipeline import Studio
    from inference_server.spec import parse_fps, parse_spec

    rate = parse_fps(fps)
    spec = parse_spec(
        {
            "image": str(PORTRAIT),
            "audio": {"path": sound},
            "fps": [rate.numerator, rate.denominator],
            "size": int(size),
            "out_dir": out,
        }
    )
    with tempfile.TemporaryDirectory() as cache:
        take = Studio(Cache(Path(cache))).render(spec, lambda event: None, lambda: False)
    unit = 1 if sys.platform == "darwin" else 1024
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"peak_bytes": peak_bytes, "n_frames": take.n_frames}))


if __name__ == "__main__":
    raise SystemExit(main())
