"""The stored results of a suite: the rows of its trials as the suite now stands, and the artifacts behind them.

Nothing is computed anew. A row counts while all its keys are those of the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nsbench.components.dataset import Dataset
from nsbench.components.evidence import Cost, Evidence
from nsbench.components.rows import ScoreRow, TrialResult
from nsbench.outcomes import file
from nsbench.outcomes.pairing import CaseGroups, NoPairs, UnitScores, case_groups, unit_scores
from nsbench.outcomes.statistics import Interval
from nsbench.registry.loading import build
from nsbench.stages.fit import Point, read_curves
from nsbench.stages.prepare import framed, read_data
from nsbench.stages.score import read_by_lead, read_figure, read_items, read_score
from nsbench.stages.simulate import read_cost, read_evidence
from nsbench.store.key import Key
from nsbench.store.store import Artifact, Store
from nsbench.suite.session import Session
from nsbench.suite.trials import Candidate, DataPlan, NullPlan, Plan, ScorePlan, Submission, Trial
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain


@dataclass
class StoredResults:
    """A suite's finished rows, and a reader of the artifacts behind them.

    Raises UnreadableResults when rows are first asked for.
    """

    session: Session
    _tests: dict[str, Trajectories] = field(default_factory=dict)
    _groups: dict[str, CaseGroups] = field(default_factory=dict)
    _domains: dict[str, Domain] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        return self.session.plan

    @cached_property
    def store(self) -> Store:
        return Store(self.session.workspace.store)

    @cached_property
    def _content(self) -> file.Rows:
        return file.read(self.session.results)

    @property
    def note(self) -> str:
        """What of the results file could not be read as rows, in words; "" if all of it was."""
        return self._content.note

    @cached_property
    def _last(self) -> dict[str, TrialResult]:
        return {row.trial: row for row in self._content.rows}

    @cached_property
    def rows(self) -> dict[str, TrialResult]:
        """The last row of each trial of the plan, by identity, where it is of the suite and code as they are now.

        Its series is what the suite says now: it changes no number, so a row is not made anew for it.
        """
        trials = [trial for trial in self.plan.trials if trial.id not in self.open]
        return {trial.id: replace(self._last[trial.id], series=trial.series) for trial in trials}

    @cached_property
    def submitted(self) -> list[TrialResult]:
        """The last row of each submission that has a place in the suite as it is now."""
        return [row for row in self._last.values() if row.outside and placed(self.session, row) is not None]

    @cached_property
    def open(self) -> dict[str, str]:
        """The trials without such a row, and why, {identity: reason}."""
        reasons = {trial.id: self._why_open(trial) for trial in self.plan.trials}
        return {name: reason for name, reason in reasons.items() if reason}

    def _why_open(self, trial: Trial) -> str:
        row = self._last.get(trial.id)
        if row is None:
            return "has not been run"
        of_this = (row.dataset, row.simulator, row.replicate) == (trial.data.name, trial.simulator, trial.replicate)
        return "" if of_this and row.keys == trial.keys() else "was run as the suite, or the code, was before"

    def artifact(self, key: Key) -> Artifact | None:
        """The artifact of a key; None where it is not in the store."""
        return self.store.find(key)

    def units(self, candidate: Candidate, row: ScoreRow) -> UnitScores:
        """The scores of a trial or submission by independent unit, for one metric's row. Raises NoPairs."""
        key = next(metric.key for metric in candidate.scores if metric.name == row.metric)
        artifact = self.store.find(key)
        if artifact is None or row.value is None:
            raise NoPairs("its items are not in the store")
        return unit_scores(read_items(artifact), row.items_by, row.value, lambda: self._case_groups(candidate))

    def interval(self, metric: ScorePlan) -> Interval | None:
        """The 95 % interval of a score; None where it has none, or is not in the store."""
        artifact = self.store.find(metric.key)
        return read_score(artifact.folder, metric.name).interval if artifact else None

    def by_lead(self, metric: ScorePlan) -> dict[str, NDArray[np.float64]]:
        """A score's numbers by lead time, float64[L] each; none where it has none, or is not in the store."""
        artifact = self.store.find(metric.key)
        return read_by_lead(artifact) if artifact else {}

    def figure(self, metric: ScorePlan) -> bytes | None:
        """A score's picture, a PNG; None where it has none, or is not in the store."""
        artifact = self.store.find(metric.key)
        return read_figure(artifact) if artifact else None

    def curves(self, trial: Trial) -> list[Point]:
        """The training curves of a trial; none where its model is not in the store."""
        artifact = self.store.find(trial.model)
        return read_curves(artifact) if artifact else []

    def cost(self, trial: Trial) -> Cost | None:
        """The cost of a trial's rollouts; None where its evidence is not in the store."""
        artifact = self.store.find(trial.evidence)
        return read_cost(artifact) if artifact else None

    def evidence(self, candidate: Candidate | NullPlan) -> Evidence | None:
        """The evidence of a trial, a submission or an anchor; None where it, or the test data, is not in the store."""
        artifact, test = self.store.find(candidate.evidence), self.test(candidate.data)
        return read_evidence(artifact, test.domain) if artifact is not None and test is not None else None

    def test(self, data: DataPlan) -> Trajectories | None:
        """The framed test data of a dataset; None where it is not in the store."""
        key = data.keys["test"]
        if key.digest not in self._tests and (artifact := self.store.find(key)) is not None:
            self._tests[key.digest] = framed(self._recorded(artifact, data), data, "test")
        return self._tests.get(key.digest)

    def _recorded(self, artifact: Artifact, data: DataPlan) -> Trajectories:
        return read_data(artifact, self.domain(data), self.session.registry, data.part)

    def domain(self, data: DataPlan) -> Domain:
        """The domain of a dataset, as recorded and not in frames."""
        if data.name not in self._domains:
            dataset = build("dataset", self.session.registry.spec("dataset", data.part.name), data.part.params)
            assert isinstance(dataset, Dataset)
            self._domains[data.name] = dataset.domain
        return self._domains[data.name]

    def _case_groups(self, candidate: Candidate) -> CaseGroups:
        key = candidate.data.keys["test"].digest
        if key not in self._groups:
            test = self.test(candidate.data)
            if test is None:
                raise NoPairs("the test data is not in the store")
            self._groups[key] = case_groups(test)
        return self._groups[key]


def placed(session: Session, row: TrialResult) -> Submission | None:
    """The submission behind a row; None if its protocol or test cases are no longer the suite's."""
    plan = session.plan
    if row.dataset not in plan.data or row.replicate >= plan.suite.replicates:
        return None
    submission = plan.submission(plan.data[row.dataset], row.simulator, row.replicate, row.keys["rollouts"])
    return submission if submission.evidence.digest == row.keys["evidence"] else None


def submissions_of(session: Session) -> tuple[list[Submission], list[str]]:
    """The submissions among a suite's results, and a message for each that has no place in it any more."""
    submissions: list[Submission] = []
    misplaced: list[str] = []
    for row in (row for row in file.load(session.results) if row.outside):
        submission = placed(session, row)
        if submission is not None:
            submissions.append(submission)
        else:
            misplaced.append(
                f"{row.trial}: these rollouts, made elsewhere, are of other test cases or another protocol than the "
                "suite's now, and are not shown; score new ones"
            )
    return submissions, misplaced
