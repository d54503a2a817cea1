"""Calibration: what is drawn from one distribution is calibrated, whatever the number of members."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from forecasts import evidence, gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.metric import NotApplicable
from nsbench_metrics.coverage import Coverage, CoverageParams, central_coverage
from nsbench_metrics.rank_histogram import RankHistogram, RankHistogramParams, chi_square, flatness, rank_counts
from nsbench_metrics.reliability import ReliabilityDiagram, ReliabilityParams
from nsbench_metrics.shared.ranks import pool_order, truth_ranks
from nsbench_metrics.shared.reliability_table import reliability_counts, reliability_table
from nsbench_metrics.spread_skill import (
    SpreadSkill,
    SpreadSkillParams,
    off_balance,
    spread_and_error,
    spread_skill_ratio,
)


def drawn(members, scale=1.0, cases=4000, seed=0):
    rng = generator(seed)
    return rng.normal(size=(cases, 1, 1, 1)), scale * rng.normal(size=(cases, members, 1, 1))


def ranks_of(truths, members, rng):
    g, m = truths.shape[1], members.shape[1]
    return truth_ranks(pool_order(truths, members, rng), np.tile(np.arange(g + m) < g, (len(truths), 1)))


@pytest.mark.parametrize("members", [2, 5, 40])
def test_spread_equals_error_for_any_number_of_members(members):
    ratio = spread_skill_ratio(*spread_and_error(*drawn(members)))
    assert ratio[0] == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_spread_over_error_of_a_wrong_width_is_its_closed_form(scale):
    members = 10
    ratio = spread_skill_ratio(*spread_and_error(*drawn(members, scale)))[0]
    expected = scale * np.sqrt((1 + 1 / members) / (1 + scale**2 / members))
    assert ratio == pytest.approx(expected, rel=0.05)


def test_no_spread_is_half_of_nothing_and_no_error_either_is_calibrated():
    same = np.zeros((3, 2, 4, 1))
    assert spread_skill_ratio(*spread_and_error(same, same))[0] == 1
    assert off_balance(spread_skill_ratio(*spread_and_error(same + 1, same))) == 1
    assert off_balance(np.array([2.0, 0.5, np.inf])) == pytest.approx(2 / 3)


def test_ranks_by_hand():
    truths, members = np.array([[2.5, 0.0]]), np.array([[1.0, 2.0, 3.0]])
    assert ranks_of(truths, members, generator()).tolist() == [[2, 0]]


def test_ties_are_broken_evenly():
    ranks = ranks_of(np.zeros((9000, 1)), np.zeros((9000, 2)), generator())
    np.testing.assert_allclose(rank_counts(ranks, 2) / 9000, 1 / 3, atol=0.02)


def test_ranks_of_exchangeable_truths_are_flat_and_their_p_values_uniform():
    rng = generator(1)
    values = []
    for _ in range(200):
        counts = rank_counts(ranks_of(rng.normal(size=(100, 1)), rng.normal(size=(100, 4)), rng), 4)
        values.append(chi_square(counts)[1])
    assert 0.4 < np.mean(values) < 0.6
    assert np.mean(np.array(values) < 0.1) == pytest.approx(0.1, abs=0.07)


def test_chi_square_is_scipys_and_flatness_runs_from_0_to_2():
    counts = np.array([10.0, 20.0, 30.0])
    assert chi_square(counts) == (chisquare(counts).statistic, chisquare(counts).pvalue)
    assert flatness(np.ones(5)) == 0
    assert flatness(np.array([7.0, 0, 0, 0])) == pytest.approx(1.5)


@pytest.mark.parametrize("members", [4, 9])
def test_coverage_of_exchangeable_truths_is_nominal(members):
    truths, simulated = drawn(members)
    nominal, actual = central_coverage(ranks_of(truths, simulated, generator()), members)
    assert nominal[0] == pytest.approx((members - 1) / (members + 1))
    np.testing.assert_allclose(actual, nominal, atol=0.03)


def test_too_narrow_ensembles_cover_too_little():
    truths, simulated = drawn(9, scale=0.3)
    nominal, actual = central_coverage(ranks_of(truths, simulated, generator()), 9)
    assert np.all(actual < nominal - 0.05)


def test_frequencies_of_events_drawn_with_their_probability_are_on_the_diagonal():
    rng = generator(2)
    p = rng.integers(0, 5, (1, 1, 200, 200)) / 4
    members = (np.arange(4)[:, None, None] < 4 * p[0]).astype(float)[None]  # exactly p of the members
    table = reliability_table(reliability_counts(rng.random((1, 30, 200, 200)) < p, members))
    np.testing.assert_allclose(table.frequency(), table.said, atol=0.005)


METRICS = [
    SpreadSkill(SpreadSkillParams(resamples=20)),
    RankHistogram(RankHistogramParams(permutations=99)),
    Coverage(CoverageParams(resamples=20)),
    ReliabilityDiagram(ReliabilityParams(resamples=20)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("make", [growth_maps, label_maps, gaussian_fields])
def test_the_truth_redrawn_is_better_calibrated_than_a_collapsed_one(metric, make):
    rates = np.repeat(np.linspace(0.1, 0.6, 12), 6)
    truth, other = make(rates, generator(1)), make(rates, generator(2))
    collapsed = other.select(np.repeat(np.arange(0, 72, 6), 6))
    own, worse = (metric.score(evidence(r), truth, generator()) for r in (other, collapsed))
    assert own.value < worse.value / 2
    assert own.label == "6 members"


def test_the_permutation_p_value_forgives_truths_that_share_an_ensemble():
    rates = np.repeat(np.linspace(0.1, 0.6, 20), 5)
    metric = RankHistogram(RankHistogramParams(permutations=39))
    found = []
    for seed in range(15):
        truth, other = growth_maps(rates, generator(seed)), growth_maps(rates, generator(100 + seed))
        found.append(metric.score(evidence(other), truth, generator(seed)).extras["p_value"])
    assert 0.3 < np.mean(found) < 0.7
    assert min(found) >= 1 / 40


def test_ranks_of_ensembles_of_two_sizes_are_declined():
    truth = growth_maps([0.2, 0.2, 0.5, 0.5, 0.5], generator())
    with pytest.raises(NotApplicable, match="one size"):
        METRICS[1].score(evidence(truth), truth, generator())
