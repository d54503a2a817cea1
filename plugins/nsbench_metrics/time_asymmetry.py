"""Asymmetry of fluctuations in time: do rollouts run the way that time runs? Not proper; read the floor.

Shapes: E ensembles of n trajectories, T frames, K observables.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate, mean
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.lead_times import observed
from nsbench_metrics.shared.observables import choose_observables
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST = 6
"""The fewest truths and members of an ensemble: each half of it has a third cumulant."""


class TimeAsymmetryParams(Params):
    """lags: of the increments, in frames; halvings: the most ways in which an ensemble is halved, random ones."""

    observables: list[str] | None = fields.observables()
    lags: int = Field(4, ge=1)
    halvings: int = Field(64, ge=1)
    resamples: int = fields.resamples()


def third_cumulant(values: Array) -> Array:
    """The third cumulant of each ensemble, unbiased, float64[E, ...], of float64[E, n, ...], n ≥ 3.

        k₃ = n / ((n − 1)(n − 2)) Σ_i (x_i − x̄)³

    0 in expectation for whatever is symmetric about its mean. Fisher 1930, doi 10.1112/plms/s2-30.1.199.
    """
    n = values.shape[1]
    return n / ((n - 1) * (n - 2)) * ((values - values.mean(axis=1, keepdims=True)) ** 3).sum(axis=1)


def asymmetry(steps: Array) -> Array:
    """The third cumulant of increments, the mean over frames, float64[E, K]; time that runs backwards turns its sign.

        A_k = mean_t κ₃(o(t + k) − o(t))

    Slow rises and sudden falls are told from sudden rises and slow falls, which have the same autocorrelation and
    spectrum. 0 for Gaussian processes and, once they are stationary, for all that obey detailed balance.
    steps: float64[E, n, T − k, K], increments over k frames.
    Pomeau 1982, doi 10.1051/jphys:01982004306085900; Ramsey & Rothman 1996, doi 10.2307/2077963.
    """
    return third_cumulant(steps).mean(axis=1)


def halves(count: int, most: int, rng: np.random.Generator) -> Iterator[Mask]:
    """Ways to halve so many, bool[count] each: all that there are, or so many at random."""
    half = count // 2
    if comb(count, half) > 2 * most:
        yield from (rng.permutation(count) < half for _ in range(most))
        return
    whole = range(count) if count % 2 else range(1, count)  # of an even number, the half without the first
    yield from (np.isin(np.arange(count), some) for some in combinations(whole, half))


def squared_asymmetry(steps: Array, ways: list[Mask]) -> Array:
    """A_k², unbiased, float64[E, K]: the product of the asymmetries of two halves of an ensemble, the mean over ways.

    The halves are independent, so that their noise adds nothing. steps: as in asymmetry, n ≥ 6; ways: bool[n] each.
    """
    products = (asymmetry(steps[:, way]) * asymmetry(steps[:, ~way]) for way in ways)
    return np.asarray(sum(products)) / len(ways)


class TimeAsymmetry(Metric):
    """Squared difference of the asymmetry in time of truths and of rollouts, in the truth's σ_k⁶; unbiased.

        mean over ensembles, lags k and observables of (A_k − A_k')² / σ_k⁶

    A_k / σ_k³ is the skewness of an observable's increments over k frames, about their mean over the ensemble at the
    same lead time. σ_k: the standard deviation of the truths' increments about that mean, over all ensembles and
    frames; observables that never fluctuate do not count. Expectation 0 for the truth, so that it may be negative.
    Growth is declined. Items: by ensemble, lag and observable. Extras: the mean skewness of truths and of rollouts, of
    each observable; members.
    """

    direction = "min"
    unit = "1"
    zero = "persistence"
    params: TimeAsymmetryParams

    @property
    def items_by(self) -> str:
        return "ensemble"

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        if reference.domain.states == "growth":
            raise NotApplicable("growth only goes one way: backwards in time is no growth, whatever the simulator")
        comparison = compare(evidence, reference, members=LEAST, truths=LEAST)
        lags = min(self.params.lags, comparison.last)
        observables = choose_observables(reference.domain, self.params.observables)
        truth, simulated = (observed(t, comparison.last, observables, first=0) for t in (reference, evidence.rollouts))
        groups = [(truth[group.cases], simulated[group.rollouts]) for group in comparison.groups]  # [E, n, T, K]
        parts = [_of_lag(groups, lag, self.params.halvings, rng) for lag in range(1, lags + 1)]
        squares, skewness = (np.stack(part, axis=1) for part in zip(*parts, strict=True))  # [E, lags, K], [2, lags, K]
        moving = ~np.isnan(squares).any(axis=(0, 1))
        if not moving.any():
            raise NotApplicable("no observable fluctuates: truths of equal start and parameters are equal")
        items = squares[:, :, moving]
        value, interval = estimate(mean(items.mean(axis=(1, 2))), len(items), self.params.resamples, rng)
        extras = {
            f"{side}_{o.name}": float(skew)
            for side, by_observable in zip(("truth", "simulator"), skewness.mean(axis=1), strict=True)
            for o, skew, counts in zip(observables, by_observable, moving, strict=True)
            if counts
        }
        extras["members"] = float(comparison.members[0])
        return Score(value, interval, items, extras, label=comparison.label)


def _of_lag(
    groups: list[tuple[Array, Array]], lag: int, halvings: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """(squared difference of the asymmetries float64[E, K], skewness of truths and of rollouts float64[2, K]).

    NaN of an observable whose increments over so many frames are equal among truths, to rounding.
    """
    pairs = [tuple(side[:, :, lag:] - side[:, :, :-lag] for side in group) for group in groups]
    sigma = _deviation([truths for truths, _ in pairs])
    squares, both = [], []
    for truths, members in pairs:
        own = asymmetry(truths), asymmetry(members)
        of_truths, of_members = (
            squared_asymmetry(side, list(halves(side.shape[1], halvings, rng))) for side in (truths, members)
        )
        squares.append(of_truths + of_members - 2 * own[0] * own[1])
        both.append(np.stack(own))
    return np.concatenate(squares) / sigma**6, np.concatenate(both, axis=1).mean(axis=1) / sigma**3


def _deviation(steps: list[Array]) -> Array:
    """The standard deviation of increments about their ensemble's mean, over all frames, float64[K]; NaN for none."""
    variance = np.concatenate([some.var(axis=1, ddof=1).mean(axis=1) for some in steps]).mean(axis=0)
    size = np.max([np.abs(some).max(axis=(0, 1, 2)) for some in steps], axis=0)
    return np.where(variance > (1e-9 * size) ** 2, np.sqrt(variance), np.nan)


SPEC = metric_spec(TimeAsymmetry, TimeAsymmetryParams, "asymmetry of fluctuations in time, which two points do not see")
