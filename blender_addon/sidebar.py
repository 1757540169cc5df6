"""What all our panels have in common."""

from typing import Any

from . import shots, strips


class SidebarPanel:
    """A panel of the sequencer's sidebar, tab "Portrait". Panels only read."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Portrait"


class ShotPanel(SidebarPanel):
    """A panel about the active shot."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """A shot."""
        return shots.active_shot(strips.sequencer_scene(context)) is not None
