"""How exactly are words found, and are wrong ones noticed? On GRID's s1, whose words have times.

    python tests/bench/words.py MEDIA_DIR

MEDIA_DIR/talking/grid_s1 holds clips with their .align files (25,000 units a second, themselves
aligned by a machine). Each clip is aligned with its own words, with one colour wrong, and, joined
to ten minutes, in one go: error of begin and end, share of words doubted, speed and memory.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np

from inference_server.audio_io import read_speech
from inference_server.datatypes import AudioRange
from inference_server.speech import alignment
from inference_server.speech.pronunciation import pronounce

CLIPS = 60
OTHER = {"blue": "yellow", "red": "orange", "green": "purple", "white": "black"}


def read(path):
    """Samples, and (begin, end, word) in seconds."""
    rows = [line.split() for line in path.with_suffix(".align").read_text().splitlines()]
    words = [(int(a) / 25_000, int(b) / 25_000, w) for a, b, w in rows if w not in ("sil", "sp")]
    return read_speech(AudioRange(path)).samples, words


def errors(found, words, shift_s=0.0):
    pairs = zip(found, words, strict=True)
    return [(f.start_s - a - shift_s, f.end_s - b - shift_s) for f, (a, b, _) in pairs]


def show(name, found):
    off = np.abs(np.array(found))
    print(
        f"{name:12} begin: median {1000 * np.median(off[:, 0]):.0f} ms, "
        f"90 % within {1000 * np.quantile(off[:, 0], 0.9):.0f}; "
        f"end: {1000 * np.median(off[:, 1]):.0f}, {1000 * np.quantile(off[:, 1], 0.9):.0f}"
    )


def main():
    paths = sorted((Path(sys.argv[1]) / "talking" / "grid_s1").glob("*.mp4"))
    chosen = [paths[i] for i in np.random.default_rng(0).permutation(len(paths))[:CLIPS]]
    clips = [read(path) for path in chosen]
    alone, right, wrong = [], [], []
    for samples, words in clips:
        found = alignment.align(samples, pronounce([w for *_, w in words], "en"))
        alone += errors(found, words)
        right += [each.doubtful for each in found]
        replaced = [OTHER.get(w, w) for *_, w in words]
        found = alignment.align(samples, pronounce(replaced, "en"))
        wrong += [f.doubtful for f, (*_, w) in zip(found, words, strict=True) if w in OTHER]
    show("clip by clip", alone)
    print(f"doubted: {np.mean(right):.0%} of right words, {np.mean(wrong):.0%} of wrong colours")
    samples = np.concatenate([samples for samples, _ in clips] * 4)
    starts = np.cumsum([0, *(len(samples) for samples, _ in clips * 4)]) / 16_000
    every = [word for _, words in clips * 4 for word in words]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    found = alignment.align(samples, pronounce([w for *_, w in every], "en"))
    seconds = time.process_time() - begin
    shifts = np.repeat(starts[:-1], [len(words) for _, words in clips * 4])
    joined = [
        (f.start_s - a - s, f.end_s - b - s)
        for f, (a, b, _), s in zip(found, every, shifts, strict=True)
    ]
    length_s = len(samples) / 16_000
    show(f"{length_s / 60:.0f} min", joined)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{length_s / seconds:.0f} x real time, {more:.0f} MB more than for a clip")


if __name__ == "__main__":
    main()
