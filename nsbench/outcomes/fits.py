"""The variance between fits of a simulator, learned also from the other simulators of its suite.

Three fits tell little of their variance: two degrees of freedom. The other simulators' fits tell more, if theirs is of
the same order. Assumed: the fits of a simulator are independent and roughly normal, those of different simulators too
(fits that share their luck, as by equal first weights, make tests conservative), and the true variances of a suite are
draws of one scaled inverse χ² law, whose width is estimated. Where that fails, a simulator that varies far more than
the rest, the claim errs: see docs/compare.md, "Assumptions", and tests/test_crossed.py for how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_WIDEST, _NARROWEST = 1e-2, 1e4  # degrees of freedom of the law of variances, between which it is sought


@dataclass(frozen=True)
class FitVariance:
    """The variance of a simulator's score between its fits.

    own       from its own fits; shrunk: drawn towards those of the other simulators, with so many degrees of freedom.
    most      the most degrees of freedom that a sum of such variances can have: those of all fits together.
    """

    own: float
    shrunk: float
    dof: float
    most: float


def fit_variances(values: Sequence[Sequence[float]]) -> list[FitVariance]:
    """The variances of the simulators of a suite from their scores, one a fit, for each simulator.

        ṽ_k = (d₀ s₀² + d_k v_k) / (d₀ + d_k),   d_k = R_k − 1,   d₀ ≤ Σ d − d̄

    v_k: the sample variance. d₀ and s₀², the law of variances, come from the variance and mean of log v_k:
    trigamma(d₀/2) is what their variance exceeds trigamma(d_k/2) by. d₀ is 0 where they differ without bounds; at its
    largest, where they differ no more than chance makes them, ṽ is nearly the pooled variance; s₀² is then their mean,
    else the geometric one. Simulators whose fits all score the same (nothing is fitted) have variance 0 and are left
    out, as are those of one fit.
    Smyth 2004, doi 10.2202/1544-6115.1027, section 6, with the bound on d₀ and the geometric mean for his s₀.
    """
    dofs = np.array([len(entries) - 1.0 for entries in values])
    own = np.array([np.var(entries, ddof=1) if len(entries) > 1 else 0.0 for entries in values])
    sizes = np.array([max(map(abs, entries), default=0.0) for entries in values])
    varying = own > (1e-12 * sizes) ** 2
    prior, location = _law(own[varying], dofs[varying]) if varying.any() else (0.0, 0.0)
    most = float(dofs[varying].sum())
    return [
        FitVariance(float(v), float((prior * location + d * v) / (prior + d)), float(prior + d), most)
        if varies
        else FitVariance(0.0, 0.0, np.inf, most)
        for v, d, varies in zip(own, dofs, varying, strict=True)
    ]


def _law(variances: np.ndarray, dofs: np.ndarray) -> tuple[float, float]:
    """d₀ and s₀² of the law of variances, from estimates float64[K] that vary."""
    from scipy.special import digamma, polygamma

    bound = float(dofs.sum() - dofs.mean())
    if len(variances) < 2:
        return 0.0, 0.0
    logs = np.log(variances) - digamma(dofs / 2) + np.log(dofs / 2)  # E = log σ²
    excess = float(logs.var(ddof=1) - polygamma(1, dofs / 2).mean())
    prior = bound if excess <= float(polygamma(1, bound / 2)) else 2 * _inverse_trigamma(excess)
    pooled = float((dofs * variances).sum() / dofs.sum())
    return prior, pooled if prior >= bound else float(np.exp(logs.mean()))


def _inverse_trigamma(value: float) -> float:
    """The argument at which trigamma, which falls, has a value."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    if value >= float(polygamma(1, _WIDEST / 2)):
        return _WIDEST / 2
    return float(brentq(lambda x: float(polygamma(1, x)) - value, _WIDEST / 2, _NARROWEST))
