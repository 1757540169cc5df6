"""How long the server takes: start to hello, start to first frame, an edit to its picture.

python tests/bench/server.py [--seconds 4] [--size 512]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1] / "ipc")]

from connection import REAL, Connection  # noqa: E402 - the path is set above

PORTRAIT = HERE.parents[1] / "fixtures" / "astronaut.png"
HELLO_LIMIT_S, EDIT_LIMIT_S = 0.5, 0.15
EDITS = 12


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the shot")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--style", default="photo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sound = work / "sound.wav"
        write_sound(sound, options.seconds)
        hello_s = min(start_to_hello(work / f"hello {attempt}") for attempt in range(5))
        print(f"start to hello: {hello_s:.3f} s (limit {HELLO_LIMIT_S})")
        spec = {
            "image": str(PORTRAIT),
            "audio": {"path": str(sound)},
            "fps": [24, 1],
            "size": options.size,
            "style": options.style,
        }
        cold_s = start_to_first_frame(work / "home", {**spec, "out_dir": str(work / "cold")})
        print(f"start to first frame, nothing cached: {cold_s:.2f} s")
        warm_s = start_to_first_frame(work / "home", {**spec, "out_dir": str(work / "warm")})
        print(f"start to first frame, cached: {warm_s:.2f} s")
        edits = edit_to_picture(work / "home", work, spec)
        median_s, worst_s = statistics.median(edits), max(edits)
        print(
            f"edit to picture, {options.size} px, {options.style}: "
            f"median {median_s * 1000:.0f} ms, worst {worst_s * 1000:.0f} ms "
            f"of {len(edits)} (limit {EDIT_LIMIT_S * 1000:.0f})"
        )
    return 0 if hello_s < HELLO_LIMIT_S and median_s <= EDIT_LIMIT_S else 1


def write_sound(path: Path, seconds: float) -> None:
    """Syllables: bursts of noise and tone, four a second."""
    rate = 16_000
    t = np.arange(int(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 4 * t), 0, 1)
    voice = 0.3 * np.sin(2 * np.pi * 150 * t) + 0.1 * np.sin(2 * np.pi * 900 * t)
    soundfile.write(path, envelope * voice, rate)


def start_to_hello(home: Path) -> float:
    with Connection(REAL, home) as server:
        server.hello()
        return time.monotonic() - server.started


def start_to_first_frame(home: Path, spec: dict[str, Any]) -> float:
    with Connection(REAL, home) as server:
        server.hello()
        server.request(1, "render", spec=spec)
        server.wait_for_event("frames", timeout_s=300)
        seconds = time.monotonic() - server.started
        assert "result" in server.answer(timeout_s=300)
        return seconds


def edit_to_picture(home: Path, work: Path, spec: dict[str, Any]) -> list[float]:
    """Request sent to answer received, one edited frame each, the take before as base."""
    seconds = []
    with Connection(REAL, home) as server:
        server.hello()
        base = work / "base"
        server.request(0, "render", spec={**spec, "out_dir": str(base)})
        assert "result" in server.answer(timeout_s=300)
        for number in range(1, EDITS + 1):
            edits = {"lip_open": {"5": 0.9 * number / EDITS}}
            out = work / f"edit {number}"
            shot = {**spec, "out_dir": str(out), "base_take": str(base), "channels": edits}
            start = time.monotonic()
            answer = server.call(number, "render", spec=shot)
            seconds.append(time.monotonic() - start)
            assert answer["result"]["rendered"] == 1, answer
            base = out
    return seconds


if __name__ == "__main__":
    raise SystemExit(main())
