"""Settings of a style, checked: numbers that `protocol.PARAMS` describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference_server.errors import SpecInvalid
from inference_server.protocol import PARAMS

_PARAMS = {param.name: param for param in PARAMS}


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
