"""A toy plugin whose answers can be worked out by hand: growth on a line, one coin a step.

State: a row of sites, of which the first k are attached. In each step the next site attaches with
probability rho. So log p(x' | x) is log rho or log(1 − rho), exactly.
"""

from __future__ import annotations

import json

import numpy as np
from pydantic import Field

from nsbench import hookimpl
from nsbench.components.component import Params
from nsbench.components.dataset import Dataset, DatasetSpec, SimulatorReference
from nsbench.components.metric import Metric, MetricSpec, Score
from nsbench.components.simulator import Simulator, SimulatorSpec
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.growth import GrowthTrajectories

SIZE = 8


class LineParams(Params):
    train: int = Field(40, ge=1)
    val: int = Field(8, ge=1)
    test: int = Field(24, ge=1)
    steps: int = Field(6, ge=1, le=SIZE - 1)


class CoinParams(Params):
    rho: float | None = Field(None, gt=0, lt=1)


def length(state):
    return state.sum(axis=(1, 2, 3)).astype(np.float64)


def toss(params, domain, steps, rng, rho=None):
    p = params[:, :1] if rho is None else np.full((len(params), 1), rho)
    heads = rng.random((len(params), steps)) < p
    arrival = np.full((len(params), 1, SIZE), -1, np.int32)
    arrival[:, 0, 0] = 0
    for n, row in enumerate(heads):
        for k, t in enumerate(np.flatnonzero(row), start=1):
            arrival[n, 0, k] = t + 1
    return GrowthTrajectories(params, np.full(len(params), steps + 1, np.int32), domain, arrival)


class Line(Dataset):
    calls = 0

    @property
    def domain(self):
        facts = (Observable("length", "sites", length),)
        return Domain("square", (1, SIZE), ("attached",), "growth", (Parameter("rho", 0.2, 0.8),), "rho", facts)

    def prepare(self, split, rng):
        Line.calls += 1
        params = rng.uniform(0.2, 0.8, (getattr(self.params, split), 1))
        return toss(params, self.domain, self.params.steps, rng)


class Coin(Simulator):
    """Knows the coin; with rho given, tosses another one."""

    likelihood = "exact"

    @property
    def coin(self):
        return self.params.rho

    def rollout(self, start, steps, rng):
        return toss(start.params, start.domain, min(steps, 6), rng, self.coin)

    def log_likelihood(self, x, x_next, params, samples, rng):
        p = params[:, 0] if self.coin is None else np.full(len(params), self.coin)
        grown = length(x_next) - length(x)
        return np.where(grown == 1, np.log(p), np.log(1 - p))


class Learner(Coin):
    """Learns one coin for all, by counting; journals its fit in the work directory."""

    fits = 0
    learned = None

    @property
    def coin(self):
        return self.learned

    def fit(self, train, val, ctx):
        index, t = train.transitions()
        index, t = index[: ctx.transitions], t[: ctx.transitions]
        grown = length(train.at(index, t + 1)) - length(train.at(index, t))
        Learner.fits += 1
        (ctx.workdir / "counted").write_text("yes")
        ctx.log("train/heads", float(grown.mean()), len(index))
        ctx.progress(len(index), ctx.transitions)
        self.learned = float(grown.mean())

    def save(self, directory):
        (directory / "coin.json").write_text(json.dumps(self.learned))

    def load(self, directory):
        self.learned = json.loads((directory / "coin.json").read_text())

    def size(self):
        return 1


class Either(Learner):
    """Decoded by the mode, every toss falls on the likelier side."""

    @property
    def coin(self):
        likely = 1 - 1e-12 if self.learned > 0.5 else 1e-12
        return self.learned if self.conditions.decode == "sample" else likely

    def log_likelihood(self, x, x_next, params, samples, rng):
        grown = length(x_next) - length(x)
        return np.where(grown == 1, np.log(self.learned), np.log(1 - self.learned))


class Failing(Coin):
    def fit(self, train, val, ctx):
        raise RuntimeError("the loss is on fire")


class Amnesiac(Coin):
    """Forgets its parameters, which its contract forbids."""

    def rollout(self, start, steps, rng):
        return toss(start.params + 0.01, start.domain, 2, rng, 0.5)


class Length(Metric):
    """Absolute difference of mean final length."""

    direction = "min"
    unit = "sites"
    columns = (("simulated", "length"),)

    def score(self, evidence, reference, rng):
        simulated = length(evidence.rollouts.final()).mean()
        return Score(abs(simulated - length(reference.final()).mean()), extras={"simulated": simulated})


@hookimpl
def nsbench_datasets():
    return [
        DatasetSpec(
            "line",
            "toy:Line",
            "toy:LineParams",
            "growth on a line",
            floor=SimulatorReference("coin"),
            noise_free=SimulatorReference("coin", {"rho": 0.999}),
        )
    ]


@hookimpl
def nsbench_simulators():
    classes = {"coin": "Coin", "learner": "Learner", "failing": "Failing", "amnesiac": "Amnesiac"}
    simulators = [SimulatorSpec(name, f"toy:{cls}", "toy:CoinParams") for name, cls in classes.items()]
    return [*simulators, SimulatorSpec("either", "toy:Either", "toy:CoinParams", decodes=True)]


@hookimpl
def nsbench_metrics():
    return [MetricSpec("length", "toy:Length", summary="difference of lengths")]
