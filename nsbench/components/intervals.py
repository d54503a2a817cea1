"""95 % intervals from few independent units: the one way in which the interval of every score is made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST_UNITS = 4
"""The fewest independent units (ensembles, trajectories) from which an interval is made; there is none for fewer."""

TAIL = 0.025
"""The share of draws beyond each end."""


def stretch(units: int) -> float:
    """The factor c by which deviations of a bootstrap over U units are stretched: √(U / (U − 1)) · t_{U−1} / z.

    t, z: 97.5 % quantiles. A percentile interval of few units is too narrow: resampling leaves out the 1 / (U − 1) of
    the variance, and takes it for known. Hesterberg 2015, doi 10.1080/00031305.2015.1089789, section 3.4.
    """
    from scipy.special import ndtri, stdtrit

    return float(np.sqrt(units / (units - 1)) * stdtrit(units - 1, 1 - TAIL) / ndtri(1 - TAIL))


def bootstrap_interval(
    value: float,
    draws: NDArray[np.float64],
    units: int,
    *,
    centred: bool = False,
    within: tuple[float, float] = (-np.inf, np.inf),
) -> tuple[float, float] | None:
    """The 95 % interval of a value from draws of it, float64[r], over so many resampled units; None for too few.

        value + c · (percentiles of the draws − value)

    centred: every repetition raises the draws, as of a distance; then − their mean instead, so that the interval shows
    how far the value moves with the choice of units. within: what the value can be.
    """
    if units < LEAST_UNITS:
        return None
    middle = draws.mean() if centred else value
    low, high = value + stretch(units) * (np.percentile(draws, [100 * TAIL, 100 * (1 - TAIL)]) - middle)
    return float(np.clip(low, *within)), float(np.clip(high, *within))


SKEWNESS = 0.5
"""The skewness that is taken for granted of distances by ensemble. Theirs is 0.7 to 1.7, which a few units cannot tell;
with more of it the intervals of four units grow beyond all use."""


def skewed_interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """The 95 % interval of the mean of values, float64[U], of a distribution that is skewed to the right; None for few.

        mean − N⁻¹(±t) s / √U,   N⁻¹(t) = (3 / a) (∛(1 + a (t − a / 6)) − 1),   a = γ / √U

    t: quantile of the t distribution with U − 1 degrees of freedom; s: their standard deviation; γ: SKEWNESS. By the t
    interval alone such a mean lies too often above: where it comes out low, so does s. Hall 1992, JRSS B 54, 221.
    """
    from scipy.special import stdtrit

    units = len(values)
    if units < LEAST_UNITS:
        return None
    error, a = values.std(ddof=1) / np.sqrt(units), SKEWNESS / np.sqrt(units)
    t = stdtrit(units - 1, np.array([1 - TAIL, TAIL]))
    low, high = values.mean() - error * (3 / a) * (np.cbrt(1 + a * (t - a / 6)) - 1)
    return float(low), float(high)
