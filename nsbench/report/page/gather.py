"""The data behind a report's pictures, read from the store; nothing is computed anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.outcomes.pairing import NoPairs
from nsbench.outcomes.stored import StoredResults
from nsbench.outcomes.summary import Line, Summary, spoken
from nsbench.report.matrix import SCALES
from nsbench.report.page.worst import Worst, worst_cases
from nsbench.suite.trials import ScorePlan, Trial
from nsbench.trajectories.base import Trajectories

Array = NDArray[np.float64]

SHOWN = 8
"""The largest number of simulators that are drawn, the best ones; anchors and null models are drawn in addition."""

CURVE_POINTS = 200
"""The largest number of points of a training curve that are drawn."""

Curves = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Shown:
    """A simulator's first finished trial, or an anchor.

    rollouts: the first member of each case. curves: name -> (steps, values). bins: metric -> its value by bin.
    by_lead: metric -> name -> values by lead time, frame 1 first.
    """

    name: str
    rollouts: Trajectories
    curves: Curves = field(default_factory=dict)
    bins: dict[str, Array] = field(default_factory=dict)
    by_lead: dict[str, dict[str, Array]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DatasetPictures:
    """The data behind a dataset's pictures.

    truth    the framed test data; shown: the simulators that are drawn, in the suite's order.
    scales   the anchors of SCALES that are not among the simulators.
    worst    the cases in which simulators that are drawn did worst.
    left     the number of finished simulators that are not drawn.
    bins     metric -> number of bins over the condition's range, None if unknown.
    costs    simulator -> milliseconds a trajectory, of all that have been measured.
    """

    dataset: str
    truth: Trajectories
    shown: tuple[Shown, ...]
    left: int
    bins: dict[str, int | None]
    costs: dict[str, float]
    scales: tuple[Shown, ...] = ()
    worst: tuple[Worst, ...] = ()


def gather(stored: StoredResults, summary: Summary, dataset: str) -> DatasetPictures | None:
    """The data behind a dataset's pictures; None if the store lacks its test data, or no trial on it has finished."""
    trials = _first_trials(stored, dataset)
    truth = stored.test(next(iter(trials.values())).data) if trials else None
    if truth is None:
        return None
    lines = [line for line in summary.lines if line.dataset == dataset and line.name in trials]
    chosen = _chosen(lines, summary)
    shown = [s for line in chosen if (s := _shown(stored, trials[line.name])) is not None]
    costs = {line.name: cost for line in lines if (cost := _cost(stored, trials[line.name])) is not None}
    contenders = [trials[line.name] for line in chosen if line.kind == "simulator"]
    return DatasetPictures(
        dataset,
        truth,
        tuple(shown),
        len(lines) - len(shown),
        _bins(trials, shown),
        costs,
        tuple(_scales(stored, dataset, trials.values())),
        tuple(worst_cases(stored, contenders, truth, summary)),
    )


def _first_trials(stored: StoredResults, dataset: str) -> dict[str, Trial]:
    trials: dict[str, Trial] = {}
    for trial in stored.plan.trials:
        if trial.data.name == dataset and trial.id in stored.rows and stored.rows[trial.id].status == "ok":
            trials.setdefault(trial.simulator, trial)
    return trials


def _chosen(lines: Sequence[Line], summary: Summary) -> list[Line]:
    """The lines whose rollouts are drawn, best first where there are too many."""
    simulators = [line for line in lines if line.kind == "simulator"]
    if len(simulators) > SHOWN and summary.metrics:
        first = summary.metrics[0]
        sign = 1 if first.direction == "min" else -1

        def rank(line: Line) -> float:
            cell = line.cells.get(first.name)
            return sign * cell.value if cell is not None and cell.value is not None else float("inf")

        simulators = sorted(simulators, key=rank)[:SHOWN]
    return [line for line in lines if line.kind != "simulator" or line in simulators]


def _shown(stored: StoredResults, trial: Trial) -> Shown | None:
    evidence = stored.evidence(trial)
    if evidence is None:
        return None
    bins, by_lead = _items_by_bin(stored, trial), _by_lead(stored, trial.scores)
    return Shown(trial.simulator, _first_members(evidence), _curves(stored, trial), bins, by_lead)


def _first_members(evidence: Evidence) -> Trajectories:
    return evidence.rollouts.select(np.arange(0, len(evidence.rollouts), evidence.members))


def _scales(stored: StoredResults, dataset: str, trials: Collection[Trial]) -> Iterator[Shown]:
    """The anchors of SCALES that are not trials of the suite, as far as the store has them."""
    listed = {trial.evidence.digest for trial in trials}
    taken = {trial.simulator for trial in trials}
    first = min(trial.replicate for trial in trials)
    anchors = dict(reversed(stored.plan.anchors[dataset, first].all()))  # of several floors the first
    for anchor in SCALES:
        plan, name = anchors.get(anchor), spoken(anchor)
        if plan is None or plan.evidence.digest in listed or name in taken:
            continue
        evidence = stored.evidence(plan)
        if evidence is None:
            continue
        yield Shown(name, _first_members(evidence), by_lead=_by_lead(stored, plan.scores))


def _by_lead(stored: StoredResults, scores: Sequence[ScorePlan]) -> dict[str, dict[str, Array]]:
    curves = {metric.name: stored.by_lead(metric) for metric in scores}
    return {name: by_name for name, by_name in curves.items() if by_name}


def _curves(stored: StoredResults, trial: Trial) -> Curves:
    curves: dict[str, list[tuple[int, float]]] = {}
    for name, value, step in stored.curves(trial):
        curves.setdefault(name, []).append((step, value))
    return {name: _thinned(points) for name, points in curves.items()}


def _thinned(points: list[tuple[int, float]]) -> tuple[Array, Array]:
    """(steps, values) of a curve, each the mean of as many neighbours as leave CURVE_POINTS points or fewer."""
    every = -(-len(points) // CURVE_POINTS)
    array = np.array(sorted(points), dtype=np.float64)
    parts = np.array([array[k : k + every].mean(axis=0) for k in range(0, len(array), every)])
    return parts[:, 0], parts[:, 1]


def _items_by_bin(stored: StoredResults, trial: Trial) -> dict[str, Array]:
    items = {}
    for score in stored.rows[trial.id].scores:
        try:
            units = stored.units(trial, score)
        except NoPairs:
            continue
        if units.unit == "bins":
            items[score.metric] = units.values
    return items


def _bins(trials: dict[str, Trial], shown: Sequence[Shown]) -> dict[str, int | None]:
    """Metric -> number of bins, empty ones included, of metrics with an item for each bin; None if unknown."""
    params = {metric.name: metric.part.params for metric in next(iter(trials.values())).scores}
    names = dict.fromkeys(name for simulator in shown for name in simulator.bins)
    equal = {name: params[name].get("binning", "linear") == "linear" for name in names}
    return {name: params[name].get("bins") if equal[name] else None for name in names}


def _cost(stored: StoredResults, trial: Trial) -> float | None:
    cost = stored.cost(trial)
    return cost.ms_per_trajectory if cost else None
