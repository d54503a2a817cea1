"""Metrics on distributions whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import nsbench_metrics
from nsbench.components.evidence import Cost, Evidence, Likelihood
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.bins import equal_bins
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.morphology import OBSERVABLES
from nsbench_metrics.elbo import ELBO, ELBOParams
from nsbench_metrics.ewd import EWD, EWDParams, bin_cells, ewd_interval, expected_wasserstein
from nsbench_metrics.shared.bootstrap import bootstrap_mean, estimate, mean
from nsbench_metrics.wall_clock import WallClock, WallClockParams

PACKAGE = Path(nsbench_metrics.__file__).parent

COST = Cost(ms_per_trajectory=6.0, batch=8, ms_per_trajectory_alone=9.0, threads=2, device="cpu")


def cases(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.35, 0.64, n), rng.normal(100, 10, (n, 2)), rng


def test_identical_samples_are_at_distance_zero():
    rho, sample, _ = cases()
    assert expected_wasserstein(rho, sample, sample) == pytest.approx(0, abs=1e-12)


def test_a_shift_is_its_own_length():
    rho, sample, _ = cases()
    assert expected_wasserstein(rho, sample, sample + np.array([3, 4])) == pytest.approx(5)


def test_a_shift_that_grows_with_rho_is_averaged_over_bins():
    rho = np.repeat(np.linspace(0, 1, 17)[:-1] + 1 / 32, 5)
    sample = np.random.default_rng(0).normal(size=(80, 2))
    shift = 10 * (np.arange(80) // 5)
    assert expected_wasserstein(rho, sample, sample + shift[:, None] * [1, 0]) == pytest.approx(75)


def test_the_order_of_either_side_within_a_bin_changes_nothing():
    rho, sample, rng = cases()
    other = sample + rng.normal(0, 5, sample.shape)
    shuffled = rng.permutation(len(rho))
    together = expected_wasserstein(rho[shuffled], sample[shuffled], other[shuffled])
    assert together == pytest.approx(expected_wasserstein(rho, sample, other))
    alone = rng.permutation(len(rho))
    one_bin = expected_wasserstein(rho, sample, other[alone], bins=1)
    assert one_bin == pytest.approx(expected_wasserstein(rho, sample, other, bins=1))


def test_symmetric_in_truth_and_simulator():
    rho, sample, rng = cases()
    other = sample + rng.normal(0, 5, sample.shape)
    assert expected_wasserstein(rho, sample, other) == pytest.approx(expected_wasserstein(rho, other, sample))


def test_on_a_line_it_is_scipys_wasserstein_distance():
    rho, sample, rng = cases()
    other = np.stack([rng.normal(120, 20, len(rho)), sample[:, 1] * 0], axis=1)
    sample[:, 1] = 0
    expected = wasserstein_distance(sample[:, 0], other[:, 0])
    assert expected_wasserstein(rho, sample, other, bins=1) == pytest.approx(expected)


def test_box_cox_bins_are_equal_in_the_transform_and_drop_the_largest():
    """Side by side: a shift by one site in the trajectories of one bin moves the mean over 16 bins by 1 / 16."""
    rho = np.linspace(0.35, 0.64, 2001)
    transformed = rho**3.83
    edges = np.linspace(transformed[0], transformed[-1], 17)
    sample = np.zeros((len(rho), 2))
    for k in (0, 7, 15):
        inside = (transformed >= edges[k]) & (transformed < edges[k + 1] - 1e-12)
        value = expected_wasserstein(rho, sample, sample + inside[:, None] * [1, 0], binning="boxcox")
        assert value == pytest.approx(1 / 16, rel=0.02)
        assert expected_wasserstein(rho, sample, sample + inside[:, None] * [1, 0]) != pytest.approx(1 / 16, rel=0.1)
    largest = (rho == rho[-1])[:, None] * np.array([1000, 0])
    assert expected_wasserstein(rho, sample, sample + largest, binning="boxcox") == 0
    assert expected_wasserstein(rho, sample, sample + largest) > 0


def test_box_cox_bins_need_positive_parameters_that_differ():
    for rho in (np.array([0.0, 1.0]), np.array([2.0, 2.0])):
        with pytest.raises(ValueError, match="a parameter > 0 of several values"):
            expected_wasserstein(rho, np.zeros((2, 1)), np.zeros((2, 1)), binning="boxcox")


def test_parameters_without_box_cox_bins_are_declined_with_the_reason():
    truth = growth()
    for params in (truth.params - 1, np.full_like(truth.params, 0.5)):
        other = replace(truth, params=params)
        with pytest.raises(NotApplicable, match="several values of rho, all above 0"):
            EWD(EWDParams(binning="boxcox")).score(Evidence(other, 1, COST), other, np.random.default_rng(0))


def test_the_largest_rho_is_in_the_last_bin_and_empty_bins_do_not_count():
    rho = np.array([0.0, 0.05, 1.0])
    sample = np.zeros((3, 2))
    cells = bin_cells(rho, sample, sample, 16)
    assert [cell.index.tolist() for cell in cells] == [[0, 1], [2]]
    assert cells[-1].high == 1.0
    other = sample + np.array([[0, 0], [0, 0], [8, 0]])
    assert expected_wasserstein(rho, sample, other) == pytest.approx(4)


def test_a_single_value_of_rho_is_one_bin():
    _, sample, _ = cases(10)
    assert expected_wasserstein(np.full(10, 0.5), sample, sample + np.array([1, 0])) == pytest.approx(1)


@pytest.mark.parametrize("broken", [np.zeros((3, 2)), np.full((4, 2), np.nan)])
def test_samples_that_do_not_fit_are_refused(broken):
    with pytest.raises(ValueError, match="must be"):
        expected_wasserstein(np.arange(4.0), np.zeros((4, 2)), broken)


def test_the_interval_holds_the_estimate_and_narrows_with_more_cases():
    widths = []
    for n in (100, 1600):
        rho, sample, rng = cases(n)
        cells = bin_cells(rho, sample, sample + rng.normal(0, 10, sample.shape), 8)
        low, high = ewd_interval(rho, cells, 60, rng)
        assert low < np.mean([cell.distance() for cell in cells]) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def growth(n=6, size=8, seed=0):
    rng = np.random.default_rng(seed)
    domain = Domain(
        "hexagonal-quadrant",
        (size, size),
        ("attached",),
        "growth",
        (Parameter("rho", 0, 1),),
        "rho",
        OBSERVABLES["quadrant"],
        stride=1,
    )
    arrival = rng.integers(-1, 5, (n, size, size)).astype(np.int32)
    arrival[:, 0, 0], arrival[:, 1, 1] = 0, 4
    return GrowthTrajectories(rng.uniform(size=(n, 1)), np.full(n, 5, np.int32), domain, arrival)


def test_ewd_of_the_truth_itself_is_zero_with_members_beside_each_other():
    truth = growth()
    twice = truth.select(np.repeat(np.arange(6), 2))
    score = EWD(EWDParams(bins=3, resamples=10)).score(Evidence(twice, 2, COST), truth, np.random.default_rng(0))
    assert score.value == pytest.approx(0, abs=1e-9)
    assert score.extras["bias_area"] == 0
    assert score.figure().startswith(b"\x89PNG")


def test_elbo_is_the_mean_and_scales_to_sites_and_bits():
    truth = growth()
    nats = -np.arange(24.0)
    evidence = Evidence(truth, 1, COST, Likelihood("elbo", nats, bounds={1: nats - 1, 16: nats}))
    score = ELBO(ELBOParams()).score(evidence, truth, np.random.default_rng(0))
    assert score.value == -11.5
    assert score.label == "L_16"
    assert score.extras["nats_per_site"] == pytest.approx(-11.5 / 64)
    assert score.extras["bits_per_site"] == pytest.approx(-11.5 / 64 / np.log(2))
    assert (score.extras["bound_1"], score.extras["bound_16"]) == (-12.5, -11.5)
    assert score.interval[0] < -11.5 < score.interval[1]


def test_bootstrap_of_a_gaussian_mean_is_the_normal_interval():
    values = np.random.default_rng(0).normal(5, 2, 4000)
    low, high = bootstrap_mean(values, np.arange(4000), 2000, np.random.default_rng(1))
    assert high - low == pytest.approx(2 * 1.96 * 2 / np.sqrt(4000), rel=0.1)


def test_bootstrap_by_group_is_wider_when_groups_agree_within():
    group = np.repeat(np.arange(40), 50)
    values = np.random.default_rng(0).normal(0, 1, 40)[group]
    own = bootstrap_mean(values, group, 500, np.random.default_rng(1))
    naive = bootstrap_mean(values, np.arange(2000), 500, np.random.default_rng(1))
    assert own[1] - own[0] > 4 * (naive[1] - naive[0])


def test_wall_clock_is_a_ratio_to_the_truth_and_leaves_out_what_is_not_known():
    cost = replace(COST, truth_ms_per_trajectory=2.0, parameters=10)
    score = WallClock(WallClockParams()).score(Evidence(growth(), 1, cost), growth(), np.random.default_rng(0))
    assert score.value == 6.0
    assert score.extras["ratio"] == 3.0
    assert score.extras["parameters"] == 10
    assert "flops" not in score.extras


def test_every_file_is_a_metric_of_its_name_that_holds_class_and_parameters():
    assert sorted(nsbench_metrics.METRICS) == sorted(p.stem for p in PACKAGE.glob("*.py") if p.stem != "__init__")
    for name, spec in zip(nsbench_metrics.METRICS, nsbench_metrics.nsbench_metrics(), strict=True):
        assert spec.name == name
        assert {text.partition(":")[0] for text in (spec.target, spec.params)} == {f"nsbench_metrics.{name}"}
        assert spec.summary


def test_equal_bins_hold_their_lower_edge_and_the_last_its_upper_one_too():
    edges, bin_of = equal_bins(np.array([0.0, 1.0, 2.5, 4.0, 3.0]), 4)
    assert edges.tolist() == [0, 1, 2, 3, 4]
    assert bin_of.tolist() == [0, 1, 2, 3, 3]


def test_an_estimate_is_the_statistic_of_every_ensemble_once_and_a_distance_is_centred_on_it():
    values = np.random.default_rng(0).normal(3, 1, 400)
    weights = np.arange(1, 401)
    value, (low, high) = estimate(mean(values, weights), 400, 200, np.random.default_rng(1))
    assert value == pytest.approx(np.average(values, weights=weights))
    assert low < value < high
    raised = lambda times: abs(values.mean()) + float((times > 1).mean())  # noqa: E731  (repetition alone raises it)
    value, (low, high) = estimate(raised, 400, 200, np.random.default_rng(1), distance=True)
    assert low < value < high


def test_distances_in_different_units_are_not_added():
    truth = growth()
    area, boundary = truth.domain.observables
    mixed = replace(truth, domain=replace(truth.domain, observables=(area, replace(boundary, unit="bonds"))))
    score = lambda **params: EWD(EWDParams(resamples=10, **params)).score(Evidence(mixed, 1, COST), mixed, generator)  # noqa: E731
    generator = np.random.default_rng(0)
    with pytest.raises(NotApplicable, match=r"different units cannot be averaged \(bonds, sites\): name some"):
        score()
    assert score(observables=["area", "boundary"]).unit == "std"
