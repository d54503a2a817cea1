"""Cost and quality: what one fit scores, and how long it takes, by the parameters of its sampling.

Such simulators stand in one series, and are no tries of each other: their fit was made once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from nsbench.components.metric import Anchor
from nsbench.components.rows import DECLARED
from nsbench.outcomes.series import members, of_one_fit
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Cell, Line, MetricColumn, Summary

SCALES: tuple[Anchor, ...] = ("floor", "best_deterministic")
"""The anchors that stand beside curves."""


@dataclass(frozen=True)
class Point:
    """A simulator's score by the primary metric, and its time.

    setting: its values of the parameters in which its curve varies, as text; "" outside of curves.
    ms: milliseconds a trajectory; None where none were measured, or not on the hardware of the others.
    absent: why it has no score.
    """

    simulator: str
    setting: str
    score: Cell
    ms: float | None
    absent: str = ""

    @property
    def is_placed(self) -> bool:
        """Whether score and time are known."""
        return self.score.value is not None and self.ms is not None


@dataclass(frozen=True)
class Curve:
    """A series of one fit. parameters: those that vary. points: the cheapest first, those without a time last."""

    name: str
    parameters: tuple[str, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class CostQuality:
    """The curves of a dataset by the primary metric, and what stands beside them.

    kind: of the scores, where those of the metric are of several kinds. others: the simulators of no curve.
    scales: {anchor of SCALES: score}, as far as they have one.
    """

    dataset: str
    metric: MetricColumn
    kind: str
    curves: tuple[Curve, ...]
    others: tuple[Point, ...]
    scales: dict[str, float]


def curves_of(summary: Summary, dataset: str) -> list[Curve]:
    """The series of one fit of a dataset, in the suite's order, whether they have been run or not."""
    return [_curve(summary, name, lines) for name, lines in members(summary, dataset).items() if of_one_fit(lines)]


def cost_quality(summary: Summary, dataset: str) -> list[CostQuality]:
    """The curves of a dataset as far as they have a place: one entry a kind of score, none without a measured time."""
    metric = summary.primary_column()
    curves = curves_of(summary, dataset)
    if metric is None or not curves:
        return []
    in_curves = {point.simulator for curve in curves for point in curve.points}
    lines = [line for line in summary.lines if line.dataset == dataset]
    others = [_point(summary, line) for line in lines if line.kind == "simulator" and line.name not in in_curves]
    kinds = dict.fromkeys(p.score.label for curve in curves for p in curve.points if p.is_placed)
    return [
        CostQuality(
            dataset,
            metric,
            kind if len(kinds) > 1 else "",
            tuple(_placed(curves, kind)),
            tuple(point for point in others if point.is_placed and point.score.label == kind),
            _scales(lines, metric, {kind, ""} if len(kinds) == 1 else {kind}),
        )
        for kind in kinds
    ]


def clock(summary: Summary) -> MetricColumn | None:
    """The metric that times rollouts: the first one of costs in milliseconds; None where the suite has none."""
    return next((metric for metric in summary.metrics if metric.costs and metric.unit == "ms"), None)


def truth_ms(stored: StoredResults, dataset: str) -> float | None:
    """The ground truth's milliseconds a trajectory: the median of those measured in turn with the simulators'."""
    trials = [trial for trial in stored.plan.trials if trial.data.name == dataset and trial.id in stored.rows]
    costs = [cost.truth_ms_per_trajectory for trial in trials if (cost := stored.cost(trial)) is not None]
    known = [ms for ms in costs if ms is not None]
    return median(known) if known else None


def _curve(summary: Summary, name: str, lines: Sequence[Line]) -> Curve:
    values = {parameter: {_text(line.sampling[parameter]) for line in lines} for parameter in lines[0].sampling}
    varying = tuple(parameter for parameter, every in values.items() if len(every) > 1)
    points = [_point(summary, line, ", ".join(_text(line.sampling[p]) for p in varying)) for line in lines]
    points.sort(key=lambda point: float("inf") if point.ms is None else point.ms)  # stable
    return Curve(name, varying, tuple(points))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _point(summary: Summary, line: Line, setting: str = "") -> Point:
    score, time = line.cells.get(summary.primary, Cell()), _time(summary, line)
    statuses = ", ".join(status for status in line.statuses if status != "ok")
    absent = "" if score.value is not None else score.absent or statuses or "no score"
    return Point(line.name, setting, score, time, absent)


def _time(summary: Summary, line: Line) -> float | None:
    """The milliseconds of a line, as far as they compare with those of others."""
    metric = clock(summary)
    cell = line.cells.get(metric.name) if metric else None
    return None if cell is None or line.elsewhere or cell.label == DECLARED else cell.value


def _scales(lines: Sequence[Line], metric: MetricColumn, labels: Collection[str]) -> dict[str, float]:
    """The anchors' scores, as far as their kind is among `labels`; that of an anchor without trials is not recorded."""
    cells = {line.anchor: cell for line in lines if (cell := line.cells.get(metric.name)) and cell.label in labels}
    return {a: value for a in SCALES if (cell := cells.get(a)) and (value := cell.value) is not None}


def _placed(curves: Sequence[Curve], kind: str) -> Iterator[Curve]:
    for curve in curves:
        points = tuple(point for point in curve.points if point.is_placed and point.score.label == kind)
        if points:
            yield Curve(curve.name, curve.parameters, points)
