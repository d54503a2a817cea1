"""The headline: unbiased, in the order that the construction of simulators demands, and split into its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecasts import evidence, gaussian_fields, generator, growth_maps, label_maps
from lookup import energy_distance as plain_energy_distance
from nsbench.components.intervals import skewed_interval
from nsbench.components.metric import NotApplicable
from nsbench_metrics.energy_distance import (
    PARTS,
    EnergyDistance,
    EnergyDistanceParams,
    energy_distance,
    energy_parts,
    lead_times,
    units,
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


@pytest.mark.parametrize("varied", [False, True], ids=["equal spreads", "spreads from 1 to 10"])
@pytest.mark.parametrize(("truths", "members"), [(2, 2), (3, 3), (4, 4), (8, 8), (2, 8), (8, 3), (4, 16)])
def test_so_is_each_of_its_parts_whatever_the_sizes_and_spreads_of_ensembles(truths, members, varied):
    rng = np.random.default_rng([truths, members, 1])
    spread = 10 ** rng.random((ENSEMBLES, 1, 1)) if varied else 1.0
    sides = spread * normal(rng, truths), spread * normal(rng, members)
    unit = within_deviations(sides[:1])
    means, errors = parts_of(sides[0] / unit, sides[1] / unit)
    assert (np.abs(means) < 3.5 * errors + 2e-3).all()


def test_parts_are_those_of_the_truth_shifted_and_stretched_where_many_are_drawn():
    """The definitions, by two large samples, hold at eight truths and members: mean, spread and correlation are off."""
    rng = np.random.default_rng(11)
    wrong = {"mean": 0.6, "spread": 1.5, "correlation": 0.7}
    x, y = (normal(rng, 2500, ensembles=1, **law) for law in ({}, wrong))
    shifted, stretched = (normal(rng, 2500, ensembles=1, mean=0.6, spread=spread) for spread in (1.0, 1.5))
    bias, both, total = (energy_distance(x, other).item() for other in (shifted, stretched, y))
    means, errors = parts_of(normal(rng, 8), normal(rng, 8, **wrong))
    np.testing.assert_allclose(means, [bias, both - bias, total - both], atol=0.05)
    assert errors.max() < 0.02


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


def test_by_lead_time_the_distance_is_that_of_the_frame_alone_and_the_sum_of_its_parts():
    rates = np.repeat(np.linspace(0.2, 0.6, 16), 8)
    truth, simulated = growth_maps(rates, generator(1)), growth_maps(rates * 1.2, generator(2))
    curves = EnergyDistance(EnergyDistanceParams()).score(evidence(simulated), truth, generator()).by_lead
    np.testing.assert_allclose(sum(curves[part] for part in PARTS), curves["value"], atol=1e-12)
    for lead in (1, len(curves["value"])):
        alone = EnergyDistance(EnergyDistanceParams(leads=[lead])).score(evidence(simulated), truth, generator())
        assert curves["value"][lead - 1] == pytest.approx(alone.value, abs=1e-12)
        assert curves["spread"][lead - 1] == pytest.approx(alone.extras["spread"], abs=1e-12)


def off_by_a_percent(scale):
    """The score of a simulator whose one number is off by 1 % of what it varies among cases; its deviation there."""
    rates = np.repeat(np.linspace(0.2, 0.6, 8), 4)
    truth, off = (gaussian_fields(rates + shift, generator(1), scale=scale) for shift in (0.0, 0.01 * rates.std()))
    metric = EnergyDistance(EnergyDistanceParams(leads=[1], observables=["total"]))
    return metric.score(evidence(off), truth, generator())


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-7, 1e-5])
def test_a_number_that_hardly_varies_within_ensembles_counts_in_its_deviation_over_all(scale):
    score = off_by_a_percent(scale)
    assert score.value == pytest.approx(0.02, rel=0.02)  # 2 |δ|
    assert score.extras["exact"] == 1


def test_a_number_that_varies_counts_in_its_deviation_within_ensembles():
    score = off_by_a_percent(1e-3)
    assert score.extras["exact"] == 0
    assert score.value > 1


def test_units_of_numbers_that_are_the_same_in_all_truths():
    """At one lead time, the deviation over all lead times; always, their own unit."""
    cases = [np.arange(40).reshape(10, 4)]
    truth = np.zeros((40, 2, 2))
    truth[:, 1, 0] = np.repeat(np.arange(10.0), 4)
    truth[:, :, 1] = 7.0
    found, exact = units(truth, cases)
    assert exact.all()
    np.testing.assert_allclose(found[:, 0], [truth[:, :, 0].std(), truth[:, 1, 0].std()])
    np.testing.assert_allclose(found[:, 1], 1.0)


def test_units_and_zeros_of_observables_change_nothing():
    rates = np.repeat(np.linspace(0.2, 0.6, 8), 4)
    truth, other = gaussian_fields(rates, generator(1)), gaussian_fields(rates * 1.3, generator(2))
    metric = EnergyDistance(EnergyDistanceParams())
    plain, converted = (
        metric.score(evidence(convert(other)), convert(truth), generator())
        for convert in (lambda t: t, in_another_unit)
    )
    np.testing.assert_allclose(converted.items, plain.items, rtol=1e-6)
    assert converted.extras == pytest.approx(plain.extras, abs=1e-6)


def in_another_unit(trajectories):
    """The same with the second observable times −250, and 3,000 added."""
    first, second = trajectories.domain.observables
    other = replace(second, unit="mK", function=lambda state: 3000.0 - 250.0 * second.function(state))
    return replace(trajectories, domain=replace(trajectories.domain, observables=(first, other)))


def test_ensembles_of_several_sizes_are_weighed_by_truths_and_do_not_widen_the_interval():
    metric = EnergyDistance(EnergyDistanceParams())
    values, weights = 10.0 + generator().normal(0, 0.1, 8), np.array([2, 16] * 4)
    value, (low, high) = metric.estimate(values, weights, generator())
    assert value == pytest.approx(np.average(values, weights=weights))
    assert low < value < high
    assert high - low < 0.4
    assert metric.estimate(values, np.full(8, 4), generator())[1] == pytest.approx(skewed_interval(values))


def test_one_truth_or_one_member_is_too_few():
    truth = growth_maps([0.2, 0.3, 0.4], generator())
    metric = EnergyDistance(EnergyDistanceParams())
    with pytest.raises(NotApplicable, match="at least 2 members"):
        metric.score(evidence(truth), truth, generator())
    twice = truth.select(np.repeat(np.arange(3), 2))
    with pytest.raises(NotApplicable, match="at least 2 truths"):
        metric.score(evidence(twice, 2), truth, generator())
