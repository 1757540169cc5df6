"""Animate Portrait: a local inference process that turns a portrait and speech into frames."""

__version__ = "0.1.0"
