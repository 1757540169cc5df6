"""Animate Portrait: makes a still portrait speak on Blender's video sequencer."""

from . import auto, dirty_bar, drawing, ghost, modal, ops, overlay, prefs, props, ui, watch

_MODULES = (
    props,
    prefs,
    modal,
    ops,
    drawing,
    ui,
    dirty_bar,
    auto,
    ghost,
    overlay,
    watch,
)  # properties first


def register() -> None:
    """Enables the add-on."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Disables the add-on; also runs when Blender quits."""
    for module in reversed(_MODULES):
        module.unregister()
