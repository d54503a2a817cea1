"""A plugin that takes no time: what a run of it takes is the harness's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from nsbench import hookimpl
from nsbench.components.component import Params
from nsbench.components.dataset import Dataset, DatasetSpec, SimulatorReference, Split
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, MetricSpec, Score
from nsbench.components.simulator import Simulator, SimulatorSpec
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.growth import GrowthTrajectories


class Number(Params):
    k: int = 0


class Extent(Params):
    cases: int = 4
    size: int = 4


def still(params: Any, domain: Domain) -> GrowthTrajectories:
    arrival = np.full((len(params), *domain.shape), -1, np.int32)
    arrival[:, 0, 0] = 0
    return GrowthTrajectories(params, np.full(len(params), 2, np.int32), domain, arrival)


class Still(Dataset):
    @property
    def domain(self) -> Domain:
        return Domain(
            "square",
            (self.params.size, self.params.size),
            ("attached",),
            True,
            (Parameter("rho", 0.0, 1.0),),
            "rho",
            (),
        )

    def prepare(self, split: Split, rng: np.random.Generator) -> Trajectories:
        return still(rng.random((self.params.cases, 1)), self.domain)


class Idle(Simulator):
    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        return still(start.params, start.domain)


class One(Metric):
    direction = "min"
    unit = "1"
    zero = "climatology"

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        return Score(1.0)


@hookimpl
def nsbench_datasets() -> list[DatasetSpec]:
    return [DatasetSpec("still", "trivial:Still", "trivial:Extent", floor=SimulatorReference("idle"))]


@hookimpl
def nsbench_simulators() -> list[SimulatorSpec]:
    return [SimulatorSpec("idle", "trivial:Idle", "trivial:Number")]


@hookimpl
def nsbench_metrics() -> list[MetricSpec]:
    return [MetricSpec("one", "trivial:One")]
