"""All that is worth showing of a trial, gathered from the store: what the tracker logs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from nsbench.components.component import Evidence, Split
from nsbench.registry.registry import Registry
from nsbench.report.pictures import animate, by_frame, spread, still
from nsbench.results.rows import TrialResult
from nsbench.stages.score import prepare, read_evidence
from nsbench.stages.workshop import Bench
from nsbench.submissions.scoring import placed
from nsbench.suite.planner import SPLITS, DataPlan, Plan, ScorePlan, Trial
from nsbench.tracking.runs import IMAGES, DataSplit, Point, TrialRecord, flatten, image_artifacts
from nsbench.trajectories.growth import Trajectories


def trial_record(bench: Bench, plan: Plan, result: TrialResult, invocation: str) -> TrialRecord:
    """The record of a trial that has ended; of a failed one, as much as there is."""
    trial = next(t for t in plan.trials if t.id == result.trial)
    finished = time.time()
    artifact = bench.store.find(trial.evidence)
    truth = prepare(bench, trial.id, trial.data, "test") if artifact else None
    evidence = read_evidence(artifact, truth.domain) if artifact and truth else None
    return TrialRecord(
        result=result,
        started=finished - result.seconds,
        finished=finished,
        params=flatten("sim", trial.part.params) | flatten("data", trial.data.part.params),
        tags=_tags(plan, trial, bench.registry, invocation),
        data=_splits(trial),
        cost=evidence.cost if evidence else None,
        curves=_curves(bench, trial),
        artifacts={"suite.yaml": plan.suite.to_yaml().encode()}
        | _figures(bench, trial.scores)
        | (_pictures(truth, evidence, trial.simulator) if evidence and truth else {}),
    )


def outside_record(bench: Bench, plan: Plan, result: TrialResult, invocation: str) -> TrialRecord:
    """The record of rollouts that were made elsewhere."""
    which, now = placed(plan, result), time.time()
    if which is None:
        raise ValueError(f"{result.trial} has no place in the plan")
    artifact = bench.store.find(which.evidence)
    truth = prepare(bench, which.id, which.data, "test") if artifact else None
    evidence = read_evidence(artifact, truth.domain) if artifact and truth else None
    facts = artifact.facts if artifact else {}
    return TrialRecord(
        result=result,
        started=now - result.seconds,
        finished=now,
        params={"sim.rollouts": which.rollouts} | flatten("data", which.data.part.params),
        tags=_common_tags(plan, invocation) | ({"nsbench.machine": facts["machine"]} if facts.get("machine") else {}),
        data=(_split(which.data, "test"),),
        cost=evidence.cost if evidence and facts["declared"] else None,
        artifacts={"suite.yaml": plan.suite.to_yaml().encode()}
        | _figures(bench, which.scores)
        | (_pictures(truth, evidence, which.name) if evidence and truth else {}),
    )


def _tags(plan: Plan, trial: Trial, registry: Registry, invocation: str) -> dict[str, str]:
    parts = [trial.data.part, trial.part, *(metric.part for metric in trial.scores)]
    plugins = [registry.plugin_of(part.kind, part.name) for part in parts]
    return _common_tags(plan, invocation) | {f"nsbench.plugin.{plugin.name}": plugin.origin for plugin in plugins}


def _common_tags(plan: Plan, invocation: str) -> dict[str, str]:
    digest = hashlib.sha256(plan.suite.to_yaml().encode()).hexdigest()[:32]
    return {"nsbench.suite_digest": digest, "nsbench.invocation": invocation}


def _splits(trial: Trial) -> tuple[DataSplit, ...]:
    data = {split: trial.data if split == "test" else trial.fit_data for split in SPLITS}
    return tuple(_split(plan, split) for split, plan in data.items())


def _split(plan: DataPlan, split: Split) -> DataSplit:
    facts = {"dataset": plan.part.name, "params": plan.part.params}
    return DataSplit(plan.name, split, plan.keys[split].digest, facts)


def _curves(bench: Bench, trial: Trial) -> tuple[Point, ...]:
    artifact = bench.store.find(trial.model)
    if artifact is None:
        return ()
    points = json.loads((artifact.folder / "curves.json").read_text(encoding="utf-8"))
    return tuple((name, value, step) for name, value, step in points)


def _figures(bench: Bench, scores: Sequence[ScorePlan]) -> dict[str, bytes]:
    found = {metric.name: bench.store.find(metric.key) for metric in scores}
    paths = {name: artifact.folder / "figure.png" for name, artifact in found.items() if artifact}
    return {f"figures/{name}.png": path.read_bytes() for name, path in paths.items() if path.exists()}


def _pictures(truth: Trajectories, evidence: Evidence, simulator: str) -> dict[str, bytes]:
    pair, labels = (truth, evidence.rollouts), ("truth", simulator)
    shown: dict[str, Any] = {"cases": spread(truth), "labels": labels, "members": evidence.members}
    pictures = {
        "rollouts.gif": animate(*pair, **shown),
        "figures/final_states.png": still(*pair, **shown),
    }
    for frame, picture in by_frame(*pair, **shown).items():
        pictures |= image_artifacts(IMAGES, frame, picture.png, picture.thumbnail)
    return pictures
