"""The fourth stage: a metric compares evidence with the truth of the same cases.

The artifact holds score.json, the row without its anchors; items.npy and figure.png where the metric gives them. There
is one scorer: trials, null models and submissions differ only in where the evidence comes from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsbench.components.contracts.metric import require_figure, require_score
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Need, NotApplicable, Score
from nsbench.components.protocol import Protocol
from nsbench.components.rows import DECLARED, ScoreRow
from nsbench.errors import Refusal
from nsbench.stages.agreement import Code
from nsbench.stages.holdout import COLUMNS, inside_and_outside
from nsbench.stages.null_evidence import null_code, null_evidence
from nsbench.stages.prepare import prepare
from nsbench.stages.simulate import read_evidence, simulate
from nsbench.stages.workshop import Workshop, Write
from nsbench.store.store import Artifact, Draft
from nsbench.suite.seeds import generator
from nsbench.suite.trials import DataPlan, NullPlan, ScorePlan, Submission, Trial
from nsbench.trajectories.base import Trajectories

_SCORE = "score.json"
_ITEMS = "items.npy"
_BY_LEAD = "by_lead.json"
_FIGURE = "figure.png"

DRAWN_FILES = frozenset({_FIGURE})
"""Names of picture files. A picture names the program that drew it, so its bytes are not compared."""

_ABSENT: dict[tuple[Need, bool], str] = {
    ("likelihood", False): "the simulator has no likelihood",
    ("likelihood", True): "no likelihood came with the rollouts",
    ("cost", False): "no costs were measured",
    ("cost", True): "no costs were declared with the rollouts",
}
"""(what a metric needs, whether the rollouts were made elsewhere) -> the reason for having no score."""


class NoRollouts(Refusal):
    """A submission whose rollouts are not in the store."""


def score(workshop: Workshop, trial: Trial, metric: ScorePlan) -> ScoreRow:
    """A metric's score of a trial, without its anchors."""
    upstream = [workshop.agreement.of(trial.part)]
    return _scored(
        workshop, trial.id, trial.simulator, trial.data, metric, lambda test: simulate(workshop, trial, test), upstream
    )


def score_null(workshop: Workshop, job: str, null: NullPlan, metric: ScorePlan) -> ScoreRow:
    """A metric's score of a null model, or of the truth drawn once more."""

    def evidence(test: Trajectories) -> Evidence:
        return null_evidence(workshop, job, null, test)

    return _scored(workshop, job, null.name, null.data, metric, evidence, null_code(workshop, null), drawn=False)


def score_submission(workshop: Workshop, submission: Submission, metric: ScorePlan) -> ScoreRow:
    """A metric's score of rollouts that were made elsewhere. Raises NoRollouts."""

    def evidence(test: Trajectories) -> Evidence:
        artifact = workshop.store.find(submission.evidence)
        if artifact is None:
            raise NoRollouts("its rollouts are no longer in the store: score the file again")
        return read_evidence(artifact, test.domain)

    return _scored(workshop, submission.id, submission.simulator, submission.data, metric, evidence)


def _scored(
    workshop: Workshop,
    job: str,
    name: str,
    data: DataPlan,
    metric: ScorePlan,
    get_evidence: Callable[[Trajectories], Evidence],
    upstream: Sequence[Code] = (),
    *,
    drawn: bool = True,
) -> ScoreRow:
    """A metric's score of evidence on the test cases of a dataset, from the store or made now.

    name: the simulator or null model. get_evidence: called with the truth, only if the score is missing; it may raise
    NotApplicable. upstream: the code that the evidence's key rests on. drawn: whether its figure is kept, if there is
    one.
    """

    def make() -> Write:
        truth = prepare(workshop, job, data, "test")
        try:
            evidence: Evidence | NotApplicable = get_evidence(truth)
        except NotApplicable as reason:
            evidence = reason
        row, score = _judge(workshop, metric, evidence, truth, data.protocol)
        figure = _drawn(workshop.component(metric.part), score) if drawn and score is not None else None
        return lambda draft: _write(draft, row, score, figure)

    agreement = workshop.agreement
    rests_on = [agreement.of(metric.part), *agreement.of_data(data), *upstream]
    artifact = workshop.obtain(job, metric.key, f"{metric.name} of {name}", make, {_SCORE}, rests_on)
    return read_score(artifact.folder, metric.name)


def _judge(
    workshop: Workshop, plan: ScorePlan, evidence: Evidence | NotApplicable, truth: Trajectories, protocol: Protocol
) -> tuple[ScoreRow, Score | None]:
    """The metric's row, and its score; the score is None where the metric declines, or there is no evidence."""
    metric: Metric = workshop.component(plan.part)
    try:
        score = _ask(metric, evidence, truth, plan)
    except NotApplicable as reason:
        return replace(_row_without_value(plan.name, metric), absent=str(reason)), None
    sides = inside_and_outside(score, metric.items_by, truth, protocol) if protocol.holdout else {}
    row = _row_without_value(plan.name, metric)
    row = replace(
        row,
        unit=score.unit or metric.unit,
        value=score.value,
        interval=score.interval,
        extras=score.extras | sides,
        columns=row.columns + (COLUMNS if sides else ()),
        label=score.label,
    )
    return row, score


def _row_without_value(name: str, metric: Metric) -> ScoreRow:
    """The row of a metric, with everything that does not depend on the score."""
    return ScoreRow(
        metric=name,
        unit=metric.unit,
        direction=metric.direction,
        value=None,
        columns=metric.columns,
        anchored=metric.anchored,
        zero=metric.zero,
        rollouts_only=metric.needs <= {"rollouts"},
        costs="cost" in metric.needs,
        items_by=metric.items_by,
    )


def _ask(metric: Metric, evidence: Evidence | NotApplicable, truth: Trajectories, plan: ScorePlan) -> Score:
    """The metric's score of the evidence. Raises NotApplicable where the evidence lacks what the metric needs."""
    if isinstance(evidence, NotApplicable):
        raise evidence
    for need, part in (("likelihood", evidence.likelihood), ("cost", evidence.cost)):
        if need in metric.needs and part is None:
            if need == "likelihood" and evidence.drawn_elsewhere:
                raise NotApplicable("the likelihood is of the process that draws its sites, which has its own row")
            raise NotApplicable(_ABSENT[need, evidence.declared])
    score = require_score(metric, metric.score(evidence, truth, generator(plan.seed)))
    # A score that rests on declared costs is labelled so, and is not ranked with costs measured here.
    return replace(score, label=DECLARED) if evidence.declared and "cost" in metric.needs else score


def _drawn(metric: Metric, score: Score) -> bytes | None:
    """The figure of a score; None where it has none."""
    figure = score.figure() if callable(score.figure) else score.figure
    return None if figure is None else require_figure(metric, figure)


def _write(draft: Draft, row: ScoreRow, score: Score | None, figure: bytes | None) -> None:
    (draft.folder / _SCORE).write_text(json.dumps(asdict(row), allow_nan=False), encoding="utf-8")
    if score is None:
        return
    np.save(draft.folder / _ITEMS, score.items, allow_pickle=False)
    if score.by_lead:
        curves = {name: curve.tolist() for name, curve in score.by_lead.items()}
        (draft.folder / _BY_LEAD).write_text(json.dumps(curves, allow_nan=False), encoding="utf-8")
    if figure is not None:
        (draft.folder / _FIGURE).write_bytes(figure)


def read_score(folder: Path, name: str) -> ScoreRow:
    """The row in an artifact's folder. name: the metric's name in the suite."""
    row = ScoreRow.from_data(json.loads((folder / _SCORE).read_text(encoding="utf-8")))
    return replace(row, metric=name)


def read_items(artifact: Artifact) -> NDArray[np.float64]:
    """The values of a score's items, float64[k, ...]; see ScoreRow.items_by."""
    return np.asarray(np.load(artifact.folder / _ITEMS, allow_pickle=False))


def read_by_lead(artifact: Artifact) -> dict[str, NDArray[np.float64]]:
    """The score's numbers by lead time, float64[L] each, frame 1 first; none where the metric gives none."""
    path = artifact.folder / _BY_LEAD
    curves = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: np.array(curve, dtype=np.float64) for name, curve in curves.items()}


def read_figure(artifact: Artifact) -> bytes | None:
    """A score's picture, a PNG; None where the metric drew none."""
    path = artifact.folder / _FIGURE
    return path.read_bytes() if path.exists() else None
