"""Train the speech network from a folder of talking clips to the shipped file.

    python -m inference_server.training.train_speech MEDIA_DIR OUT_DIR [--judge]

MEDIA_DIR holds clips as speech_clips.LICENSED names them (talking/*.mp4, talking/grid_s1/*.mp4).
Needs `pip install pocketsphinx` and what training.speech_synthetic asks for. Steps, each of which
is skipped when its result is in OUT_DIR: track the clips, speak synthetic sentences, listen to
everything, pre-train on visemes, remove the clips' sound offsets, judge on people left out
(--judge), tune on every licensed clip, and write speech.safetensors, curves.png and train.log.
About an hour and a half on two cores, most of it for tracking and pre-training.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference_server.models.speech_net import SpeechNet, SpeechNetDims
from inference_server.training import speech_scores
from inference_server.training.speech_clips import (
    DEPTH_WEIGHT,
    TRUSTED_CORRELATION,
    Clip,
    best_lag,
    read_clip,
    shift_sound,
)
from inference_server.training.speech_nets import (
    CORPUS,
    Components,
    Config,
    Losses,
    components,
    predict,
    pretrain,
    tune,
)

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float32]
Rows = list[tuple[str, dict[str, float]]]  # (person, scores) of each clip

_PACKAGE = "inference_server.training"
_SHOWN = ("r_open", "r_width", "r_lower", "lmd", "ev_f1", "gain", "lag_ms", "jitter")
_ENERGY_MELS = slice(0, 40)  # of 64: up to 3 kHz


def lips_at(clip: Clip, offsets: Array) -> npt.NDArray[np.float64]:
    """Predicted offsets (U, 135) as lips (T, 40, 3) at the clip's frames, about the clip's mean."""
    points = offsets.reshape(len(offsets), -1, 3)[:, :40] / [1, 1, DEPTH_WEIGHT]
    times = np.arange(len(clip.lips)) / clip.fps * 50
    flat = points.reshape(len(points), -1)
    columns = [np.interp(times, np.arange(len(flat)), column) for column in flat.T]
    return np.stack(columns, 1).reshape(-1, 40, 3) + clip.lips.mean(0)


def judge(clip: Clip, offsets: Array) -> dict[str, float]:
    """Scores of one prediction."""
    return speech_scores.score(lips_at(clip, offsets), clip.lips.astype(np.float64), clip.fps)


def synchronise(config: Config, start: Mapping[str, Tensor], clips: Sequence[Clip]) -> list[Clip]:
    """Remove each clip's sound offset; drop clips whose offset cannot be told."""
    corpus = [clip for clip in clips if clip.person == CORPUS]
    axes = components(corpus)
    net = tune(config, start, corpus, axes, [])
    corrected = []
    for clip in clips:
        if clip.licence.startswith("CC BY"):  # GRID was recorded in sync
            corrected.append(clip)
            continue
        lag, correlation = best_lag(predict(net, axes, clip.mel, clip.phones)[0], clip)
        log.info("%-45s sound late by %4d ms, r %.2f", clip.name, lag * 20, correlation)
        if correlation >= TRUSTED_CORRELATION:
            corrected.append(shift_sound(clip, lag))
    return corrected


def energy_to_jaw(clips: Sequence[Clip], axes: Components) -> Array:
    """(2, K) coefficients of the baseline that moves the mouth with loudness alone."""
    loud = np.concatenate([_loudness(clip) for clip in clips])
    coefficients = np.concatenate([clip.target @ axes.basis.T for clip in clips])
    return np.linalg.lstsq(loud, coefficients, rcond=None)[0].astype(np.float32)


def _loudness(clip: Clip) -> Array:
    """(U, 2) energy below 3 kHz, and 1."""
    level = clip.mel[::2, _ENERGY_MELS].mean(1)[: len(clip.target)]
    return np.stack([level, np.ones_like(level)], 1)


def leave_one_out(
    config: Config, start: Mapping[str, Tensor], clips: Sequence[Clip], out: Path
) -> None:
    """Judge on people that the network did not see; print tables, keep the networks in `out`.

    People whose clips may not teach are judged by the network of all licensed clips.
    """
    licensed = [clip for clip in clips if clip.licence]
    axes = components(licensed)
    baseline = energy_to_jaw(licensed, axes)
    tables: dict[str, Rows] = {"phones": [], "no phones": [], "energy": [], "mean face": []}
    people = sorted({clip.person for clip in licensed})
    for person in [*people, ""]:
        teachers = [clip for clip in licensed if clip.person != person]
        net = tune(config, start, teachers, axes, [])
        export(net, axes, teachers, config, out / f"without_{person or 'nobody'}.safetensors")
        for clip in clips:
            judged_here = clip.person == person if person else clip.person not in people
            if not judged_here or (person == CORPUS and hash_of(clip.name) % 8):
                continue
            flat = np.zeros_like(clip.target)
            guesses = {
                "phones": predict(net, axes, clip.mel, clip.phones)[0],
                "no phones": predict(net, axes, clip.mel, clip.phones * 0)[0],
                "energy": _loudness(clip) @ baseline @ axes.basis,
                "mean face": flat,
            }
            for name, offsets in guesses.items():
                tables[name].append((clip.person, judge(clip, offsets)))
    for group in ("grid", "wild"):
        print_tables(group, tables)


def hash_of(name: str) -> int:
    """A number that is the same in every run."""
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(name))


def print_tables(group: str, tables: Mapping[str, Rows]) -> None:
    """Means over the people of a group, each person once, and paired differences."""
    means = {}
    for name, rows in tables.items():
        chosen = [row for row in rows if row[0].startswith("grid") == (group == "grid")]
        means[name] = speech_scores.by_person(chosen)
    log.info("%s, %d people", group, len(means["phones"]) - 1)
    log.info("%-34s" + " %7s" * len(_SHOWN), "", *_SHOWN)
    for person, scores in means["phones"].items():
        log.info("  %-32s" + " %7.3f" * len(_SHOWN), person, *(scores[k] for k in _SHOWN))
    for name in tables:
        scores = means[name]["all"]
        log.info("%-34s" + " %7.3f" * len(_SHOWN), name, *(scores[k] for k in _SHOWN))
    for name in ("no phones", "energy"):
        for key in ("r_open", "r_width", "lmd", "ev_f1"):
            difference = speech_scores.paired(means["phones"], means[name], key)
            log.info("phones - %s, %s: %s", name, key, difference)


def export(
    net: SpeechNet, axes: Components, clips: Sequence[Clip], config: Config, out: Path
) -> None:
    """One file: weights in half precision, the components, and where closed lips lie."""
    tensors = {
        f"net.{name}": value.half().contiguous() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    closed = [clip.target[clip.closed > 0.5].mean(0) for clip in clips if clip.closed.any()]
    tensors["basis"] = torch.from_numpy(axes.basis.copy())
    tensors["deviation"] = torch.from_numpy(axes.deviation.astype(np.float32))
    tensors["closed"] = torch.from_numpy(np.mean(closed, 0).astype(np.float32))
    header = {"dims": json.dumps(asdict(SpeechNetDims())), "config": json.dumps(asdict(config))}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(out), header)


def draw_curves(losses: Losses, out: Path) -> None:
    """Losses over the steps as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, plots = pyplot.subplots(1, 2, figsize=(9, 3))
    for plot, phase in zip(plots, ("pretrain", "tune"), strict=True):
        values = [value for name, _, value in losses if name == phase]
        plot.plot(values, linewidth=0.6)
        plot.set(title=phase, xlabel="step", ylabel="loss")
    figure.tight_layout()
    figure.savefig(out)


def _run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"{_PACKAGE}.{module}", *arguments], check=True)


def prepare(media: Path, out: Path) -> None:
    """Track the clips and speak the synthetic sentences, unless that is done."""
    tracks, synthetic = out / "tracks", out / "synthetic"
    talking = media / "talking"
    files = sorted(talking.glob("*.mp4")) + sorted((talking / "grid_s1").glob("*.mp4"))
    clips = [str(path) for path in files if "joined" not in path.stem]
    _run("speech_tracks", str(tracks), *clips)
    if not any(synthetic.glob("*.npz")):
        _run("speech_synthetic", str(synthetic))


def trunk(config: Config, out: Path, losses: Losses) -> dict[str, Tensor]:
    """The pre-trained part; read back when it is in `out`."""
    path = out / "trunk.safetensors"
    if not path.exists():
        save_file(pretrain(config, out / "synthetic", losses), str(path))
    return load_file(str(path))


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", action="store_true", help="also leave one person out each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(logging.FileHandler(options.out / "train.log", "w"))
    config = replace(Config(), seed=options.seed)
    losses: Losses = []
    prepare(options.media, options.out)
    start = trunk(config, options.out, losses)
    paths = sorted((options.out / "tracks").glob("*.npz"))
    clips = [read_clip(path, options.out / "heard") for path in paths if "joined" not in path.stem]
    clips = synchronise(config, start, clips)
    if options.judge:
        leave_one_out(config, start, clips, options.out / "judged")
    licensed = [clip for clip in clips if clip.licence]
    axes = components(licensed)
    net = tune(config, start, licensed, axes, losses)
    export(net, axes, licensed, config, options.out / "speech.safetensors")
    draw_curves(losses, options.out / "curves.png")
    for person, licence in sorted({(clip.person, clip.licence) for clip in licensed}):
        log.info("taught by %s: %s", person, licence)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
