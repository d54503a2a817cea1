"""The networks of a finished suite, fitted, for benchmarks that measure them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nsbench.neural.simulator import NeuralSimulator
from nsbench.registry.registry import installed
from nsbench.stages.fit import fit
from nsbench.stages.workshop import Workshop, workshop_of
from nsbench.store.workspace import Workspace
from nsbench.suite.planner import make_plan
from nsbench.suite.reading import read_suite
from nsbench.suite.session import Session
from nsbench.suite.trials import Trial


def fitted_networks(suite: Path, workspace: Path) -> Iterator[tuple[Workshop, Trial, NeuralSimulator]]:
    """Each network of the suite's first replicate, with its trial. Raises SystemExit where one is not fitted."""
    registry = installed()
    plan = make_plan(read_suite(suite, registry), registry)
    workshop = workshop_of(Session(plan, registry, Workspace(workspace.resolve())), lambda event: None)
    seen: set[str] = set()
    for trial in (trial for trial in plan.trials if trial.replicate == 0):
        if trial.model.digest in seen:
            continue  # the same fit, decoded otherwise
        seen.add(trial.model.digest)
        if not workshop.store.has(trial.model):
            raise SystemExit(f"{trial.id} is not fitted: first nsbench run {suite}")
        simulator, _ = fit(workshop, trial)
        if isinstance(simulator, NeuralSimulator):
            simulator.conditions = workshop.conditions
            yield workshop, trial, simulator
