"""The plan of a suite: trials, the anchors beside them, and every artifact by the key that it will have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from nsbench.components.dataset import SPLITS, Split
from nsbench.components.metric import Anchor, Null
from nsbench.components.protocol import Conditions, Decode, Protocol
from nsbench.errors import Refusal
from nsbench.names import did_you_mean
from nsbench.registry.registry import Kind
from nsbench.store.key import ArtifactKind, Key
from nsbench.store.store import Store
from nsbench.suite.seeds import Seed
from nsbench.suite.suite import Suite


class UnknownTrial(Refusal, LookupError):
    """An identity that no trial of the suite has."""


class PlannedArtifact(NamedTuple):
    """An artifact of a trial. name: as results name it, "data/test", "model", "score/ewd"."""

    name: str
    key: Key
    seed: Seed


@dataclass(frozen=True)
class Part:
    """A component in use: by its own name, with all of its parameters and the digest of its code.

    variables: the environment variables that are set and change its numbers (nsbench/store/variables.py).
    """

    kind: Kind
    name: str
    params: dict[str, Any]
    source: str
    libraries: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """The fields of a key that stand for the component."""
        fields = {"name": self.name, "params": self.params, "source": self.source, "libraries": self.libraries}
        return fields | with_variables(self.variables)


def with_variables(variables: dict[str, str]) -> dict[str, Any]:
    """The field of a key that holds environment variables; none where no variable is set."""
    return {"variables": variables} if variables else {}


@dataclass(frozen=True)
class DataPlan:
    """A dataset of the suite: its splits' keys and seeds, and the protocol there.

    formats: those that read its files.
    """

    name: str
    part: Part
    protocol: Protocol
    keys: dict[Split, Key]
    seeds: dict[Split, Seed]
    formats: tuple[Part, ...] = ()

    def artifact(self, split: Split) -> PlannedArtifact:
        """The data of a split."""
        return PlannedArtifact(f"data/{split}", self.keys[split], self.seeds[split])


@dataclass(frozen=True)
class ScorePlan:
    """A metric of the suite, applied to one trial."""

    name: str
    part: Part
    key: Key
    seed: Seed

    def artifact(self) -> PlannedArtifact:
        """The score's artifact."""
        return PlannedArtifact(f"score/{self.name}", self.key, self.seed)


@dataclass(frozen=True)
class MetricPlan:
    """A metric of the suite, whatever it is applied to."""

    name: str
    part: Part

    def applied(self, suite_seed: int, data: DataPlan, evidence: str, replicate: int) -> ScorePlan:
        """The metric's score of evidence on the test cases of a dataset, with the same seed for every simulator.

        evidence: the digest of its key.
        """
        seed: Seed = [suite_seed, f"metric/{self.part.name}", data.part.name, replicate]
        fields = self.part.fields() | {"evidence": evidence, "reference": data.keys["test"].digest, "seed": seed}
        if data.protocol.holdout:
            fields |= {"holdout": data.protocol.holdout}
        return ScorePlan(self.name, self.part, Key("score", fields), seed)


class _WithRow(ABC):
    """What a trial and a submission have in common: an identity and keys, by which results name them."""

    data: DataPlan
    simulator: str
    replicate: int

    @property
    def id(self) -> str:
        """The identity in the suite, "dataset/simulator/r0"."""
        return f"{self.data.name}/{self.simulator}/r{self.replicate}"

    @abstractmethod
    def artifacts(self) -> list[PlannedArtifact]:
        """Every artifact, in the order in which they are made."""

    def keys(self) -> dict[str, str]:
        """The digest of each artifact's key, as a row of results holds them."""
        return {artifact.name: artifact.key.digest for artifact in self.artifacts()}


@dataclass(frozen=True)
class Fit:
    """A fit of a simulator by itself, of which another one is made. members: the fits of which it is made in turn."""

    part: Part
    model: Key
    seed: Seed
    members: tuple[Fit, ...] = ()

    def inner(self) -> Iterator[Fit]:
        """The fits of which it is made, and those of which they are."""
        for member in self.members:
            yield from (*member.inner(), member)


@dataclass(frozen=True)
class Trial(_WithRow):
    """A simulator, on a dataset, once. Fitted on `fit_data`, tested on `data`.

    series: what it is a try of, "" for no other than itself; in no key.
    decode: how its states are decoded. with_likelihood: whether its likelihood is measured: not that of rollouts by the
    mode where the same fit is run with drawn sites too, since it is of that process. members: fits of another simulator
    of which this one is made.
    """

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
    decode: Decode = "mode"
    with_likelihood: bool = True
    series: str = ""
    members: tuple[Fit, ...] = ()

    @property
    def fit(self) -> Fit:
        """The fit of its simulator."""
        return Fit(self.part, self.model, self.fit_seed, self.members)

    def inner_parts(self) -> tuple[Part, ...]:
        """The simulators of which this one is made."""
        return tuple({fit.part.name: fit.part for fit in self.fit.inner()}.values())

    def artifacts(self) -> list[PlannedArtifact]:
        """Every artifact of the trial, in the order in which they are made."""
        return [
            self.fit_data.artifact("train"),
            self.fit_data.artifact("val"),
            self.data.artifact("test"),
            *(PlannedArtifact(f"member/{k}", fit.model, fit.seed) for k, fit in enumerate(self.fit.inner())),
            PlannedArtifact("model", self.model, self.fit_seed),
            PlannedArtifact("evidence", self.evidence, self.simulate_seed),
            *(metric.artifact() for metric in self.scores),
        ]


@dataclass(frozen=True)
class Submission(_WithRow):
    """Rollouts made elsewhere, on the test cases of a dataset: scored as a trial is, and never fitted or simulated.

    simulator: the name that their maker gives it. rollouts: the digest of their content.
    """

    data: DataPlan
    simulator: str
    replicate: int
    rollouts: str
    evidence: Key
    scores: tuple[ScorePlan, ...]

    def artifacts(self) -> list[PlannedArtifact]:
        """Every artifact of the submission; its evidence is taken in, not made."""
        evidence = PlannedArtifact("evidence", self.evidence, [])
        return [self.data.artifact("test"), evidence, *(metric.artifact() for metric in self.scores)]

    def keys(self) -> dict[str, str]:
        """The digest of each artifact's key, and that of the rollouts' content."""
        return {"rollouts": self.rollouts} | super().keys()


Redrawn = Literal["redrawn"]
"""The truth, drawn once more."""

Candidate = Trial | Submission
"""A trial or a submission: each has a row in the results."""


@dataclass(frozen=True)
class NullPlan:
    """A null model on a dataset, or the truth drawn once more, with rollouts of its own and nothing else.

    evidence: the key of its rollouts. scores: one a metric of the suite. train: the data in which it looks things up,
    truth: the ground truth of which it takes draws, so many from each start; None where it has no use for them.
    """

    name: Null | Redrawn
    data: DataPlan
    evidence: Key
    seed: Seed
    scores: tuple[ScorePlan, ...]
    train: DataPlan | None = None
    truth: Trial | None = None
    draws: int = 1

    def artifacts(self) -> list[PlannedArtifact]:
        """The artifacts that it needs, its rollouts, and the scores made from them."""
        train = [] if self.train is None else [self.train.artifact("train")]
        evidence = PlannedArtifact("evidence", self.evidence, self.seed)
        return [*train, self.data.artifact("test"), evidence, *(metric.artifact() for metric in self.scores)]


@dataclass(frozen=True)
class Anchors:
    """The anchors, which give scores their scale: the ground truth and the null models.

    floor: the ground truth as a trial of its own, redrawn; redrawn: the same with other noise. noise_free: the ground
    truth without noise.
    """

    floor: Trial | None
    noise_free: Trial | None
    nulls: dict[Null, NullPlan]
    redrawn: tuple[NullPlan, ...] = ()

    def truths(self) -> dict[Anchor, Trial]:
        """The anchors that are ground truths, by name."""
        trials: dict[Anchor, Trial | None] = {"floor": self.floor, "noise_free": self.noise_free}
        return {name: trial for name, trial in trials.items() if trial is not None}

    def all(self) -> list[tuple[Anchor, Trial | NullPlan]]:
        """All anchors by name; the floor as often as the truth is drawn."""
        again: list[tuple[Anchor, Trial | NullPlan]] = [("floor", plan) for plan in self.redrawn]
        return [*self.truths().items(), *again, *self.nulls.items()]


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    anchors: by dataset and replicate. data: by the dataset's name in the suite. code: digest -> the targets,
    "module:name", of which it is the digest.
    """

    suite: Suite
    conditions: Conditions
    trials: tuple[Trial, ...]
    anchors: dict[tuple[str, int], Anchors]
    data: dict[str, DataPlan]
    metrics: tuple[MetricPlan, ...]
    code: dict[str, tuple[str, ...]]

    def only(self, trials: Sequence[str]) -> Plan:
        """The plan with some of its trials. Raises UnknownTrial."""
        identities = [trial.id for trial in self.trials]
        for trial in trials:
            if trial not in identities:
                raise UnknownTrial(f"suite {self.suite.name} has no trial {trial!r}{did_you_mean(trial, identities)}")
        return replace(self, trials=tuple(trial for trial in self.trials if trial.id in trials))

    def submission(self, data: DataPlan, simulator: str, replicate: int, rollouts: str) -> Submission:
        """The plan of rollouts with that digest. Metrics have the same seeds as for every simulator."""
        protocol = {name: getattr(data.protocol, name) for name in ("stride", "horizon", "members")}
        fields = {"rollouts": rollouts, "test": data.keys["test"].digest, "protocol": protocol}
        evidence = Key("evidence", fields)
        scores = (metric.applied(self.suite.seed, data, evidence.digest, replicate) for metric in self.metrics)
        return Submission(data, simulator, replicate, rollouts, evidence, tuple(scores))

    def artifacts(self) -> Iterable[PlannedArtifact]:
        """Every artifact that the suite needs, its anchors' included."""
        for trial in self.trials:
            yield from trial.artifacts()
        for anchors in self.anchors.values():
            for _, anchor in anchors.all():
                yield from anchor.artifacts()
        for data in self.data.values():
            yield from (data.artifact(split) for split in SPLITS)

    def ground_truths(self) -> set[str]:
        """The names of the simulators that are ground truths of the suite's datasets, and learn nothing."""
        return {anchors.floor.part.name for anchors in self.anchors.values() if anchors.floor is not None}

    def missing(self, store: Store) -> dict[str, ArtifactKind]:
        """The artifacts of trials that are not in the store, key -> kind."""
        keys = [artifact.key for trial in self.trials for artifact in trial.artifacts()]
        return {key.digest: key.kind for key in keys if not store.has(key)}
