"""Does a style learned from seconds of a speaker help on other seconds of the same speaker?

    python tests/bench/voice_style.py TRACKS_DIR JUDGED_DIR

TRACKS_DIR is written by training.speech_tracks, JUDGED_DIR (without_*.safetensors) by
training.train_speech --judge: every speaker is heard by a network that never saw them. Long clips
are cut in halves, each of which teaches and is scored with the other; of GRID's s1, whose clips
last 3 s, 10 to 60 s teach and 24 other clips are scored. "heard" are the lips of the network,
"drawn" those that the renderer is given.
"""

import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from inference_server.datatypes import Speech
from inference_server.errors import ClipUnusable
from inference_server.learn_style import learn_from
from inference_server.motion.closures import enforce
from inference_server.registry import MOTION_SOURCES, RENDERERS, load
from inference_server.speech import hearing, neural, voice
from inference_server.speech.face import Habits
from inference_server.speech.style import NOBODY, write_style
from inference_server.training import speech_clips, speech_scores

SCORES = ("r_open", "r_width", "ev_f1", "gain", "lmd")
S1_SECONDS = (10, 20, 40, 60)
S1_DRAWS, S1_TESTS = 3, 24
LONG_S = 18.0
STYLE = Path(tempfile.mkdtemp()) / "style.safetensors"


def read(path, first=0.0, last=1.0):
    """Lips and chin (T, 45, 3), samples and fps of a share of a tracked clip."""
    with np.load(path) as data:
        points = np.concatenate([data["lips"], data["chin"]], 1).astype(float)
        samples, fps = data["samples"].astype(np.float32) / 32768, float(data["fps"])
    begin, end = (round(each * len(points)) for each in (first, last))
    a, b = (round(each / fps * 16000) for each in (begin, end))
    return points[begin:end], samples[a:b], fps


def joined(paths):
    parts = [read(path) for path in paths]
    sounds = []
    for points, samples, fps in parts:
        length = round(len(points) / fps * 16000)
        sounds.append(np.pad(samples, (0, max(0, length - len(samples))))[:length])
    points = np.concatenate([points - points.mean(0) for points, _, _ in parts])
    return points, np.concatenate(sounds), parts[0][2]


def late(samples, lag_ms):
    """The sound moved earlier by what the lesson found."""
    shift = round(lag_ms * 16)
    return np.roll(samples, -shift)


def scores(style, points, samples, fps):
    """Of the lips that are heard and of those that are drawn."""
    spoken = voice.speaking(samples)
    heard, _ = neural.listen(samples, spoken, style)
    lips = neural.mouth_points(heard.coefficients, style)
    times = np.arange(len(points)) / fps * 50
    flat = lips.reshape(len(lips), -1)
    at_frames = np.stack([np.interp(times, np.arange(len(flat)), c) for c in flat.T], 1)
    write = style is not NOBODY
    if write:
        write_style(style, STYLE, "bench")
    speech = Speech(samples, 0.0, len(samples) / 16000, "bench")
    rate = Fraction(fps).limit_denominator(1001)
    params = {"voice_style": str(STYLE)} if write else {}
    spoken_motion = load(MOTION_SOURCES, "neural").motion(speech, rate, len(points), 0, params)
    drawn = load(RENDERERS, "mesh_warp").lips(enforce(spoken_motion)).astype(float)
    result = {}
    for name, guess in (("heard", at_frames.reshape(-1, 45, 3)[:, :40]), ("drawn", drawn)):
        guess = guess - guess.mean(0) + points[:, :40].mean(0)
        result[name] = speech_scores.score(guess, points[:, :40], fps)
    return result


def compare(teach, tests):
    """[(without, with)] of each test, and the lesson; None where nothing could be learned."""
    try:
        lesson = learn_from(*_in_order(teach), "bench", Habits())
    except ClipUnusable as refused:
        print("    refused:", refused.message)
        return None
    rows = []
    for points, samples, fps in tests:
        sound = late(samples, lesson.lag_ms)
        rows.append([scores(style, points, sound, fps) for style in (NOBODY, lesson.style)])
    return rows, lesson


def _in_order(teach):
    points, samples, fps = teach
    return points, fps, samples


def show(name, rows):
    """Means without and with, and the paired difference with its standard error."""
    for kind in ("heard", "drawn"):
        cells = []
        for score in SCORES:
            pairs = np.array([[row[kind][score] for row in pair] for pair in rows])
            change = pairs[:, 1] - pairs[:, 0]
            error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
            before, after = np.nanmean(pairs, 0)
            cells.append(
                f"{score} {before:.2f} {after:.2f} ({np.nanmean(change):+.3f}+-{error:.3f})"
            )
        print(f"  {name:24} {kind}: " + "  ".join(cells), flush=True)


def use(judged, person):
    path = judged / f"without_{person}.safetensors"
    network = hearing.load(path if path.exists() else judged / "without_nobody.safetensors")
    hearing.bundled = lambda: network


def main():
    tracks, judged = Path(sys.argv[1]), Path(sys.argv[2])
    paths = [path for path in sorted(tracks.glob("*.npz")) if "joined" not in path.stem]
    corpus = [path for path in paths if speech_clips.identity(path.stem)[0] == "grid_s1"]
    halves = []
    for path in paths:
        points, _, fps = read(path)
        if path in corpus or len(points) / fps < LONG_S:
            continue
        use(judged, speech_clips.identity(path.stem)[0])
        for teach, test in (((0, 0.5), (0.5, 1)), ((0.5, 1), (0, 0.5))):
            found = compare(read(path, *teach), [read(path, *test)])
            if found:
                rows, lesson = found
                show(f"{path.stem[:18]} {lesson.seconds:.0f} s", rows)
                halves += rows
    show("all halves", halves)
    use(judged, "grid_s1")
    order = np.random.default_rng(0).permutation(len(corpus))
    tests = [read(corpus[i]) for i in order[:S1_TESTS]]
    for seconds in S1_SECONDS:
        rows = []
        for draw in range(S1_DRAWS):
            chosen = np.random.default_rng(draw + 1).permutation(order[S1_TESTS:])
            teach = joined([corpus[i] for i in chosen[: max(1, round(seconds / 3))]])
            found = compare(teach, tests)
            rows += found[0] if found else []
        show(f"GRID s1 {seconds} s", rows)


if __name__ == "__main__":
    main()
