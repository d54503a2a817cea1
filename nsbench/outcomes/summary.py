"""The results of a suite in one table: simulators by metrics, means over replicates, the best and its ties.

Submissions (rollouts made elsewhere) stand among the simulators.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nsbench.components.metric import ANCHORS, NULLS
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes.hardware import odd_hardware
from nsbench.outcomes.statistics import Interval, t_interval
from nsbench.outcomes.stored import StoredResults, placed
from nsbench.outcomes.ties import Contender, tied_with_best
from nsbench.quantities import arrow
from nsbench.suite.trials import Candidate, Plan, Trial

LineKind = Literal["simulator", "anchor", "null"]


@dataclass(frozen=True)
class Cell:
    """A metric's score of a simulator: the mean over replicates.

    interval    95 %: over replicates (t) where there are several, the score's own where there is one.
    replicates  how many values went into the mean.
    best        whether the score is the best of its kind, or cannot be told from the best.
    extras      the metric's own columns, by heading, means too.
    absent      why there is no value.
    unit        of the value, which may depend on the data.
    """

    value: float | None = None
    interval: Interval | None = None
    replicates: int = 0
    best: bool = False
    label: str = ""
    skill: float | None = None
    extras: dict[str, float] = field(default_factory=dict)
    absent: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the table: a simulator, an anchor or a null model, on a dataset.

    statuses   {status: trials}.
    anchor     the anchor that it is, e.g. "noise_free", whatever the suite calls it; "" for a simulator.
    outside    it is a submission.
    elsewhere  its costs were measured on other hardware than most.
    series     what it is a try of; "" for no other than itself.
    fit        its fit's key and its decoding, the same for simulators that differ in parameters of sampling alone;
               "" where it has no such parameters.
    sampling   {parameter of sampling: value}.
    """

    dataset: str
    name: str
    kind: LineKind
    cells: dict[str, Cell]
    statuses: dict[str, int] = field(default_factory=dict)
    anchor: str = ""
    outside: bool = False
    elsewhere: bool = False
    series: str = ""
    fit: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True if every trial ended well."""
        return not self.statuses.keys() - {"ok"}


@dataclass(frozen=True)
class MetricColumn:
    """The head of a metric's column. extras: headings of the metric's own columns; costs: it depends on hardware."""

    name: str
    unit: str
    direction: Literal["min", "max"]
    extras: tuple[str, ...] = ()
    costs: bool = False

    @property
    def arrow(self) -> str:
        return arrow(self.direction)


@dataclass(frozen=True)
class Summary:
    """The results of a suite. lines: simulators first, then anchors, then null models, dataset by dataset.

    metrics: the primary one first. failed: (trial, status, error) of each trial that did not end well, or has no
    result. primary: the name of the primary metric.
    """

    suite: str
    metrics: tuple[MetricColumn, ...]
    lines: tuple[Line, ...]
    failed: tuple[tuple[str, str, str], ...]
    replicates: int
    primary: str

    @property
    def datasets(self) -> list[str]:
        return list(dict.fromkeys(line.dataset for line in self.lines))

    def primary_column(self) -> MetricColumn | None:
        """The primary metric; None where it is none of the metrics."""
        return next((metric for metric in self.metrics if metric.name == self.primary), None)


def spoken(anchor: str) -> str:
    """An anchor's name as tables and pages have it: "best-deterministic"."""
    return anchor.replace("_", "-")


def summarise(stored: StoredResults) -> Summary:
    """The summary of a suite's stored results, those of submissions included."""
    plan = stored.plan
    metrics = _columns(stored)
    lines: list[Line] = []
    for dataset in plan.data:
        simulators = _simulators(stored, dataset)
        simulators = _marked(stored, simulators, metrics)
        simulators.sort(key=lambda line: line.kind != "simulator")  # stable: the suite's order otherwise
        lines += [*simulators, *_scales(stored, dataset, {line.name for line in simulators if line.kind == "anchor"})]
    suite = plan.suite
    return Summary(suite.name, metrics, tuple(lines), _failed(stored), suite.replicates, suite.primary_metric)


def _columns(stored: StoredResults) -> tuple[MetricColumn, ...]:
    """The heads of the columns, the primary metric's first, then in the suite's order of metrics."""
    examples: dict[str, ScoreRow] = {}
    for row in _results(stored):
        for score in row.scores:
            if score.metric not in examples or examples[score.metric].value is None:
                examples[score.metric] = score
    suite = stored.plan.suite
    names = [use.name for use in suite.metrics if use.name in examples]
    names.sort(key=lambda name: name != suite.primary_metric)  # stable
    return tuple(_column(examples[name]) for name in names)


def _column(score: ScoreRow) -> MetricColumn:
    headings = tuple(heading for _, heading in score.columns)
    return MetricColumn(score.metric, score.unit, score.direction, headings, score.costs)


def _results(stored: StoredResults) -> list[TrialResult]:
    """The rows of the suite's trials, and those of submissions."""
    return [*stored.rows.values(), *stored.submitted]


def _simulators(stored: StoredResults, dataset: str) -> list[Line]:
    """The lines of the suite's simulators on a dataset; one that is a ground truth is of kind "anchor"."""
    anchors = {
        trial.evidence.digest: name
        for (on, _), anchors in stored.plan.anchors.items()
        if on == dataset
        for name, trial in reversed(anchors.truths().items())  # without noise both are one: the floor
    }
    found = {row.trial: row for row in _results(stored)}
    odd = odd_hardware(list(found.values()))
    lines = []
    for name, candidates in _by_simulator(stored, dataset).items():
        rows = [found[candidate.id] for candidate in candidates if candidate.id in found]
        scores = [score for row in rows if row.status == "ok" for score in row.scores]
        cells = {metric: _cell([s for s in scores if s.metric == metric]) for metric in {s.metric for s in scores}}
        anchor = anchors.get(candidates[0].evidence.digest, "")
        kind: LineKind = "anchor" if anchor else "simulator"
        outside, elsewhere = any(row.outside for row in rows), any(row.trial in odd for row in rows)
        line = Line(dataset, name, kind, cells, _statuses(found, candidates), anchor, outside, elsewhere)
        lines.append(_of_series(line, candidates))
    return lines


def _of_series(line: Line, candidates: Iterable[Candidate]) -> Line:
    """The line with what a plan says of its place among others: its series, its fit, how it draws."""
    trial = next((candidate for candidate in candidates if isinstance(candidate, Trial)), None)
    if trial is None:
        return line
    sampling = trial.evidence.fields.get("sampling", {})
    fit = f"{trial.model.digest} {trial.decode}" if sampling else ""
    return replace(line, series=trial.series, fit=fit, sampling=sampling)


def _by_simulator(stored: StoredResults, dataset: str) -> dict[str, list[Candidate]]:
    """The trials and submissions on a dataset, by simulator."""
    candidates: dict[str, list[Candidate]] = {}
    for candidate in _candidates(stored):
        if candidate.data.name == dataset:
            candidates.setdefault(candidate.simulator, []).append(candidate)
    return candidates


def _candidates(stored: StoredResults) -> list[Candidate]:
    """The suite's trials and its submissions."""
    submissions = [placed(stored.session, row) for row in stored.submitted]
    return [*stored.plan.trials, *(submission for submission in submissions if submission is not None)]


def _statuses(found: dict[str, TrialResult], candidates: Iterable[Candidate]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for candidate in candidates:
        status = found[candidate.id].status if candidate.id in found else "not run"
        counts[status] = counts.get(status, 0) + 1
    return counts


def _cell(scores: Sequence[ScoreRow]) -> Cell:
    """The mean of a metric's scores over the replicates of a simulator."""
    valued = [score for score in scores if score.value is not None]
    if not valued:
        return Cell(absent="; ".join(sorted({score.absent for score in scores})), unit=scores[0].unit)
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
        unit=valued[0].unit,
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
            lines.append(Line(dataset, spoken(anchor), kind, cells, anchor=anchor))
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
        row.replicate: (value, score.unit)
        for row in rows
        for score in row.scores
        if score.metric == metric and (value := getattr(score, anchor)) is not None
    }
    if not by_replicate:
        return None
    values, units = zip(*by_replicate.values(), strict=True)
    return Cell(value=float(np.mean(values)), interval=t_interval(values), replicates=len(values), unit=units[0])


def _marked(stored: StoredResults, lines: list[Line], metrics: Sequence[MetricColumn]) -> list[Line]:
    """The lines, with the best simulators by each metric marked, separately for each label of scores."""
    scores = _scores(stored)
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


def _scores(stored: StoredResults) -> dict[tuple[str, str, str], dict[int, tuple[Candidate, ScoreRow]]]:
    """The scores by replicate, {(dataset, simulator, metric): {replicate: (trial or submission, score)}}."""
    candidates = {candidate.id: candidate for candidate in _candidates(stored)}
    scores: dict[tuple[str, str, str], dict[int, tuple[Candidate, ScoreRow]]] = {}
    for row in _results(stored):
        for score in row.scores if row.status == "ok" else ():
            if score.value is not None:
                by_replicate = scores.setdefault((row.dataset, row.simulator, score.metric), {})
                by_replicate[row.replicate] = (candidates[row.trial], score)
    return scores


def _failed(stored: StoredResults) -> tuple[tuple[str, str, str], ...]:
    """The (trial, status, error) of each trial that did not end well, or has no result."""
    rows = [(trial.id, stored.rows.get(trial.id)) for trial in stored.plan.trials]
    rows += [(row.trial, row) for row in stored.submitted]
    return tuple(
        (name, row.status, row.error) if row else (name, "not run", stored.open[name])
        for name, row in rows
        if row is None or row.status != "ok"
    )
