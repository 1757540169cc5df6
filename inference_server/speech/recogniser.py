"""Which phone recogniser is installed; asked without loading it, or torch."""

from __future__ import annotations

import importlib.metadata

PACKAGE = "pocketsphinx"
MISSING = "pocketsphinx is not installed: lips are made without its phones. Run install.py again."


def version() -> str:
    """Its version; empty when it is not installed."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return ""
