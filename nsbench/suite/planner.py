"""From a suite to its plan: every component's code is read once, every artifact gets its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from nsbench.components.dataset import SPLITS, DatasetSpec, SimulatorReference, UnreadableData
from nsbench.components.metric import Null
from nsbench.components.protocol import Conditions, Decode
from nsbench.registry.loading import full_params, reading_of, sampling_of, wrapper_params
from nsbench.registry.registry import Kind, Registry
from nsbench.registry.source import Sources
from nsbench.store.key import Key
from nsbench.store.variables import all_variables_in_keys, variables_in_key
from nsbench.suite.devices import resolve_device, resolve_precision
from nsbench.suite.seeds import Seed, data_seed
from nsbench.suite.suite import DatasetUse, SimulatorUse, Suite
from nsbench.suite.trials import (
    Anchors,
    DataPlan,
    Fit,
    MetricPlan,
    NullPlan,
    Part,
    Plan,
    Redrawn,
    ScorePlan,
    Trial,
    with_variables,
)

MEASURING = "nsbench.stages.measuring:collect"
NULLS_MADE = "nsbench.stages.nulls:null_rollouts"
"""The code of the stages themselves that is in keys: of evidence, and of null models' rollouts."""


def make_plan(suite: Suite, registry: Registry) -> Plan:
    """Plan a resolved suite. Raises UnknownComponent, BrokenComponent, SourceNotFound or UnreadableData."""
    return _Planner(suite, registry).plan()


class _Planner:
    """The planning of one suite; digests of code, metrics and datasets are kept for all of its trials."""

    def __init__(self, suite: Suite, registry: Registry) -> None:
        self.suite = suite
        self.registry = registry
        self._sources = Sources(registry.packages())
        self._digests: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
        device = resolve_device(suite.compute.device)
        self.conditions = Conditions(
            device=device,
            precision=resolve_precision(suite.compute.precision, device),
            decode="mode" if suite.protocol.decode == "both" else suite.protocol.decode,
        )
        self.metrics = tuple(MetricPlan(use.name, self._part("metric", use.use, use.params)) for use in suite.metrics)
        self.data = {use.name: self._data(use) for use in suite.datasets}

    def plan(self) -> Plan:
        """The whole plan."""
        suite = self.suite
        trials: list[Trial] = []
        anchors: dict[tuple[str, int], Anchors] = {}
        for use in suite.datasets:
            data, fit_data = self.data[use.name], self.data[use.fit_on or use.name]
            for replicate in range(suite.replicates):
                anchors[use.name, replicate] = self._anchors(use, data, fit_data, replicate)
                trials += [
                    self._trial(simulator, data, fit_data, replicate)
                    for simulator in suite.simulators
                    if simulator.on is None or use.name in simulator.on
                ]
        code = {digest: targets for targets, (digest, _) in self._digests.items()}
        return Plan(suite, self.conditions, tuple(trials), anchors, self.data, self.metrics, code)

    def _anchors(self, use: DatasetUse, data: DataPlan, fit_data: DataPlan, replicate: int) -> Anchors:
        spec, draws = self._dataset_spec(use.use), self.suite.anchors
        floor = self._truth(spec.floor, data, fit_data, replicate)
        nulls: dict[Null, NullPlan] = {}
        redrawn: list[NullPlan] = []
        if floor is not None:
            best = self._null("best_deterministic", data, replicate, truth=floor, draws=draws.deterministic)
            nulls["best_deterministic"] = best
            redrawn = [self._null("redrawn", data, replicate, k, truth=floor) for k in range(1, draws.floor)]
        nulls["analogue"] = self._null("analogue", data, replicate, train=fit_data)
        nulls |= {null: self._null(null, data, replicate) for null in ("climatology", "persistence")}
        return Anchors(floor, self._truth(spec.noise_free, data, fit_data, replicate), nulls, tuple(redrawn))

    def _truth(
        self, reference: SimulatorReference | None, data: DataPlan, fit_data: DataPlan, replicate: int
    ) -> Trial | None:
        """The ground truth as a trial; None where the dataset names none."""
        if reference is None:
            return None
        simulator = SimulatorUse(use=reference.name, params=self._full_params(reference))
        return self._trial(simulator, data, fit_data, replicate)

    def _full_params(self, reference: SimulatorReference) -> dict[str, Any]:
        return full_params(self.registry.spec("simulator", reference.name), reference.params)

    def _null(
        self,
        null: Null | Redrawn,
        data: DataPlan,
        replicate: int,
        *again: int,
        train: DataPlan | None = None,
        truth: Trial | None = None,
        draws: int = 1,
    ) -> NullPlan:
        """A null model, or the truth drawn once more. again: which of several."""
        protocol = data.protocol
        source, libraries = self._source(NULLS_MADE)
        seed: Seed = [self.suite.seed, f"null/{null}", data.part.name, replicate, *again]
        recipe: dict[str, Any] = {"null": null, "seed": seed, "source": source, "libraries": libraries}
        recipe |= with_variables(variables_in_key(libraries))
        recipe |= {"stride": protocol.stride, "horizon": protocol.horizon, "members": protocol.members}
        recipe |= {"test": data.keys["test"].digest}
        if train is not None:
            recipe |= {"train": train.keys["train"].digest, "train_stride": train.protocol.stride} | _without(train)
        if truth is not None:
            recipe |= {"truth": truth.model.digest, "draws": draws, "batch": protocol.batch}
            recipe |= self._sampling(truth.part)
            recipe |= with_variables(all_variables_in_keys())
        evidence = Key("evidence", recipe)
        scores = self._scores(data, evidence.digest, replicate)
        return NullPlan(null, data, evidence, seed, scores, train, truth, draws)

    def _part(self, kind: Kind, name: str, params: Mapping[str, Any]) -> Part:
        spec = self.registry.spec(kind, name)
        source, libraries = self._source(*spec.code())
        return Part(kind, name, dict(params), source, libraries, variables_in_key(libraries, spec.variables))

    def _source(self, *targets: str) -> tuple[str, dict[str, str]]:
        """(digest, versions) of the code behind targets, read once, so that all trials of a plan mean the same code."""
        if targets not in self._digests:
            self._digests[targets] = self._sources.digest(targets)
        return self._digests[targets]

    def _data(self, use: DatasetUse) -> DataPlan:
        part = self._part("dataset", use.use, use.params)
        seeds = {split: data_seed(self.suite.seed, split, use.use) for split in SPLITS}
        content, formats = self._reading(use)
        fields = part.fields() | content
        keys = {split: Key("data", fields | {"split": split, "seed": seeds[split]}) for split in SPLITS}
        return DataPlan(use.name, part, self.suite.protocol_on(use), keys, seeds, formats)

    def _dataset_spec(self, dataset: str) -> DatasetSpec:
        spec = self.registry.spec("dataset", dataset)
        assert isinstance(spec, DatasetSpec)
        return spec

    def _reading(self, use: DatasetUse) -> tuple[dict[str, Any], tuple[Part, ...]]:
        """(fields of a data key that stand for the files that the dataset reads, the formats that read them).

        Neither has anything in it for a dataset that reads no files.
        """
        try:
            reading = reading_of(self._dataset_spec(use.use), use.params)
            if reading is None:
                return {}, ()
            formats = tuple(self._format(*entry) for entry in reading.formats)
        except (UnreadableData, OSError) as error:
            raise UnreadableData(f"dataset {use.name!r}: {error}") from error
        return {"params": reading.content, "formats": [part.fields() for part in formats]}, formats

    def _format(self, name: str, params: Mapping[str, Any]) -> Part:
        try:
            full = full_params(self.registry.spec("format", name), params)
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
            raise UnreadableData(f"format {name!r}: {faults}") from error
        return self._part("format", name, full)

    def _trial(self, use: SimulatorUse, data: DataPlan, fit_data: DataPlan, replicate: int) -> Trial:
        part = self._part("simulator", use.use, use.params)
        fit = self._fit(part, fit_data, replicate, self.suite.budget.transitions)
        simulate_seed: Seed = [self.suite.seed, "simulate", data.part.name, replicate]
        decode = use.decode or self.conditions.decode
        with_likelihood = not (decode == "mode" and self._is_drawn_too(use, data))
        evidence = self._evidence(fit.model, part, data, simulate_seed, decode, with_likelihood)
        scores = self._scores(data, evidence.digest, replicate)
        return Trial(
            data=data,
            fit_data=fit_data,
            simulator=use.name,
            part=part,
            replicate=replicate,
            model=fit.model,
            fit_seed=fit.seed,
            evidence=evidence,
            simulate_seed=simulate_seed,
            scores=scores,
            decode=decode,
            with_likelihood=with_likelihood,
            series=use.series,
            members=fit.members,
        )

    def _fit(self, part: Part, fit_data: DataPlan, replicate: int, transitions: int) -> Fit:
        """The fit of a simulator within a budget, after those of another one of which it is made."""
        seed: Seed = [self.suite.seed, "fit", fit_data.part.name, part.name, replicate]
        members: tuple[Fit, ...] = ()
        wrapper = wrapper_params(self.registry.spec("simulator", part.name), part.params)
        if wrapper is not None:
            inner = self._part("simulator", wrapper.of.use, wrapper.of.params)
            wanted = wrapper.fits(replicate, transitions)
            members = tuple(self._fit(inner, fit_data, fit.replicate, fit.transitions) for fit in wanted)
        return Fit(part, self._model(part, fit_data, seed, transitions, members), seed, members)

    def _is_drawn_too(self, use: SimulatorUse, data: DataPlan) -> bool:
        """Whether another entry draws from the same fit on this dataset: the likelihood is of its process."""
        return any(
            (other.use, other.params) == (use.use, use.params)
            and (other.decode or self.conditions.decode) == "sample"
            and (other.on is None or data.name in other.on)
            for other in self.suite.simulators
        )

    def _model(self, part: Part, fit_data: DataPlan, seed: Seed, transitions: int, members: tuple[Fit, ...]) -> Key:
        fields: dict[str, Any] = {
            "train": fit_data.keys["train"].digest,
            "val": fit_data.keys["val"].digest,
            "stride": fit_data.protocol.stride,
            "horizon": fit_data.protocol.horizon,
            "budget": self.suite.budget.model_dump(mode="json") | {"transitions": transitions},
            "device": self.conditions.device,
            "precision": self.conditions.precision,
            "seed": seed,
        }
        if members:
            fields["members"] = [member.model.digest for member in members]
        unread = self._sampling(part).get("sampling", {})
        params = {name: value for name, value in part.params.items() if name not in unread}
        return Key("model", part.fields() | {"params": params} | fields | _without(fit_data))

    def _sampling(self, part: Part) -> dict[str, Any]:
        """The field of a key that holds the parameters which a fit does not read; none where there are none."""
        names = sampling_of(self.registry.spec(part.kind, part.name))
        return {"sampling": {name: part.params[name] for name in sorted(names)}} if names else {}

    def _evidence(
        self, model: Key, part: Part, data: DataPlan, seed: Seed, decode: Decode, with_likelihood: bool
    ) -> Key:
        fields = {
            "model": model.digest,
            "test": data.keys["test"].digest,
            "protocol": data.protocol.model_dump(mode="json") | {"decode": decode},
            "threads": self.suite.compute.threads,
            "source": self._source(MEASURING)[0],
            "seed": seed,
        } | self._sampling(part)
        if not with_likelihood:
            fields |= {"likelihood": False}
        if (truth := self._dataset_spec(data.part.name).floor) is not None:
            # Its own likelihood of the same transitions stands beside the simulator's.
            fields["truth"] = self._part("simulator", truth.name, self._full_params(truth)).fields()
        return Key("evidence", fields | with_variables(all_variables_in_keys()))

    def _scores(self, data: DataPlan, evidence: str, replicate: int) -> tuple[ScorePlan, ...]:
        return tuple(metric.applied(self.suite.seed, data, evidence, replicate) for metric in self.metrics)


def _without(fit_data: DataPlan) -> dict[str, Any]:
    """The fields of a key that say what is kept out of the data of a fit; none where nothing is."""
    protocol = fit_data.protocol
    held_out = {"holdout": protocol.holdout} if protocol.holdout else {}
    return held_out | ({"last_stride": "whole"} if protocol.last_stride == "whole" else {})
