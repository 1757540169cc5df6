"""Settings of a style, checked: what `protocol.PARAMS` describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_server.errors import SpecInvalid
from inference_server.protocol import COLOUR, PARAMS
from inference_server.registry import Style

from .line_filters import Image

_PARAMS = {param.name: param for param in PARAMS}


def complete(
    style: Style, image: Image, scale: float, seed: int, params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """`params` with the tuning and the grain that a style needs; see registry.Style."""
    if "tuned" not in params:
        params = {**params, **style.tuning(image, scale, None, params)}
    if "grain" not in params:
        params = {**params, "grain": style.grain(image, scale, seed, params)}
    return params


def number(params: Mapping[str, Any], name: str) -> float:
    """The value of a setting, or its default.

    Raises:
        SpecInvalid: it is not a number in its range.
    """
    param = _PARAMS[name]
    value = params.get(name, param.default)
    low, high = param.minimum, param.maximum
    assert low is not None and high is not None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise SpecInvalid(f"{name} is {value!r}.", f"Give a number from {low:g} to {high:g}.")
    return float(value)


def colour(params: Mapping[str, Any], name: str) -> npt.NDArray[np.float32]:
    """The value of a setting as (3,) RGB 0..255, or its default.

    Raises:
        SpecInvalid: it is not "#rrggbb".
    """
    value = params.get(name, _PARAMS[name].default)
    if not isinstance(value, str) or not COLOUR.fullmatch(value):
        raise SpecInvalid(f"{name} is {value!r}.", 'Give a colour as "#rrggbb".')
    return np.array([int(value[k : k + 2], 16) for k in (1, 3, 5)], np.float32)
