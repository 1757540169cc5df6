"""Animate Portrait: makes a still portrait speak on Blender's video sequencer."""

from . import (
    auto,
    cast,
    clipboard,
    directions,
    dirty_bar,
    drawing,
    ghost,
    interchange,
    layers,
    modal,
    ops,
    overlay,
    prefs,
    props,
    queue_list,
    rigs,
    shapes,
    take_list,
    ui,
    watch,
    words,
)

_MODULES = (  # order matters: properties first
    props,
    prefs,
    modal,
    ops,
    drawing,
    interchange,
    clipboard,
    rigs,
    layers,
    ui,
    queue_list,
    directions,
    words,
    shapes,
    take_list,
    cast,
    dirty_bar,
    auto,
    ghost,
    overlay,
    watch,
)


def register() -> None:
    """Enables the add-on."""
    for module in _MODULES:
        module.register()


def unregister() -> None:
    """Disables the add-on; also runs when Blender quits."""
    for module in reversed(_MODULES):
        module.unregister()
