"""Sliced Wasserstein distance at equal parameters."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench_metrics.shared.directions import random_directions
from nsbench_metrics.shared.distances import Cell, CellDistance, Distance, DistanceParams
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class SlicedParams(DistanceParams):
    """directions: random directions of projection."""

    directions: int = Field(64, ge=1)


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
    projected_x, projected_y = np.sort(x @ directions, axis=0), np.sort(y @ directions, axis=0)
    return float(np.abs(np.repeat(projected_x, times, axis=0) - projected_y).mean())


class SlicedWasserstein(CellDistance):
    """Sliced 1-Wasserstein distance between truths and rollouts at equal parameters, the mean over cells.

    Items: by cell. Extras: cells; members.
    """

    direction = "min"
    unit = "std"
    zero = "climatology"
    params: SlicedParams

    def distance(self, truth: Array, cells: list[Cell], rng: np.random.Generator) -> tuple[Distance, dict[str, float]]:
        directions = random_directions(truth.shape[1], self.params.directions, rng)
        return partial(sliced_wasserstein, directions=directions), {}


SPEC = metric_spec(SlicedWasserstein, SlicedParams, "sliced Wasserstein distance at equal parameters")
