"""The embedded renderer: a rigged face mesh warps the portrait; no learned weights."""

from .renderer import MeshWarp

__all__ = ["MeshWarp"]
