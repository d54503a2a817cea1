"""Differences with random effects of fits and cases: size, power and coverage by simulation, where assumptions fail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f_oneway, ttest_1samp

from nsbench.outcomes.crossed import contrast
from nsbench.outcomes.fits import FitVariance, fit_variances
from nsbench.outcomes.statistics import compare_pairs

EXPERIMENTS = 300
ERROR = 0.01 + 3 * np.sqrt(0.05 * 0.95 / EXPERIMENTS)
"""What Satterthwaite's approximation may err by, 6 % for 5 %, and three standard errors of a simulation."""


def scores(rng, simulators, replicates, units, *, of_fit=0.3, of_case=0.5, of_cell=0.5):
    """float64[K, R, U]: cases matter to all alike (2) and to each simulator on its own, fits and cells to one each."""
    spread = np.broadcast_to(np.asarray(of_fit, float), (simulators,))[:, None, None]
    x = 10 + 2 * rng.normal(size=(1, 1, units)) + of_case * rng.normal(size=(simulators, 1, units))
    x = x + spread * rng.normal(size=(simulators, replicates, 1))
    return x + of_cell * rng.normal(size=(simulators, replicates, units))


def compared(x, weights=None):
    """The comparison of the first two of simulators float64[K, R, U], the fits of all of which are known."""
    fits = fit_variances(list(x.mean(axis=2)))
    return compare_pairs(x[0], x[1], np.ones(x.shape[2]) if weights is None else weights, (fits[0], fits[1]))


def rejected(simulators, replicates, units, *, apart=0.0, level=0.05, **spread):
    """How often a difference is found."""
    rng, count = np.random.default_rng([simulators, replicates, units]), 0
    for _ in range(EXPERIMENTS):
        x = scores(rng, simulators, replicates, units, **spread)
        x[0] += apart
        fits = fit_variances(list(x.mean(axis=2)))
        count += contrast(x[0], x[1], np.ones(units), (fits[0], fits[1])).p < level
    return count / EXPERIMENTS


@pytest.mark.parametrize("replicates", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [4, 8, 16, 64])
def test_the_test_finds_a_difference_where_there_is_none_in_five_percent_of_cases_at_most(replicates, units):
    """With one fit the fits' effect is fixed, so there is none here; the claim is of these fits."""
    of_fit = 0.0 if replicates == 1 else 0.3
    assert rejected(4, replicates, units, of_fit=of_fit) <= 0.05 + ERROR


@pytest.mark.parametrize("spread", [{"of_fit": 1, "of_cell": 0.1}, {"of_case": 2}, {"of_fit": 0, "of_case": 0}])
@pytest.mark.parametrize("replicates", [2, 3])
def test_the_test_keeps_its_size_whichever_part_is_large(replicates, spread):
    assert rejected(5, replicates, 16, **spread) <= 0.05 + ERROR


def test_with_one_fit_the_luck_of_fits_is_not_in_the_error():
    assert rejected(2, 1, 64, of_fit=0.5) > 0.5


def test_three_fits_find_what_students_t_with_two_degrees_of_freedom_misses():
    """A difference of 1.5 standard deviations between fits, many cases: eight simulators' fits tell how large they are."""
    spread = {"of_fit": 1.0, "of_case": 0.1, "of_cell": 0.1, "apart": 1.5 * np.sqrt(2)}
    assert rejected(8, 3, 32, **spread) > 0.5
    rng, alone = np.random.default_rng(0), 0
    for _ in range(EXPERIMENTS):
        x = scores(rng, 2, 3, 32, of_fit=1.0, of_case=0.1, of_cell=0.1)
        alone += ttest_1samp((x[0] - x[1]).mean(axis=1) + 1.5 * np.sqrt(2), 0).pvalue < 0.05
    assert alone / EXPERIMENTS < 0.35


def test_fits_that_vary_far_more_than_the_others_are_too_often_found_different():
    """The assumption's failure: two simulators three times as variable as six others. Pooling alone errs in 26 %."""
    spread = {"of_fit": [3, 3, 1, 1, 1, 1, 1, 1], "of_case": 0, "of_cell": 0}
    assert 0.05 < rejected(8, 3, 16, **spread) < 0.15
    assert rejected(8, 8, 16, **spread) < 0.10  # eight fits speak for themselves


def test_fits_that_vary_less_than_the_others_are_too_seldom_found_different():
    spread = {"of_fit": [1, 1, 3, 3, 3, 3, 3, 3], "of_case": 0, "of_cell": 0}
    assert rejected(8, 3, 16, **spread) < 0.03


@pytest.mark.parametrize("replicates", [1, 2, 3, 8])
@pytest.mark.parametrize("units", [4, 16, 64])
def test_intervals_of_difference_and_ratio_cover_95_percent(replicates, units):
    rng, of_fit = np.random.default_rng([replicates, units]), 0.0 if replicates == 1 else 0.3
    difference = ratio = given = 0
    for _ in range(EXPERIMENTS):
        x = scores(rng, 3, replicates, units, of_fit=of_fit)
        x[0] += 2.0  # 12 and 10
        found = compared(x)
        difference += found.interval[0] <= 2.0 <= found.interval[1]
        if found.ratio_interval is not None:
            given += 1
            ratio += found.ratio_interval[0] <= 1.2 <= found.ratio_interval[1]
    assert difference / EXPERIMENTS >= 0.95 - ERROR
    assert given > 0.9 * EXPERIMENTS
    assert ratio / given >= 0.95 - ERROR


def test_an_interval_of_a_weighted_mean_covers_it():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(EXPERIMENTS):
        weights = rng.integers(1, 9, 40).astype(float)
        x = rng.normal(2.0, 1 / np.sqrt(weights), size=(1, 40))
        low, high = compare_pairs(x, np.zeros((1, 40)), weights, (NO_LUCK, NO_LUCK)).interval
        hits += low <= 2.0 <= high
    assert hits / EXPERIMENTS == pytest.approx(0.95, abs=ERROR)


NO_LUCK = FitVariance(0.0, 0.0, np.inf, 0.0)


def test_with_one_fit_the_test_is_the_paired_t_test():
    x = scores(np.random.default_rng(0), 2, 1, 20)
    found, known = compared(x), ttest_1samp((x[0] - x[1])[0], 0)
    assert found.p == pytest.approx(known.pvalue)
    assert found.interval == pytest.approx(tuple(known.confidence_interval()))


def test_the_parts_are_those_of_the_analysis_of_variance():
    """The expected V is the variance of the estimate: (2 σ²_fit / R + 2 σ²_case / U + 2 σ²_cell / RU), by components."""
    rng, (replicates, units) = np.random.default_rng(0), (4, 12)
    estimates, values = [], []
    for _ in range(2000):
        x = scores(rng, 2, replicates, units, of_fit=0.6, of_case=0.8, of_cell=1.5)
        fits = [FitVariance(v, v, 3, 6) for v in x.mean(axis=2).var(axis=1, ddof=1)]
        parts = contrast(x[0], x[1], np.ones(units), (fits[0], fits[1]))
        estimates.append(parts.fits.variance + parts.cases.variance - parts.rest.variance)
        values.append(parts.value)
    expected = 2 * (0.36 / replicates + 0.64 / units + 2.25 / (replicates * units))
    assert np.mean(estimates) == pytest.approx(expected, rel=0.05)
    assert np.var(values) == pytest.approx(expected, rel=0.12)


def test_variances_that_differ_by_chance_alone_are_pooled():
    """Then three quarters of the weight is the mean square within simulators of a one-way analysis of variance."""
    y = np.array([[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [2.2, 0.1, 1.1], [7.0, 7.9, 9.1]])
    fits = fit_variances(list(y))
    within = 3 * y.mean(axis=1).var(ddof=1) / f_oneway(*y).statistic
    assert [fit.shrunk for fit in fits] == pytest.approx([(3 * within + fit.own) / 4 for fit in fits])
    assert [fit.dof for fit in fits] == pytest.approx([8.0] * 4)


def test_variances_of_different_orders_stay_apart_and_what_is_not_fitted_has_none():
    rng = np.random.default_rng(0)
    spreads = [1e-6, 1e-3, 1.0, 1e3, 1e6, 1e-2, 1e5]
    fits = fit_variances([list(s * rng.normal(size=4)) for s in spreads] + [[3.0, 3.0, 3.0, 3.0], [1.0]])
    for fit in fits[2:5]:
        assert fit.dof < 4
    assert [(fit.own, fit.shrunk) for fit in fits[-2:]] == [(0.0, 0.0)] * 2
    assert fit_variances([[1.0], [2.0]]) == [FitVariance(0.0, 0.0, np.inf, 0.0)] * 2
