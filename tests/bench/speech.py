"""Speech analysis: how many times faster than real time, and what ten minutes cost in memory.

    python tests/bench/speech.py

Each length runs in a process of its own on one core. Targets: at least 50 times real time; for the
whole server, ten minutes within 10 % of the peak memory of one (see memory.py).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

FIXTURE = Path(__file__).parents[1] / "fixtures" / "speech.wav"
MINUTES = (1, 10)
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> None:
    import numpy as np
    import soundfile

    once, rate = soundfile.read(FIXTURE, dtype="float32")
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            path = Path(folder, f"{minutes}.flac")
            samples = np.resize(once, minutes * 60 * rate)
            soundfile.write(path, np.stack([samples, samples], axis=1), rate)
            done = subprocess.run(
                [sys.executable, __file__, str(path)],
                env={**os.environ, **ONE_CORE},
                capture_output=True,
                text=True,
                check=True,
            )
            decode_s, listen_s, peak = (float(value) for value in done.stdout.split())
            peaks[minutes] = peak
            print(
                f"{minutes:2d} min: {minutes * 60 / (decode_s + listen_s):5.0f} x real time "
                f"(decoding {decode_s:.2f} s, analysis {listen_s:.2f} s of CPU), "
                f"peak {peak:.0f} MB"
            )
    print(f"10 min against 1 min: {100 * (peaks[10] / peaks[1] - 1):+.1f} % memory")


def measure(path: Path) -> None:
    """Print CPU seconds of decoding and of analysis, and the peak memory in MB."""
    from inference_server.audio_io import read_speech
    from inference_server.datatypes import AudioRange
    from inference_server.speech.rules import Rules

    rules = Rules()
    rules.motion(read_speech(AudioRange(FIXTURE)), Fraction(25), 25, 0, {})  # loads the network
    begin = time.process_time()
    speech = read_speech(AudioRange(path))
    decoded = time.process_time()
    rules.motion(speech, Fraction(25), int(speech.duration_s * 25), 0, {})
    end = time.process_time()
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes or kB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(decoded - begin, end - decoded, peak)


if __name__ == "__main__":
    measure(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
