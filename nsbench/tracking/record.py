"""The record of a trial or a submission, gathered from the store: all that the tracker logs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nsbench.components.dataset import Split
from nsbench.components.events import Notice
from nsbench.components.evidence import Evidence
from nsbench.components.rows import TrialResult
from nsbench.outcomes.stored import StoredResults, placed
from nsbench.report.pictures import animate, by_frame, spread, still
from nsbench.running.run import Listener
from nsbench.stages.fit import Point
from nsbench.suite.session import Session
from nsbench.suite.trials import Candidate, DataPlan, ScorePlan, Submission, Trial
from nsbench.tracking.content import IMAGES, DataSplit, TrialRecord, flatten, image_artifacts
from nsbench.tracking.destination import Destination
from nsbench.tracking.tracker import Tracker
from nsbench.trajectories.base import Trajectories


def make_tracker(session: Session, invocation: str, display: Listener, target: Destination) -> Tracker:
    """The tracker that mirrors a session at a destination. display: shows its notices."""
    suite, workspace = session.suite, session.workspace
    return Tracker(
        workspace.root,
        suite.name,
        recorder(session, invocation),
        ledger=workspace.run(suite.name) / "tracked.json",
        target=target,
        notify=lambda message: display(Notice(message)),
        primary=suite.primary_metric,
    )


def recorder(session: Session, invocation: str) -> Callable[[TrialResult], TrialRecord]:
    """A function that gathers the record of a row."""
    stored = StoredResults(session)
    trials = {trial.id: trial for trial in session.plan.trials}

    def record(row: TrialResult) -> TrialRecord:
        candidate = placed(session, row) if row.outside else trials[row.trial]
        if candidate is None:
            raise ValueError(f"{row.trial} has no place in the plan")
        return _record(session, stored, candidate, row, invocation)

    return record


def _record(
    session: Session, stored: StoredResults, candidate: Candidate, row: TrialResult, invocation: str
) -> TrialRecord:
    """The record of a row; of a trial that failed, as much as there is."""
    finished = time.time()
    evidence, truth = stored.evidence(candidate), stored.test(candidate.data)
    files = {"suite.yaml": session.suite.to_yaml().encode()} | _figures(stored, candidate.scores)
    if evidence is not None and truth is not None:
        files |= _pictures(truth, evidence, candidate.simulator)
    return TrialRecord(
        result=row,
        started=finished - row.seconds,
        finished=finished,
        params=_params(candidate) | flatten("data", candidate.data.part.params),
        tags=_tags(session, stored, candidate, invocation),
        data=tuple(_split(data, split) for data, split in _splits(candidate)),
        cost=evidence.cost if evidence else None,
        curves=tuple(_curves(stored, candidate)),
        artifacts=files,
    )


def _params(candidate: Candidate) -> dict[str, object]:
    if isinstance(candidate, Submission):
        return {"sim.rollouts": candidate.rollouts}
    return flatten("sim", candidate.part.params)


def _tags(session: Session, stored: StoredResults, candidate: Candidate, invocation: str) -> dict[str, str]:
    digest = hashlib.sha256(session.suite.to_yaml().encode()).hexdigest()[:32]
    primary = session.suite.primary_metric
    tags = {"nsbench.suite_digest": digest, "nsbench.invocation": invocation, "nsbench.primary": primary}
    if isinstance(candidate, Submission):
        artifact = stored.artifact(candidate.evidence)
        machine = artifact.facts.get("machine") if artifact else None
        return tags | ({"nsbench.machine": machine} if machine else {})
    parts = [candidate.data.part, candidate.part, *(metric.part for metric in candidate.scores)]
    plugins = [session.registry.plugin_of(part.kind, part.name) for part in parts]
    return tags | {f"nsbench.plugin.{plugin.name}": plugin.origin for plugin in plugins}


def _splits(candidate: Candidate) -> list[tuple[DataPlan, Split]]:
    fitted: list[tuple[DataPlan, Split]] = []
    if isinstance(candidate, Trial):
        fitted = [(candidate.fit_data, "train"), (candidate.fit_data, "val")]
    return [*fitted, (candidate.data, "test")]


def _split(data: DataPlan, split: Split) -> DataSplit:
    facts = {"dataset": data.part.name, "params": data.part.params}
    return DataSplit(data.name, split, data.keys[split].digest, facts)


def _curves(stored: StoredResults, candidate: Candidate) -> Iterator[Point]:
    """Training curves, by transition, and scores by lead time, by frame."""
    if isinstance(candidate, Trial):
        yield from stored.curves(candidate)
    for metric in candidate.scores:
        for name, values in stored.by_lead(metric).items():
            curve = f"lead/{metric.name}" + ("" if name == "value" else f".{name}")
            yield from ((curve, float(value), frame) for frame, value in enumerate(values, 1))


def _figures(stored: StoredResults, scores: Sequence[ScorePlan]) -> dict[str, bytes]:
    figures = {metric.name: stored.figure(metric) for metric in scores}
    return {f"figures/{name}.png": figure for name, figure in figures.items() if figure is not None}


def _pictures(truth: Trajectories, evidence: Evidence, simulator: str) -> dict[str, bytes]:
    pair, labels = (truth, evidence.rollouts), ("truth", simulator)
    options: dict[str, Any] = {"cases": spread(truth), "labels": labels, "members": evidence.members}
    pictures = {
        "rollouts.gif": animate(*pair, **options),
        "figures/final_states.png": still(*pair, **options),
    }
    for frame, picture in by_frame(*pair, **options).items():
        pictures |= image_artifacts(IMAGES, frame, picture.png, picture.thumbnail)
    return pictures
