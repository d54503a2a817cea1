"""Charts as SVG text: axes, points, lines. Colours are the page's, by the class of a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.quantities import number
from nsbench.report.page.escaping import escape

Array = NDArray[np.float64]

WIDTH, HEIGHT = 400, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 10, 12, 44

WIDE = 10
"""How many times the lowest value the highest one is at which an axis becomes logarithmic."""

NO_PLACE = "which has no place on a logarithmic axis"


@dataclass(frozen=True)
class Axis:
    """An axis: a range of numbers on a line.

    log: whether it is logarithmic; bare: whether it has no ticks; whole: whether ticks are whole numbers.
    """

    label: str
    low: float
    high: float
    log: bool = False
    bare: bool = False
    whole: bool = False

    def place(self, values: Array) -> Array:
        """The places of values on the axis, from 0 (low) to 1 (high)."""
        low, high = self._scaled(np.array([self.low, self.high]))
        return np.asarray((self._scaled(values) - low) / (high - low))

    def ticks(self) -> list[float]:
        """Round numbers within the range, about five."""
        if self.bare:
            return []
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1, 2, 5) if last - first < 4 else (1,)
            every = [m * 10.0**e for e in range(first, last + 1) for m in steps]
            return [t for t in every if self.low <= t <= self.high]
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        step = max(step, 1.0) if self.whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]

    def _scaled(self, values: Array) -> Array:
        return np.log10(values) if self.log else values


def axis(label: str, values: Array, *, log: bool = False, zero: bool = False) -> Axis:
    """An axis that holds the values with a little room. zero: whether it holds 0 too."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if log:
        return Axis(label, low / 1.3, high * 1.3, log=True)
    if zero:
        low = min(low, 0.0)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    return Axis(label, low if zero and low == 0 else low - room, high + room)


def is_wide(values: Array, others: Array) -> bool:
    """Whether only a logarithmic axis shows the values apart, and they and all others have a place on one."""
    if not len(values):
        return False
    low, high = np.nanmin(values), np.nanmax(values)
    return bool(others.min(initial=low) > 0 and high > WIDE * low)


@dataclass(frozen=True, eq=False)
class Series:
    """Numbers to be drawn.

    x, y   the points; a line is broken at NaN.
    style  a class of the page's style sheet, e.g. "s3".
    names  a title for each point.
    label  the text beside the last mark, or above it.
    """

    x: Array
    y: Array
    style: str
    kind: Literal["points", "line", "marks"] = "points"
    names: tuple[str, ...] = ()
    label: str = ""
    above: bool = False


def chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """A figure with a caption, the first series at the bottom."""
    parts = [*_frame(x, y), *(_draw(s, x, y) for s in series if len(s.x))]
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _frame(x: Axis, y: Axis) -> list[str]:
    left, right, top, bottom = _LEFT, WIDTH - _RIGHT, _TOP, HEIGHT - _BOTTOM
    parts = []
    for tick, at in zip(x.ticks(), _across(x, np.array(x.ticks())), strict=True):
        parts.append(f'<path class="g" d="M{at:.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{_tick(tick)}</text>')
    for tick, at in zip(y.ticks(), _down(y, np.array(y.ticks())), strict=True):
        parts.append(f'<path class="g" d="M{left} {at:.1f}H{right}"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    middle = (left + right) / 2
    parts.append(f'<text class="l" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    centre = (top + bottom) / 2
    parts.append(
        f'<text class="l" transform="translate(12 {centre}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>'
    )
    return parts


def _draw(series: Series, x: Axis, y: Axis) -> str:
    across, down = _across(x, series.x), _down(y, series.y)
    if series.kind == "marks":
        dots = [
            f'<circle cx="{a:.1f}" cy="{d:.1f}" r="5"><title>{escape(name)}</title></circle>'
            for a, d, name in zip(across, down, series.names, strict=True)
        ]
        return f'<g class="m {series.style}">{"".join(dots)}{_label(series, across[-1], down[-1])}</g>'
    if series.kind == "points":
        path = "".join(f"M{a:.1f} {d:.1f}h0" for a, d in zip(across, down, strict=True))
        return f'<path class="p {series.style}" d="{path}"/>'
    breaks = np.flatnonzero(np.isnan(down))
    parts = [
        "M" + "L".join(f"{a:.1f} {d:.1f}" for a, d in zip(xs, ys, strict=True) if not np.isnan(d))
        for xs, ys in zip(np.split(across, breaks), np.split(down, breaks), strict=True)
    ]
    return f'<path class="n {series.style}" d="{"".join(parts)}"/>'


def _label(series: Series, across: float, down: float) -> str:
    """The label of a mark, on the side where there is more room."""
    if not series.label:
        return ""
    left = across > WIDTH * 0.6
    aside, below = (4, -9) if series.above else (9, 4)
    at, anchor = (across - aside, "end") if left else (across + aside, "start")
    return f'<text x="{at:.1f}" y="{down + below:.1f}" text-anchor="{anchor}">{escape(series.label)}</text>'


def _across(x: Axis, values: Array) -> Array:
    return _LEFT + np.clip(x.place(values), -0.02, 1.02) * (WIDTH - _LEFT - _RIGHT)


def _down(y: Axis, values: Array) -> Array:
    return HEIGHT - _BOTTOM - np.clip(y.place(values), -0.02, 1.02) * (HEIGHT - _TOP - _BOTTOM)


def _tick(value: float) -> str:
    return "0" if abs(value) < 1e-12 else number(value) if abs(value) < 1e6 else f"{value:.3g}".replace("e+0", "e")
