"""A line for each series: its best try, or, of a series of one fit, score and time by how it draws."""

from __future__ import annotations

from nsbench.outcomes.cost_quality import Curve, Point, curves_of
from nsbench.outcomes.series import Series, series_of
from nsbench.outcomes.summary import Summary
from nsbench.quantities import number

RULE = (
    "A best try looks better on the cases that it was chosen by than it is: score it again by a suite of another seed."
)


def series_sentences(summary: Summary, dataset: str) -> list[str]:
    """A line for each series of tries of a dataset: its best try, its value, of how many; nothing without them."""
    return [_sentence(series) for series in series_of(summary, dataset)]


def curve_sentences(summary: Summary, dataset: str) -> list[str]:
    """A line for each series of one fit: "warm: length, sites, by warmth: 0.5 → 1.9 at 0.3 ms, 2.0 → failed."."""
    return [_of_curve(summary, curve) for curve in curves_of(summary, dataset)]


def title(series: Series) -> str:
    """The name of a series, with the kind of its scores where they are of several."""
    return f"{series.name}, {series.kind}" if series.kind else series.name


def _sentence(series: Series) -> str:
    tries = "1 try" if len(series.tries) == 1 else f"{len(series.tries)} tries"
    best, metric = series.best, series.metric
    more = f"; {series.open} more not made yet" if series.open else ""
    if best is None or best.value is None:
        return f"{title(series)}: no score in {tries}{more}."
    value = f"{metric.name} {number(best.value)} {metric.unit}".rstrip()
    return f"{title(series)}: best of {tries}: {best.simulator}, {value}{more}."


def _of_curve(summary: Summary, curve: Curve) -> str:
    unit = next((point.score.unit for point in curve.points if point.score.value is not None), "")
    what = f"{summary.primary}, {unit}," if unit not in ("", "1") else summary.primary
    points = ", ".join(f"{point.setting or point.simulator} → {_at(point)}" for point in curve.points)
    return f"{curve.name}: {what} by {' and '.join(curve.parameters) or 'simulator'}: {points}."


def _at(point: Point) -> str:
    if point.score.value is None:
        return point.absent
    return number(point.score.value) + (f" at {number(point.ms)} ms" if point.ms is not None else "")
