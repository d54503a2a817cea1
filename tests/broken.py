"""Components that break their contracts, one way each, beside ones that keep them: what `nsbench check` must find."""

from __future__ import annotations

import json
import pickle
import random
import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from nsbench import hookimpl
from nsbench.components.component import Params
from nsbench.components.dataset import Dataset, DatasetSpec
from nsbench.components.metric import Metric, MetricSpec, Score
from nsbench.components.simulator import Simulator, SimulatorSpec
from nsbench.testing.known_growth import LATTICE, Growth, GrowthParams
from nsbench.trajectories.domain import Observable
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.morphology import front

nsbench_api = 1


class Fine(Simulator):
    """Every site beside the crystal attaches with the probability seen in training. Exact."""

    likelihood = "exact"
    p = 0.5

    def fit(self, train, val, ctx):
        index, t = (a[: ctx.transitions] for a in train.transitions())
        x, x_next = (train.at(index, t + k)[:, 0] > 0 for k in (0, 1))
        self.p = float(x_next[front(x, LATTICE)].mean())

    def rollout(self, start, steps, rng):
        return self.grown(start, steps, lambda shape: rng.random(shape)).stopped()

    def grown(self, start, steps, draw, p=None):
        arrival = np.where(start.frame(0)[:, 0] > 0, 0, -1).astype(np.int32)
        for t in range(1, steps + 1):
            arrival[front(arrival >= 0, LATTICE) & (draw(arrival.shape) < (p or self.p))] = t
        return GrowthTrajectories(start.params, np.full(len(start), steps + 1, np.int32), start.domain, arrival)

    def log_likelihood(self, x, x_next, params, samples, rng):
        attached, grown = x[:, 0] > 0, x_next[:, 0] > 0
        terms = np.where(grown, np.log(self.p), np.log1p(-self.p))
        impossible = ((grown != attached) & ~front(attached, LATTICE)).any(axis=(1, 2))
        return np.where(impossible, -np.inf, np.where(front(attached, LATTICE), terms, 0).sum(axis=(1, 2)))

    def save(self, directory):
        (directory / "p.json").write_text(json.dumps(self.p))

    def load(self, directory):
        self.p = json.loads((directory / "p.json").read_text())


class NumpyGlobal(Fine):
    def rollout(self, start, steps, rng):
        return self.grown(start, steps, np.random.random).stopped()


class TorchGlobal(Fine):
    def rollout(self, start, steps, rng):
        import torch

        return self.grown(start, steps, lambda shape: torch.rand(*shape).numpy()).stopped()


class PythonGlobalFit(Fine):
    def fit(self, train, val, ctx):
        super().fit(train, val, ctx)
        self.p += random.random() / 10


class IgnoresSeed(Fine):
    def rollout(self, start, steps, rng):
        return super().rollout(start, steps, np.random.default_rng(0))


class Unseeded(Fine):
    def rollout(self, start, steps, rng):
        return super().rollout(start, steps, np.random.default_rng())


class NoChance(Fine):
    """Deterministic, which is allowed, and said."""

    def rollout(self, start, steps, rng):
        return self.grown(start, steps, lambda shape: np.full(shape, 0.0)).stopped()


class Melts(Fine):
    def rollout(self, start, steps, rng):
        fine = super().rollout(start, steps, rng)
        values = np.stack([fine.frame(t) for t in range(int(fine.lengths.max()))], axis=1)
        values[:, 2:, :, 0, 0] = 0
        return FieldTrajectories(fine.params, fine.lengths, fine.domain, values)


class ForgetsStart(Fine):
    def rollout(self, start, steps, rng):
        fine = super().rollout(start, steps, rng)
        return replace(fine, arrival=np.where(fine.arrival == 0, 1, fine.arrival).astype(np.int32))


class WrongDtype(Fine):
    def rollout(self, start, steps, rng):
        fine = super().rollout(start, steps, rng)
        return replace(fine, arrival=fine.arrival.astype(np.int64))


class WrongShape(Fine):
    def rollout(self, start, steps, rng):
        return super().rollout(start, steps, rng).select(slice(1, None))


class PastTheHorizon(Fine):
    def rollout(self, start, steps, rng):
        return self.grown(start, steps + 3, rng.random)


class PastTheStop(Fine):
    def rollout(self, start, steps, rng):
        return self.grown(start, steps, rng.random, p=0.9)


class ChangesStart(Fine):
    def rollout(self, start, steps, rng):
        fine = super().rollout(start, steps, rng)
        start.params[:] = 0
        return replace(fine, params=start.params)


class LosesWeights(Fine):
    def save(self, directory):
        pass

    def load(self, directory):
        pass


class Pickles(Fine):
    def save(self, directory):
        (directory / "p.bin").write_bytes(pickle.dumps(self.p))

    def load(self, directory):
        self.p = pickle.loads((directory / "p.bin").read_bytes())


class MeanOverSites(Fine):
    """A mean over sites is not a log-likelihood: next states come out too probable."""

    def log_likelihood(self, x, x_next, params, samples, rng):
        return super().log_likelihood(x, x_next, params, samples, rng) / x[0].size


class BoundAbove(MeanOverSites):
    likelihood = "elbo"


class LosesProbability(Fine):
    """Exact, it says, and charges a nat for nothing."""

    def log_likelihood(self, x, x_next, params, samples, rng):
        return super().log_likelihood(x, x_next, params, samples, rng) - 1


class NotANumber(Fine):
    def log_likelihood(self, x, x_next, params, samples, rng):
        return np.full(len(x), np.nan)


class LikelihoodShape(Fine):
    def log_likelihood(self, x, x_next, params, samples, rng):
        return super().log_likelihood(x, x_next, params, samples, rng)[:, None]


class NoLikelihood(Simulator):
    likelihood = "elbo"

    def rollout(self, start, steps, rng):
        return Fine().rollout(start, steps, rng)


class IgnoresBudget(Fine):
    def fit(self, train, val, ctx):
        super().fit(train, val, replace(ctx, transitions=10**9))


class SaysTooMuch(Fine):
    def fit(self, train, val, ctx):
        super().fit(train, val, ctx)
        ctx.progress(10 * ctx.transitions, ctx.transitions)


class FailsToFit(Fine):
    def fit(self, train, val, ctx):
        raise RuntimeError("the loss is on fire")


class CannotBeMade(Fine):
    def __init__(self, params=None):
        raise RuntimeError("no such device")


LEARNED = {}


class OnlyHere(Fine):
    """Keeps what it learned in a global of its module, which no other process has."""

    def fit(self, train, val, ctx):
        super().fit(train, val, ctx)
        LEARNED["p"] = self.p

    def rollout(self, start, steps, rng):
        return self.grown(start, steps, rng.random, LEARNED["p"]).stopped()


class Lately(Fine):
    """Depends on the time of day."""

    def fit(self, train, val, ctx):
        super().fit(train, val, ctx)
        self.p += time.perf_counter() % 1000 / 1e5

    def rollout(self, start, steps, rng):
        return super().rollout(start, steps, np.random.default_rng([int(self.p * 1e15), rng.integers(2**32)]))


SIMULATORS = [
    c for c in vars().copy().values() if isinstance(c, type) and issubclass(c, Simulator) and c is not Simulator
]


class SharesCases(Growth):
    def prepare(self, split, rng):
        return super().prepare("test", np.random.default_rng(7))


class SharesParameters(Growth):
    def prepare(self, split, rng):
        rho = np.linspace(0.2, 0.5, len(super().prepare(split, rng)))[:, None]
        grown = super().prepare(split, rng)
        return replace(grown, params=rho[: len(grown)] * 1.0)


class LiesAboutRange(Growth):
    @property
    def domain(self):
        (rho,) = super().domain.parameters
        return replace(super().domain, parameters=(replace(rho, high=0.3),))


class GoesOn(Growth):
    """Has a stop rule, and goes on after it."""

    def prepare(self, split, rng):
        made = super().prepare(split, rng)
        lengths = np.full(len(made), self.params.steps + 1, np.int32)
        return replace(made, lengths=lengths, domain=self.domain)

    @property
    def domain(self):
        return replace(super().domain, stop_margin=6)


class Restless(Dataset):
    domain = property(lambda self: Growth(GrowthParams()).domain)

    def prepare(self, split, rng):
        return Growth(GrowthParams()).prepare(split, np.random.default_rng(np.random.randint(1 << 30)))  # noqa: NPY002


class OtherParts(Growth):
    def parts(self, split):
        return 2

    def part(self, split, rng, k):
        return self.prepare(split, rng).select(slice(0, 3))


class Unobservable(Growth):
    """An observable that takes a single state."""

    @property
    def domain(self):
        area = Observable("area", "sites", lambda state: float(state[0, 0].sum()) / state[0, 0, 99, 99])
        return replace(super().domain, observables=(area,))


class NotTrajectories(Growth):
    def prepare(self, split, rng):
        return super().prepare(split, rng).arrival


DATASETS = [SharesCases, SharesParameters, LiesAboutRange, GoesOn, Restless, OtherParts, Unobservable, NotTrajectories]


class WarmthParams(Params):
    sampling: ClassVar[frozenset[str]] = frozenset({"warmth"})

    warmth: float = Field(1.0, ge=0.5, le=2)


class Warm(Fine):
    """What a fit learns, raised to a power when it is drawn from."""

    likelihood = None

    def rollout(self, start, steps, rng):
        return self.grown(start, steps, lambda shape: rng.random(shape), self.p**self.params.warmth).stopped()


class ReadsWarmth(Warm):
    def fit(self, train, val, ctx):
        super().fit(train, val, ctx)
        self.p *= 0.9**self.params.warmth


class NamesNothingParams(Params):
    sampling: ClassVar[frozenset[str]] = frozenset({"warmht"})

    warmth: float = 1.0


WITH_SAMPLING = [(Warm, WarmthParams), (ReadsWarmth, WarmthParams), (Fine, NamesNothingParams)]


class AreaError(Metric):
    """Absolute difference of mean final area."""

    direction = "min"
    unit = "sites"

    def score(self, evidence, reference, rng):
        return Score(abs(self.area(evidence.rollouts) - self.area(reference)))

    def area(self, trajectories):
        return float(trajectories.final().sum(axis=(1, 2, 3)).mean())


class WrongDirection(AreaError):
    direction = "max"


class FirstCase(AreaError):
    def area(self, trajectories):
        return float(trajectories.final()[0].sum())


class RandomGlobal(AreaError):
    def score(self, evidence, reference, rng):
        score = super().score(evidence, reference, rng)
        return replace(score, value=score.value + np.random.random())  # noqa: NPY002


class NoScore(AreaError):
    def score(self, evidence, reference, rng):
        return super().score(evidence, reference, rng).value


class Infinite(AreaError):
    def score(self, evidence, reference, rng):
        return Score(float("nan"), extras={"n": 1.0})


class Alters(AreaError):
    def score(self, evidence, reference, rng):
        score = super().score(evidence, reference, rng)
        evidence.rollouts.params[:] = 0
        return score


METRICS = [AreaError, WrongDirection, FirstCase, RandomGlobal, NoScore, Infinite, Alters]


@hookimpl
def nsbench_simulators():
    sampling = [
        SimulatorSpec(
            f"{cls.__name__}NamesNothing" if cls is Fine else cls.__name__,
            f"broken:{cls.__name__}",
            f"broken:{params.__name__}",
        )
        for cls, params in WITH_SAMPLING
    ]
    return [SimulatorSpec(cls.__name__, f"broken:{cls.__name__}") for cls in SIMULATORS] + sampling


@hookimpl
def nsbench_datasets():
    return [
        DatasetSpec(cls.__name__, f"broken:{cls.__name__}", "nsbench.testing.known_growth:GrowthParams")
        for cls in DATASETS
    ]


@hookimpl
def nsbench_metrics():
    return [MetricSpec(cls.__name__, f"broken:{cls.__name__}") for cls in METRICS]
