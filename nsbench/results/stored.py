"""What a run left: the rows of a suite's trials as the suite now stands, and their scores by independent unit."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np

from nsbench.results import rows as results
from nsbench.results.pairing import CaseGroups, NoPairs, UnitScores, case_groups, unit_scores
from nsbench.results.rows import ScoreRow, TrialResult
from nsbench.results.statistics import Interval
from nsbench.running.schedule import trial_keys
from nsbench.stages.workshop import Bench
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import Plan, Trial
from nsbench.trajectories.growth import Domain, Trajectories


@dataclass(frozen=True)
class Finished:
    """rows: the last outcome of each trial of the plan, by its identity; open: why the others have none."""

    rows: dict[str, TrialResult]
    open: dict[str, str]


def finished(plan: Plan, workspace: Workspace) -> Finished:
    """Results that belong to the plan; those of another version of the suite or of the code do not.

    Raises UnreadableResults.
    """
    known = {row.trial: row for row in results.load(workspace.results(plan.suite.name))}
    rows: dict[str, TrialResult] = {}
    missing: dict[str, str] = {}
    for trial in plan.trials:
        row = known.get(trial.id)
        if row is None:
            missing[trial.id] = "has not been run"
        elif row.keys != trial_keys(trial):
            missing[trial.id] = "was run as the suite, or the code, was before"
        else:
            rows[trial.id] = row
    return Finished(rows, missing)


@dataclass
class Reader:
    """Reads scores by unit, and the test data behind them, from the store; computes nothing anew."""

    bench: Bench
    _tests: dict[str, Trajectories | None] = field(default_factory=dict)
    _groups: dict[str, CaseGroups] = field(default_factory=dict)
    _domains: dict[str, Domain] = field(default_factory=dict)

    def units(self, trial: Trial, row: ScoreRow) -> UnitScores:
        """A score of a trial by independent unit. Raises NoPairs."""
        key = next(metric.key for metric in trial.scores if metric.name == row.metric)
        artifact = self.bench.store.find(key)
        if artifact is None or row.value is None:
            raise NoPairs("its items are not in the store")
        items_by = json.loads((artifact.folder / "score.json").read_text(encoding="utf-8")).get("items_by")
        items = np.load(artifact.folder / "items.npy", allow_pickle=False)
        return unit_scores(items, items_by, row.value, lambda: self._case_groups(trial))

    def interval(self, trial: Trial, metric: int) -> Interval | None:
        """The 95 % interval of one of a trial's scores; None where it has none, or is not in the store."""
        artifact = self.bench.store.find(trial.scores[metric].key)
        if artifact is None:
            return None
        ends = json.loads((artifact.folder / "score.json").read_text(encoding="utf-8")).get("interval")
        return (float(ends[0]), float(ends[1])) if ends else None

    def test(self, trial: Trial) -> Trajectories | None:
        """The framed test data of a trial; None where it is not in the store."""
        key = trial.data.keys["test"]
        if key.digest not in self._tests:
            self._tests[key.digest] = self._read_test(trial)
        return self._tests[key.digest]

    def domain(self, trial: Trial) -> Domain:
        """The domain of a trial's data, of the record."""
        name = trial.data.name
        if name not in self._domains:
            self._domains[name] = self.bench.component(trial.data.part).domain
        return self._domains[name]

    def _read_test(self, trial: Trial) -> Trajectories | None:
        from nsbench.trajectories.hdf5 import read_trajectories

        artifact, protocol = self.bench.store.find(trial.data.keys["test"]), self.bench.suite.protocol
        if artifact is None:
            return None
        recorded = read_trajectories(artifact.folder / "trajectories.h5", self.domain(trial))
        return recorded.framed(protocol.stride, protocol.horizon)

    def _case_groups(self, trial: Trial) -> CaseGroups:
        key = trial.data.keys["test"].digest
        if key not in self._groups:
            test = self.test(trial)
            if test is None:
                raise NoPairs("the test data is not in the store")
            self._groups[key] = case_groups(test)
        return self._groups[key]
