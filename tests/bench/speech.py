"""Speech analysis: how many times faster than real time, and what ten minutes cost in memory.

    python tests/bench/speech.py

Each length and motion source runs in a process of its own on one core: neural, neural without
pocketsphinx ("deaf") and rules. Targets: at least 50 times real time with phones and 200 without;
ten minutes in less than 400 MB.
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
SOURCES = ("neural", "deaf", "rules")
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> None:
    import numpy as np
    import soundfile

    once, rate = soundfile.read(FIXTURE, dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in MINUTES:
            path = Path(folder, f"{minutes}.flac")
            samples = np.resize(once, minutes * 60 * rate)
            soundfile.write(path, np.stack([samples, samples], axis=1), rate)
            for source in SOURCES:
                done = subprocess.run(
                    [sys.executable, __file__, str(path), source],
                    env={**os.environ, **ONE_CORE},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                decode_s, listen_s, peak = (float(value) for value in done.stdout.split())
                print(
                    f"{minutes:2d} min, {source:6}: "
                    f"{minutes * 60 / (decode_s + listen_s):5.0f} x real time "
                    f"(decoding {decode_s:.2f} s, analysis {listen_s:.2f} s of CPU), "
                    f"peak {peak:.0f} MB"
                )


def measure(path: Path, name: str) -> None:
    """Print CPU seconds of decoding and of analysis, and the peak memory in MB."""
    from inference_server.audio_io import read_speech
    from inference_server.datatypes import AudioRange
    from inference_server.registry import MOTION_SOURCES, load
    from inference_server.speech import phones

    if name == "deaf":
        phones.available = lambda: False
    source = load(MOTION_SOURCES, "rules" if name == "rules" else "neural")
    source.motion(read_speech(AudioRange(FIXTURE)), Fraction(25), 25, 0, {})  # loads the network
    begin = time.process_time()
    speech = read_speech(AudioRange(path))
    decoded = time.process_time()
    source.motion(speech, Fraction(25), int(speech.duration_s * 25), 0, {})
    end = time.process_time()
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes or kB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(decoded - begin, end - decoded, peak)


if __name__ == "__main__":
    measure(Path(sys.argv[1]), sys.argv[2]) if len(sys.argv) > 1 else main()
