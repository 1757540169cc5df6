"""Train the speech network from a folder of talking clips to the shipped file.

    python -m inference_server.training.train_speech MEDIA_DIR OUT_DIR [--judge]

MEDIA_DIR holds clips as speech_clips.LICENSED names them (talking/*.mp4, talking/grid_s1/*.mp4 with
their *.align). Needs `pip install pocketsphinx matplotlib` and what training.speech_synthetic asks
for. Steps, each of which is skipped when its result is in OUT_DIR: track the clips, speak synthetic
sentences, align real ones, pre-train on visemes, listen to the clips; then tune on every licensed
clip and write speech.safetensors and curves.png; with --judge, remove the other clips' sound
offsets and judge on people left out. train.log says how it went and what CPU time each step took.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from inference_server.models.speech_net import SpeechNet, SpeechNetDims
from inference_server.speech import hearing
from inference_server.training.speech_clips import (
    TRUSTED_CORRELATION,
    Clip,
    best_lag,
    read_clip,
    shift_sound,
)
from inference_server.training.speech_judge import Verdict, energy_to_jaw
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

_PACKAGE = "inference_server.training"
_RESULT = "speech.safetensors"


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Log the CPU time of a step, that of its child processes included."""
    before = _cpu_s()
    yield
    log.info("%s: %.0f s of CPU time", step, _cpu_s() - before)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def synchronise(net: SpeechNet, axes: Components, clips: Sequence[Clip]) -> list[Clip]:
    """Remove the sound offset of each clip that did not teach; drop those where it is unclear."""
    corrected = []
    for clip in clips:
        if clip.licence:
            corrected.append(clip)
            continue
        lag, correlation = best_lag(predict(net, axes, clip.mel, clip.phones)[0], clip)
        log.info("%-45s sound late by %4d ms, r %.2f", clip.name, lag * 20, correlation)
        if correlation >= TRUSTED_CORRELATION:
            corrected.append(shift_sound(clip, lag))
    return corrected


def leave_one_out(
    config: Config, start: Mapping[str, Tensor], clips: Sequence[Clip], out: Path
) -> None:
    """Judge on people whose lips the network did not see; print tables, keep networks in `out`.

    People whose clips may not teach are judged by the finished network.
    """
    licensed = [clip for clip in clips if clip.licence]
    people = sorted({clip.person for clip in licensed})
    verdict = Verdict()
    for person in [*people, ""]:
        teachers = [clip for clip in licensed if clip.person != person]
        axes = components(teachers)
        path = out / "judged" / f"without_{person}.safetensors" if person else out / _RESULT
        if not path.exists():
            export(tune(config, start, teachers, axes, []), axes, teachers, path)
        network, baseline = hearing.load(path), energy_to_jaw(teachers, axes)
        for clip in clips:
            judged_here = clip.person == person if person else clip.person not in people
            if judged_here and (person != CORPUS or hash_of(clip.name) % 16 == 0):
                verdict.add(clip, network, baseline)
    verdict.print()


def hash_of(name: str) -> int:
    """A number that is the same in every run."""
    return sum(ord(letter) * (i + 1) for i, letter in enumerate(name))


def export(net: SpeechNet, axes: Components, clips: Sequence[Clip], out: Path) -> None:
    """One file: weights in half precision, the components, and where closed lips lie."""
    tensors = {
        f"net.{name}": value.half().contiguous() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    closed = [clip.target[clip.closed > 0.5].mean(0) for clip in clips if clip.closed.any()]
    tensors["basis"] = torch.from_numpy(axes.basis.copy())
    tensors["deviation"] = torch.from_numpy(axes.deviation.astype(np.float32))
    tensors["closed"] = torch.from_numpy(np.mean(closed, 0).astype(np.float32))
    header = {"dims": json.dumps(asdict(SpeechNetDims()))}  # one entry: more have no fixed order
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
    """Track the clips, speak synthetic sentences, align real ones; unless that is done."""
    tracks, spoken = out / "tracks", out / "spoken"
    talking = media / "talking"
    files = sorted(talking.glob("*.mp4")) + sorted((talking / "grid_s1").glob("*.mp4"))
    clips = [str(path) for path in files if "joined" not in path.stem]
    with timed("tracking"):
        _run("speech_tracks", str(tracks), *clips)
    if not any(spoken.glob("*.npz")):
        with timed("synthetic speech"):
            _run("speech_synthetic", str(spoken))
        with timed("alignment"):
            _run("speech_aligned", str(spoken), str(tracks), str(talking / "grid_s1"))


def trunk(config: Config, out: Path, losses: Losses) -> dict[str, Tensor]:
    """The pre-trained part; read back, with its losses, when it is in `out`."""
    path, curve = out / "trunk.safetensors", out / "pretrain.npy"
    if path.exists():
        losses += [("pretrain", i, value) for i, value in enumerate(np.load(curve).tolist())]
    else:
        with timed("pre-training"):
            state = pretrain(config, out / "spoken", losses)
        np.save(curve, [value for _, _, value in losses])
        save_file(state, str(path))
    return load_file(str(path))


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("media", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", action="store_true", help="also leave one person out each")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # sums in the same order on every run
    options.out.mkdir(parents=True, exist_ok=True)
    logging.getLogger().addHandler(logging.FileHandler(options.out / "train.log"))
    config = replace(Config(), seed=options.seed)
    log.info("%s", config)
    losses: Losses = []
    prepare(options.media, options.out)
    start = trunk(config, options.out, losses)
    paths = sorted((options.out / "tracks").glob("*.npz"))
    with timed("listening"):
        clips = [read_clip(path, options.out / "heard") for path in paths]
    licensed = [clip for clip in clips if clip.licence]
    axes = components(licensed)
    with timed("tuning"):
        net = tune(config, start, licensed, axes, losses)
    export(net, axes, licensed, options.out / _RESULT)
    draw_curves(losses, options.out / "curves.png")
    if options.judge:
        clips = synchronise(net, axes, clips)
        with timed("judging"):
            leave_one_out(config, start, clips, options.out)
    for person, licence in sorted({(clip.person, clip.licence) for clip in licensed}):
        log.info("taught by %s: %s", person, licence)
    log.info("in all: %.0f s of CPU time", _cpu_s())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
