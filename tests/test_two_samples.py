"""Metrics that ask whether the states of truths and of rollouts are samples of one law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kstest

import nsbench
from forecasts import evidence, gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_metrics.energy_score import energy_score
from nsbench_metrics.nearest_neighbour import nearest_neighbours, own_side, told_apart
from nsbench_metrics.shared.directions import random_directions
from nsbench_metrics.shared.norms import distances
from nsbench_metrics.sliced_energy import energy_distance_on_lines, length_per_projection, sliced_energy


def all_pairs(x, y):
    """The fair energy distance of float64[E, a, d] and float64[E, b, d], by the norms of all differences."""
    within = [distances(z, z).sum(axis=(1, 2)) / (z.shape[1] * (z.shape[1] - 1)) for z in (x, y)]
    return 2 * distances(x, y).mean(axis=(1, 2)) - within[0] - within[1]


def score(name, rollouts, truth, members=1, seed=0, **params):
    metric = nsbench.load("metric", name, **{"resamples": 20} | params)
    return metric.score(evidence(rollouts, members), truth, generator(seed))


def test_on_a_line_sorting_gives_the_sum_over_all_pairs():
    rng = generator()
    x, y = rng.normal(size=(5, 7)), rng.integers(0, 3, (5, 4)).astype(float)  # with ties
    expected = all_pairs(x[:, :, None], y[:, :, None])
    np.testing.assert_allclose(energy_distance_on_lines(x, y), expected, atol=1e-12)


@pytest.mark.parametrize(("dimension", "ratio"), [(1, 1.0), (2, np.pi / 2), (3, 2.0)])
def test_a_length_over_its_mean_projection_is_known_in_few_dimensions(dimension, ratio):
    assert length_per_projection(dimension) == pytest.approx(ratio)
    v = np.arange(1.0, dimension + 1)
    projected = np.abs(v @ random_directions(dimension, 100_000, generator())).mean()
    assert np.linalg.norm(v) / projected == pytest.approx(ratio, rel=0.01)


def test_a_length_over_its_mean_projection_grows_as_the_root_of_the_dimension():
    for dimension in (1024, 1 << 20):
        assert length_per_projection(dimension) == pytest.approx(np.sqrt(np.pi * dimension / 2), rel=1e-3)


@pytest.mark.parametrize("dimension", [2, 50])
def test_over_many_directions_it_is_the_energy_distance_of_the_norm(dimension):
    rng = generator(1)
    x, y = rng.normal(size=(1, 6, dimension)), 1.5 * rng.normal(size=(1, 9, dimension)) + 0.5
    sliced = sliced_energy(x, y, random_directions(dimension, 40_000, rng))
    assert sliced == pytest.approx(all_pairs(x, y), rel=0.02)


def test_samples_of_one_law_are_at_0_on_average_even_of_two():
    rng = generator(2)
    directions = random_directions(5, 16, rng)
    values = sliced_energy(rng.normal(size=(4000, 2, 5)), rng.normal(size=(4000, 3, 5)), directions)
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(4000)


def test_it_is_twice_the_energy_score_above_the_truths_own():
    rng = generator(3)
    truths, members = rng.normal(size=(3, 5, 4)), rng.normal(size=(3, 6, 4)) + 1
    own = distances(truths, truths).sum(axis=(1, 2)) / (5 * 4) / 2
    expected = 2 * (energy_score(truths, members).mean(axis=1) - own)
    sliced = sliced_energy(truths, members, random_directions(4, 60_000, rng))
    np.testing.assert_allclose(sliced, expected, rtol=0.03)


def test_a_point_mass_far_away_is_at_twice_its_distance():
    truths, members = np.zeros((1, 3, 2)), np.full((1, 4, 2), 3.0)
    far = sliced_energy(truths, members, random_directions(2, 40_000, generator()))
    assert far == pytest.approx(2 * np.hypot(3, 3), rel=0.01)


def sides_of(ensembles, truths, members):
    """Which of each ensemble's points are truths: the first."""
    return np.tile(np.arange(truths + members) < truths, (ensembles, 1))


def test_neighbours_by_hand_and_ties_are_shared():
    points = np.array([0.0, 1, 3, 3, 10])[None, :, None]
    expected = [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0.5, 0.5, 0]]
    np.testing.assert_allclose(nearest_neighbours(points)[0], expected)
    np.testing.assert_allclose(nearest_neighbours(points + 1e6), nearest_neighbours(points))


def test_points_that_are_all_equal_say_nothing():
    nearest = nearest_neighbours(np.ones((2, 7, 3)))
    np.testing.assert_allclose(own_side(nearest, sides_of(2, 3, 4)), 0, atol=1e-12)


@pytest.mark.parametrize(("truths", "members"), [(2, 2), (3, 11), (8, 1)])
@pytest.mark.parametrize("draw", ["normal", "binary"])
def test_of_one_law_nobody_is_told_apart_whatever_the_numbers_and_ties(draw, truths, members):
    rng = generator(4)
    shape = (6000, truths + members, 3)
    points = rng.normal(size=shape) if draw == "normal" else rng.integers(0, 2, shape).astype(float)
    sides = own_side(nearest_neighbours(points), sides_of(6000, truths, members))
    assert (np.abs(sides.mean(axis=0)) < 4 * sides.std(axis=0) / np.sqrt(6000) + 1e-12).all()


def test_sides_that_lie_apart_have_no_neighbour_over_there():
    points = generator(5).normal(size=(4, 9, 2))
    points[:, :4] += 1e3
    np.testing.assert_allclose(own_side(nearest_neighbours(points), sides_of(4, 4, 5)), 1)


def test_the_signs_say_which_way_it_is_off():
    rng, dimension = generator(6), 20
    truths = rng.normal(size=(200, 8, dimension))
    others = {
        (1, 1): rng.normal(size=truths.shape) + 1,
        (-1, 1): 0.3 * rng.normal(size=truths.shape),
        (1, -1): 2 * rng.normal(size=truths.shape),
        (-1, -1): truths + 0.01 * rng.normal(size=truths.shape),
    }
    for signs, members in others.items():
        points = np.concatenate([truths, members], axis=1)
        sides = own_side(nearest_neighbours(points), sides_of(200, 8, 8))
        assert tuple(np.sign(sides.mean(axis=0))) == signs
        assert told_apart(sides) > 0.3


def ensembles_of(repeats, number, rng, frames=2, shift=0.0, scale=1.0):
    """So many ensembles of one law: Gaussian fields that never change after the first frame."""
    fields = gaussian_fields(np.full(repeats * number, shift), rng, frames=2, scale=scale)
    values = fields.values[:, [0] + [1] * (frames - 1)]
    rates = np.repeat(np.arange(float(number)), repeats)[:, None]
    return FieldTrajectories(rates, np.full(len(rates), frames, np.int32), fields.domain, values)


def test_p_values_of_one_law_are_uniform_though_lead_times_depend_on_each_other():
    found = []
    for seed in range(60):
        truth, rolled = (ensembles_of(4, 4, generator([seed, side]), frames=4) for side in (1, 2))
        found.append(score("nearest_neighbour", rolled, truth, permutations=39).extras["p_value"])
    assert kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", ["sliced_energy", "nearest_neighbour"])
@pytest.mark.parametrize("law", [{}, {"shift": 0.5}, {"scale": 0.6}], ids=["the truth's", "shifted", "narrow"])
def test_the_interval_covers_what_infinitely_many_ensembles_score(name, law):
    expected, hits, params = 0.0, 0, {"permutations": 39} if name == "nearest_neighbour" else {}
    if law:
        truth, rolled = ensembles_of(4, 3000, generator(1)), ensembles_of(4, 3000, generator(2), **law)
        expected = score(name, rolled, truth, **params).value
    for seed in range(100):
        truth, rolled = ensembles_of(4, 12, generator([seed, 1])), ensembles_of(4, 12, generator([seed, 2]), **law)
        low, high = score(name, rolled, truth, **params | {"resamples": 100}).interval
        hits += low <= expected <= high
    assert 87 <= hits <= 100  # 95 expected, ± 2.2


def test_a_simulator_that_returns_the_truths_is_found_out_and_one_that_huddles_too():
    rates = np.repeat(np.linspace(0.1, 0.5, 6), 6)
    truth, redrawn = (gaussian_fields(rates, generator(k)) for k in (1, 2))
    of_truth = score("nearest_neighbour", redrawn, truth)
    assert of_truth.value < 0.2
    assert of_truth.extras["p_value"] > 0.01
    copied = score("nearest_neighbour", truth, truth)
    assert max(copied.extras["t"], copied.extras["m"]) < -0.5
    huddled = score("nearest_neighbour", gaussian_fields(rates, generator(3), scale=0.1), truth)
    assert huddled.extras["t"] < 0 < huddled.extras["m"]
    assert huddled.extras["p_value"] < 0.05
    for found in (of_truth, copied, huddled):
        assert found.items.mean() == pytest.approx(found.value)
        assert found.value == pytest.approx((abs(found.extras["t"]) + abs(found.extras["m"])) / 2)


@pytest.mark.parametrize("make", [growth_maps, label_maps, gaussian_fields])
@pytest.mark.parametrize(
    ("name", "params"),
    [("sliced_energy", {}), ("nearest_neighbour", {}), ("nearest_neighbour", {"space": "observables"})],
)
def test_all_kinds_of_states_are_scored_whatever_the_sizes_of_ensembles(name, params, make):
    rates = np.repeat([0.2, 0.4, 0.6, 0.8, 0.9], [3, 4, 4, 3, 4])
    truth, redrawn = make(rates, generator(1)), make(np.repeat(rates, 2), generator(2))
    confused = make(np.repeat(rates[::-1], 2), generator(3))
    good = score(name, redrawn, truth, 2, **params)
    assert good.value < score(name, confused, truth, 2, **params).value / 2
    assert good.label == "6 to 8 members"
    assert good.interval[0] <= good.value <= good.interval[1]


@pytest.mark.parametrize("name", ["sliced_energy", "nearest_neighbour"])
def test_a_single_truth_or_member_is_declined(name):
    truth = growth_maps([0.2, 0.5], generator())
    with pytest.raises(NotApplicable, match="at least 2 members"):
        score(name, truth, truth)
    with pytest.raises(NotApplicable, match="at least 2 truths"):
        score(name, truth.select(np.repeat(np.arange(2), 3)), truth, 3)


def test_ties_among_labels_are_no_accident_of_rounding():
    """√½ in place of 1: squared distances are whole numbers, but for rounding, and which label is which is no matter."""
    rates = np.repeat([0.1, 0.2, 0.3, 0.4], 6)
    truth, rolled = (label_maps(rates, generator(k), size=3) for k in (1, 2))
    plain = score("nearest_neighbour", rolled, truth)
    others = np.array([2, 0, 1], np.uint8)
    renamed = [replace(t, labels=others[t.labels]) for t in (rolled, truth)]
    np.testing.assert_allclose(score("nearest_neighbour", *renamed).items, plain.items, atol=1e-12)
