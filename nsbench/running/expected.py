"""The stages that a run has before it, and how much work each is expected to be, for estimates of the time left."""

from __future__ import annotations

from nsbench.components.events import ExpectedStage
from nsbench.store.store import Store
from nsbench.suite.trials import Plan, PlannedArtifact, Trial

STATE = 0.2
"""The work of one state that is decoded in a rollout or for a bound, in transitions of a fit of the same network."""

_CASES, _FRAMES = 500, 1 / 3
"""Test cases, and the part of the horizon that a rollout lasts: no data is read for an estimate."""


def expected_stages(plan: Plan, store: Store) -> tuple[ExpectedStage, ...]:
    """The stages of a plan's trials whose artifacts are not in the store, each once, in the order of trials."""
    truths = plan.ground_truths()
    stages = {
        artifact.key.digest: _stage(plan, trial, artifact, learns=trial.part.name not in truths)
        for trial in reversed(plan.trials)  # the first trial that wants an artifact makes it
        for artifact in reversed(trial.artifacts())
        if not store.has(artifact.key)
    }
    return tuple(reversed(stages.values()))


def _stage(plan: Plan, trial: Trial, artifact: PlannedArtifact, *, learns: bool) -> ExpectedStage:
    kind = artifact.key.kind
    work = {"model": float(plan.suite.budget.transitions), "evidence": STATE * _states(trial)}
    like = artifact.name if kind in ("data", "score") else f"{artifact.name} of {trial.simulator}"
    needs = trial.model.digest if kind == "evidence" else ""
    return ExpectedStage(trial.id, kind, artifact.key.digest, like, work.get(kind, 0.0) if learns else 0.0, needs)


def _states(trial: Trial) -> float:
    """The number of states that are decoded for a trial's evidence, roughly."""
    protocol = trial.data.protocol
    rollouts = _CASES * protocol.members * protocol.horizon * _FRAMES
    bounds = protocol.bounds
    if bounds is None or not trial.with_likelihood:
        return rollouts
    transitions = _CASES * protocol.horizon * _FRAMES if bounds.transitions == "all" else bounds.transitions
    return rollouts + transitions * sum(bounds.samples)
