"""Rollouts made elsewhere, scored beside the suite's own trials: no simulator is asked, none is imported.

Checked rollouts become evidence in the store, under the digest of their content, the key of the test data and the
protocol. From there on they are scored as any other evidence is. Their row among the results says that they came
from outside; a later run of the suite finds it, scores what is missing, and shows it.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace

from nsbench.components.component import Cost, Evidence, Metric, NotApplicable, Score
from nsbench.components.contracts.dataset import require_score
from nsbench.registry.registry import did_you_mean
from nsbench.results import rows as results
from nsbench.results.file import ResultsFile
from nsbench.results.rows import DECLARED, ScoreRow, TrialResult
from nsbench.stages.anchors import AnchorScores
from nsbench.stages.score import keep_score, prepare, read_evidence, read_score, write_evidence
from nsbench.stages.workshop import Bench
from nsbench.store.files import write_whole
from nsbench.store.store import Artifact, Draft, Key
from nsbench.store.workspace import Workspace
from nsbench.submissions.reading import Submission
from nsbench.suite.planner import DataPlan, Plan, ScorePlan
from nsbench.suite.reading import NAME, bad_name
from nsbench.suite.seeds import generator
from nsbench.trajectories.growth import Trajectories

_UNKNOWN = Cost(ms_per_trajectory=0.0, batch=1, ms_per_trajectory_alone=0.0, threads=1, device="cpu")
"""Where no costs were declared; no metric gets to see it."""


class CannotScore(Exception):
    """What was asked for is not possible, in words."""


@dataclass(frozen=True)
class Outside:
    """A simulator that ran elsewhere, on a dataset of a plan. scores: one a metric of the suite."""

    name: str
    data: DataPlan
    replicate: int
    rollouts: str
    evidence: Key
    scores: tuple[ScorePlan, ...]

    @property
    def id(self) -> str:
        """Its identity in the suite, as a trial's."""
        return f"{self.data.name}/{self.name}/r{self.replicate}"


def choose_dataset(plan: Plan, name: str | None) -> DataPlan:
    """The dataset of that name, or the only one. Raises CannotScore."""
    if name is None and len(plan.data) > 1:
        raise CannotScore(f"suite {plan.suite.name!r} has several datasets: say --dataset {' or '.join(plan.data)}")
    name = next(iter(plan.data)) if name is None else name
    if name not in plan.data:
        raise CannotScore(f"suite {plan.suite.name!r} has no dataset {name!r}{did_you_mean(name, plan.data)}")
    return plan.data[name]


def check_name(plan: Plan, name: str, replicate: int) -> None:
    """Whether rollouts may be called so. Raises CannotScore."""
    if not NAME.fullmatch(name):
        raise CannotScore(bad_name(name))
    if name in [use.name for use in plan.suite.simulators]:
        raise CannotScore(f"{name!r} is a simulator of suite {plan.suite.name!r}: choose another name")
    if not 0 <= replicate < plan.suite.replicates:
        raise CannotScore(f"the suite has replicates 0 to {plan.suite.replicates - 1}, got {replicate}")


def outside(plan: Plan, data: DataPlan, name: str, replicate: int, rollouts: str) -> Outside:
    """Rollouts of that digest, planned. Metrics have the seeds that they have for every other simulator."""
    asked = {k: getattr(plan.suite.protocol, k) for k in ("stride", "horizon", "members")}
    evidence = Key("evidence", {"rollouts": rollouts, "test": data.keys["test"].digest, "protocol": asked})
    beside = plan.anchors[data.name, replicate].nulls["persistence"].scores  # scores that need no simulator either
    scores = (replace(s, key=Key("score", s.key.fields | {"evidence": evidence.digest})) for s in beside)
    return Outside(name, data, replicate, rollouts, evidence, tuple(scores))


def keep(bench: Bench, which: Outside, submission: Submission) -> Artifact:
    """The rollouts in the store; those that are there already are not written again."""
    what = f"rollouts of {which.name}"
    found = bench.found(which.id, which.evidence, what)
    if found is not None:
        return found
    evidence = Evidence(submission.rollouts, submission.members, submission.cost or _UNKNOWN, submission.likelihood)
    facts = {"outside": True, "declared": submission.cost is not None, "machine": submission.machine}

    def write(draft: Draft) -> None:
        write_evidence(draft, evidence)
        draft.facts.update(facts)

    return bench.make(which.id, which.evidence, what, write)


def score_outside(bench: Bench, which: Outside, anchors: AnchorScores, workspace: Workspace) -> TrialResult:
    """The row of rollouts that are in the store; a metric that fails becomes its status."""
    before = time.perf_counter()
    row = TrialResult(which.id, which.data.name, which.name, which.replicate, "ok", _keys(which), outside=True)
    try:
        scores = [_score(bench, which, metric) for metric in which.scores]
        scores = [anchors.beside(which, i, own) for i, own in enumerate(scores)]
    except Exception as error:
        log = workspace.log(bench.suite.name, which.id)
        write_whole(log, traceback.format_exc())
        text = f"{type(error).__name__}: {error} (see {log})"
        return replace(row, status="failed", error=text, seconds=time.perf_counter() - before)
    return replace(row, scores=tuple(scores), seconds=time.perf_counter() - before)


def placed(plan: Plan, row: TrialResult) -> Outside | None:
    """What a row from outside is in the plan; None where its rollouts answer another question than the plan's."""
    if row.dataset not in plan.data or row.replicate >= plan.suite.replicates:
        return None
    which = outside(plan, plan.data[row.dataset], row.simulator, row.replicate, row.keys["rollouts"])
    return which if which.evidence.digest == row.keys["evidence"] else None


def rescored(plan: Plan, bench: Bench, workspace: Workspace) -> tuple[list[TrialResult], list[str]]:
    """Every row from outside among the suite's results, with the scores that the suite asks for now.

    And what must be said of those that have no place in it any more.
    """
    path = workspace.results(plan.suite.name)
    anchors, kept = AnchorScores(plan, bench), ResultsFile(path)
    rows, notes = [], []
    for row in (row for row in results.load(path) if row.outside):
        which = placed(plan, row)
        if which is None:
            notes.append(
                f"{row.trial}: these rollouts, made elsewhere, are of other test cases or another protocol than the "
                "suite's now, and are not shown; score new ones"
            )
            continue
        rows.append(score_outside(bench, which, anchors, workspace))
        kept.add(rows[-1])
    return rows, notes


def finished(plan: Plan, workspace: Workspace) -> list[TrialResult]:
    """The rows of the plan's own trials, as far as they have been run on what the plan says now."""
    last = {row.trial: row for row in results.load(workspace.results(plan.suite.name))}
    rows = [(trial, last.get(trial.id)) for trial in plan.trials]
    return [row for trial, row in rows if row and row.keys.get("evidence") == trial.evidence.digest]


def _keys(which: Outside) -> dict[str, str]:
    keys = {"data/test": which.data.keys["test"].digest, "rollouts": which.rollouts, "evidence": which.evidence.digest}
    return keys | {f"score/{metric.name}": metric.key.digest for metric in which.scores}


def _score(bench: Bench, which: Outside, plan: ScorePlan) -> ScoreRow:
    what = f"{plan.name} of {which.name}"
    artifact = bench.found(which.id, plan.key, what)
    if artifact is None:
        reference = prepare(bench, which.id, which.data, "test")
        held = bench.store.find(which.evidence)
        if held is None:
            raise CannotScore("its rollouts are no longer in the store: score the file again")
        evidence, declared = read_evidence(held, reference.domain), bool(held.facts["declared"])
        metric: Metric = bench.component(plan.part)

        def ask() -> Score:
            return _judged(metric, evidence, reference, plan, declared)

        artifact = bench.make(which.id, plan.key, what, lambda draft: keep_score(draft, plan.name, metric, ask))
    return read_score(artifact.folder, plan.name)


def _judged(metric: Metric, evidence: Evidence, reference: Trajectories, plan: ScorePlan, declared: bool) -> Score:
    """The metric's score. What rests on declared costs says so, and ranks with nothing that was measured here."""
    if "likelihood" in metric.needs and evidence.likelihood is None:
        raise NotApplicable("no likelihood came with the rollouts")
    if "cost" in metric.needs and not declared:
        raise NotApplicable("no costs were declared with the rollouts")
    score = require_score(metric, metric.score(evidence, reference, generator(plan.seed)))
    return replace(score, label=DECLARED) if "cost" in metric.needs else score
