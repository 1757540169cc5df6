"""The released weight files: read, checked tensor by tensor, kept as safetensors.

Files, keys and shapes: S3 section 4. The files are the user's; nothing of theirs is bundled.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from inference_server.checkpoints import sha256_of
from inference_server.errors import WeightsCorrupt, WeightsMissing

from .appearance import AppearanceDims, AppearanceExtractor
from .generator import Generator, GeneratorDims
from .motion import MotionDims, MotionExtractor
from .retargeting import EYE_WIDTHS, LIP_WIDTHS, STITCHING_WIDTHS, Perceptron
from .warping import Warper, WarperDims

State = Mapping[str, Tensor]

LICENCE = (
    "LivePortrait's code and weights: MIT. The InsightFace detectors that come with them are for "
    "non-commercial research only; they are neither read nor used: our own detector takes their "
    "place."
)
_PERCEPTRONS = "stitching_retargeting_module.pth"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of all networks; the defaults are those of the released weights."""

    appearance: AppearanceDims = AppearanceDims()
    motion: MotionDims = MotionDims()
    warper: WarperDims = WarperDims()
    generator: GeneratorDims = GeneratorDims()


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """All networks of one release."""

    appearance: AppearanceExtractor
    motion: MotionExtractor
    warper: Warper
    generator: Generator
    stitching: Perceptron
    lips: Perceptron
    eyes: Perceptron

    @property
    def by_name(self) -> dict[str, nn.Module]:
        """The networks under the names of their files."""
        return {name: getattr(self, name) for name in self.__slots__}


# network -> file of the release, and the part of it
_SOURCES = {
    "appearance": ("appearance_feature_extractor.pth", ""),
    "motion": ("motion_extractor.pth", ""),
    "warper": ("warping_module.pth", ""),
    "generator": ("spade_generator.pth", ""),
    "stitching": (_PERCEPTRONS, "retarget_shoulder"),
    "lips": (_PERCEPTRONS, "retarget_mouth"),
    "eyes": (_PERCEPTRONS, "retarget_eye"),
}


def build(sizes: Sizes = Sizes()) -> Networks:
    """Networks with random weights, for evaluation."""
    networks = Networks(
        AppearanceExtractor(sizes.appearance),
        MotionExtractor(sizes.motion),
        Warper(sizes.warper),
        Generator(sizes.generator),
        Perceptron(STITCHING_WIDTHS),
        Perceptron(LIP_WIDTHS),
        Perceptron(EYE_WIDTHS),
    )
    for net in networks.by_name.values():
        net.eval().requires_grad_(False)
    return networks


def differences(expected: State, given: State) -> list[str]:
    """Each missing, extra or misshapen tensor, in words; empty when all fit."""
    missing = [f"{name} is missing" for name in expected if name not in given]
    extra = [f"{name} is not known" for name in given if name not in expected]
    misshapen = [
        f"{name} has the shape {tuple(given[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in given and given[name].shape != value.shape
    ]
    return missing + extra + misshapen


def import_release(
    source: Path,
    target: Path,
    on_file: Callable[[str], None] = lambda name: None,
    sizes: Sizes = Sizes(),
) -> list[Path]:
    """Take over the released files.

    Args:
        source: a folder that holds them at any depth, such as `pretrained_weights`.
        target: where `<network>.safetensors` and `manifest.json` go; they appear when all fit.
        on_file: told of each file before it is read.
        sizes: of the networks in the files.

    Returns:
        What was written.

    Raises:
        WeightsMissing: a file is not in `source`.
        WeightsCorrupt: a file holds no tensors, or others than expected.
    """
    networks = build(sizes)
    opened: dict[str, Mapping[str, Any]] = {}
    for name, (file, part) in _SOURCES.items():
        if file not in opened:
            on_file(file)
            opened[file] = _read(_find(source, file))
        given = _part(opened[file], part, file)
        problems = differences(networks.by_name[name].state_dict(), given)
        if problems:
            text = f'"{file}" does not fit LivePortrait\'s network "{name}": '
            text += f"{'; '.join(problems)}."
            raise WeightsCorrupt(text, "Import the files of the official release for humans.")
        networks.by_name[name].load_state_dict(dict(given))
    return write(networks, sizes, target)


def write(networks: Networks, sizes: Sizes, target: Path) -> list[Path]:
    """Write one safetensors file per network, and last the list of their digests."""
    target.mkdir(parents=True, exist_ok=True)
    digests = {}
    paths = []
    for name, net in networks.by_name.items():
        path = target / f"{name}.safetensors"
        part = path.with_suffix(".part")
        save_file({key: value.contiguous() for key, value in net.state_dict().items()}, str(part))
        digests[path.name] = sha256_of(part)
        os.replace(part, path)
        paths.append(path)
    manifest = {"files": digests, "sizes": asdict(sizes), "licence": LICENCE}
    part = target / "manifest.part"
    part.write_text(json.dumps(manifest, indent=2))
    os.replace(part, target / "manifest.json")
    return [*paths, target / "manifest.json"]


def load(folder: Path) -> Networks:
    """The networks that were imported.

    Raises:
        WeightsMissing: none were.
        WeightsCorrupt: a file is not what was imported.
    """
    manifest = _manifest(folder)
    sizes = _sizes(manifest["sizes"])
    networks = build(sizes)
    for name, net in networks.by_name.items():
        path = folder / f"{name}.safetensors"
        if not path.is_file() or sha256_of(path) != manifest["files"][path.name]:
            raise WeightsCorrupt(f'"{path}" is missing or damaged.', "Import the weights again.")
        try:
            with safe_open(path, "pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as failure:
            raise WeightsCorrupt(f'"{path}": {failure}.', "Import the weights again.") from failure
        net.load_state_dict(state)
    networks.generator.fold()
    return networks


def digest(folder: Path) -> str:
    """One digest of all imported files, for frame keys; reads the manifest only.

    Raises:
        WeightsMissing: nothing was imported.
    """
    files = _manifest(folder)["files"]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "manifest.json").read_bytes()))
    except (OSError, ValueError) as failure:
        text = "LivePortrait's weights are not imported."
        hint = 'Download the official release and run "animate-portrait models import'
        raise WeightsMissing(text, f'{hint} live_portrait FOLDER".') from failure


def _sizes(stored: Mapping[str, Mapping[str, Any]]) -> Sizes:
    kinds = {
        "appearance": AppearanceDims,
        "motion": MotionDims,
        "warper": WarperDims,
        "generator": GeneratorDims,
    }
    made: dict[str, Any] = {
        name: kind(**{key: _tuples(value) for key, value in stored[name].items()})
        for name, kind in kinds.items()
    }
    return Sizes(**made)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _find(source: Path, file: str) -> Path:
    """The file at any depth; that of the animals' release only when it is alone."""
    found = sorted(source.rglob(file), key=lambda path: ("animals" in str(path), str(path)))
    if not found:
        text = f'"{source}" holds no "{file}".'
        raise WeightsMissing(text, "Give the folder of the official release, pretrained_weights.")
    return found[0]


def _read(path: Path) -> Mapping[str, Any]:
    """The tensors of a file; no code of it is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as failure:
        reason = str(failure).split("\n", 1)[0]
        text = f'"{path.name}" cannot be read as weights: {reason}'
        raise WeightsCorrupt(text, "Download it again.") from failure
    if not isinstance(content, Mapping):
        raise WeightsCorrupt(f'"{path.name}" holds no tensors.', "Download it again.")
    return content


def _part(content: Mapping[str, Any], part: str, file: str) -> State:
    """The tensors of one network, without the prefix of a parallel training."""
    state = content.get(part) if part else content
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        where = f'no tensors under "{part}"' if part else "something else than tensors"
        raise WeightsCorrupt(f'"{file}" holds {where}.', "Download it again.")
    return {str(name).removeprefix("module."): value for name, value in state.items()}
