"""The headline: unbiased, in the order that the construction of simulators demands, and split into its parts."""

from __future__ import annotations

import numpy as np
import pytest

from forecasts import evidence, gaussian_fields, generator, growth_maps, label_maps
from lookup import energy_distance as plain_energy_distance
from nsbench.components.intervals import skewed_interval
from nsbench.components.metric import NotApplicable
from nsbench_metrics.energy_distance import (
    EnergyDistance,
    EnergyDistanceParams,
    energy_distance,
    energy_parts,
    lead_times,
    within_deviations,
)

ENSEMBLES = 4000


def normal(rng, n, *, mean=0.0, spread=1.0, correlation=0.0, components=5, ensembles=ENSEMBLES):
    own, common = rng.normal(size=(ensembles, n, components)), rng.normal(size=(ensembles, n, 1))
    return mean + spread * (np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common)


def parts_of(truths, members):
    """The mean of the distance, of its parts, and the standard errors of these."""
    values = energy_parts(truths, members, within_deviations([members]) / within_deviations([truths]))
    np.testing.assert_allclose(values.sum(axis=1), energy_distance(truths, members), atol=1e-10)
    return values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))


@pytest.mark.parametrize(("truths", "members"), [(2, 2), (4, 4), (8, 8), (8, 3), (2, 8), (3, 24)])
def test_the_truth_against_itself_is_zero_in_expectation(truths, members):
    rng = np.random.default_rng([truths, members])
    distance = energy_distance(normal(rng, truths), normal(rng, members))
    assert abs(distance.mean()) < 3.5 * distance.std() / np.sqrt(ENSEMBLES)


@pytest.mark.parametrize(("truths", "members"), [(2, 2), (4, 4), (8, 8), (2, 8)])
def test_so_is_each_of_its_parts(truths, members):
    rng = np.random.default_rng([truths, members, 1])
    means, errors = parts_of(normal(rng, truths), normal(rng, members))
    assert (np.abs(means) < 3.5 * errors + 1e-3).all()


def test_the_distance_of_two_normal_numbers_has_its_closed_form():
    """E|N(m, s²)| = s √(2/π) exp(−m²/2s²) + m erf(m / s√2)."""
    from scipy.special import erf

    def length(m, s):
        return s * np.sqrt(2 / np.pi) * np.exp(-(m**2) / (2 * s**2)) + m * erf(m / (s * np.sqrt(2)))

    rng = np.random.default_rng(3)
    found = energy_distance(normal(rng, 8, components=1), normal(rng, 6, components=1, mean=0.7, spread=1.6))
    expected = 2 * length(0.7, np.hypot(1, 1.6)) - length(0, np.sqrt(2)) - length(0, 1.6 * np.sqrt(2))
    assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(ENSEMBLES))


@pytest.mark.parametrize(
    ("members", "part"),
    [
        ({"mean": 0.5}, 0),
        ({"mean": 3.0}, 0),
        ({"spread": 0.5}, 1),
        ({"spread": 2.0}, 1),
        ({"spread": 1e-6}, 1),
        ({"correlation": 0.8}, 2),
    ],
)
def test_what_differs_in_one_way_has_its_distance_in_that_part(members, part):
    rng = np.random.default_rng(part)
    means, _ = parts_of(normal(rng, 8), normal(rng, 8, **members))
    assert means[part] == pytest.approx(means.sum(), rel=0.08, abs=0.03)
    assert np.abs(np.delete(means, part)).max() < 0.03 + 0.03 * means.sum()


def test_the_number_of_a_dependence_that_was_lost():
    rng = np.random.default_rng(5)
    means, _ = parts_of(normal(rng, 8, correlation=0.8), normal(rng, 8))
    assert means[2] == pytest.approx(means.sum(), rel=0.1)
    assert means[2] > 0.1


def test_members_have_no_order():
    rng = np.random.default_rng(6)
    truths, members = normal(rng, 6, ensembles=5), normal(rng, 7, mean=0.3, ensembles=5)
    shuffled = members[:, rng.permutation(7)]
    np.testing.assert_allclose(energy_distance(truths, members), energy_distance(truths, shuffled))


def test_the_metric_is_the_plain_function_of_the_tests():
    """Frames and units as tests/lookup.py has them."""
    rates = np.repeat(np.linspace(0.1, 0.4, 9), 6)
    truth, simulated = growth_maps(rates, generator(1)), growth_maps(rates * 1.2, generator(2))
    metric = EnergyDistance(EnergyDistanceParams(leads=[1, 3, 5], observables=["total"]))
    truth_alone = plain_energy_distance(only_total(truth), only_total(simulated), [1, 3, 5])
    score = metric.score(evidence(simulated), truth, generator(3))
    assert score.value == pytest.approx(truth_alone.mean, rel=1e-9)
    assert score.items.mean() == pytest.approx(score.value)
    assert score.extras["bias"] + score.extras["spread"] + score.extras["dependence"] == pytest.approx(score.value)


def only_total(trajectories):
    from dataclasses import replace

    domain = trajectories.domain
    return replace(trajectories, domain=replace(domain, observables=domain.observables[:1]))


@pytest.mark.parametrize("make", [growth_maps, label_maps, gaussian_fields])
def test_states_of_every_kind_are_described_by_their_observables(make):
    rates = np.repeat(np.linspace(0.2, 0.6, 32), 8)
    truth, redrawn, other = make(rates, generator(1)), make(rates, generator(2)), make(rates * 1.5, generator(3))
    metric = EnergyDistance(EnergyDistanceParams())
    own, wrong = (metric.score(evidence(r), truth, generator(4)) for r in (redrawn, other))
    assert own.interval[0] < 0 < own.interval[1]
    assert wrong.interval[0] > own.interval[1]
    assert wrong.extras["bias"] > 0.5 * wrong.value


def test_simulators_built_to_fail_are_ranked_as_their_construction_demands():
    rng = np.random.default_rng(9)
    truths = normal(rng, 8, correlation=0.6)
    centre = rng.normal(size=(ENSEMBLES, 64, 5))
    medoid = np.repeat(centre[:, :1] * 0.2, 8, axis=1)  # one state near the middle for all members
    order = {
        "the truth": normal(rng, 8, correlation=0.6),
        "its dependence broken": normal(rng, 8),
        "half its spread": normal(rng, 8, spread=0.5, correlation=0.6),
        "one state": medoid,
        "far off": normal(rng, 8, mean=3.0, correlation=0.6),
    }
    distances = {name: energy_distance(truths, members).mean() for name, members in order.items()}
    assert sorted(distances, key=distances.get) == list(order)


@pytest.mark.parametrize("components", [2, 5, 10])
@pytest.mark.parametrize("off", [0.0, 0.6])
def test_the_interval_covers_95_percent(components, off):
    """Means that are off by other amounts in other ensembles; distances of few components are the most skewed."""
    rng = np.random.default_rng([components, int(10 * off)])
    sides = [normal(rng, 8, components=components, ensembles=6000) for _ in range(2)]
    pool = energy_distance(sides[0], sides[1] + off * rng.normal(size=(6000, 1, components)))
    for ensembles in (4, 8, 16, 64):
        intervals = np.array([skewed_interval(values) for values in rng.choice(pool, (2000, ensembles))])
        covered = (intervals[:, 0] <= pool.mean()) & (pool.mean() <= intervals[:, 1])
        assert 0.925 <= covered.mean() <= 0.972


def test_lead_times_end_where_half_of_the_truths_have():
    truth = growth_maps(np.full(9, 0.2), generator(), frames=21)
    np.testing.assert_array_equal(lead_times(truth, 20, 5), [4, 8, 12, 16, 20])
    np.testing.assert_array_equal(lead_times(truth, 20, 40), np.arange(1, 21))
    np.testing.assert_array_equal(lead_times(truth, 20, [7, 3, 7]), [3, 7])
    with pytest.raises(NotApplicable, match="no truth lasts to lead 21; the longest has 20 frames"):
        lead_times(truth, 20, [21])


def test_a_number_that_never_varies_within_an_ensemble_counts_in_its_deviation_over_all():
    rates = np.repeat(np.linspace(0.2, 0.6, 8), 4)
    truth = gaussian_fields(rates, generator(1), scale=0.0)
    metric = EnergyDistance(EnergyDistanceParams(leads=[1]))
    exact = metric.score(evidence(truth), truth, generator())
    assert exact.value == pytest.approx(0, abs=1e-9)
    assert exact.extras["exact"] == 2
    deviation = truth.domain.observe(truth.frame(1)).std(axis=0)
    off = gaussian_fields(rates + 0.1, generator(1), scale=0.0)
    shift = (off.domain.observe(off.frame(1)) - truth.domain.observe(truth.frame(1)))[0] / deviation
    assert metric.score(evidence(off), truth, generator()).value == pytest.approx(2 * np.linalg.norm(shift), rel=1e-4)


def test_one_truth_or_one_member_is_too_few():
    truth = growth_maps([0.2, 0.3, 0.4], generator())
    metric = EnergyDistance(EnergyDistanceParams())
    with pytest.raises(NotApplicable, match="at least 2"):
        metric.score(evidence(truth), truth, generator())
