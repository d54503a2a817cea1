"""The number of fits that would decide a comparison, or that no number would: then the test cases are too few."""

from __future__ import annotations

import numpy as np

from nsbench.outcomes.crossed import Estimate, quantile

POWER = 0.8
"""How often a comparison is to find a difference of the size that was seen."""

MOST = 1_000
"""The most fits that are spoken of."""


def fits_needed(estimate: Estimate, replicates: int, level: float) -> float | None:
    """The number of fits of each simulator with which a true difference of the observed size would be found.

        |Δ| ≥ (t_{ν, 1 − α/2} + t_{ν, POWER}) √V(R'),    V(R') = σ²_fits / R' + V_cases − V_rest

    σ²_fits = R V_fits; ν by Satterthwaite, with R' − 1 instead of R − 1 for the fits. level: α, of one test.
    Infinite where no number does: the cases decide. MOST stands for that and more. None where one fit, or one case,
    tells nothing of it. The observed difference is itself uncertain, so this is an order of magnitude: Lehr 1992,
    doi 10.1002/sim.4780110811.
    """
    if estimate.fits is None or estimate.cases is None:
        return None
    of_cases = max(estimate.cases.variance - estimate.rest.variance, 0.0)

    def decide(fits: int) -> bool:
        of_fits = estimate.fits.variance * replicates / fits if estimate.fits else 0.0
        dof = _dof(estimate, of_fits, of_cases, (fits - 1) / (replicates - 1))
        return abs(estimate.value) >= _reach(dof, level) * float(np.sqrt(of_fits + of_cases))

    if abs(estimate.value) < _reach(estimate.cases.dof, level) * float(np.sqrt(of_cases)):
        return np.inf
    if not decide(MOST):
        return MOST
    enough, too_few = MOST, 1
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        enough, too_few = (middle, too_few) if decide(middle) else (enough, middle)
    return enough


def _reach(dof: float, level: float) -> float:
    """The number of standard errors that a true difference must have."""
    return quantile(dof, 1 - level / 2) + quantile(dof, POWER)


def _dof(estimate: Estimate, of_fits: float, of_cases: float, times: float) -> float:
    """Satterthwaite's degrees of freedom, with so many times those of the fits."""
    assert estimate.fits is not None
    assert estimate.cases is not None
    uncertainty = of_fits**2 / (estimate.fits.dof * times) + of_cases**2 / estimate.cases.dof
    return (of_fits + of_cases) ** 2 / uncertainty if uncertainty > 0 else np.inf
