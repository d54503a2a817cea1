"""The third stage: the fitted simulator is run on the test cases; the result, on which metrics work, is the evidence.

The artifact holds rollouts.h5, and cost.json, likelihood.npz and latents.npz where they were measured. Rollouts that
were made elsewhere become evidence of the same kind, with the fact "outside". Until it is whole, finished batches lie
in the work folder (nsbench/stages/parts.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

import numpy as np

from nsbench.components.component import ComponentSpec
from nsbench.components.dataset import DatasetSpec
from nsbench.components.events import Notice, StagePostponed
from nsbench.components.evidence import Cost, Evidence, LatentUse, Likelihood
from nsbench.components.protocol import LikelihoodKind
from nsbench.components.simulator import Simulator
from nsbench.registry.loading import build
from nsbench.stages.agreement import Code
from nsbench.stages.costs import Postponed
from nsbench.stages.fit import fit
from nsbench.stages.parts import Parts
from nsbench.stages.workshop import Workshop, Write, require_variables
from nsbench.store.environment import environment, hardware
from nsbench.store.manifest import Damaged, read_manifest
from nsbench.store.store import Artifact, Draft, Store
from nsbench.store.variables import all_variables_in_keys
from nsbench.suite.planner import MEASURING
from nsbench.suite.seeds import generator
from nsbench.suite.trials import Submission, Trial
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain

ROLLOUTS = "rollouts.h5"
_COST = "cost.json"
_LIKELIHOOD = "likelihood.npz"
_LATENTS = "latents.npz"

_PARTS = ("transitions", "latents", "truth", "annealed", "annealed_of", "guided")
"""Arrays of a likelihood that need not be there."""

MEASURED_FILES = frozenset({_COST})
"""Names of files with measured times, which are never the same twice."""


def simulate(workshop: Workshop, trial: Trial, test: Trajectories) -> Evidence:
    """The evidence of a trial on its test cases. test: framed trajectories.

    Raises Postponed where it is made but for its costs; what is made lies in the work folder.
    """

    def make() -> Write:
        planned = trial.evidence.fields.get("variables", {})
        require_variables(f"rollouts of {trial.simulator}", planned, all_variables_in_keys())
        simulator, fit_seconds = fit(workshop, trial)
        return lambda draft: _simulate(workshop, trial, simulator, fit_seconds, test, draft)

    what, rests_on = f"rollouts of {trial.simulator}", _rests_on(workshop, trial)
    try:
        artifact = workshop.obtain(trial.id, trial.evidence, what, make, {ROLLOUTS}, rests_on)
    except Postponed:
        workshop.emit(StagePostponed(trial.id, trial.evidence.kind, trial.evidence.digest, what))
        raise
    workshop.clear_work(trial.evidence)
    return read_evidence(artifact, test.domain)


def _rests_on(workshop: Workshop, trial: Trial) -> list[Code]:
    """The code in the key of a trial's evidence, the ground truth's, which is timed and asked beside it, included."""
    agreement, truth = workshop.agreement, _truth_of(workshop, trial)
    measuring = Code("the measuring of rollouts", (MEASURING,), trial.evidence.fields["source"])
    data = (*agreement.of_data(trial.data), *agreement.of_data(trial.fit_data))
    beside: list[Code] = []
    if truth is not None:
        planned = trial.evidence.fields["truth"]
        beside = [Code(f"simulator {truth.name!r}", truth.code(), planned["source"], planned["libraries"])]
    return [agreement.of(trial.part), *map(agreement.of, trial.inner_parts()), measuring, *data, *beside]


def take_in(workshop: Workshop, submission: Submission, evidence: Evidence, facts: Mapping[str, Any]) -> Artifact:
    """Put evidence that was made elsewhere into the store, unless it is there already; returns its artifact."""

    def write(draft: Draft) -> None:
        write_evidence(draft, evidence)
        draft.facts.update(facts, outside=True)

    what = f"rollouts of {submission.simulator}"
    return workshop.obtain(submission.id, submission.evidence, what, lambda: write, {ROLLOUTS})


def _simulate(
    workshop: Workshop, trial: Trial, simulator: Simulator, fit_seconds: float | None, test: Trajectories, draft: Draft
) -> None:
    from nsbench.stages.measuring import collect

    simulator.conditions = replace(workshop.conditions, decode=trial.decode)
    with _parts(workshop, trial, test.domain) as parts:
        evidence = collect(
            simulator,
            test,
            trial.data.protocol,
            workshop.conditions,
            generator(trial.simulate_seed),
            truth=ground_truth(workshop, trial),
            fit_seconds=fit_seconds,
            threads=workshop.threads,
            parallel=workshop.parallel,
            progress=workshop.progress(trial.id, trial.evidence, "trajectories"),
            keeper=parts,
            with_likelihood=trial.with_likelihood,
            before_costs=partial(_postpone, workshop),
        )
    write_evidence(draft, evidence)


def _postpone(workshop: Workshop) -> None:
    if workshop.postpones:
        raise Postponed


def _parts(workshop: Workshop, trial: Trial, domain: Domain) -> Parts:
    """The keeper of the batches of a trial's evidence. Those that other hardware made are not gone on from."""
    return Parts(
        workshop.work / trial.evidence.digest,
        domain,
        made_on={"hardware": hardware(environment(), workshop.conditions.device)},
        hold=workshop.agreement.hold,
        stopping=workshop.stopping,
        notify=lambda message: workshop.emit(Notice(message)),
    )


def ground_truth(workshop: Workshop, trial: Trial) -> Simulator | None:
    """The simulator that the dataset names as its ground truth, to be timed beside every other; None without one."""
    spec = cast(DatasetSpec, workshop.registry.spec("dataset", trial.data.part.name))
    truth = _truth_of(workshop, trial)
    if spec.floor is None or truth is None:
        return None
    simulator = cast(Simulator, build("simulator", truth, spec.floor.params))
    simulator.conditions = workshop.conditions
    return simulator


def _truth_of(workshop: Workshop, trial: Trial) -> ComponentSpec | None:
    """The spec of the simulator that the dataset names as its ground truth; None without one."""
    spec = cast(DatasetSpec, workshop.registry.spec("dataset", trial.data.part.name))
    return None if spec.floor is None else workshop.registry.spec("simulator", spec.floor.name)


def write_evidence(draft: Draft, evidence: Evidence) -> None:
    """Write what ``read_evidence`` reads."""
    from nsbench.trajectories.hdf5 import write_trajectories

    write_trajectories(draft.folder / ROLLOUTS, evidence.rollouts)
    draft.facts["members"] = evidence.members
    if evidence.drawn_elsewhere:
        draft.facts["drawn_elsewhere"] = True
    if evidence.cost is not None:
        (draft.folder / _COST).write_text(json.dumps(asdict(evidence.cost)), encoding="utf-8")
    if evidence.likelihood is not None:
        arrays: dict[str, Any] = {f"bound_{k}": nats for k, nats in evidence.likelihood.bounds.items()}
        parts = {name: getattr(evidence.likelihood, name) for name in _PARTS}
        arrays |= {name: part for name, part in parts.items() if part is not None}
        np.savez(draft.folder / _LIKELIHOOD, nats=evidence.likelihood.nats, **arrays)
        draft.facts["likelihood"] = evidence.likelihood.kind
    if evidence.latent_use is not None:
        np.savez(draft.folder / _LATENTS, **vars(evidence.latent_use))


def read_evidence(artifact: Artifact, domain: Domain) -> Evidence:
    """The evidence in an artifact. domain: that of the framed rollouts."""
    from nsbench.trajectories.hdf5 import read_trajectories

    return Evidence(
        rollouts=read_trajectories(artifact.folder / ROLLOUTS, domain),
        members=artifact.facts["members"],
        cost=read_cost(artifact),
        likelihood=_likelihood(artifact),
        latent_use=_latent_use(artifact),
        declared=bool(artifact.facts.get("outside", False)),
        drawn_elsewhere=bool(artifact.facts.get("drawn_elsewhere", False)),
    )


def read_cost(artifact: Artifact) -> Cost | None:
    """The costs in an artifact; None where none were measured or declared."""
    path = artifact.folder / _COST
    return Cost(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _likelihood(artifact: Artifact) -> Likelihood | None:
    kind = cast(LikelihoodKind | None, artifact.facts.get("likelihood"))
    if kind is None:
        return None
    with np.load(artifact.folder / _LIKELIHOOD, allow_pickle=False) as arrays:
        bounds = {int(n.removeprefix("bound_")): arrays[n] for n in arrays.files if n.startswith("bound_")}
        parts = {name: arrays[name] for name in _PARTS if name in arrays.files}
        return Likelihood(kind, arrays["nats"], bounds=bounds, **parts)


def _latent_use(artifact: Artifact) -> LatentUse | None:
    path = artifact.folder / _LATENTS
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return LatentUse(**{name: arrays[name] for name in arrays.files})


def cost_hardware(store: Store, trial: Trial) -> str:
    """The hardware that a trial's rollouts were timed on, and that of its fit where it was another.

    "" where the evidence is not in the store: scores outlive it. Costs of different hardware are hardly comparable.
    """
    folder = store.path(trial.evidence)
    try:
        device = json.loads((folder / _COST).read_text(encoding="utf-8"))["device"]
        hardware_timed = hardware(read_manifest(folder)["environment"], device)
    except (OSError, ValueError, KeyError, TypeError, Damaged):
        return ""
    hardware_fitted = _fit_hardware(store, trial, device)
    if hardware_fitted in ("", hardware_timed):
        return hardware_timed
    return f"{hardware_timed}, fitted on {hardware_fitted}"


def _fit_hardware(store: Store, trial: Trial, device: str) -> str:
    """The hardware that a simulator was fitted on; "" if it learns nothing, or the model is no longer in the store."""
    try:
        manifest = read_manifest(store.path(trial.model))
    except Damaged:
        return ""
    return hardware(manifest["environment"], device) if manifest["facts"].get("fit_seconds") is not None else ""
