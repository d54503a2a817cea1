"""Series: simulators that are tries of one thing, such as those of a grid, and the best of them.

A series of one fit, whose simulators differ in parameters of sampling alone, is none of tries: no fit was chosen there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.best_of import best_of
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Line, MetricColumn, Summary

NOT_TRIED = frozenset({"not run", "interrupted", "skipped", "killed"})
"""The statuses that say nothing of a try: it has not been made to its end. Any other is a result, if a bad one."""


@dataclass(frozen=True)
class Try:
    """A simulator of a series. value: its score, the mean over replicates; None where it was made and has none."""

    simulator: str
    value: float | None


@dataclass(frozen=True)
class Series:
    """The tries of a series on a dataset, in the suite's order, by the primary metric.

    kind: of the scores, where those of the metric are of several kinds, which are no numbers of one scale. open: how
    many more the suite has that were not made. floor: the ground truth's score; None where it has none.
    """

    dataset: str
    name: str
    metric: MetricColumn
    kind: str
    tries: tuple[Try, ...]
    open: int = 0
    floor: float | None = None

    @property
    def best(self) -> Try | None:
        """The try with the best score, the first of equal ones; None where no try has a score."""
        scored = [(attempt.value, attempt) for attempt in self.tries if attempt.value is not None]
        sign = 1 if self.metric.direction == "min" else -1
        return min(scored, key=lambda pair: sign * pair[0])[1] if scored else None

    @property
    def expected(self) -> NDArray[np.float64]:
        """The expected best of n of the tries, float64[N]; see `best_of`."""
        return best_of([attempt.value for attempt in self.tries], self.metric.direction)


def series_of(summary: Summary, dataset: str) -> list[Series]:
    """The series of tries of a dataset, in the suite's order; none where none has two: there is nothing to choose."""
    metric = summary.primary_column()
    lines = [line for line in summary.lines if line.dataset == dataset]
    if metric is None:
        return []
    floor = next((line.cells.get(metric.name) for line in lines if line.anchor == "floor"), None)
    found = [
        Series(dataset, name, metric, kind, tries, open_tries, floor.value if floor else None)
        for name, of_series in members(summary, dataset).items()
        if not of_one_fit(of_series)
        for kind, tries, open_tries in _by_kind(of_series, metric.name)
    ]
    return found if any(len(series.tries) > 1 for series in found) else []


def members(summary: Summary, dataset: str) -> dict[str, list[Line]]:
    """The simulators of each series of a dataset, {series: lines}, in the suite's order."""
    lines: dict[str, list[Line]] = {}
    for line in summary.lines:
        if line.dataset == dataset and line.series and line.kind == "simulator":
            lines.setdefault(line.series, []).append(line)
    return lines


def of_one_fit(lines: Sequence[Line]) -> bool:
    """Whether simulators, two or more, share one fit and its decoding, and differ in how they draw from it alone."""
    return len(lines) > 1 and lines[0].fit != "" and len({line.fit for line in lines}) == 1


def _by_kind(lines: list[Line], metric: str) -> Iterator[tuple[str, tuple[Try, ...], int]]:
    """(kind, tries, how many were not made) for each kind of score; a try without a score counts with each kind."""
    made = [line for line in lines if line.statuses.keys() - NOT_TRIED]
    cells = [(line.name, line.cells.get(metric)) for line in made]
    kinds = dict.fromkeys(cell.label for _, cell in cells if cell is not None and cell.value is not None)
    for kind in kinds or [""]:
        tries = [
            Try(name, None if cell is None else cell.value)
            for name, cell in cells
            if cell is None or cell.value is None or cell.label == kind
        ]
        yield kind if len(kinds) > 1 else "", tuple(tries), len(lines) - len(made)


def fit_seconds(stored: StoredResults, series: Series) -> list[float | None]:
    """The seconds that each try's fits took, those of its replicates together; None where they are not known."""
    trials = [trial for trial in stored.plan.trials if trial.data.name == series.dataset]
    seconds: list[float | None] = []
    for attempt in series.tries:
        costs = [stored.cost(trial) for trial in trials if trial.simulator == attempt.simulator]
        fits = [cost.fit_seconds if cost else None for cost in costs]
        known = [fit for fit in fits if fit is not None]
        seconds.append(sum(known) if known and len(known) == len(fits) else None)
    return seconds
