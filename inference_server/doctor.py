"""Looks whether everything is there that the program needs, and says what to do when it is not."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from . import __version__, checkpoints
from .errors import AnimatePortraitError
from .home import home

PACKAGES = (
    "numpy", "scipy", "numba", "cv2", "PIL", "soundfile", "soxr", "imageio_ffmpeg", "safetensors",
    "tqdm", "torch", "mediapipe", "silero_vad", "pocketsphinx", "epitran",
    "face_alignment",
)  # fmt: skip
LEAST_FREE_BYTES = 1 << 30
_INSTALL_AGAIN = "Run install.py again."


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    text: str  # what was found
    hint: str = ""  # what to do when it is not ok


def examine() -> list[Check]:
    """Look at everything; takes some seconds, since every package is imported."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return [
        Check("animate-portrait", True, f"{__version__}, Python {version}, {sys.executable}"),
        *(_package(name) for name in PACKAGES),
        _device(),
        _ffmpeg(),
        _home(),
        _disk(),
        *_weights(),
    ]


def _package(name: str) -> Check:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError, AttributeError, RuntimeError) as failure:
        reason = " ".join(str(failure).split())
        return Check(name, False, f"cannot be imported: {reason}", _INSTALL_AGAIN)
    return Check(name, True, str(getattr(module, "__version__", "present")))


def _device() -> Check:
    try:
        from .device import choose

        return Check("device", True, choose())
    except (ImportError, OSError) as failure:
        return Check("device", False, f"torch does not load: {failure}", _INSTALL_AGAIN)
    except AnimatePortraitError as failure:
        return Check("device", False, failure.message, failure.hint)


def _ffmpeg() -> Check:
    try:
        import imageio_ffmpeg

        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-version"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=20
        )
    except (ImportError, RuntimeError, OSError, subprocess.SubprocessError) as failure:
        return Check("ffmpeg", False, f"does not run: {failure}", _INSTALL_AGAIN)
    return Check("ffmpeg", True, done.stdout.decode(errors="replace").split(" Copyright")[0])


def _home() -> Check:
    place = home()
    probe = place / f".{uuid.uuid4().hex}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as failure:
        hint = "Set ANIMATE_PORTRAIT_HOME to a folder that you may write to."
        return Check("home", False, f"{place}: {failure.strerror}", hint)
    return Check("home", True, str(place))


def _disk() -> Check:
    place = next((at for at in (home(), *home().parents) if at.exists()), Path.cwd())
    free_bytes = shutil.disk_usage(place).free
    text = f"{free_bytes / 2**30:.1f} GiB free on the disk of {os.fspath(place)}"
    return Check("disk", free_bytes >= LEAST_FREE_BYTES, text, "Free at least 1 GiB.")


def _weights() -> list[Check]:
    """Bundled weights must be whole; others may be missing, but not damaged."""
    try:
        rows = checkpoints.survey(check_content=True)
    except AnimatePortraitError as failure:
        return [Check("weights", False, failure.message, failure.hint)]
    checks = []
    for row in rows:
        ok = row.state == "ok" or (row.state == "missing" and not row.bundled)
        text = row.state if row.bundled or row.state != "missing" else "not fetched (optional)"
        hint = _INSTALL_AGAIN if row.bundled else f"Run models fetch {row.model}."
        checks.append(Check(f"weights {row.file.name}", ok, text, hint))
    return checks
