"""Intervals by resampling what is independent: whole trajectories, or whole ensembles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def bootstrap_mean(
    values: NDArray[np.float64], group: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the mean of `values`, float64[b], resampling whole groups, int64[b]."""
    groups = int(group.max()) + 1
    sums = np.bincount(group, weights=values, minlength=groups)
    counts = np.bincount(group, minlength=groups)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    low, high = np.percentile((times @ sums) / (times @ counts), [2.5, 97.5])
    return float(low), float(high)


def bootstrap_ensembles(
    statistic: Callable[[NDArray[np.int64]], float],
    ensembles: int,
    resamples: int,
    rng: np.random.Generator,
    *,
    distance: bool = False,
) -> tuple[float, float]:
    """95 % interval of a statistic of ensembles, resampled whole.

    statistic: from int64[E], how often each ensemble counts, to the number; all once is the estimate.
    distance: it is one, ≥ 0, which every repetition raises; so the percentiles are centred on the estimate.
    """
    times = rng.multinomial(ensembles, np.full(ensembles, 1 / ensembles), size=resamples)
    draws = np.array([statistic(t) for t in times])
    low, high = np.percentile(draws, [2.5, 97.5])
    if not distance:
        return float(low), float(high)
    shift = statistic(np.ones(ensembles, np.int64)) - draws.mean()
    return max(float(low + shift), 0.0), max(float(high + shift), 0.0)
