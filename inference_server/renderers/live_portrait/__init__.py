"""LivePortrait as a renderer: crop, keypoints, composition, paste-back around its networks."""

from .renderer import LivePortrait

__all__ = ["LivePortrait"]
