"""Quantities as people read and write them: numbers, durations, sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
"""Unit of a duration -> seconds."""

_AGES = {"h": 3600, "d": 86_400, "w": 604_800}
"""Unit of an age -> seconds."""

BYTES = {"b": 1}
BYTES |= {f"{letter}b": 1000**k for k, letter in enumerate("kmgt", start=1)}
BYTES |= {f"{letter}ib": 1024**k for k, letter in enumerate("kmgt", start=1)}
"""Unit of a size, in lower case -> bytes."""


def number(value: float) -> str:
    """A number as text, with four significant digits at most: 0.0431, 12.6, 202.8, 1,043, 14.4M, 2.1G."""
    for size, suffix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def arrow(direction: str) -> str:
    """The arrow that points to better values: "↓" for "min", "↑" for "max"."""
    return "↓" if direction == "min" else "↑"


def signed(value: float) -> str:
    """A difference as text: a number with its sign, + too."""
    return f"+{number(value)}" if value > 0 else number(value)


def duration(seconds: float) -> str:
    """A duration as text: 42 s, 3:05 min, 2:10:00 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"


def size_text(size: int) -> str:
    """A size in bytes as text, in powers of 1000: 512 B, 12.3 kB, 4.56 MB, 1.2 GB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:,.1f} TB"


def quantity(text: str, units: Mapping[str, float]) -> float | None:
    """The number in a text such as "1.5 h", in the base of the units; None for a text that is no quantity.

    units: unit in lower case -> its factor.
    """
    parts = re.fullmatch(r"(\d{1,15}(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    factor = units.get(parts[2].lower()) if parts else None
    return None if parts is None or factor is None else float(parts[1]) * factor


def seconds(value: Any) -> Any:
    """The seconds of a duration as people write it: 90s, 30m, 2h, 1d. Raises ValueError.

    A value that is no text, such as a number of seconds, is returned as it is.
    """
    return _read(value, SECONDS, "a duration such as 90s, 30m, 2h or 1d") if isinstance(value, str) else value


def size(value: Any) -> Any:
    """The bytes of a size as people write it: 512MB, 8GB, 8GiB. Raises ValueError.

    A value that is no text, such as a number of bytes, is returned as it is.
    """
    return int(_read(value, BYTES, "a size such as 512MB, 8GB or 8GiB")) if isinstance(value, str) else value


def _read(text: str, units: Mapping[str, float], expected: str) -> float:
    """The number of units in a text. Raises ValueError, which says what was expected."""
    number = quantity(text, units)
    if number is None:
        raise ValueError(f"must be {expected}, got {text!r:.80}")
    return number


def age(text: str) -> float:
    """The seconds of an age in hours, days or weeks: 12h, 30d, 4w. Raises ValueError."""
    number = quantity(text, _AGES) if re.fullmatch(r"\d{1,6}\s*[hdw]", text.strip()) else None
    if number is None:
        raise ValueError(f"an age is a number of hours, days or weeks, e.g. 12h, 30d, 4w; got {text!r}")
    return number
