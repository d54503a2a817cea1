"""Distances between the distributions of truths and of rollouts, at equal parameters.

Both are means over cells of like trajectories, as the EWD is: over ensembles of equal parameters, or over bins
of the conditioning parameter. A distance between all truths and all rollouts at once would not see whether a
simulator heeds its parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.features import feature_pair
from nsbench_metrics.leads import groups, members_label
from nsbench_metrics.norms import squared_distances
from nsbench_metrics.params import DistanceParams, MMDParams, SlicedParams

Array = NDArray[np.float64]
Index = NDArray[np.int64]

ROWS = 1024
"""Rows of a kernel matrix that are held at once."""

MEDIAN_TRUTHS = 1000
"""Truths of a cell, drawn at random, whose distances go into the median."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Truths and rollouts that are compared: indices int64[a] and int64[a · members]."""

    cases: Index
    rollouts: Index


def cells(evidence: Evidence, reference: Trajectories, params: DistanceParams) -> list[Cell]:
    """The cells that the parameters ask for. Raises NotApplicable for ensembles of a single truth."""
    if params.by == "ensemble":
        found = groups(evidence, reference, truths=2)
        return [Cell(*pair) for group in found for pair in zip(group.cases, group.rollouts, strict=True)]
    domain, members = reference.domain, np.arange(evidence.members)
    condition = reference.params[:, domain.column(domain.condition)]
    edges = np.linspace(condition.min(), condition.max(), params.bins + 1)
    of_bin = np.clip(np.searchsorted(edges, condition, side="right") - 1, 0, params.bins - 1)
    parts = [np.flatnonzero(of_bin == b) for b in range(params.bins)]
    return [Cell(p, (p[:, None] * evidence.members + members).ravel()) for p in parts if len(p) > 1]


def mmd2(x: Array, y: Array, bandwidth: float) -> float:
    """Squared maximum mean discrepancy, the unbiased estimate; about 0, also below, for equal distributions.

        MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j)
        k(x, y) = exp(−‖x − y‖² / 2h²), which is characteristic: the MMD is 0 for equal distributions only

    x: float64[a, d], y: float64[b, d], a, b ≥ 2; bandwidth: h, in the unit of the features. Returns a number
    between about −2 and 2, without unit. O((a + b)² d), in chunks.
    Gretton et al. 2012, JMLR 13, 723–773.
    """
    a, b = len(x), len(y)
    own = (_kernel_sum(x, x, bandwidth) - a) / (a * (a - 1)) + (_kernel_sum(y, y, bandwidth) - b) / (b * (b - 1))
    return own - 2 * _kernel_sum(x, y, bandwidth) / (a * b)


def _kernel_sum(x: Array, y: Array, bandwidth: float) -> float:
    parts = (squared_distances(x[k : k + ROWS], y) for k in range(0, len(x), ROWS))
    return float(sum(np.exp(-part / (2 * bandwidth**2)).sum() for part in parts))


def median_bandwidth(truth: Array, found: list[Cell], rng: np.random.Generator) -> float:
    """The median distance between two truths of one cell; 1 where most are equal.

    From truths only, so that all simulators meet the same kernel.
    """
    pairs = []
    for cell in found:
        some = rng.permutation(cell.cases)[:MEDIAN_TRUTHS]
        squares = squared_distances(truth[some], truth[some])
        pairs.append(squares[np.triu_indices(len(some), 1)])
    median = float(np.sqrt(np.median(np.concatenate(pairs))))
    return median if median > 0 else 1.0


class MMD(Metric):
    """MMD² between truths and rollouts at equal parameters, the mean over cells; unbiased.

    Items: by cell. Extras: bandwidth; cells; members.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    params: MMDParams

    @property
    def items_by(self) -> str:
        return _items_by(self.params)

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found = cells(evidence, reference, self.params)
        truth, simulated = feature_pair(evidence, reference, self.params.space)
        bandwidth = self.params.bandwidth or median_bandwidth(truth, found, rng)
        each = np.array([mmd2(truth[c.cases], simulated[c.rollouts], bandwidth) for c in found])
        return _mean_over_cells(each, found, self.params, rng, {"bandwidth": bandwidth})


def sliced_wasserstein(x: Array, y: Array, directions: Array) -> float:
    """Mean over directions of the 1-Wasserstein distance of the projections.

        SW₁ = mean_θ W₁(θ·x, θ·y),   W₁ = ∫ |F⁻¹ − G⁻¹|

    x: float64[a, d], y: float64[a · m, d]; directions: float64[d, r], of length 1. In the unit of the
    features. Finite samples raise it: two samples of one distribution are not at 0. O(r a m (d + log a m)).
    Bonneel et al. 2015, doi 10.1007/s10851-014-0506-3.
    """
    times = len(y) // len(x)
    if times * len(x) != len(y):
        raise ValueError(f"y must have a multiple of x's rows, got {len(y)} and {len(x)}")
    one, other = np.sort(x @ directions, axis=0), np.sort(y @ directions, axis=0)
    return float(np.abs(np.repeat(one, times, axis=0) - other).mean())


def random_directions(dimension: int, count: int, rng: np.random.Generator) -> Array:
    """Directions uniform on the sphere, float64[dimension, count]."""
    drawn = rng.normal(size=(dimension, count))
    return drawn / np.linalg.norm(drawn, axis=0)


class SlicedWasserstein(Metric):
    """Sliced 1-Wasserstein distance between truths and rollouts at equal parameters, the mean over cells.

    Items: by cell. Extras: cells; members.
    """

    direction = "min"
    unit = "std"
    zero = "climatology"
    params: SlicedParams

    @property
    def items_by(self) -> str:
        return _items_by(self.params)

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found = cells(evidence, reference, self.params)
        truth, simulated = feature_pair(evidence, reference, self.params.space)
        directions = random_directions(truth.shape[1], self.params.directions, rng)
        each = np.array([sliced_wasserstein(truth[c.cases], simulated[c.rollouts], directions) for c in found])
        return _mean_over_cells(each, found, self.params, rng, {})


def _items_by(params: DistanceParams) -> str:
    return "ensemble" if params.by == "ensemble" else "bin"


def _mean_over_cells(
    each: Array,
    found: list[Cell],
    params: DistanceParams,
    rng: np.random.Generator,
    extras: dict[str, float],
) -> Score:
    def mean(times: NDArray[np.int64]) -> float:
        return float(np.average(each, weights=times))

    sizes = [len(cell.rollouts) for cell in found]
    return Score(
        value=float(each.mean()),
        interval=bootstrap_ensembles(mean, len(each), params.resamples, rng),
        items=each,
        extras=extras | {"cells": float(len(found)), "members": float(min(sizes))},
        label=members_label((min(sizes), max(sizes))) if params.by == "ensemble" else f"{len(found)} bins",
    )
