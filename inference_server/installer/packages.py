"""The virtual environments and what pip puts into them; which torch fits the machine."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .children import Children, clean_environment
from .console import Console, InstallError
from .interpreters import Interpreter
from .workplace import ROOT, remove_tree

# 2.13.0 has builds for Python 3.10 to 3.14 on Linux, Windows and Apple silicon.
TORCH = "2.13.0"
TORCH_INTEL_MAC = "2.2.2"  # the last that PyTorch built for Intel Macs
TORCH_INDEX = "https://download.pytorch.org/whl"
OPENCV = "opencv-contrib-python-headless"  # the only one that has both guided filter and no libGL
PIP = "pip>=25.1"  # the first that knows dependency groups
PIP_OPTIONS = ("--no-input", "--disable-pip-version-check", "--no-warn-script-location")
SERVER_GB = {"cpu": 3.5, "mps": 3.5, "cuda": 12.0}  # on disk while installing, downloads included

_NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name|Network is unreachable"
    r"|Connection refused|ConnectTimeout|ReadTimeout|Read timed out|ProxyError|Max retries"
    r"|ConnectionResetError|No route to host|getaddrinfo failed|RemoteDisconnected"
)
_NO_SUCH = re.compile(r"No matching distribution found for (\S+)")
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_DOWNLOADING = re.compile(r"(?:Downloading|Using cached) (\S+)")


@dataclass(frozen=True)
class TorchBuild:
    """One way to get PyTorch for this machine.

    Attributes:
        name: "cpu", "mps", "cu130", ...
        sources: (requirement, index address) to try in turn; the address "" stands for what pip
            is configured for.
    """

    name: str
    sources: tuple[tuple[str, str], ...]

    @property
    def device(self) -> str:
        """What it computes on: "cpu", "mps" or "cuda"."""
        return "cuda" if self.name.startswith("cu") else self.name


def torch_builds(system: str, machine: str, cuda: tuple[int, int] | None) -> list[TorchBuild]:
    """The PyTorch builds that suit a machine, best first.

    On Linux PyPI's own wheels need gigabytes of CUDA libraries, so the CPU build is asked for by
    its local version, which no CUDA build can satisfy: first from the sources that pip is
    configured for (a company mirror, a folder of wheels), then from PyTorch's own index.

    Args:
        system: platform.system()
        machine: platform.machine()
        cuda: newest CUDA that the NVIDIA driver supports; None without a driver that answers.
    """
    if system == "Darwin":
        if machine == "x86_64":
            return [TorchBuild("cpu", ((f"torch=={TORCH_INTEL_MAC}", ""),))]
        return [TorchBuild("mps", ((f"torch=={TORCH}", ""),))]
    builds = []
    for name, oldest in (("cu130", (13, 0)), ("cu126", (12, 6))):
        if cuda is not None and cuda >= oldest:
            builds.append(_labelled(name))
    # PyPI's wheels for Windows are the CPU build and have no label.
    plain = TorchBuild("cpu", ((f"torch=={TORCH}", ""),))
    builds.append(plain if system == "Windows" else _labelled("cpu"))
    return builds


def _labelled(name: str) -> TorchBuild:
    requirement = f"torch=={TORCH}+{name}"
    return TorchBuild(name, ((requirement, ""), (requirement, f"{TORCH_INDEX}/{name}")))


def cuda_version() -> tuple[int, int] | None:
    """The newest CUDA that the NVIDIA driver supports, by asking the driver; None without one."""
    program = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path="/usr/lib/wsl/lib")
    if program is None:
        return None
    try:
        answer = subprocess.run(
            [program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode != 0:
        return None
    return parse_nvidia_smi(answer.stdout.decode(errors="replace"))


def parse_nvidia_smi(text: str) -> tuple[int, int] | None:
    """(13, 0) from the table's head; None when it names no CUDA version."""
    found = re.search(r"CUDA[A-Za-z ]*Version\s*:\s*(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    if sys.platform == "win32":
        return folder / "Scripts" / "python.exe"
    return folder / "bin" / "python"


class Venv:
    """One virtual environment: made, filled and asked.

    Args:
        folder: where it is or will be.
        scratch: pip's temporary files, on the same disk.
        show: whether its downloads are shown as progress (one venv at a time).
    """

    def __init__(
        self, folder: Path, scratch: Path, console: Console, children: Children, show: bool = True
    ) -> None:
        self.folder = folder
        self.python = venv_python(folder)
        self._scratch = scratch
        self._console = console
        self._children = children
        self._show = show

    def make(self, interpreter: Interpreter) -> None:
        """Makes it anew, with a pip that is new enough."""
        remove_tree(self.folder)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        status = self._children.run_module(
            interpreter.path, "venv", str(self.folder), on_line=self._keep(lines)
        )
        if status != 0 or not self.python.exists():
            remove_tree(self.folder)
            raise InstallError(
                f"Python {interpreter.full} ({interpreter.path}) could not make a virtual "
                f"environment: {_last_words(lines)}",
                "Install Python 3.11 from python.org, then run this again.",
            )
        self.pip("install", "--upgrade", PIP, raw_progress=False)

    def pip(self, *words: str, cwd: Path | None = None, raw_progress: bool = True) -> None:
        """Runs pip; its output goes to the log.

        Raises:
            InstallError: pip failed; its reason in one sentence.
        """
        lines: list[str] = []
        options = [*PIP_OPTIONS]
        if words[0] == "install":
            options += ["--progress-bar", "raw" if raw_progress else "off", "--retries", "2"]
        self._scratch.mkdir(parents=True, exist_ok=True)
        scratch = str(self._scratch)
        status = self._children.run_module(
            self.python,
            *("pip", words[0], *options, *words[1:]),
            on_line=self._keep(lines),
            cwd=cwd or self._scratch,
            env=clean_environment(TMPDIR=scratch, TEMP=scratch, TMP=scratch),
        )
        if status != 0:
            raise pip_failure(lines)

    def install_torch(self, builds: Sequence[TorchBuild]) -> None:
        """Installs the first PyTorch that can be had, without its dependencies.

        They come with the server's.

        Raises:
            TorchUnavailable: no source has any of these builds for this Python.
        """
        failure: InstallError | None = None
        for build in builds:
            for requirement, index in build.sources:
                where = ["--index-url", index] if index else []
                try:
                    self.pip("install", "--no-deps", *where, requirement)
                    return
                except NothingFound as error:
                    failure = error
        assert failure is not None
        reason = f"PyTorch could not be downloaded: {failure.message}"
        raise TorchUnavailable(reason, failure.hint) from failure

    def ask(self, code: str) -> dict | None:
        """Runs `code`, which prints one JSON object last; None when it fails."""
        lines: list[str] = []
        try:
            answer = subprocess.run(
                [str(self.python), "-I", "-X", "utf8", "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=300,
            )
            lines = answer.stdout.decode("utf-8", "replace").splitlines()
            return json.loads(lines[-1]) if answer.returncode == 0 else None
        except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
            return None
        finally:
            for line in lines:
                self._console.note(line)

    def distributions(self) -> set[str]:
        """Names of what is installed, lower case with hyphens, read from the disk."""
        places = ("lib/python*/site-packages", "Lib/site-packages")
        found = [info for place in places for info in self.folder.glob(f"{place}/*.dist-info")]
        return {path.name.split("-")[0].lower().replace("_", "-") for path in found}

    def opencv_wheels(self) -> set[str]:
        """The OpenCV wheels: they overwrite each other's files, so there must be exactly one."""
        return {name for name in self.distributions() if name.startswith("opencv-")}

    def _keep(self, lines: list[str]) -> Callable[[str], None]:
        """Collects lines for a failure's reason, logs them, and shows the downloads."""
        file = ""

        def on_line(line: str) -> None:
            nonlocal file
            self._children.check()
            progress = _RAW_PROGRESS.match(line)
            if progress:
                if self._show:
                    done, total = int(progress.group(1)), int(progress.group(2))
                    shown = f"{file}  {done / 1e6:.0f} of {total / 1e6:.0f} MB"
                    self._console.progress(done / total if total else 0.0, shown)
                return
            lines.append(line)
            self._console.note("  " + line)
            download = _DOWNLOADING.search(line)
            if download:
                file = download.group(1).rsplit("/", 1)[-1].split("-")[0]
            elif self._show and line.startswith(("Installing collected", "Building")):
                self._console.progress(0.9, line.split(":")[0])

        return on_line


class NothingFound(InstallError):
    """pip: no source has the package for this Python and platform, or none can be reached."""


class TorchUnavailable(InstallError):
    """No source has the build of PyTorch that this machine needs, for this Python."""


def pip_failure(lines: Sequence[str]) -> InstallError:
    """Why pip failed, from its output: the cause, not its last line."""
    text = "\n".join(lines)
    if "No space left on device" in text or "not enough space on the disk" in text:
        return InstallError(
            "The disk is full.",
            "Free some space, or set ANIMATE_PORTRAIT_HOME to a folder on another disk.",
        )
    offline = _NO_NETWORK.search(text) is not None
    missing = _NO_SUCH.search(text)
    if offline:
        what = f" while looking for {missing.group(1)}" if missing else ""
        kind = NothingFound if missing else InstallError
        return kind(
            f"The package servers cannot be reached{what}.",
            "Check the network and proxy (HTTPS_PROXY), then run this again.",
        )
    if missing:
        python = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
        return NothingFound(
            f"No build of {missing.group(1)} was found for this machine ({python}).",
            "Use Python 3.11 on 64-bit Windows, macOS or Linux.",
        )
    errors = [line for line in lines if line.lstrip().startswith("ERROR:")]
    return InstallError(f"pip failed: {_last_words(errors or list(lines))}", "")


def _last_words(lines: Sequence[str]) -> str:
    spoken = [line.strip() for line in lines if line.strip()]
    last = spoken[-1] if spoken else "it said nothing."
    return last[len("ERROR: ") :] if last.startswith("ERROR: ") else last


def copy_sources(scratch: Path) -> Path:
    """A copy of the server's sources for building, so that nothing is written beside the originals.

    The originals may lie in an extension folder that must stay clean, or cannot be written at all.
    """
    copy = scratch / "sources"
    remove_tree(copy)
    copy.mkdir(parents=True)
    shutil.copy2(ROOT / "pyproject.toml", copy / "pyproject.toml")
    leave = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "inference_server", copy / "inference_server", ignore=leave)
    return copy
