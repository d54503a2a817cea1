"""The results of a suite in one table: simulators by metrics, means over replicates, the best and its ties."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from nsbench.components.metric import ANCHORS, NULLS
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes.statistics import Interval, t_interval
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.ties import Contender, tied_with_best
from nsbench.quantities import arrow
from nsbench.suite.trials import Plan, Trial

LineKind = Literal["simulator", "anchor", "null"]


@dataclass(frozen=True)
class Cell:
    """A metric's score of a simulator: the mean over replicates.

    interval    95 %: over replicates (t) where there are several, the score's own where there is one.
    replicates  how many values went into the mean.
    best        whether the score is the best of its kind, or cannot be told from the best.
    extras      the metric's own columns, by heading, means too.
    absent      why there is no value.
    """

    value: float | None = None
    interval: Interval | None = None
    replicates: int = 0
    best: bool = False
    label: str = ""
    skill: float | None = None
    extras: dict[str, float] = field(default_factory=dict)
    absent: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the table: a simulator, an anchor or a null model, on a dataset. statuses: {status: trials}."""

    dataset: str
    name: str
    kind: LineKind
    cells: dict[str, Cell]
    statuses: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True if every trial ended well."""
        return not self.statuses.keys() - {"ok"}


@dataclass(frozen=True)
class MetricColumn:
    """The head of a metric's column. extras: headings of the metric's own columns."""

    name: str
    unit: str
    direction: Literal["min", "max"]
    extras: tuple[str, ...] = ()

    @property
    def arrow(self) -> str:
        return arrow(self.direction)


@dataclass(frozen=True)
class Summary:
    """The results of a suite. lines: simulators first, then anchors, then null models, dataset by dataset.

    failed: (trial, status, error) of each trial that did not end well, or has no result.
    """

    suite: str
    metrics: tuple[MetricColumn, ...]
    lines: tuple[Line, ...]
    failed: tuple[tuple[str, str, str], ...]
    replicates: int

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(line.dataset for line in self.lines))


def summarise(stored: StoredResults) -> Summary:
    """The summary of a suite's stored results."""
    plan = stored.plan
    metrics = _columns(stored)
    lines: list[Line] = []
    for dataset in plan.data:
        simulators = _simulators(stored, dataset)
        simulators = _marked(stored, simulators, metrics)
        simulators.sort(key=lambda line: line.kind != "simulator")  # stable: the suite's order otherwise
        lines += [*simulators, *_scales(stored, dataset, {line.name for line in simulators if line.kind == "anchor"})]
    return Summary(plan.suite.name, metrics, tuple(lines), _failed(stored), plan.suite.replicates)


def _columns(stored: StoredResults) -> tuple[MetricColumn, ...]:
    """The heads of the columns, in the suite's order of metrics."""
    examples: dict[str, ScoreRow] = {}
    for row in stored.rows.values():
        for score in row.scores:
            if score.metric not in examples or examples[score.metric].value is None:
                examples[score.metric] = score
    names = [use.name for use in stored.plan.suite.metrics if use.name in examples]
    return tuple(
        MetricColumn(n, examples[n].unit, examples[n].direction, tuple(heading for _, heading in examples[n].columns))
        for n in names
    )


def _simulators(stored: StoredResults, dataset: str) -> list[Line]:
    """The lines of the suite's simulators on a dataset; one that is a ground truth is of kind "anchor"."""
    truths = {
        trial.evidence.digest
        for (name, _), anchors in stored.plan.anchors.items()
        if name == dataset
        for trial in anchors.truths().values()
    }
    lines = []
    for name, trials in _by_simulator(stored.plan, dataset).items():
        rows = [stored.rows[trial.id] for trial in trials if trial.id in stored.rows]
        scores = [score for row in rows if row.status == "ok" for score in row.scores]
        cells = {metric: _cell([s for s in scores if s.metric == metric]) for metric in {s.metric for s in scores}}
        kind: LineKind = "anchor" if trials[0].evidence.digest in truths else "simulator"
        lines.append(Line(dataset, name, kind, cells, _statuses(stored, trials)))
    return lines


def _by_simulator(plan: Plan, dataset: str) -> dict[str, list[Trial]]:
    trials: dict[str, list[Trial]] = {}
    for trial in plan.trials:
        if trial.data.name == dataset:
            trials.setdefault(trial.simulator, []).append(trial)
    return trials


def _statuses(stored: StoredResults, trials: Iterable[Trial]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for trial in trials:
        status = stored.rows[trial.id].status if trial.id in stored.rows else "not run"
        counts[status] = counts.get(status, 0) + 1
    return counts


def _cell(scores: Sequence[ScoreRow]) -> Cell:
    """The mean of a metric's scores over the replicates of a simulator."""
    valued = [score for score in scores if score.value is not None]
    if not valued:
        return Cell(absent="; ".join(sorted({score.absent for score in scores})))
    values = [score.value for score in valued if score.value is not None]
    skills = [score.skill for score in valued if score.skill is not None]
    extras = {}
    for name, heading in valued[0].columns:
        numbers = [score.extras[name] for score in valued if name in score.extras]
        if numbers:
            extras[heading] = float(np.mean(numbers))
    return Cell(
        value=float(np.mean(values)),
        interval=t_interval(values) if len(values) > 1 else valued[0].interval,
        replicates=len(values),
        label=" or ".join(sorted({score.label for score in valued} - {""})),
        skill=float(np.mean(skills)) if skills else None,
        extras=extras,
    )


def _scales(stored: StoredResults, dataset: str, listed: set[str]) -> list[Line]:
    """The lines of the anchors that the suite does not list, and of the null models."""
    rows = [row for row in stored.rows.values() if row.dataset == dataset and row.status == "ok"]
    names = _listed_anchors(stored.plan, dataset)
    lines = []
    for anchor in ANCHORS:
        if names.get(anchor, set()) & listed:
            continue
        cells = {m: cell for m in {s.metric for row in rows for s in row.scores} if (cell := _scale(rows, m, anchor))}
        if cells:
            kind: LineKind = "null" if anchor in NULLS else "anchor"
            lines.append(Line(dataset, anchor.replace("_", "-"), kind, cells))
    return lines


def _listed_anchors(plan: Plan, dataset: str) -> dict[str, set[str]]:
    """The names under which the suite lists the anchors, {anchor: simulators}."""
    names: dict[str, set[str]] = {}
    for trial in plan.trials:
        if trial.data.name == dataset:
            for anchor, truth in plan.anchors[dataset, trial.replicate].truths().items():
                if truth.evidence.digest == trial.evidence.digest:
                    names.setdefault(anchor, set()).add(trial.simulator)
    return names


def _scale(rows: Sequence[TrialResult], metric: str, anchor: str) -> Cell | None:
    """An anchor's mean score over replicates, read off the rows that have it beside their own; else None."""
    by_replicate = {
        row.replicate: value
        for row in rows
        for score in row.scores
        if score.metric == metric and (value := getattr(score, anchor)) is not None
    }
    if not by_replicate:
        return None
    values = list(by_replicate.values())
    return Cell(value=float(np.mean(values)), interval=t_interval(values), replicates=len(values))


def _marked(stored: StoredResults, lines: list[Line], metrics: Sequence[MetricColumn]) -> list[Line]:
    """The lines, with the best simulators by each metric marked, separately for each label of scores."""
    trials = {trial.id: trial for trial in stored.plan.trials}
    scores = _scores(stored, trials)
    best: set[tuple[str, str]] = set()
    for metric in metrics:
        groups: dict[str, list[Contender]] = {}
        for line in lines:
            cell = line.cells.get(metric.name)
            if line.kind == "simulator" and cell is not None and cell.value is not None:
                by_replicate = scores[line.dataset, line.name, metric.name]
                groups.setdefault(cell.label, []).append(Contender(line.name, cell.value, cell.interval, by_replicate))
        for candidates in groups.values():
            best |= {(name, metric.name) for name in tied_with_best(candidates, metric.direction, stored)}
    return [
        replace(line, cells={m: replace(cell, best=(line.name, m) in best) for m, cell in line.cells.items()})
        for line in lines
    ]


def _scores(
    stored: StoredResults, trials: dict[str, Trial]
) -> dict[tuple[str, str, str], dict[int, tuple[Trial, ScoreRow]]]:
    """The scores by replicate, {(dataset, simulator, metric): {replicate: (trial, score)}}."""
    scores: dict[tuple[str, str, str], dict[int, tuple[Trial, ScoreRow]]] = {}
    for row in stored.rows.values():
        for score in row.scores if row.status == "ok" else ():
            if score.value is not None:
                by_replicate = scores.setdefault((row.dataset, row.simulator, score.metric), {})
                by_replicate[row.replicate] = (trials[row.trial], score)
    return scores


def _failed(stored: StoredResults) -> tuple[tuple[str, str, str], ...]:
    """The (trial, status, error) of each trial that did not end well, or has no result."""
    rows = [(trial.id, stored.rows.get(trial.id)) for trial in stored.plan.trials]
    return tuple(
        (name, row.status, row.error) if row else (name, "not run", stored.open[name])
        for name, row in rows
        if row is None or row.status != "ok"
    )
