"""Estimates with 95 % intervals, by resampling what is independent: whole ensembles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nsbench.components.intervals import bootstrap_interval

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Interval = tuple[float, float]
Statistic = Callable[[Counts], float]
"""A number that depends on how often each ensemble counts, int64[E]."""


def estimate(
    statistic: Statistic,
    ensembles: int,
    resamples: int,
    rng: np.random.Generator,
    *,
    distance: bool = False,
    within: Interval = (-np.inf, np.inf),
) -> tuple[float, Interval | None]:
    """(value, 95 % interval) of a statistic of so many ensembles, each counted once, and resampled whole.

    distance: the statistic is one, ≥ 0, and every repetition raises it. within: what the value can be. The interval is
    None for fewer than four ensembles (nsbench/components/intervals.py).
    """
    value = statistic(np.ones(ensembles, np.int64))
    times = rng.multinomial(ensembles, np.full(ensembles, 1 / ensembles), size=resamples)
    draws = np.array([statistic(t) for t in times])
    within = (0.0, np.inf) if distance else within
    return value, bootstrap_interval(value, draws, ensembles, centred=distance, within=within)


def mean(values: Array, weights: Counts | int = 1) -> Statistic:
    """The mean of a number of each ensemble, float64[E]. weights: int64[E], of each; all alike if not given."""
    return lambda times: float(np.average(values, weights=weights * times))


def share(part: Counts, whole: Counts) -> Statistic:
    """Σ part / Σ whole over ensembles, int64[E] each; 0 where there is no whole."""
    return lambda times: float((part * times).sum() / max((whole * times).sum(), 1))


def bootstrap_mean(values: Array, group: Counts, resamples: int, rng: np.random.Generator) -> Interval | None:
    """95 % interval of the mean of `values`, float64[b], resampling whole groups; None for few of them.

    group: int64[b], which of them have a number in common. Trajectories of one ensemble share start and parameters, and
    are no independent groups.
    """
    _, group = np.unique(group, return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group)
    groups = len(counts)
    times = rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return bootstrap_interval(float(values.mean()), (times @ sums) / (times @ counts), groups)
