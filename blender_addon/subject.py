"""What the Animate button is about: shot, sound and picture, and what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import props, shots, sounds, strips


def subject(scene: Any | None) -> tuple[Any | None, Any | None, Path | None]:
    """What the Animate button is about.

    Returns:
        The active shot or None, the sound strip or None, the picture or None.
    """
    shot = shots.active_shot(scene)
    if scene is None:
        return None, None, None
    picked = strips.active(scene)
    picture_strip = picked if picked is not None and picked.type == "IMAGE" else None
    if shot is not None:
        return shot, sounds.of_shot(shot), picture(scene, shot)
    return None, strips.find_sound(scene, picture_strip), picture(scene, None)


def picture(scene: Any, shot: Any | None) -> Path | None:
    """The portrait: the one that was picked, else that of a selected image strip."""
    settings = getattr(shot if shot is not None else scene, props.SETTINGS)
    if settings.image:
        return strips.absolute(settings.image)
    source = picture_strip(scene)
    return strips.picture_of(source, scene.frame_current) if source is not None else None


def picture_strip(scene: Any) -> Any | None:
    """The selected image strip that is no shot, the active one first."""
    candidates = [strips.active(scene), *strips.every(scene)]
    for strip in candidates:
        if (
            strip is not None
            and strip.select
            and strip.type == "IMAGE"
            and not shots.is_shot(strip)
        ):
            return strip
    return None


def flaw(scene: Any | None) -> str:
    """Why nothing can be animated now; empty when it can. Does not touch the disk."""
    if scene is None:
        return "Choose a scene in the header of the sequencer"
    if scene.library is not None:
        return "This scene is linked from another file and cannot be changed"
    if not strips.every(scene):
        return "Add a sound strip with speech first"
    shot, sound, portrait = subject(scene)
    if sound is None and shot is None:
        return "Select the sound strip with the speech"
    if portrait is None:
        return "Choose a portrait: a picture file, or an image strip on the timeline"
    settings = getattr(shot if shot is not None else scene, props.SETTINGS)
    for kind in ("renderer", "style"):
        reason = props.unavailable(kind, getattr(settings, kind))
        if reason:
            return f"The {kind} is unavailable: {reason}"
    return ""
