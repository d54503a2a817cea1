"""Paired comparisons: intervals by bootstrap, sign-flip tests, Holm's correction. Arrays in, numbers out.

Two simulators, a and b, met the same test cases; each was fitted R times (replicates). Each has
scores x[r, u], by replicate and by independent unit of the test data (a value of the parameter, an ensemble, a bin), U
units with weights w[u]. Its score is the weighted mean over units, averaged over replicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nsbench.components.intervals import TAIL, stretch

Array = NDArray[np.float64]
Interval = tuple[float, float]

RESAMPLES = 4000
"""Draws of a bootstrap."""

FLIPS = 10_000
"""Draws of a sign-flip test that is not exact."""

EXACT_UNITS = 16
"""The most units for which every assignment of signs is tried, 65,536 of them."""

_ROUNDING = 1e-9  # statistics closer than this share of the observed one count as equal


@dataclass(frozen=True)
class Paired:
    """The comparison of a with b.

    difference  mean a − mean b, and its 95 % interval.
    ratio       mean a / mean b, and its 95 % interval; None where the sign of either mean is open.
    p           two-sided, not corrected for other tests; None for fewer than two units.
    exact       whether every assignment of signs was tried.
    units       how many independent units of the test data; replicates: how many fits of each.
    """

    difference: float
    interval: Interval | None
    ratio: float | None
    ratio_interval: Interval | None
    p: float | None
    exact: bool
    units: int
    replicates: int


def compare_pairs(a: Array, b: Array, weights: Array, rng: np.random.Generator) -> Paired:
    """Compare a with b, both float64[R, U], on units with weights float64[U].

    The interval is that of `bootstrap_means`. The test is `sign_flip_test` on the mean over replicates; it says
    whether these fits differ on other test cases. With several replicates p is the larger one of that and of
    2 min(share of bootstrap draws ≤ 0, share ≥ 0), so that luck in training is no finding either.
    """
    _require(a, b, weights)
    (replicates, units), share = a.shape, weights / weights.sum()
    means = float((a @ share).mean()), float((b @ share).mean())
    draws = bootstrap_means(np.stack([a, b]), weights, rng)  # [2, draws]
    ratio, ratio_interval = _ratio(means, draws)
    p = p_values((a - b)[None], draws[:1] - draws[1:], weights, rng)
    return Paired(
        difference=means[0] - means[1],
        interval=_percentiles(draws[0] - draws[1]) if units > 1 else t_interval((a - b)[:, 0]),
        ratio=ratio,
        ratio_interval=ratio_interval if units > 1 or replicates > 1 else None,
        p=None if p is None else float(p[0]),
        exact=p is not None and units <= EXACT_UNITS,
        units=units,
        replicates=replicates,
    )


def p_values(differences: Array, draws: Array, weights: Array, rng: np.random.Generator) -> Array | None:
    """The p-values of compare_pairs for k comparisons on the same units, float64[k]; None for a single unit.

    differences: float64[k, R, U]; draws: float64[k, draws], of their means.
    """
    if differences.shape[2] < 2:
        return None
    p = sign_flip_test(differences.mean(axis=1), weights, rng)
    if differences.shape[1] > 1:
        beyond = np.minimum((draws <= 0).mean(axis=1), (draws >= 0).mean(axis=1))
        p = np.maximum(p, np.minimum(2 * beyond, 1.0))
    return p


def bootstrap_means(x: Array, weights: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Draws of the means of simulators that met the same units: float64[k, R, U] -> float64[k, resamples].

        draw = mean + c · (mean over resampled units − mean) + S^½ t / √R

    Units are resampled for all simulators together, their deviations stretched by
    c (nsbench/components/intervals.py), which gives percentile intervals their coverage for few units. Replicates are
    too few to be resampled: what
    another fit might have given is drawn from the t distribution with R − 1 degrees of freedom whose scale is the
    covariance S between simulators of the replicates' means. It is left out for R = 1: then the draws speak of
    these fits only. The variance within cells counts in both parts, so that intervals are rather too wide.
    """
    _, replicates, units = x.shape
    share = weights / weights.sum()
    by_unit, by_replicate = x.mean(axis=1), x @ share  # [k, U], [k, R]
    mean = by_replicate.mean(axis=1, keepdims=True)
    draws = np.broadcast_to(mean, (len(x), resamples))
    if units > 1:
        times = rng.multinomial(units, np.full(units, 1 / units), size=resamples) * share  # [resamples, U]
        resampled = (by_unit @ times.T) / times.sum(axis=1)
        draws = draws + stretch(units) * (resampled - mean)
    if replicates > 1:
        centred = (by_replicate - mean) / np.sqrt(replicates * (replicates - 1))
        normal, chi2 = rng.normal(size=(replicates, resamples)), rng.chisquare(replicates - 1, resamples)
        draws = draws + centred @ normal / np.sqrt(chi2 / (replicates - 1))
    return draws


def sign_flip_test(differences: Array, weights: Array, rng: np.random.Generator) -> Array:
    """The two-sided p of the hypothesis that the two sides may be swapped within every unit, float64[k].

        p = share of assignments of signs s ∈ {−1, 1}^U with |Σ w s d| ≥ |Σ w d|

    differences: float64[k, U], k comparisons. All 2^U assignments for at most EXACT_UNITS units; else FLIPS random
    ones, the observed one counted among them.
    Fisher 1935, The Design of Experiments, section 21; Phipson & Smyth 2010, doi 10.2202/1544-6115.1585.
    """
    terms = differences * weights / weights.sum()
    exact = terms.shape[1] <= EXACT_UNITS
    if exact:  # the first sign is fixed: the other half are the negatives of these
        signs = np.array([(1.0, *rest) for rest in product((1.0, -1.0), repeat=terms.shape[1] - 1)])
    else:
        signs = rng.integers(0, 2, size=(FLIPS, terms.shape[1])) * 2.0 - 1
    observed = abs(terms.sum(axis=1)) * (1 - _ROUNDING)
    extreme = np.array([(abs(signs @ term) >= least).sum() for term, least in zip(terms, observed, strict=True)])
    return np.asarray(extreme / len(signs) if exact else (1 + extreme) / (1 + FLIPS))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's corrected p-values; None stays None and counts for nothing.

        p̃_(i) = max over j ≤ i of min(1, (m − j + 1) p_(j)),   p_(1) ≤ … ≤ p_(m)

    Claiming every p̃ < α makes a false claim at all with probability at most α, however the tests depend on each
    other. Holm 1979, Scandinavian Journal of Statistics 6, 65–70.
    """
    ascending = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(ascending):
        largest = max(largest, min(1.0, (len(ascending) - rank) * p))
        corrected[i] = largest
    return corrected


def t_interval(values: Sequence[float] | Array) -> Interval | None:
    """The 95 % interval of the mean of independent, roughly normal values; None for fewer than two.

    mean ± t_{n−1} s / √n
    """
    from scipy.special import stdtrit

    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return None
    half = float(stdtrit(len(array) - 1, 1 - TAIL) * array.std(ddof=1) / np.sqrt(len(array)))
    return float(array.mean()) - half, float(array.mean()) + half


def _ratio(means: tuple[float, float], draws: Array) -> tuple[float | None, Interval | None]:
    """The ratio mean a / mean b and its interval; None unless 97.5 % of the draws of both have the same sign."""
    sign = np.sign(means[1])
    if sign == 0 or np.sign(means[0]) != sign or ((draws * sign > 0).mean(axis=1) < 1 - TAIL).any():
        return None, None
    usable = (draws * sign > 0).all(axis=0)
    return means[0] / means[1], _percentiles(draws[0, usable] / draws[1, usable])


def _percentiles(draws: Array) -> Interval:
    low, high = np.percentile(draws, [100 * TAIL, 100 * (1 - TAIL)])
    return float(low), float(high)


def _require(a: Array, b: Array, weights: Array) -> None:
    if a.ndim != 2 or a.shape != b.shape or weights.shape != a.shape[1:] or a.size == 0:
        raise ValueError(f"a and b must be [R, U] alike and weights [U], got {a.shape}, {b.shape}, {weights.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores must be finite")
    if weights.min() <= 0:
        raise ValueError("weights must be > 0")
