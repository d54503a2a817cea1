"""All that is worth showing of a trial, gathered from the store: what the tracker logs."""

from __future__ import annotations

import hashlib
import json
import time

from nsbench.components import Evidence
from nsbench.mlflow_runs import DataSplit, Point, TrialRecord, flatten
from nsbench.pictures import animate, spread, still
from nsbench.plan import SPLITS, Plan, Trial
from nsbench.registry import Registry
from nsbench.results import TrialResult
from nsbench.stages import Bench, prepare, read_evidence
from nsbench.trajectories import Trajectories


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
        | _figures(bench, trial)
        | (_pictures(truth, evidence, trial.simulator) if evidence and truth else {}),
    )


def _tags(plan: Plan, trial: Trial, registry: Registry, invocation: str) -> dict[str, str]:
    parts = [trial.data.part, trial.part, *(metric.part for metric in trial.scores)]
    plugins = [registry.plugin_of(part.kind, part.name) for part in parts]
    return {
        "nsbench.suite_digest": hashlib.sha256(plan.suite.to_yaml().encode()).hexdigest()[:32],
        "nsbench.invocation": invocation,
    } | {f"nsbench.plugin.{plugin.name}": plugin.origin for plugin in plugins}


def _splits(trial: Trial) -> tuple[DataSplit, ...]:
    data = {split: trial.data if split == "test" else trial.fit_data for split in SPLITS}
    return tuple(
        DataSplit(plan.name, split, plan.keys[split].digest, {"dataset": plan.part.name, "params": plan.part.params})
        for split, plan in data.items()
    )


def _curves(bench: Bench, trial: Trial) -> tuple[Point, ...]:
    artifact = bench.store.find(trial.model)
    if artifact is None:
        return ()
    points = json.loads((artifact.folder / "curves.json").read_text(encoding="utf-8"))
    return tuple((name, value, step) for name, value, step in points)


def _figures(bench: Bench, trial: Trial) -> dict[str, bytes]:
    found = {metric.name: bench.store.find(metric.key) for metric in trial.scores}
    paths = {name: artifact.folder / "figure.png" for name, artifact in found.items() if artifact}
    return {f"figures/{name}.png": path.read_bytes() for name, path in paths.items() if path.exists()}


def _pictures(truth: Trajectories, evidence: Evidence, simulator: str) -> dict[str, bytes]:
    cases, labels = spread(truth), ("truth", simulator)
    return {
        "rollouts.gif": animate(truth, evidence.rollouts, cases=cases, labels=labels, members=evidence.members),
        "figures/final_states.png": still(
            truth, evidence.rollouts, cases=cases, labels=labels, members=evidence.members
        ),
    }
