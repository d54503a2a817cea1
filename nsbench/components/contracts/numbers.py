"""Numbers as components give them: of Python, NumPy or torch, as plain numbers of Python."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """The value, with NumPy's and torch's scalars in place as Python's numbers, inside mappings and sequences too.

    A scalar is a number without axes: a 0-d array or tensor, and not an array of one number.
    """
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value)) if type(value) in (list, tuple) else value
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def real(value: object) -> float | None:
    """The number as a float, NaN and infinities too; None for what is no real number."""
    number = plain(value)
    return float(number) if isinstance(number, Real) else None


def whole(value: object) -> int | None:
    """The whole number as an int; None for anything else, 3.0 and True among it."""
    number = plain(value)
    if isinstance(number, bool):
        return None
    return int(number) if isinstance(number, Integral) else None
