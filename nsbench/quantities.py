"""Numbers and durations as people read them."""

from __future__ import annotations


def number(value: float) -> str:
    """Four significant digits at most: 0.0431, 12.6, 202.8, 1,043, 14.4M, 2.1G."""
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


def signed(value: float) -> str:
    """A number with its sign, + too: a difference."""
    return f"+{number(value)}" if value > 0 else number(value)


def duration(seconds: float) -> str:
    """42 s, 3:05 min, 2:10:00 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
