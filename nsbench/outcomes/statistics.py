"""Paired comparisons: difference, ratio, intervals, tests of difference and of equivalence. Arrays in, numbers out.

Two simulators, a and b, met the same test cases; each was fitted R times (replicates). Each has
scores x[r, u], by replicate and by independent unit of the test data (a value of the parameter, an ensemble, a bin), U
units with weights w[u]. Its score is the weighted mean over units, averaged over replicates. All errors are those of
crossed random effects (nsbench/outcomes/crossed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.intervals import TAIL
from nsbench.outcomes.crossed import Estimate, contrast, quantile
from nsbench.outcomes.fits import FitVariance

Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Paired:
    """The comparison of a with b.

    estimate    of mean a − mean b; interval: its 95 % interval, None where nothing is known of its error.
    ratio       mean a / mean b, and its 95 % interval; None where the sign of either mean is open.
    p           two-sided, not corrected for other tests; None for fewer than two units.
    units       how many independent units of the test data; replicates: how many fits of each.
    """

    estimate: Estimate
    interval: Interval | None
    ratio: float | None
    ratio_interval: Interval | None
    p: float | None
    units: int
    replicates: int

    @property
    def difference(self) -> float:
        return self.estimate.value


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Two one-sided tests. p: the larger one's, of the hypothesis that a is not within the margin of b.

    estimate    the distance from the bound that is nearer in errors, positive inside.
    side        1 where that is the lower bound, −1 where it is the upper one.
    """

    p: float
    estimate: Estimate
    side: int


def compare_pairs(a: Array, b: Array, weights: Array, fits: tuple[FitVariance, FitVariance]) -> Paired:
    """Compare a with b, both float64[R, U], on units with weights float64[U].

    fits: the variances of both scores between fits, learned from all simulators that there are.

        interval  Δ ± t_{ν, 0.975} √V          p = P(|t_ν| ≥ |Δ| / √V)

    V and ν are those of Estimate.total. The interval of the ratio holds every θ at which mean a − θ mean b, with V and
    ν of its own, cannot be told from 0: Fieller 1954, Journal of the Royal Statistical Society B 16, 175–185.
    """
    _require(a, b, weights)
    replicates, units = a.shape
    estimate = contrast(a, b, weights, fits)
    ratio, ratio_interval = _ratio(lambda theta: contrast(a, b, weights, fits, theta), _alone(b, weights, fits[1]))
    return Paired(
        estimate=estimate,
        interval=_around(estimate) if estimate.known else None,
        ratio=ratio,
        ratio_interval=ratio_interval if estimate.known else None,
        p=estimate.p if units > 1 else None,
        units=units,
        replicates=replicates,
    )


def equivalence(
    a: Array, b: Array, weights: Array, fits: tuple[FitVariance, FitVariance], margin: float
) -> Equivalence | None:
    """Test whether a differs from b by less than a share of b's score; None for one unit, or where b may well be 0.

        (1 − m) mean b < mean a < (1 + m) mean b      (for positive scores)

    Each bound is tested one-sided, with the error that b's score has too; both must be rejected, so p is the larger one
    and the test keeps its size without correction. Schuirmann 1987, doi 10.1007/BF01068419.
    """
    base = _alone(b, weights, fits[1])
    if a.shape[1] < 2 or not _clear(base):
        return None
    sign = 1.0 if base.value > 0 else -1.0
    sides = []
    for side in (1, -1):  # above the lower bound, below the upper one
        bound = 1 - sign * side * margin
        # side · (mean a − bound · mean b) > 0
        estimate = contrast(side * a, side * b, weights, fits, bound)
        sides.append(Equivalence(estimate.p_above, estimate, side))
    return max(sides, key=lambda test: test.p)


def t_interval(values: Sequence[float] | Array) -> Interval | None:
    """The 95 % interval of the mean of independent, roughly normal values; None for fewer than two.

    mean ± t_{n−1} s / √n
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return None
    half = float(quantile(len(array) - 1, 1 - TAIL) * array.std(ddof=1) / np.sqrt(len(array)))
    return float(array.mean()) - half, float(array.mean()) + half


def _alone(x: Array, weights: Array, fits: FitVariance) -> Estimate:
    """The estimate of one mean."""
    return contrast(x, np.zeros_like(x), weights, (fits, fits), 0.0)


def _around(estimate: Estimate) -> Interval:
    half = estimate.half(TAIL)
    return estimate.value - half, estimate.value + half


def _clear(estimate: Estimate) -> bool:
    """Return whether the 95 % interval of an estimate leaves out 0."""
    return abs(estimate.value) > estimate.half(TAIL)


def _ratio(at: Callable[[float], Estimate], base: Estimate) -> tuple[float | None, Interval | None]:
    """The ratio mean a / mean b and Fieller's interval; None unless both are clear of 0, on the same side.

    at: the estimate of mean a − θ mean b. Where both are clear of 0 the θ that fit make an interval around the ratio.
    """
    above = at(0.0)
    if base.value == 0 or above.value / base.value <= 0 or not (_clear(above) and _clear(base)):
        return None, None
    ratio = above.value / base.value
    return ratio, (_end(at, ratio, 0.0), _end(at, ratio, _beyond(at, ratio)))


def _misfit(estimate: Estimate) -> float:
    """How much farther from 0 an estimate is than its error allows; negative where it fits."""
    return abs(estimate.value) - estimate.half(TAIL)


def _beyond(at: Callable[[float], Estimate], ratio: float) -> float:
    """A θ above the ratio that does not fit."""
    theta = 2 * ratio
    while _misfit(at(theta)) <= 0 and theta < 1e12 * ratio:
        theta *= 2
    return theta


def _end(at: Callable[[float], Estimate], inside: float, outside: float) -> float:
    """The end of the interval between a θ that fits and one that does not."""
    from scipy.optimize import brentq

    if _misfit(at(inside)) >= 0:  # no error at all
        return inside
    return float(brentq(lambda theta: _misfit(at(theta)), inside, outside, xtol=1e-10 * inside, rtol=1e-10))


def _require(a: Array, b: Array, weights: Array) -> None:
    if a.ndim != 2 or a.shape != b.shape or weights.shape != a.shape[1:] or a.size == 0:
        raise ValueError(f"a and b must be [R, U] alike and weights [U], got {a.shape}, {b.shape}, {weights.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("scores must be finite")
    if weights.min() <= 0:
        raise ValueError("weights must be > 0")
