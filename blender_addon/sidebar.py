"""What all our panels have in common."""


class SidebarPanel:
    """A panel of the sequencer's sidebar, tab "Portrait". Panels only read."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Portrait"
