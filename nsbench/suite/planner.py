"""From a suite to trials: every artifact of every trial, by the key that it will have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from nsbench.components.component import Conditions, DatasetSpec, Reading, SimulatorReference, Split, UnreadableData
from nsbench.registry.registry import Kind, Registry, did_you_mean, import_object, params_model
from nsbench.registry.source import Sources
from nsbench.stages.nulls import NULLS, Null
from nsbench.store.environment import resolve_device, resolve_precision
from nsbench.store.store import Key
from nsbench.suite.seeds import Seed
from nsbench.suite.suite import DatasetUse, MetricUse, SimulatorUse, Suite

SPLITS: tuple[Split, ...] = ("train", "val", "test")

_COLLECTING = "nsbench.stages.measuring:collect"
_NULLS = "nsbench.stages.nulls:null_evidence"


@dataclass(frozen=True)
class Part:
    """A component in use: by its own name, with all of its parameters and the digest of its code."""

    kind: Kind
    name: str
    params: dict[str, Any]
    source: str
    libraries: dict[str, str]

    def fields(self) -> dict[str, Any]:
        return {"name": self.name, "params": self.params, "source": self.source, "libraries": self.libraries}


@dataclass(frozen=True)
class DataPlan:
    """A dataset of the suite: its splits' keys and seeds."""

    name: str
    part: Part
    keys: dict[Split, Key]
    seeds: dict[Split, Seed]


@dataclass(frozen=True)
class ScorePlan:
    """A metric of the suite, applied to one trial."""

    name: str
    part: Part
    key: Key
    seed: Seed


@dataclass(frozen=True)
class Trial:
    """A simulator, on a dataset, once. Fitted on `fit_data`, tested on `data`."""

    data: DataPlan
    fit_data: DataPlan
    simulator: str
    part: Part
    replicate: int
    model: Key
    fit_seed: Seed
    evidence: Key
    simulate_seed: Seed
    scores: tuple[ScorePlan, ...]

    @property
    def id(self) -> str:
        """The trial's identity in its suite, "dataset/simulator/r0"."""
        return f"{self.data.name}/{self.simulator}/r{self.replicate}"


@dataclass(frozen=True)
class NullPlan:
    """A null model on a dataset. scores: one a metric of the suite."""

    null: Null
    data: DataPlan
    seed: Seed
    scores: tuple[ScorePlan, ...]


@dataclass(frozen=True)
class Anchors:
    """What gives scores their scale: the ground truth as trials of its own, redrawn and without noise, and
    the null models."""

    floor: Trial | None
    noise_free: Trial | None
    nulls: dict[Null, NullPlan]


@dataclass(frozen=True)
class Plan:
    """All that a run will do. anchors: by dataset and replicate."""

    suite: Suite
    conditions: Conditions
    trials: tuple[Trial, ...]
    anchors: dict[tuple[str, int], Anchors]
    data: dict[str, DataPlan]


class UnknownTrial(LookupError):
    """An identity that no trial of the suite has."""


def make_plan(suite: Suite, registry: Registry) -> Plan:
    """Plan a resolved suite. Raises UnknownComponent, BrokenComponent, SourceNotFound or UnreadableData."""
    return _Planner(suite, registry).plan()


def only(plan: Plan, trials: Sequence[str]) -> Plan:
    """The plan with some of its trials. Raises UnknownTrial."""
    known = [trial.id for trial in plan.trials]
    for trial in trials:
        if trial not in known:
            raise UnknownTrial(f"suite {plan.suite.name} has no trial {trial!r}{did_you_mean(trial, known)}")
    return replace(plan, trials=tuple(trial for trial in plan.trials if trial.id in trials))


def data_seed(seed: int, split: Split, dataset: str) -> Seed:
    """What a split is drawn from. dataset: the component's name, so that its use in a suite changes nothing."""
    return [seed, f"data/{split}", dataset]


class _Planner:
    def __init__(self, suite: Suite, registry: Registry) -> None:
        self.suite = suite
        self.registry = registry
        self._sources = Sources(registry.packages())
        self._digests: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
        device = resolve_device(suite.compute.device)
        self.conditions = Conditions(
            device=device,
            precision=resolve_precision(suite.compute.precision, device),
            decode=suite.protocol.decode,
        )
        self.data = {use.name: self._data(use) for use in suite.datasets}

    def plan(self) -> Plan:
        suite = self.suite
        trials, anchors = [], {}
        for use in suite.datasets:
            fit_data = self.data[use.fit_on or use.name]
            spec = self.registry.spec("dataset", use.use)
            assert isinstance(spec, DatasetSpec)
            for replicate in range(suite.replicates):
                anchors[use.name, replicate] = Anchors(
                    floor=self._anchor(spec.floor, use, fit_data, replicate),
                    noise_free=self._anchor(spec.noise_free, use, fit_data, replicate),
                    nulls={null: self._null(null, self.data[use.name], replicate) for null in NULLS},
                )
                trials += [
                    self._trial(simulator, self.data[use.name], fit_data, replicate)
                    for simulator in suite.simulators
                    if simulator.on is None or use.name in simulator.on
                ]
        return Plan(suite, self.conditions, tuple(trials), anchors, self.data)

    def _anchor(
        self, which: SimulatorReference | None, use: DatasetUse, fit_data: DataPlan, replicate: int
    ) -> Trial | None:
        if which is None:
            return None
        params = params_model(self.registry.spec("simulator", which.name)).model_validate(which.params)
        simulator = SimulatorUse(use=which.name, params=params.model_dump(mode="json"))
        return self._trial(simulator, self.data[use.name], fit_data, replicate)

    def _null(self, null: Null, data: DataPlan, replicate: int) -> NullPlan:
        """In the keys of its scores, how a null model is made stands for the evidence."""
        protocol = self.suite.protocol
        source, libraries = self._source(_NULLS)
        seed: Seed = [self.suite.seed, f"null/{null}", data.part.name, replicate]
        made: dict[str, Any] = {"null": null, "seed": seed, "source": source, "libraries": libraries}
        made |= {"stride": protocol.stride, "horizon": protocol.horizon, "members": protocol.members}
        return NullPlan(
            null, data, seed, tuple(self._score(metric, data, made, replicate) for metric in self.suite.metrics)
        )

    def _part(self, kind: Kind, name: str, params: Mapping[str, Any]) -> Part:
        source, libraries = self._source(*self.registry.spec(kind, name).code())
        return Part(kind, name, dict(params), source, libraries)

    def _source(self, *targets: str) -> tuple[str, dict[str, str]]:
        """The digest of some code, read once a plan: all of its trials mean the same code."""
        if targets not in self._digests:
            self._digests[targets] = self._sources.digest(targets)
        return self._digests[targets]

    def _data(self, use: DatasetUse) -> DataPlan:
        part = self._part("dataset", use.use, use.params)
        seeds = {split: data_seed(self.suite.seed, split, use.use) for split in SPLITS}
        fields = part.fields() | self._reading(use)
        keys = {split: Key("data", fields | {"split": split, "seed": seeds[split]}) for split in SPLITS}
        return DataPlan(use.name, part, keys, seeds)

    def _reading(self, use: DatasetUse) -> dict[str, Any]:
        """Of a dataset that reads files, the fields of its key which stand for them."""
        spec = self.registry.spec("dataset", use.use)
        assert isinstance(spec, DatasetSpec)
        if spec.reading is None:
            return {}
        try:
            reading: Reading = import_object(spec.reading)(params_model(spec).model_validate(use.params))
            formats = [self._format(*entry).fields() for entry in reading.formats]
        except (UnreadableData, OSError) as error:
            raise UnreadableData(f"dataset {use.name!r}: {error}") from error
        return {"params": reading.content, "formats": formats}

    def _format(self, name: str, params: Mapping[str, Any]) -> Part:
        try:
            full = params_model(self.registry.spec("format", name)).model_validate(dict(params))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
            raise UnreadableData(f"format {name!r}: {faults}") from error
        return self._part("format", name, full.model_dump(mode="json"))

    def _trial(self, use: SimulatorUse, data: DataPlan, fit_data: DataPlan, replicate: int) -> Trial:
        suite, part = self.suite, self._part("simulator", use.use, use.params)
        protocol = suite.protocol.model_dump(mode="json")
        fit_seed: Seed = [suite.seed, "fit", fit_data.part.name, part.name, replicate]
        simulate_seed: Seed = [suite.seed, "simulate", data.part.name, replicate]
        model = Key(
            "model",
            part.fields()
            | {
                "train": fit_data.keys["train"].digest,
                "val": fit_data.keys["val"].digest,
                "stride": suite.protocol.stride,
                "horizon": suite.protocol.horizon,
                "budget": suite.budget.model_dump(mode="json"),
                "device": self.conditions.device,
                "precision": self.conditions.precision,
                "seed": fit_seed,
            },
        )
        evidence = Key(
            "evidence",
            {
                "model": model.digest,
                "test": data.keys["test"].digest,
                "protocol": protocol,
                "threads": suite.compute.threads,
                "source": self._source(_COLLECTING)[0],
                "seed": simulate_seed,
            },
        )
        scores = tuple(self._score(metric, data, evidence.digest, replicate) for metric in suite.metrics)
        return Trial(data, fit_data, use.name, part, replicate, model, fit_seed, evidence, simulate_seed, scores)

    def _score(self, use: MetricUse, data: DataPlan, evidence: str | dict[str, Any], replicate: int) -> ScorePlan:
        part = self._part("metric", use.use, use.params)
        seed: Seed = [self.suite.seed, f"metric/{use.use}", data.part.name, replicate]
        fields = part.fields() | {
            "evidence": evidence,
            "reference": data.keys["test"].digest,
            "seed": seed,
        }
        return ScorePlan(use.name, part, Key("score", fields), seed)


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], at: str = "") -> list[str]:
    """Where two keys' fields differ, e.g. "params.width: 16 here, 32 in the store"."""
    faults = []
    for name in sorted(wanted.keys() | found.keys()):
        a, b = wanted.get(name), found.get(name)
        where = f"{at}{name}"
        if isinstance(a, dict) and isinstance(b, dict):
            faults += differences(a, b, f"{where}.")
        elif a != b:
            faults.append(f"{where}: {_short(a)} here, {_short(b)} in the store")
    return faults


def _short(value: Any) -> str:
    text = str(value)
    digest = text.rpartition(":")[2] if isinstance(value, str) else ""
    is_digest = len(digest) == 32 and set(digest) <= set("0123456789abcdef")
    return digest[:8] + "…" if is_digest else text
