"""Crossed random effects: a difference of two simulators whose fits and test cases could all have been others.

x_k[r, u], the score of fit r of simulator k on case u (an independent unit of the test data), is

    x_k[r, u] = μ_k + c_k[u] + f_k[r] + e_k[r, u]

with random effects c of cases, the same cases for all simulators, f of fits, and a rest e. Every fit meets every case:
a two-way layout without repetition. With one fit of each the effect f is fixed: the claim is of these two fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.fits import FitVariance

Array = NDArray[np.float64]


_TIMES = 3.0  # the most degrees of freedom of a sum, in those of the part that is known worse


@dataclass(frozen=True)
class Part:
    """A part of a variance, and its degrees of freedom."""

    variance: float
    dof: float


@dataclass(frozen=True, eq=False)
class Estimate:
    """mean a − θ mean b, with the parts of its variance.

    fits, cases   what fits and cases each contribute, the rest included in both; None with one fit, or one case.
    rest          what both count.
    deviations    float64[U], what each case adds to the estimate beyond its share; Σ deviations² = cases.variance.
    """

    value: float
    fits: Part | None
    cases: Part | None
    rest: Part
    deviations: Array

    @property
    def total(self) -> Part:
        """The variance V and Satterthwaite's degrees of freedom ν.

            V = max(V_fits + V_cases − V_rest, V_fits, V_cases)

            ν = V² / (V_fits² / ν_fits + V_cases² / ν_cases + V_rest² / ν_rest)

        but at least the smaller of ν_fits and ν_cases, and at most three times that: where a part is known badly and
        comes out small by luck, Satterthwaite takes V for known well, and p far below 5 % would be too small.

        Satterthwaite 1946, doi 10.2307/3002019; Searle, Casella & McCulloch 1992, Variance Components, section 4.
        """
        parts = [part for part in (self.fits, self.cases) if part is not None]
        largest = max(parts, key=lambda part: part.variance, default=Part(0.0, np.inf))
        variance = sum(part.variance for part in parts) - self.rest.variance
        if len(parts) < 2:
            return largest
        fewest = min(part.dof for part in parts)
        if variance <= largest.variance:
            return Part(largest.variance, min(largest.dof, _TIMES * fewest))
        uncertainty = sum(part.variance**2 / part.dof for part in (*parts, self.rest))
        return Part(variance, min(max(variance**2 / uncertainty, fewest), _TIMES * fewest))

    @property
    def known(self) -> bool:
        """Whether there is a variance to speak of at all."""
        return self.fits is not None or self.cases is not None

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.total.variance))

    def half(self, tail: float) -> float:
        """Half the width of an interval that leaves out so much at each end: t_{ν, 1 − tail} √V."""
        return quantile(self.total.dof, 1 - tail) * self.error if self.error > 0 else 0.0

    @property
    def p_above(self) -> float:
        """The one-sided p of the hypothesis that the expected value is at most 0."""
        if self.error == 0:
            return float(self.value <= 0)
        return upper_tail(self.value / self.error, self.total.dof)

    @property
    def p(self) -> float:
        """The two-sided p of the hypothesis that the expected value is 0."""
        if self.error == 0:
            return float(self.value == 0)
        return 2 * upper_tail(abs(self.value) / self.error, self.total.dof)


def contrast(a: Array, b: Array, weights: Array, fits: tuple[FitVariance, FitVariance], theta: float = 1.0) -> Estimate:
    """Estimate mean a − θ mean b; a, b: float64[R, U], weights: float64[U], fits: the variances of both scores.

        V_fits  = max(ṽ_a + θ² ṽ_b, v_a + θ² v_b) / R     (ṽ, v: nsbench/outcomes/fits.py)
        V_cases = Σ w² (d̄[u] − d̄)² / (1 − Σ w²),   d = a − θ b, Σ w = 1, with 1 / Σ w² − 1 degrees of freedom
        V_rest  = the same of the residuals of d[r, u], within each simulator, / R, with (R − 1) times as many, twice

    For equal weights V_cases is s² / U. The variance of fits is never taken to be less than the pair's own: others lend
    degrees of freedom and warn of an unlikely small one, they do not talk a large one down.
    """
    share = weights / weights.sum()
    left_out = 1 - float((share**2).sum())
    replicates, units = a.shape
    by_unit = (a - theta * b).mean(axis=0)
    value = float(by_unit @ share)
    if units == 1:
        return Estimate(value, _of_fits(fits, theta, replicates), None, Part(0.0, np.inf), np.zeros(1))
    deviations = share * (by_unit - value) / np.sqrt(left_out)
    dof = left_out / (1 - left_out)
    cases = Part(float((deviations**2).sum()), dof)
    rest = Part(0.0, np.inf)
    if replicates > 1:
        squares = [_residual_squares(x, share) for x in (a, theta * b)]
        rest = Part(sum(squares) / (replicates * (replicates - 1) * left_out), 2 * (replicates - 1) * dof)
    return Estimate(value, _of_fits(fits, theta, replicates), cases, rest, deviations)


def _of_fits(fits: tuple[FitVariance, FitVariance], theta: float, replicates: int) -> Part | None:
    if replicates == 1:
        return None
    a, b = fits
    shrunk = (a.shrunk, theta**2 * b.shrunk)
    uncertainty = shrunk[0] ** 2 / a.dof + shrunk[1] ** 2 / b.dof
    dof = min(sum(shrunk) ** 2 / uncertainty, a.most) if uncertainty > 0 else np.inf
    return Part(max(sum(shrunk), a.own + theta**2 * b.own) / replicates, dof)


def _residual_squares(x: Array, share: Array) -> float:
    """Σ w² e² of the residuals after means of fits and of cases, float64[R, U]."""
    residuals = x - x.mean(axis=0) - (x @ share)[:, None] + (x @ share).mean()
    return float(((share * residuals) ** 2).sum())


def quantile(dof: float, probability: float) -> float:
    """The quantile of Student's t."""
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(dof, probability) if np.isfinite(dof) else ndtri(probability))


def upper_tail(t: float, dof: float) -> float:
    """The probability of Student's t beyond t."""
    from scipy.special import ndtr, stdtr

    return float(stdtr(dof, -t) if np.isfinite(dof) else ndtr(-t))
