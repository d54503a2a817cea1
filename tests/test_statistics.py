"""Comparisons mirror, ratios and equivalence are what they are called, families keep their rate of errors."""

from __future__ import annotations

import numpy as np
import pytest

from nsbench.outcomes import families
from nsbench.outcomes.crossed import contrast
from nsbench.outcomes.families import Test, max_t
from nsbench.outcomes.fits import FitVariance, fit_variances
from nsbench.outcomes.power import MOST, fits_needed
from nsbench.outcomes.statistics import compare_pairs, equivalence, t_interval
from test_crossed import NO_LUCK, compared, scores

TRIALS = 200


def normal(variance=1.0, dof=20):
    """The variance between fits of a simulator, known well."""
    return FitVariance(variance, variance, dof, 2 * dof)


def variants(x):
    """The tests of simulators float64[K, R, U] against the first."""
    fits, ones = fit_variances(list(x.mean(axis=2))), np.ones(x.shape[2])
    tests = []
    for k in range(1, len(x)):
        estimate = contrast(x[k], x[0], ones, (fits[k], fits[0]))
        both = fits[k].shrunk + fits[0].shrunk
        tests.append(Test(estimate.p, estimate, "cases", fits[0].shrunk / both if both else 0.0))
    return tests


@pytest.fixture
def few_draws(monkeypatch):
    monkeypatch.setattr(families, "DRAWS", 499)


@pytest.mark.parametrize(("replicates", "units"), [(1, 16), (3, 8), (3, 64)])
def test_a_family_of_variants_makes_any_false_claim_in_five_percent_of_suites(few_draws, replicates, units):
    rng, false = np.random.default_rng([replicates, units]), 0
    for _ in range(TRIALS):
        x = scores(rng, 6, replicates, units, of_fit=0.3 if replicates > 1 else 0.0)
        false += min(max_t(variants(x), rng)) < 0.05
    assert false / TRIALS <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)


def test_a_true_difference_does_not_make_a_false_one_likelier(few_draws):
    """Step-down: what is claimed no longer counts as a hypothesis, and the rest keep their rate of errors."""
    rng, false, found = np.random.default_rng(0), 0, 0
    for _ in range(TRIALS):
        x = scores(rng, 5, 3, 16)
        x[1] += 4
        p = max_t(variants(x), rng)
        found += p[0] < 0.05
        false += min(p[1:]) < 0.05
    assert found > 0.9 * TRIALS
    assert false / TRIALS <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / TRIALS)


def test_tests_that_say_the_same_are_paid_for_once():
    """Ten metrics that are one up to their unit are corrected less than ten that share nothing, whose p is ten-fold."""
    d = 0.5 + np.random.default_rng(0).normal(size=(1, 40))
    estimates = [contrast(scale * d, 0 * d, np.ones(40), (NO_LUCK, NO_LUCK)) for scale in range(1, 11)]
    rng = np.random.default_rng(1)
    same = max_t([Test(e.p, e, "cases") for e in estimates], rng)
    p = estimates[0].p
    assert p < 0.05
    unlike = max_t([Test(e.p, e, f"cases {k}") for k, e in enumerate(estimates)], rng)
    assert max(unlike) == pytest.approx(1 - (1 - p) ** 10, rel=0.25, abs=2e-3)
    assert max(same) < 0.6 * max(unlike)


def test_corrected_p_values_are_in_the_order_of_p_and_no_smaller():
    tests = variants(scores(np.random.default_rng(0), 8, 3, 12, of_case=1.0))
    corrected = max_t(tests, np.random.default_rng(0))
    assert max_t([], np.random.default_rng(0)) == []
    assert all(adjusted >= test.p for adjusted, test in zip(corrected, tests, strict=True))
    order = np.argsort([test.p for test in tests])
    assert sorted(corrected) == [corrected[k] for k in order]


def test_swapping_the_sides_mirrors_the_answer():
    x = scores(np.random.default_rng(1), 2, 3, 20)
    x[0] += 0.5
    one, other = compared(x), compared(x[::-1])
    assert other.difference == -one.difference
    assert other.interval == pytest.approx((-one.interval[1], -one.interval[0]))
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.ratio_interval == pytest.approx((1 / one.ratio_interval[1], 1 / one.ratio_interval[0]))
    assert other.p == pytest.approx(one.p)


def test_the_same_scores_differ_by_nothing():
    x = scores(np.random.default_rng(1), 1, 1, 20)[0]
    same = compare_pairs(x, x, np.ones(20), (NO_LUCK, NO_LUCK))
    assert (same.difference, same.interval, same.ratio, same.p) == (0.0, (0.0, 0.0), 1.0, 1.0)
    assert equivalence(x, x, np.ones(20), (NO_LUCK, NO_LUCK), 0.2).p < 1e-3


def test_pairing_takes_out_what_both_share():
    """A shift of a tenth of the spread between units is seen, because units are paired."""
    rng = np.random.default_rng(2)
    cases = 10 + 5 * rng.normal(size=(1, 40))
    a, b = (cases + 0.3 * rng.normal(size=(1, 40)) for _ in range(2))
    found = compare_pairs(a + 0.5, b, np.ones(40), (NO_LUCK, NO_LUCK))
    assert found.interval[0] > 0
    assert found.p < 0.001


def test_a_ratio_is_given_where_both_sides_are_clear_of_zero():
    rng, luck = np.random.default_rng(0), (NO_LUCK, NO_LUCK)
    a, b = 4 + 0.1 * rng.normal(size=(1, 30)), 2 + 0.1 * rng.normal(size=(1, 30))
    found = compare_pairs(a, b, np.ones(30), luck)
    assert found.ratio == pytest.approx(2, rel=0.05)
    assert found.ratio_interval[0] < found.ratio < found.ratio_interval[1]
    unclear = compare_pairs(a, 0.01 * rng.normal(size=(1, 30)), np.ones(30), luck)
    assert (unclear.ratio, unclear.ratio_interval) == (None, None)
    assert compare_pairs(-a, -b, np.ones(30), luck).ratio_interval == pytest.approx(found.ratio_interval)


def test_a_single_unit_is_compared_over_replicates_without_a_test():
    a, b = np.array([[3.0], [4.0], [5.0]]), np.array([[1.0], [1.0], [1.0]])
    fits = fit_variances([[3.0, 4.0, 5.0], [1.0, 1.0, 1.0]])
    found = compare_pairs(a, b, np.ones(1), (fits[0], fits[1]))
    assert found.p is None
    assert found.interval == pytest.approx(t_interval([2.0, 3.0, 4.0]))
    alone = compare_pairs(a[:1], b[:1], np.ones(1), (fits[0], fits[1]))
    assert (alone.difference, alone.interval, alone.p) == (2.0, None, None)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bound", [0.9, 1.1])
def test_what_differs_by_the_margin_is_called_equivalent_in_five_percent_of_cases(sign, bound):
    rng, claimed = np.random.default_rng(0), 0
    for _ in range(300):
        x = scores(rng, 4, 3, 16)
        x[1] *= bound
        fits = fit_variances(list(x.mean(axis=2)))
        claimed += equivalence(sign * x[1], sign * x[0], np.ones(16), (fits[1], fits[0]), 0.1).p < 0.05
    assert claimed / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_what_differs_by_nothing_is_called_equivalent_if_the_error_is_small_and_not_if_it_is_large():
    rng = np.random.default_rng(0)
    close, far = (10 + s * rng.normal(size=(2, 3, 16)) for s in (0.5, 20))
    for x, equal in ((close, True), (far, False)):
        fits = fit_variances(list(x.mean(axis=2)))
        test = equivalence(x[0], x[1], np.ones(16), (fits[0], fits[1]), 0.1)
        assert (test is not None and test.p < 0.05) == equal


def test_a_share_of_a_score_that_may_be_zero_is_no_margin():
    x = np.random.default_rng(0).normal(size=(2, 1, 30))
    assert equivalence(x[0], x[1] - x[1].mean(), np.ones(30), (NO_LUCK, NO_LUCK), 0.1) is None


def test_as_many_fits_as_are_said_to_be_needed_find_the_difference_in_four_of_five():
    """A difference of one between simulators whose fits vary by one; the cases hardly matter."""
    x = 10 + np.zeros((2, 3, 50)) + 1e-3 * np.random.default_rng(0).normal(size=(2, 1, 50))
    x[0] += 1
    needed = fits_needed(contrast(x[0], x[1], np.ones(50), (normal(), normal())), 3, 0.05)
    assert 15 <= needed <= 18  # 2 (1.96 + 0.84)² = 15.7, and a little for Student's t
    rng, found = np.random.default_rng(1), 0
    for _ in range(300):
        y = 10 + rng.normal(size=(2, needed, 1)) + 1e-3 * rng.normal(size=(2, needed, 8))
        y[0] += 1
        found += compared(y).p < 0.05
    assert found / 300 == pytest.approx(0.8, abs=0.08)


def test_cases_are_said_to_decide_where_no_number_of_fits_would():
    d = np.array([[3.0, -3.0, 2.0, -2.0, 0.6, 0.2]] * 3)
    small = FitVariance(1e-4, 1e-4, 4, 4)
    assert fits_needed(contrast(d, 0 * d, np.ones(6), (small, NO_LUCK)), 3, 0.05) == np.inf
    assert fits_needed(contrast(d[:1], 0 * d[:1], np.ones(6), (small, NO_LUCK)), 1, 0.05) is None
    tiny = np.full((3, 6), 1e-3)
    assert fits_needed(contrast(tiny, 0 * tiny, np.ones(6), (normal(), normal())), 3, 0.05) == MOST


def test_the_t_interval_is_students():
    low, high = t_interval([1.0, 2.0, 3.0])
    assert (high - low) / 2 == pytest.approx(4.302652730 / np.sqrt(3))  # t with two degrees of freedom, s = 1
    assert (low + high) / 2 == pytest.approx(2)
    assert t_interval([1.0]) is None


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
        compare_pairs(a, np.ones((1, 3)), weights, (NO_LUCK, NO_LUCK))
