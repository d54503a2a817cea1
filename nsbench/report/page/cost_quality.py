"""The chart of a dataset's series of one fit: the primary metric against time, a line for each, by how it draws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.cost_quality import CostQuality, Curve, Point, cost_quality, truth_ms
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Summary, spoken
from nsbench.quantities import number
from nsbench.report.page.escaping import escape, listed
from nsbench.report.page.gather import SHOWN
from nsbench.report.page.keys import keys
from nsbench.report.page.svg import NO_PLACE, Axis, Series, axis, chart, is_wide
from nsbench.report.series import curve_sentences

Array = NDArray[np.float64]

FAR = 30
"""How many times cheaper or dearer than the curves and the truth a simulator is that would press them together."""

STYLES = {"floor": "a0", "best_deterministic": "a1"}
"""Anchor -> class of its line."""

LEGEND = (
    "Lines: one fit, drawn from in several ways, the cheapest first; beside each point its parameters' values. "
    "Bars: the scores' 95 % intervals. Upright: the time that the ground truth takes. Dashed: anchors. "
    "One fit with several settings is no search: it is left out of the best of n tries."
)


def cost_quality_section(stored: StoredResults, summary: Summary, dataset: str) -> Iterator[str]:
    """The section of a dataset's series of one fit; nothing where none has a score and a time."""
    entries = cost_quality(summary, dataset)
    if not entries:
        return
    truth = truth_ms(stored, dataset)
    names = list(dict.fromkeys(curve.name for entry in entries for curve in entry.curves))
    styles = {name: f"s{k}" for k, name in enumerate(names[:SHOWN])}
    drawn = [drawable(entry, truth, styles) for entry in entries]
    left = [line for pair in zip(entries, drawn, strict=True) for line in _left(*pair)]
    charts = [_chart(entry, truth, styles) for entry in drawn if entry.curves]
    said = [*curve_sentences(summary, dataset), LEGEND, *left]
    yield f'<section class="costs"><h2>Cost and quality: {escape(dataset)}</h2>'
    yield listed(said)
    yield f'{keys(_buttons(drawn, truth, styles))}<div class="charts">{"".join(charts)}</div></section>'


def drawable(entry: CostQuality, truth: float | None, names: Collection[str]) -> CostQuality:
    """What of the curves and of what stands beside them is drawn. truth: its time in ms. names: of the curves."""
    curves = tuple(curve for curve in entry.curves if curve.name in names)
    times = [*_times([point for curve in curves for point in curve.points]), *([truth] if truth else [])]
    others = [p for p in entry.others if p.ms and times and min(times) / FAR <= p.ms <= max(times) * FAR]
    near = replace(entry, curves=curves, others=tuple(others))
    return replace(near, scales={a: v for a, v in entry.scales.items() if v > 0}) if _is_wide(near) else near


def _left(entry: CostQuality, drawn: CostQuality) -> Iterator[str]:
    """A sentence for each curve, simulator and anchor that is not drawn."""
    if missing := [curve.name for curve in entry.curves if curve not in drawn.curves]:
        yield f"Not drawn, the series after the first {SHOWN}: {', '.join(missing)}."
    for point in entry.others:
        if point not in drawn.others:
            yield f"Far outside of the chart: {_title(point)}."
    for anchor in entry.scales.keys() - drawn.scales.keys():
        value = number(entry.scales[anchor])
        yield f"{spoken(anchor)} is {value}, {NO_PLACE}."


def _buttons(drawn: Sequence[CostQuality], truth: float | None, styles: dict[str, str]) -> Iterator[tuple[str, str]]:
    yield from styles.items()
    if any(entry.others for entry in drawn):
        yield "other simulators", "other"
    if truth is not None:
        yield "the truth's time", "truth"
    yield from ((spoken(a), style) for a, style in STYLES.items() if any(a in entry.scales for entry in drawn))


def _chart(entry: CostQuality, truth: float | None, styles: dict[str, str]) -> str:
    x = axis("milliseconds a trajectory", np.array([*_times(_points(entry)), *([truth] if truth else [])]), log=True)
    y = _scores_axis(entry)
    series = [_line([x.low, x.high], [value] * 2, STYLES[a]) for a, value in entry.scales.items()]
    series += [_line([truth] * 2, [y.low, y.high], "truth")] if truth else []
    for point in entry.others:
        series += _marked(point, "other", point.simulator if len(entry.others) <= SHOWN else "")
    for curve in entry.curves:
        series += _drawn(curve, styles[curve.name])
    kind = f", {entry.kind}" if entry.kind else ""
    better = "below" if entry.metric.direction == "min" else "above"
    return chart(f"{entry.metric.name}{kind} by time: better is {better} and left", x, y, series)


def _scores_axis(entry: CostQuality) -> Axis:
    """The axis that holds points, bars and anchors."""
    log, points = _is_wide(entry), _points(entry)
    values = np.concatenate([_scores(points), _ends(points), [*entry.scales.values()]])
    label = f"{entry.metric.name}, {points[-1].score.unit or entry.metric.unit}"
    return axis(label, values, log=log, zero=entry.metric.direction == "min" and not log)


def _is_wide(entry: CostQuality) -> bool:
    """Whether only a logarithmic axis shows the scores apart, and all points and bars have a place on one."""
    return is_wide(_scores(_points(entry)), _ends(_points(entry)))


def _drawn(curve: Curve, style: str) -> Iterator[Series]:
    yield Series(_times(curve.points), _scores(curve.points), style, "line")
    for point in curve.points:
        yield from _marked(point, style, point.setting)


def _marked(point: Point, style: str, label: str) -> Iterator[Series]:
    """A point, and the bar of its interval."""
    at, score = _times([point]), _scores([point])
    if point.score.interval is not None:
        yield _line([*at, *at], point.score.interval, style)
    yield Series(at, score, style, "marks", (_title(point),), label, above=True)


def _title(point: Point) -> str:
    return f"{point.simulator}: {number(point.score.value or 0.0)} at {number(point.ms or 0.0)} ms"


def _points(entry: CostQuality) -> list[Point]:
    return [*entry.others, *(point for curve in entry.curves for point in curve.points)]


def _line(x: Sequence[float], y: Sequence[float], style: str) -> Series:
    return Series(np.array(x), np.array(y), style, "line")


def _times(points: Sequence[Point]) -> Array:
    return np.array([point.ms for point in points], dtype=np.float64)


def _scores(points: Sequence[Point]) -> Array:
    return np.array([point.score.value for point in points], dtype=np.float64)


def _ends(points: Sequence[Point]) -> Array:
    """The ends of the points' intervals."""
    return np.array([end for point in points for end in point.score.interval or ()], dtype=np.float64)
