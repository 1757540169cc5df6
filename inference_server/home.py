"""Where everything that is installed, fetched or cached lives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

APP_NAME = "animate-portrait"


def home() -> Path:
    """ANIMATE_PORTRAIT_HOME, or the platform's folder for application data; may not exist yet."""
    chosen = os.environ.get("ANIMATE_PORTRAIT_HOME")
    if chosen:
        return Path(chosen).absolute()
    if sys.platform == "win32":
        data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = Path.home() / "Library" / "Application Support"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / APP_NAME


def log_path() -> Path:
    """The file that stderr is written to; the folder of the logs when that cannot be known."""
    named = os.environ.get("ANIMATE_PORTRAIT_LOG")
    if named:
        return Path(named)
    try:
        stderr = Path(os.readlink("/proc/self/fd/2"))  # Linux says which file a descriptor is
    except OSError:
        return home() / "logs"
    return stderr if stderr.is_file() else home() / "logs"
