"""The four stages of a trial: prepare, fit, simulate, score.

Each is a function from what came before to an artifact in the store. A stage whose artifact is there reads
it and asks for nothing else: a cached score imports no simulator and touches no data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from nsbench.components.component import (
    Cost,
    Dataset,
    Evidence,
    FitContext,
    Likelihood,
    LikelihoodKind,
    Metric,
    NotApplicable,
    Score,
    Simulator,
    Split,
)
from nsbench.components.contracts.dataset import require_parts, require_recorded, require_saved, require_score
from nsbench.components.contracts.simulator import BrokenContract
from nsbench.components.events import CurvePoint
from nsbench.components.latents import LatentUse, ProbedEvidence
from nsbench.registry.registry import build
from nsbench.results.rows import ScoreRow
from nsbench.stages.journal import Journal
from nsbench.stages.nulls import null_evidence
from nsbench.stages.workshop import Bench
from nsbench.store.files import whole
from nsbench.store.store import Artifact, Draft
from nsbench.suite.planner import DataPlan, NullPlan, ScorePlan, Trial
from nsbench.suite.seeds import generator
from nsbench.trajectories.growth import Domain, Trajectories


def prepare(bench: Bench, trial: str, data: DataPlan, split: Split) -> Trajectories:
    """The trajectories of a split, framed by the suite's protocol."""
    return recorded(bench, trial, data, split).framed(bench.suite.protocol.stride, bench.suite.protocol.horizon)


def recorded(bench: Bench, trial: str, data: DataPlan, split: Split) -> Trajectories:
    """The trajectories of a split, as the dataset recorded them."""
    from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories

    key, what = data.keys[split], f"{split} data of {data.name}"
    dataset: Dataset = bench.component(data.part)

    def write(draft: Draft) -> None:
        trajectories = _made_in_parts(bench, trial, data, split, dataset)
        write_trajectories(draft.folder / "trajectories.h5", trajectories)
        draft.facts["trajectories"] = len(trajectories)

    artifact = bench.found(trial, key, what)
    if artifact is None:
        artifact = bench.make(trial, key, what, write)
        shutil.rmtree(bench.work / key.digest, ignore_errors=True)
    return read_trajectories(artifact.folder / "trajectories.h5", dataset.domain)


def _made_in_parts(bench: Bench, trial: str, data: DataPlan, split: Split, dataset: Dataset) -> Trajectories:
    """A split, part by part; parts that an earlier sitting finished are read, not made again."""
    from nsbench.trajectories.hdf5 import read_trajectories, write_trajectories

    key, count, parts = data.keys[split], require_parts(dataset, dataset.parts(split)), []
    progress = bench.progress(trial, key, "parts")
    for k in range(count):
        path = bench.work / key.digest / f"part-{k:05d}.h5"
        if path.exists():
            parts.append(read_trajectories(path, dataset.domain))
        else:
            made = dataset.part(split, generator(data.seeds[split]), k)
            parts.append(require_recorded(dataset, made, dataset.domain, "part" if count > 1 else "prepare", split))
            if count > 1:
                with whole(path) as draft:
                    write_trajectories(draft, parts[-1])
        progress(k + 1, count)
    return type(parts[0]).joined(parts)


def fit(bench: Bench, trial: Trial) -> tuple[Simulator, float | None]:
    """The fitted simulator, and the seconds that its fit took (None for one that learns nothing)."""
    key, what = trial.model, f"fit of {trial.simulator}"
    artifact = bench.found(trial.id, key, what)
    if artifact is None:
        train = prepare(bench, trial.id, trial.fit_data, "train")
        val = prepare(bench, trial.id, trial.fit_data, "val")
        artifact = bench.make(trial.id, key, what, lambda draft: _fit(bench, trial, train, val, draft))
        shutil.rmtree(bench.work / key.digest, ignore_errors=True)
    simulator: Simulator = bench.component(trial.part)
    simulator.conditions = bench.conditions
    _load(simulator, artifact.folder / "weights")
    return simulator, artifact.facts["fit_seconds"]


def _load(simulator: Simulator, weights: Path) -> None:
    """Have a simulator read what it saved; where it cannot, say what there was to read."""
    try:
        simulator.load(weights)
    except Exception as error:
        saved = ", ".join(sorted(p.name for p in weights.rglob("*") if p.is_file())) or "nothing"
        got = f"raised {type(error).__name__}: {error} (save wrote {saved})"
        raise BrokenContract(simulator, "load", got, "it must read what save wrote, and nothing else") from error


def _fit(bench: Bench, trial: Trial, train: Trajectories, val: Trajectories, draft: Draft) -> None:
    simulator: Simulator = bench.component(trial.part)
    simulator.conditions = bench.conditions
    curves: list[tuple[str, float, int]] = []
    draft.facts["fit_seconds"] = None
    if type(simulator).fit is not Simulator.fit:  # ground truths have nothing to learn
        before = dict(vars(simulator))
        journal = _learn(bench, trial, simulator, train, val)
        require_saved(simulator, vars(simulator), before)
        curves, draft.facts["fit_seconds"] = journal.curves(), journal.seconds
    weights = draft.folder / "weights"
    weights.mkdir()
    simulator.save(weights)
    (draft.folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")


def _learn(bench: Bench, trial: Trial, simulator: Simulator, train: Trajectories, val: Trajectories) -> Journal:
    """Fit, in a work directory that outlasts an interruption; returns the diary of all sittings."""
    workdir = bench.work / trial.model.digest
    workdir.mkdir(parents=True, exist_ok=True)
    journal = Journal(workdir, lambda point: bench.emit(CurvePoint(trial.id, *point)))
    ctx = FitContext(
        transitions=bench.suite.budget.transitions,
        workdir=workdir / "checkpoints",
        rng=generator(trial.fit_seed),
        conditions=bench.conditions,
        log=journal.log,
        progress=bench.progress(trial.id, trial.model, "transitions"),
        stopping=bench.stopping,
    )
    ctx.workdir.mkdir(exist_ok=True)
    with journal:
        simulator.fit(train, val, ctx)
    return journal


def simulate(bench: Bench, trial: Trial) -> Evidence:
    """The trial's evidence on its test cases."""
    key, what = trial.evidence, f"rollouts of {trial.simulator}"
    artifact = bench.found(trial.id, key, what)
    test = prepare(bench, trial.id, trial.data, "test")
    if artifact is None:
        simulator, fit_seconds = fit(bench, trial)
        inputs = (simulator, fit_seconds, test)
        artifact = bench.make(trial.id, key, what, lambda draft: _simulate(bench, trial, *inputs, draft))
    return read_evidence(artifact, test.domain)


def _simulate(
    bench: Bench, trial: Trial, simulator: Simulator, fit_seconds: float | None, test: Trajectories, draft: Draft
) -> None:
    from nsbench.stages.measuring import collect

    evidence = collect(
        simulator,
        test,
        bench.suite.protocol,
        bench.conditions,
        generator(trial.simulate_seed),
        truth=ground_truth(bench, trial),
        fit_seconds=fit_seconds,
        threads=bench.threads,
        jobs=bench.jobs,
        progress=bench.progress(trial.id, trial.evidence, "trajectories"),
    )
    write_evidence(draft, evidence)


def write_evidence(draft: Draft, evidence: Evidence) -> None:
    """What ``read_evidence`` reads."""
    from nsbench.trajectories.hdf5 import write_trajectories

    write_trajectories(draft.folder / "rollouts.h5", evidence.rollouts)
    (draft.folder / "cost.json").write_text(json.dumps(asdict(evidence.cost)), encoding="utf-8")
    if evidence.likelihood is not None:
        arrays: dict[str, Any] = {f"bound_{k}": nats for k, nats in evidence.likelihood.bounds.items()}
        if evidence.likelihood.latents is not None:
            arrays["latents"] = evidence.likelihood.latents
        np.savez(draft.folder / "likelihood.npz", nats=evidence.likelihood.nats, **arrays)
        draft.facts["likelihood"] = evidence.likelihood.kind
    if isinstance(evidence, ProbedEvidence) and evidence.latent_use is not None:
        np.savez(draft.folder / "latents.npz", **vars(evidence.latent_use))


def ground_truth(bench: Bench, trial: Trial) -> Simulator | None:
    """The simulator that the dataset names as its truth, as it is timed beside every other."""
    from nsbench.components.component import DatasetSpec

    spec = cast(DatasetSpec, bench.registry.spec("dataset", trial.data.part.name))
    if spec.floor is None:
        return None
    truth = build("simulator", bench.registry.spec("simulator", spec.floor.name), spec.floor.params)
    simulator = cast(Simulator, truth)
    simulator.conditions = bench.conditions
    return simulator


def read_evidence(artifact: Artifact, domain: Domain) -> Evidence:
    """The evidence in an artifact, on frames of that domain."""
    from nsbench.trajectories.hdf5 import read_trajectories

    folder, kind = artifact.folder, cast(LikelihoodKind | None, artifact.facts.get("likelihood"))
    likelihood = None
    if kind is not None:
        with np.load(folder / "likelihood.npz", allow_pickle=False) as arrays:
            bounds = {int(n.removeprefix("bound_")): arrays[n] for n in arrays.files if n.startswith("bound_")}
            latents = arrays["latents"] if "latents" in arrays.files else None
            likelihood = Likelihood(kind, arrays["nats"], bounds, latents)
    latent_use = None
    if (folder / "latents.npz").exists():
        with np.load(folder / "latents.npz", allow_pickle=False) as arrays:
            latent_use = LatentUse(**{name: arrays[name] for name in arrays.files})
    return ProbedEvidence(
        latent_use=latent_use,
        rollouts=read_trajectories(folder / "rollouts.h5", domain),
        members=artifact.manifest["fields"]["protocol"]["members"],
        cost=Cost(**json.loads((folder / "cost.json").read_text(encoding="utf-8"))),
        likelihood=likelihood,
    )


def score(bench: Bench, trial: Trial, metric: ScorePlan) -> ScoreRow:
    """A metric's score of the trial, without its anchors."""
    key, what = metric.key, f"{metric.name} of {trial.simulator}"
    artifact = bench.found(trial.id, key, what)
    if artifact is None:
        evidence = simulate(bench, trial)
        reference = prepare(bench, trial.id, trial.data, "test")
        inputs = (evidence, reference)
        artifact = bench.make(trial.id, key, what, lambda draft: _score(bench, metric, *inputs, draft))
    return read_score(artifact.folder, metric.name)


def score_null(bench: Bench, trial: str, null: NullPlan, metric: ScorePlan) -> ScoreRow:
    """A null model's score: made from the test data alone, no simulator is asked."""
    key, what = metric.key, f"{metric.name} of {null.null}"
    artifact = bench.found(trial, key, what)
    if artifact is None:
        reference = prepare(bench, trial, null.data, "test")
        evidence = null_evidence(null.null, reference, bench.suite.protocol.members, generator(null.seed))
        inputs = (evidence, reference)
        artifact = bench.make(trial, key, what, lambda draft: _score(bench, metric, *inputs, draft))
    return read_score(artifact.folder, metric.name)


def _score(bench: Bench, plan: ScorePlan, evidence: Evidence | None, reference: Trajectories, draft: Draft) -> None:
    """Score evidence; a null model that means nothing here has none."""
    metric: Metric = bench.component(plan.part)
    keep_score(draft, plan.name, metric, lambda: _scored(metric, evidence, reference, plan))


def keep_score(draft: Draft, name: str, metric: Metric, ask: Callable[[], Score]) -> None:
    """Write what the metric, named so in the suite, answers when it is asked; or why it declines."""
    names = ("unit", "direction", "columns", "anchored", "zero", "items_by")
    about = {name: getattr(metric, name) for name in names}
    about |= {"rollouts_only": metric.needs <= {"rollouts"}, "costs": "cost" in metric.needs}
    try:
        result = ask()
    except NotApplicable as reason:
        _write_score(draft, about | {"absent": str(reason)})
        return
    about["unit"] = result.unit or about["unit"]
    _write_score(
        draft,
        about
        | {
            "value": result.value,
            "interval": result.interval,
            "extras": result.extras,
            "label": result.label,
        },
    )
    np.save(draft.folder / "items.npy", result.items, allow_pickle=False)
    if result.figure is not None:
        (draft.folder / "figure.png").write_bytes(result.figure)


def _scored(metric: Metric, evidence: Evidence | None, reference: Trajectories, plan: ScorePlan) -> Score:
    if evidence is None:
        raise NotApplicable("this null model needs more than one ensemble")
    if "likelihood" in metric.needs and evidence.likelihood is None:
        raise NotApplicable("the simulator has no likelihood")
    return require_score(metric, metric.score(evidence, reference, generator(plan.seed)))


def _write_score(draft: Draft, content: dict[str, Any]) -> None:
    (draft.folder / "score.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def read_score(folder: Path, name: str) -> ScoreRow:
    """The score in an artifact's folder, under its name in the suite."""
    content = json.loads((folder / "score.json").read_text(encoding="utf-8"))
    interval = content.get("interval")
    return ScoreRow(
        metric=name,
        unit=content["unit"],
        direction=cast(Literal["min", "max"], content["direction"]),
        value=content.get("value"),
        interval=tuple(interval) if interval else None,
        label=content.get("label", ""),
        absent=content.get("absent", ""),
        extras=content.get("extras", {}),
        columns=tuple((name, heading) for name, heading in content["columns"]),
        anchored=content["anchored"],
        zero=content["zero"],
        rollouts_only=content["rollouts_only"],
        costs=content.get("costs", False),
    )
