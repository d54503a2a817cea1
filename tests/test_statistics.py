"""Intervals cover as often as they say, tests have their size, Holm's correction is Holm's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from nsbench.outcomes.statistics import (
    FLIPS,
    bootstrap_means,
    compare_pairs,
    holm,
    p_values,
    sign_flip_test,
    t_interval,
)

TRIALS = 300
RESAMPLES = 500


def scores(rng, replicates, units, *, of_fit=0.3, of_unit=2.0, of_cell=0.5, apart=0.0):
    """float64[2, R, U] of two simulators: units matter to both alike, fits and cells to each on its own."""
    noise = of_cell * rng.normal(size=(2, replicates, units))
    fits = of_fit * rng.normal(size=(2, replicates, 1))
    x = 10 + of_unit * rng.normal(size=(1, 1, units)) + fits + noise
    x[0] += apart
    return x


def covered(replicates, units, **spread):
    """Share of intervals of a difference that hold the true one."""
    rng, hits = np.random.default_rng(units + replicates), 0
    for _ in range(TRIALS):
        draws = bootstrap_means(scores(rng, replicates, units, apart=0.7, **spread), np.ones(units), rng, RESAMPLES)
        low, high = np.percentile(draws[0] - draws[1], [2.5, 97.5])
        hits += low <= 0.7 <= high
    return hits / TRIALS


@pytest.mark.parametrize("units", [6, 16, 40])
def test_intervals_over_units_cover_95_percent_of_the_time(units):
    assert covered(1, units, of_fit=0.0) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("replicates", [2, 5])
def test_intervals_over_units_and_replicates_cover_at_least_95_percent_of_the_time(replicates):
    assert covered(replicates, 16) > 0.925


def test_without_replicates_the_luck_of_a_fit_is_not_in_the_interval():
    assert covered(1, 40, of_fit=0.5) < 0.5


def test_an_interval_of_a_weighted_mean_covers_it():
    rng, hits = np.random.default_rng(3), 0
    for _ in range(TRIALS):
        weights = rng.integers(1, 9, 40).astype(float)
        x = rng.normal(2.0, 1 / np.sqrt(weights), size=(1, 1, 40))
        low, high = np.percentile(bootstrap_means(x, weights, rng, RESAMPLES), [2.5, 97.5])
        hits += low <= 2.0 <= high
    assert hits / TRIALS == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("units", [7, 11, 20])
def test_the_sign_flip_test_rejects_as_often_as_it_says_when_nothing_differs(units):
    rng = np.random.default_rng(units)
    differences = rng.standard_cauchy(size=(1000, units))  # symmetric is all that it needs
    p = sign_flip_test(differences, np.ones(units), rng)
    for level in (0.05, 0.2):
        assert (p <= level).mean() == pytest.approx(level, abs=3.3 * np.sqrt(level * (1 - level) / 1000))


def test_p_with_replicates_counts_the_luck_of_fits():
    rng, units = np.random.default_rng(0), 10
    p = []
    for _ in range(TRIALS):
        x = scores(rng, 3, units, of_fit=0.5)
        draws = bootstrap_means(x, np.ones(units), rng, RESAMPLES)
        p.append(p_values((x[0] - x[1])[None], draws[:1] - draws[1:], np.ones(units), rng)[0])
    assert np.mean(np.array(p) < 0.05) < 0.08


def test_an_exact_test_counts_every_assignment_of_signs():
    differences, weights = np.array([0.5, -0.2, 1.0, 0.3, 0.8]), np.array([1.0, 2.0, 1.0, 3.0, 1.0])
    observed = abs((differences * weights).sum())
    every = [abs((np.array(s) * differences * weights).sum()) for s in product((-1, 1), repeat=5)]
    expected = np.mean([value >= observed - 1e-12 for value in every])
    assert sign_flip_test(differences[None], weights, np.random.default_rng(0))[0] == pytest.approx(expected)


def test_all_of_one_sign_has_the_smallest_p_there_is():
    rng = np.random.default_rng(0)
    assert sign_flip_test(np.full((1, 5), 0.4), np.ones(5), rng)[0] == 2 / 2**5
    assert sign_flip_test(np.full((1, 40), 0.4), np.ones(40), rng)[0] == 1 / (FLIPS + 1)
    assert sign_flip_test(np.zeros((1, 5)), np.ones(5), rng)[0] == 1


def test_holm_by_hand():
    """Sorted: 0.005 × 4, 0.01 × 3, 0.03 × 2, then 0.04 × 1, which may not fall below its predecessor."""
    corrected = holm([0.01, 0.04, None, 0.03, 0.005])
    assert corrected[2] is None
    assert [p for p in corrected if p is not None] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_claims_falsely_in_five_percent_of_families():
    p = np.random.default_rng(0).uniform(size=(2000, 12))
    false = np.mean([min(holm(list(family))) < 0.05 for family in p])
    assert false == pytest.approx(0.05, abs=0.015)


def test_the_t_interval_is_students():
    low, high = t_interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.302652730 / np.sqrt(3))  # t with two degrees of freedom, s = 1
    assert (low + high) / 2 == pytest.approx(2)
    assert t_interval([1.0]) is None


def test_swapping_the_sides_mirrors_the_answer():
    x, weights = scores(np.random.default_rng(1), 3, 20, apart=0.5), np.ones(20)
    one = compare_pairs(x[0], x[1], weights, np.random.default_rng(0))
    other = compare_pairs(x[1], x[0], weights, np.random.default_rng(0))
    assert other.difference == -one.difference
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.ratio_interval == pytest.approx((1 / one.ratio_interval[1], 1 / one.ratio_interval[0]))
    assert other.p == one.p


def test_the_same_scores_differ_by_nothing():
    x = scores(np.random.default_rng(1), 2, 20)[0]
    same = compare_pairs(x, x, np.ones(20), np.random.default_rng(0))
    assert (same.difference, same.interval, same.ratio, same.p) == (0.0, (0.0, 0.0), 1.0, 1.0)


def test_pairing_takes_out_what_both_share():
    """A shift of a tenth of the spread between units is seen, because units are paired."""
    x = scores(np.random.default_rng(2), 1, 40, of_fit=0.0, of_unit=5.0, of_cell=0.3, apart=0.5)
    found = compare_pairs(x[0], x[1], np.ones(40), np.random.default_rng(0))
    assert found.interval[0] > 0
    assert found.p < 0.001


def test_a_ratio_is_given_where_its_denominator_is_clear_of_zero():
    rng = np.random.default_rng(0)
    a, b = 4 + 0.1 * rng.normal(size=(1, 30)), 2 + 0.1 * rng.normal(size=(1, 30))
    found = compare_pairs(a, b, np.ones(30), rng)
    assert found.ratio == pytest.approx(2, rel=0.05)
    assert found.ratio_interval[0] < found.ratio < found.ratio_interval[1]
    unclear = compare_pairs(a, 0.01 * rng.normal(size=(1, 30)), np.ones(30), rng)
    assert (unclear.ratio, unclear.ratio_interval) == (None, None)
    assert compare_pairs(-a, -b, np.ones(30), rng).ratio == pytest.approx(found.ratio)


def test_a_single_unit_is_compared_over_replicates_without_a_test():
    a, b = np.array([[3.0], [4.0], [5.0]]), np.array([[1.0], [1.0], [1.0]])
    found = compare_pairs(a, b, np.ones(1), np.random.default_rng(0))
    assert found.p is None
    assert found.interval == pytest.approx(t_interval([2.0, 3.0, 4.0]))
    alone = compare_pairs(a[:1], b[:1], np.ones(1), np.random.default_rng(0))
    assert (alone.difference, alone.interval, alone.p) == (2.0, None, None)


@pytest.mark.parametrize(
    ("a", "weights", "message"),
    [
        (np.ones((1, 3)), np.ones(2), r"weights \[U\]"),
        (np.full((1, 3), np.nan), np.ones(3), "finite"),
        (np.ones((1, 3)), np.zeros(3), "weights must be > 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, weights, message):
    with pytest.raises(ValueError, match=message):
        compare_pairs(a, np.ones((1, 3)), weights, np.random.default_rng(0))
