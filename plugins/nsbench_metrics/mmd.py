"""Maximum mean discrepancy at equal parameters, unbiased."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench_metrics.shared.distances import Cell, CellDistance, Distance, DistanceParams
from nsbench_metrics.shared.features import Space
from nsbench_metrics.shared.norms import squared_distances
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]

ROWS = 1024
"""Rows of a kernel matrix that are held at once."""

MEDIAN_TRUTHS = 1000
"""Truths of a cell, drawn at random, whose distances go into the median."""


class MMDParams(DistanceParams):
    """bandwidth: of the kernel; the median distance between truths if not given."""

    space: Space = "fields"
    bandwidth: float | None = Field(None, gt=0)


def mmd2(x: Array, y: Array, bandwidth: float) -> float:
    """Squared maximum mean discrepancy, the unbiased estimate; about 0, also below, for equal distributions.

        MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j)
        k(x, y) = exp(−‖x − y‖² / 2h²), which is characteristic: the MMD is 0 for equal distributions only

    x: float64[a, d], y: float64[b, d], a, b ≥ 2; bandwidth: h, in the unit of the features. Returns a number
    between about −2 and 2, without unit. O((a + b)² d), in chunks.
    Gretton et al. 2012, JMLR 13, 723–773.
    """
    a, b = len(x), len(y)
    within = (_kernel_sum(x, x, bandwidth) - a) / (a * (a - 1)) + (_kernel_sum(y, y, bandwidth) - b) / (b * (b - 1))
    return within - 2 * _kernel_sum(x, y, bandwidth) / (a * b)


def _kernel_sum(x: Array, y: Array, bandwidth: float) -> float:
    """Σ k(x_i, y_j) over all pairs."""
    parts = (squared_distances(x[k : k + ROWS], y) for k in range(0, len(x), ROWS))
    return float(sum(np.exp(-part / (2 * bandwidth**2)).sum() for part in parts))


def median_bandwidth(truth: Array, cells: list[Cell], rng: np.random.Generator) -> float:
    """The median distance between two truths of one cell; 1 where most are equal.

    From truths only, so that all simulators meet the same kernel.
    """
    pairs = []
    for cell in cells:
        some = rng.permutation(cell.cases)[:MEDIAN_TRUTHS]
        squares = squared_distances(truth[some], truth[some])
        pairs.append(squares[np.triu_indices(len(some), 1)])
    median = float(np.sqrt(np.median(np.concatenate(pairs))))
    return median if median > 0 else 1.0


class MMD(CellDistance):
    """MMD² between truths and rollouts at equal parameters, the mean over cells; unbiased.

    Items: by cell. Extras: bandwidth; cells; members.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    params: MMDParams

    def distance(self, truth: Array, cells: list[Cell], rng: np.random.Generator) -> tuple[Distance, dict[str, float]]:
        bandwidth = self.params.bandwidth or median_bandwidth(truth, cells, rng)
        return partial(mmd2, bandwidth=bandwidth), {"bandwidth": bandwidth}


SPEC = metric_spec(MMD, MMDParams, "maximum mean discrepancy at equal parameters, unbiased")
