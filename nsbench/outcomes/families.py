"""Families of tests: p-values that count how many were made, by the largest of all test statistics (max-T).

Tests of a family hang together: variants are held against the same baseline, metrics look at the same rollouts. A
correction that knows nothing of it, as Holm's, pays for tests that say the same twice; max-T does not.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.outcomes.crossed import Estimate

Array = NDArray[np.float64]

DRAWS = 9_999
"""Draws of a family's statistics under its hypotheses."""

NORMAL = 1e6
"""Degrees of freedom beyond which Student's t is normal."""

_ROUNDING = 1e-9  # p-values closer than this share of the observed one count as equal


@dataclass(frozen=True, eq=False)
class Test:
    """A test of a family.

    p           not corrected.
    cases       a name of the test cases; tests of the same cases share their weights.
    baseline    the share of the fits' variance that is the baseline's, the same for all tests of the same cases;
                negative where the estimate grows with the baseline's score; 0 where tests share no fits in one metric.
    one_sided   whether only a large estimate rejects.
    """

    __test__ = False  # no test of pytest's

    p: float
    estimate: Estimate
    cases: Hashable
    baseline: float = 0.0
    one_sided: bool = False


def max_t(tests: Sequence[Test], rng: np.random.Generator) -> list[float]:
    """The corrected p-values, step-down: claiming every one below α makes any false claim at most α of the time.

        T* = (Σ_u s_u δ[u] + √(V − V_cases) ξ) / √V / √(χ²_ν / ν),    s and ξ normal

        p̃_(i) = max over j ≤ i of P(min over k ≥ j of p*_k ≤ p_(j)),    p_(1) ≤ p_(2) ≤ …

    δ: Estimate.deviations; p*: the p-value of T* by its ν, so that tests with different degrees of freedom count alike.
    s, a random weight of each case, is the same for all tests of these cases, which keeps how they hang together
    (signs would do with many cases; with four there are but eight different sums of them). ξ is partly that of the
    baseline's fits, else drawn for each test, as is χ²: as if fits of different simulators, what fits do to different
    metrics, and the errors of errors had nothing in common, which corrects rather too much (Šidák 1967,
    doi 10.2307/2283989). Never smaller than p itself.
    Westfall & Young 1993, Resampling-Based Multiple Testing, algorithm 2.8.
    """
    if not tests:
        return []
    drawn = _null(tests, rng)  # [tests, draws]
    order = sorted(range(len(tests)), key=lambda k: tests[k].p)
    smallest = np.minimum.accumulate(drawn[order[::-1]], axis=0)[::-1]
    corrected, largest = [0.0] * len(tests), 0.0
    for k, remaining in zip(order, smallest, strict=True):
        as_small = int((remaining <= tests[k].p * (1 + _ROUNDING)).sum())
        largest = max(largest, tests[k].p, (1 + as_small) / (1 + DRAWS))
        corrected[k] = min(1.0, largest)
    return corrected


def _null(tests: Sequence[Test], rng: np.random.Generator) -> Array:
    """Draws of the p-values where nothing differs, float64[tests, DRAWS]."""
    from scipy.special import stdtr

    of_cases: dict[Hashable, Array] = {}
    of_baseline: dict[Hashable, Array] = {}
    drawn = np.ones((len(tests), DRAWS))
    for k, test in enumerate(tests):
        total, deviations = test.estimate.total, test.estimate.deviations
        if total.variance == 0:
            continue
        if test.cases not in of_cases:
            of_cases[test.cases] = rng.normal(size=(DRAWS, len(deviations)))
            of_baseline[test.cases] = rng.normal(size=DRAWS)
        shared = math.copysign(math.sqrt(abs(test.baseline)), test.baseline) * of_baseline[test.cases]
        luck = shared + math.sqrt(1 - abs(test.baseline)) * rng.normal(size=DRAWS)
        fits = math.sqrt(max(total.variance - float((deviations**2).sum()), 0.0))
        t = (of_cases[test.cases] @ deviations + fits * luck) / math.sqrt(total.variance)
        dof = min(total.dof, NORMAL)
        t = t / np.sqrt(rng.chisquare(dof, DRAWS) / dof)
        drawn[k] = stdtr(dof, -t) if test.one_sided else 2 * stdtr(dof, -abs(t))
    return drawn
