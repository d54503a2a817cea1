"""Estimates with 95 % intervals, by resampling what is independent: whole ensembles, or whole trajectories."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Interval = tuple[float, float]
Statistic = Callable[[Counts], float]
"""A number that depends on how often each ensemble counts, int64[E]."""


def estimate(
    statistic: Statistic, ensembles: int, resamples: int, rng: np.random.Generator, *, distance: bool = False
) -> tuple[float, Interval]:
    """(value, 95 % interval) of a statistic of so many ensembles, each counted once, and resampled whole.

    distance: the statistic is one, ≥ 0, and every repetition raises it; so the percentiles are centred on the value.
    """
    value = statistic(np.ones(ensembles, np.int64))
    times = rng.multinomial(ensembles, np.full(ensembles, 1 / ensembles), size=resamples)
    draws = np.array([statistic(t) for t in times])
    low, high = np.percentile(draws, [2.5, 97.5])
    if not distance:
        return value, (float(low), float(high))
    shift = value - draws.mean()
    return value, (max(float(low + shift), 0.0), max(float(high + shift), 0.0))


def mean(values: Array, weights: Counts | int = 1) -> Statistic:
    """The mean of a number of each ensemble, float64[E]. weights: int64[E], of each; all alike if not given."""
    return lambda times: float(np.average(values, weights=weights * times))


def share(part: Counts, whole: Counts) -> Statistic:
    """Σ part / Σ whole over ensembles, int64[E] each; 0 where there is no whole."""
    return lambda times: float((part * times).sum() / max((whole * times).sum(), 1))


def bootstrap_mean(values: Array, group: Counts, resamples: int, rng: np.random.Generator) -> Interval:
    """95 % interval of the mean of `values`, float64[b], resampling whole groups, int64[b]."""
    groups = int(group.max()) + 1
    sums = np.bincount(group, weights=values, minlength=groups)
    counts = np.bincount(group, minlength=groups)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    low, high = np.percentile((times @ sums) / (times @ counts), [2.5, 97.5])
    return float(low), float(high)
