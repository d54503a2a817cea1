"""The charts of a dataset: the primary metric beside its anchors, metrics by lead time, metrics and observables by
condition, cost against score, training curves."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.summary import Summary
from nsbench.quantities import number
from nsbench.report.matrix import SCALES
from nsbench.report.page.gather import DatasetPictures
from nsbench.report.page.svg import Axis, Series, axis, chart
from nsbench.report.pictures import symbol
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.bins import equal_bins
from nsbench.trajectories.domain import Observable

Array = NDArray[np.float64]

OBSERVABLES = 4
"""The largest number of observables that are drawn."""

POINTS = 600
"""The largest number of cases in a scatter plot; they are spread over the test data."""


def charts(pictures: DatasetPictures, summary: Summary, styles: dict[str, str]) -> Iterator[str]:
    """The SVG figures of a dataset. styles: simulator -> class of its series; the truth's is "truth"."""
    yield from _standing(pictures, summary, styles)
    yield from _by_lead(pictures, summary, styles)
    yield from _by_bin(pictures, styles)
    yield from _observables(pictures, styles)
    yield from _pareto(pictures, summary, styles)
    yield from _curves(pictures, styles)


def _standing(pictures: DatasetPictures, summary: Summary, styles: dict[str, str]) -> Iterator[str]:
    """The primary metric of simulators and of the anchors that give it its scale, with intervals, one below another."""
    metric = summary.metrics[0]
    rows = [
        (line.name, cell)
        for line in summary.lines
        if line.dataset == pictures.dataset and line.name in styles and (line.anchor in ("", *SCALES))
        for cell in [line.cells.get(metric.name)]
        if cell is not None and cell.value is not None
    ]
    if len(rows) < 2:
        return
    ends = [cell.interval or (cell.value, cell.value) for _, cell in rows]
    x = axis(f"{metric.name}, {rows[0][1].unit or metric.unit}", np.array(ends, dtype=np.float64), zero=True)
    series = []
    for k, ((name, cell), (low, high)) in enumerate(zip(rows, ends, strict=True)):
        height, title = len(rows) - k - 0.5, f"{name}: {number(cell.value or 0.0)}"
        series.append(Series(np.array([low, high]), np.full(2, height), styles[name], "line"))
        mark = np.array([cell.value]), np.array([height])
        series.append(Series(*mark, styles[name], "marks", (title,), name, above=True))
    yield chart(f"{metric.name}: simulators and anchors", x, Axis("", 0.0, len(rows), bare=True), series)


def _by_lead(pictures: DatasetPictures, summary: Summary, styles: dict[str, str]) -> Iterator[str]:
    """The primary metric and what it is made of by lead time, a chart each; of other metrics what theirs is made of.

    The axis holds simulators and SCALES; the ground truth without noise may leave it, so as not to flatten all else.
    """
    sides = (*pictures.shown, *pictures.scales)
    wild = {line.name for line in summary.lines if line.anchor not in ("", *SCALES)}
    for metric in summary.metrics:
        names = dict.fromkeys(name for side in sides for name in side.by_lead.get(metric.name, {}))
        for name in names if metric.name == summary.primary else [name for name in names if name != "value"]:
            curves = {s.name: c[name] for s in sides if name in (c := s.by_lead.get(metric.name, {}))}
            frames = np.arange(1.0, max(map(len, curves.values())) + 1)
            if len(frames) < 2:
                continue
            what = metric.name if name == "value" else f"{metric.name}: {name}"
            tame = [values for side, values in curves.items() if side not in wild] or list(curves.values())
            y = axis(what, np.concatenate(tame), zero=True)
            series = [Series(frames[: len(values)], values, styles[side], "line") for side, values in curves.items()]
            yield chart(f"{what} by lead time", axis("lead time, frames", frames), y, series)


def _by_bin(pictures: DatasetPictures, styles: dict[str, str]) -> Iterator[str]:
    """Metrics whose items belong to bins of the condition, as steps."""
    domain = pictures.truth.domain
    condition = pictures.truth.params[:, domain.column(domain.condition)]
    for metric, bins in pictures.bins.items():
        scores = [(simulator.name, simulator.bins[metric]) for simulator in pictures.shown if metric in simulator.bins]
        edges, label = bin_edges(condition, bins, len(scores[0][1])), symbol(domain.condition)
        if edges is None:
            count = len(scores[0][1])
            edges, label = np.stack([np.arange(0.0, count), np.arange(1.0, count + 1)], axis=1), f"bin of {label}"
        y = axis(metric, np.concatenate([values for _, values in scores]), zero=True)
        lines = [Series(*_steps(edges, values), styles[name], "line") for name, values in scores]
        yield chart(f"{metric} by bin of {symbol(domain.condition)}", Axis(label, edges[0, 0], edges[-1, 1]), y, lines)


def bin_edges(condition: Array, bins: int | None, items: int) -> Array | None:
    """The ends of the bins that hold cases, float64[items, 2], of `bins` equal ones over the condition's range.

    None if `bins` is unknown, or if the number of such bins is not `items`: then the items belong to other bins.
    """
    if bins is None:
        return None
    edges, of_bin = equal_bins(condition, bins)
    filled = np.unique(of_bin)
    return np.stack([edges[filled], edges[filled + 1]], axis=1) if len(filled) == items else None


def _steps(edges: Array, values: Array) -> tuple[Array, Array]:
    """The (x, y) of a line along each bin's value, broken where a bin is missing."""
    x, y = edges.ravel(), np.repeat(values, 2)
    gaps = 2 * (np.flatnonzero(edges[1:, 0] > edges[:-1, 1] + 1e-12) + 1)
    return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)


def _observables(pictures: DatasetPictures, styles: dict[str, str]) -> Iterator[str]:
    """Observables of final states against the condition, and the first two against each other."""
    domain = pictures.truth.domain
    cases = np.unique(np.linspace(0, len(pictures.truth) - 1, min(POINTS, len(pictures.truth))).astype(int))
    condition = pictures.truth.params[cases, domain.column(domain.condition)]
    names = ["truth", *(styles[simulator.name] for simulator in pictures.shown)]
    sides = [pictures.truth, *(simulator.rollouts for simulator in pictures.shown)]
    observed = [_final(side, cases) for side in sides]  # [cases, observables] each
    axes = [axis(_label(o), np.concatenate([s[:, k] for s in observed])) for k, o in enumerate(domain.observables)]
    for k, observable in enumerate(domain.observables[:OBSERVABLES]):
        series = [Series(condition, s[:, k], style) for s, style in zip(observed, names, strict=True)]
        title = f"final {observable.name} against {symbol(domain.condition)}"
        yield chart(title, axis(symbol(domain.condition), condition), axes[k], series)
    if len(domain.observables) > 1:
        first, second = domain.observables[:2]
        series = [Series(s[:, 0], s[:, 1], style) for s, style in zip(observed, names, strict=True)]
        yield chart(f"final states: {second.name} against {first.name}", axes[0], axes[1], series)


def _final(trajectories: Trajectories, cases: NDArray[np.int64]) -> Array:
    chosen = trajectories.select(cases)
    return chosen.domain.observe(chosen.final())


def _label(observable: Observable) -> str:
    return observable.name if observable.unit == "1" else f"{observable.name}, {observable.unit}"


def _pareto(pictures: DatasetPictures, summary: Summary, styles: dict[str, str]) -> Iterator[str]:
    """Cost against the suite's primary metric; no simulator is both better and cheaper than one on the line."""
    metric = summary.metrics[0]
    points = [
        (line.name, pictures.costs[line.name], cell.value)
        for line in summary.lines
        if line.dataset == pictures.dataset and line.name in pictures.costs
        for cell in [line.cells.get(metric.name)]
        if cell is not None and cell.value is not None
    ]
    if not points:
        return
    costs, values = np.array([p[1] for p in points]), np.array([p[2] for p in points])
    x = axis("milliseconds a trajectory", costs, log=True)
    y = axis(f"{metric.name}, {metric.unit}", values, zero=metric.direction == "min")
    front = pareto_front(costs, values if metric.direction == "min" else -values)
    series = [Series(costs[front], values[front], "front", "line")]
    for name, cost, value in points:
        title = f"{name}: {number(cost)} ms, {metric.name} {number(value)}"
        at = np.array([cost]), np.array([value])
        label = name if name in styles else ""
        series.append(Series(*at, styles.get(name, "other"), "marks", (title,), label))
    better = "below" if metric.direction == "min" else "above"
    yield chart(f"cost against {metric.name}: better is {better} and left", x, y, series)


def pareto_front(costs: Array, losses: Array) -> NDArray[np.int64]:
    """The indices of the points that no other point beats in both, by rising cost."""
    order = np.lexsort((losses, costs))
    best = np.minimum.accumulate(losses[order])
    return order[np.append(True, best[1:] < best[:-1])]


def _curves(pictures: DatasetPictures, styles: dict[str, str]) -> Iterator[str]:
    """Training curves, a chart for each name."""
    for name in dict.fromkeys(name for simulator in pictures.shown for name in simulator.curves):
        curves = [
            (styles[simulator.name], *simulator.curves[name])
            for simulator in pictures.shown
            if name in simulator.curves
        ]
        steps, values = (np.concatenate([entry[k] for entry in curves]) for k in (1, 2))
        if len(np.unique(steps)) < 2:
            continue
        low, high = np.percentile(values, [1, 99])  # the first steps of a fit would flatten all else
        shown = values[(values >= low - (high - low)) & (values <= high + (high - low))]
        series = [Series(x, y, style, "line") for style, x, y in curves]
        yield chart(f"training: {name}", axis("step", steps, zero=True), axis(name, shown), series)
