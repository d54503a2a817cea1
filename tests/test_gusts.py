"""Gusts: the law of a step can be summed over all next states, and the kernel draws from it."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from math import comb, exp, expm1, log
from pathlib import Path

import numba
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from lookup import energy_distance, looked_up

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain_gusts as plain

from nsbench.suite.reading import read_suite
from nsbench.trajectories.lattices import OFFSETS
from nsbench_gusts import dataset as gusts_dataset
from nsbench_gusts.dataset import GustsDataset
from nsbench_gusts.growth import draw_starts, grow, stream
from nsbench_gusts.law import COUNTS, DIRECTIONS, SITUATION, hazards, survival
from nsbench_gusts.likelihood import factorised_log_likelihood, log_likelihood
from nsbench_gusts.observables import OBSERVABLES
from nsbench_gusts.params import DatasetParams, SimulatorParams
from nsbench_gusts.rules import random_word
from nsbench_gusts.simulator import GustsSimulator

OBSERVE = {o.name: o.function for o in OBSERVABLES}
SITE = np.zeros((3, 3), bool)
SITE[1, 1] = True
"""One attached site and its six neighbours; the two corners beside none of them stay as they are."""

CORNER = np.zeros((4, 4), bool)
CORNER[0, :2] = CORNER[1, 1] = CORNER[3, 3] = True
"""Sites at the edge and in the middle."""


def angle(i, j):
    return np.arctan2(j * np.sqrt(3) / 2, i - j / 2)


def hazard(attached, i, j, rate, strength, wind):
    """The hazard −log(1 − p) of one site to attach, by a loop over its neighbours."""
    total = 0.0
    for a, b in OFFSETS["hexagonal"]:
        if 0 <= i + a < attached.shape[0] and 0 <= j + b < attached.shape[1] and attached[i + a, j + b]:
            total += rate * exp(strength * np.cos(angle(a, b) - wind))
    return total


def probability(attached, grown, rate, strength):
    """p(x' | x), by loops over winds and sites."""
    if (attached & ~grown).any():
        return 0.0
    total = 0.0
    for wind in (angle(*offset) for offset in OFFSETS["hexagonal"]):
        each = 1.0
        for i, j in np.argwhere(~attached):
            h = hazard(attached, i, j, rate, strength, wind)
            each *= -expm1(-h) if grown[i, j] else exp(-h)
        total += each / 6
    return total


def next_states(attached):
    """All states that may follow one, bool[2^m, H, W]: every subset of the unattached sites attaches."""
    free = np.argwhere(~attached)
    states = np.repeat(attached[None], 2 ** len(free), axis=0)
    states[:, free[:, 0], free[:, 1]] = np.array(list(product((False, True), repeat=len(free))))
    return states


def nats(law, attached, states, rate, strength):
    n = len(states)
    return law(np.repeat(attached[None], n, axis=0), states, np.full(n, rate), np.full(n, strength))


def gap(attached, rate, strength):
    """KL(law ‖ product of its marginals), nats, by enumeration."""
    states = next_states(attached)
    law = nats(log_likelihood, attached, states, rate, strength)
    sites = nats(factorised_log_likelihood, attached, states, rate, strength)
    possible = law > -np.inf
    return float((np.exp(law[possible]) * (law[possible] - sites[possible])).sum())


def sampled(attached, rate, strength, count, noise="gusts", seed=0):
    """The states after one step of the kernel, bool[count, H, W]."""
    starts = np.repeat(attached[None], count, axis=0)
    return grow(starts, np.full(count, rate), np.full(count, strength), steps=1, seed=seed, noise=noise) >= 0


def turned(states):
    """States bool[n, 2R + 1, 2R + 1] turned by 60° about the centre: the site (i, j) goes to (i − j, i)."""
    reach = states.shape[1] // 2
    i, j = np.indices(states.shape[1:]) - reach
    inside = abs(i - j) <= reach
    images = np.zeros_like(states)
    images[:, (i - j)[inside] + reach, i[inside] + reach] = states[:, inside]
    return images


def hexagon(reach, count, seed=0):
    """Random states inside a hexagon, with a rim of nothing around it, bool[count, ., .]."""
    i, j = np.indices((2 * reach + 3,) * 2) - reach - 1
    inside = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) <= reach
    return (np.random.default_rng(seed).random((count, *inside.shape)) < 0.3) & inside


def test_directions_are_the_lattices_own_each_turned_by_60_degrees():
    assert set(DIRECTIONS) == set(OFFSETS["hexagonal"])
    steps = np.diff(np.unwrap([angle(*d) for d in DIRECTIONS]))
    np.testing.assert_allclose(steps, np.pi / 3)


def test_a_wind_tells_36_situations_apart():
    """Of the neighbours with a cosine of 1, ½, −½ and −1 there are 1, 2, 2 and 1."""
    assert len(COUNTS) == 2 * 3 * 3 * 2
    times = np.bincount(SITUATION[0], minlength=36)
    assert times.tolist() == [
        int(np.prod([comb(n, int(c)) for n, c in zip((1, 2, 2, 1), row, strict=True)])) for row in COUNTS
    ]


@pytest.mark.parametrize("law", [log_likelihood, factorised_log_likelihood])
@pytest.mark.parametrize(("rate", "strength"), [(0.3, 0.0), (0.05, 2.0), (0.4, 4.0)])
def test_the_chances_of_all_next_states_sum_to_one(law, rate, strength):
    for attached in (SITE, CORNER):
        total = np.exp(nats(law, attached, next_states(attached), rate, strength)).sum()
        assert total == pytest.approx(1, abs=1e-12)


def test_the_likelihood_is_what_loops_over_winds_and_sites_give():
    rng = np.random.default_rng(0)
    attached = rng.random((40, 4, 5)) < 0.3
    grown = attached | (rng.random(attached.shape) < 0.3)
    rate, strength = rng.uniform(0.01, 1, 40), rng.uniform(0, 4, 40)
    expected = [probability(*case) for case in zip(attached, grown, rate, strength, strict=True)]
    np.testing.assert_allclose(np.exp(log_likelihood(attached, grown, rate, strength)), expected, rtol=1e-12)
    assert sum(p == 0 for p in expected) > 3  # a site without an attached neighbour
    assert sum(p > 0 for p in expected) > 3


def test_a_site_that_melts_is_impossible():
    molten = CORNER & ~np.eye(4, dtype=bool)
    for law in (log_likelihood, factorised_log_likelihood):
        assert nats(law, CORNER, molten[None], 0.1, 1.0) == -np.inf


def test_certain_attachment_has_a_finite_likelihood():
    """1 − p of a hazard of 6 e^9 is 0 in float64; its logarithm is not."""
    assert np.isfinite(nats(log_likelihood, SITE, SITE[None], 6.0, 9.0)).all()


@pytest.mark.parametrize(("noise", "law"), [("gusts", log_likelihood), ("sites", factorised_log_likelihood)])
def test_the_kernel_draws_next_states_as_often_as_the_likelihood_says(noise, law):
    count = 100_000
    drawn = sampled(SITE, 0.15, 1.5, count, noise)
    free = np.argwhere(~SITE)
    code = drawn[:, free[:, 0], free[:, 1]] @ (2 ** np.arange(len(free))[::-1])
    times = np.bincount(code, minlength=2 ** len(free))
    expected = count * np.exp(nats(law, SITE, next_states(SITE), 0.15, 1.5))
    assert times[expected == 0].sum() == 0
    assert stats.chisquare(times[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_plain_numpy_grows_the_same_clusters_from_the_same_random_numbers():
    size, steps, seed, count = 20, 12, 4, 6
    starts = draw_starts(np.arange(count), size=size, clusters=(1, 3), age=(1, 4), seed=1)
    rate, strength = np.linspace(0.02, 0.3, count), np.linspace(0, 4, count)
    places = (np.arange(1, size + 1)[:, None] * (size + 2) + np.arange(1, size + 1)).astype(np.uint64)

    word = random_word.py_func  # of arrays
    own = word(np.full(count, stream(seed)), np.arange(3, 3 + count, dtype=np.uint64))

    def noise(step):
        keys = word(own, np.array([step], np.uint64))
        wind = (word(keys, np.uint64(0)) >> np.uint64(32)) * np.uint64(6) >> np.uint64(32)
        numbers = word(keys[:, None, None], places[None])
        offsets = [plain.NEIGHBOURS.index(DIRECTIONS[u]) for u in wind]
        return np.array(offsets), (numbers >> np.uint64(11)) * 2.0**-53

    grown = grow(starts, rate, strength, steps=steps, seed=seed, first=3)
    np.testing.assert_array_equal(grown, plain.grow(starts, rate, strength, steps, noise))
    assert (grown > 0).sum() > 500


def test_without_strength_sites_are_independent_and_no_wind_is_told_from_another():
    assert gap(SITE, 0.2, 0.0) == pytest.approx(0, abs=1e-12)
    each = hazards(np.array([0.2]), np.array([0.0]))[0, SITUATION]
    np.testing.assert_allclose(each, each[:1].repeat(6, axis=0), rtol=1e-14)
    grown = CORNER.copy()
    grown[2, 2] = grown[0, 2] = True
    each = [(grown[i, j], hazard(CORNER, i, j, 0.2, 0.0, 0.0)) for i, j in np.argwhere(~CORNER)]
    expected = sum(log(-expm1(-h)) if attaches else -h for attaches, h in each)
    assert nats(log_likelihood, CORNER, grown[None], 0.2, 0.0)[0] == pytest.approx(expected, rel=1e-12)


def test_the_gap_of_the_best_model_without_a_common_cause_grows_with_strength():
    """It is a KL divergence, so 0 where the two are the same."""
    gaps = [gap(SITE, 0.15, s) for s in (0.0, 0.5, 1.0, 2.0, 3.0)]
    assert gaps[0] == pytest.approx(0, abs=1e-12)
    assert all(np.diff(gaps) > 5e-4)


def test_the_gap_that_samples_show_is_the_one_enumerated():
    drawn = sampled(SITE, 0.15, 2.0, 40_000)
    each = nats(log_likelihood, SITE, drawn, 0.15, 2.0) - nats(factorised_log_likelihood, SITE, drawn, 0.15, 2.0)
    expected = gap(SITE, 0.15, 2.0)
    assert abs(each.mean() - expected) < 4 * each.std() / np.sqrt(len(each))
    assert each.mean() > 10 * each.std() / np.sqrt(len(each))


def test_turning_or_reflecting_the_lattice_leaves_the_law():
    attached = hexagon(4, 20)
    rate, strength = np.full(20, 0.2), np.full(20, 2.0)
    grown = grow(attached, rate, strength, steps=1, seed=0) >= 0
    grown[:5] |= hexagon(4, 5, seed=1)  # what cannot happen stays impossible
    for law in (log_likelihood, factorised_log_likelihood):
        expected = law(attached, grown, rate, strength)
        for change in (turned, lambda states: states.transpose(0, 2, 1)):
            np.testing.assert_allclose(law(change(attached), change(grown), rate, strength), expected, rtol=1e-12)
        assert np.isfinite(expected[5:]).all()


def test_without_noise_a_cluster_has_all_symmetries_of_the_lattice():
    seed = np.zeros((1, 41, 41), bool)
    seed[0, 20, 20] = True
    arrival = grow(seed, np.array([0.1]), np.array([3.0]), steps=30, seed=0, noise="none")
    assert (arrival > 0).sum() > 100
    for step in (5, 15, 30):
        state = (arrival >= 0) & (arrival <= step)
        np.testing.assert_array_equal(turned(state), state)
        np.testing.assert_array_equal(state.transpose(0, 2, 1), state)


def test_without_noise_a_site_attaches_when_half_of_all_such_sites_have():
    """Until anything attaches, the chance of a neighbour of a lone site to be unattached is (1 − p)^t."""
    stays = survival(np.array([0.05]), np.array([2.0]))[0, 1]
    arrival = grow(SITE[None], np.array([0.05]), np.array([2.0]), steps=40, seed=0, noise="none")
    assert arrival[0, 1, 0] == np.ceil(log(0.5) / log(stays)) > 2


def test_growth_depends_neither_on_threads_nor_on_parts():
    starts = draw_starts(np.arange(40), size=24, clusters=(1, 4), age=(2, 6), seed=2)
    rate, strength = np.linspace(0.02, 0.1, 40), np.linspace(0, 4, 40)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = (
            grow(starts, rate, strength, steps=10, seed=3),
            draw_starts(np.arange(40), size=24, clusters=(1, 4), age=(2, 6), seed=2),
        )
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(alone[1], starts)
    np.testing.assert_array_equal(grow(starts, rate, strength, steps=10, seed=3), alone[0])
    late = slice(33, 40)
    part = grow(starts[late], rate[late], strength[late], steps=10, seed=3, first=33)
    np.testing.assert_array_equal(part, alone[0][late])
    assert (grow(starts, rate, strength, steps=10, seed=4) != alone[0]).any()


def test_a_dataset_is_the_same_in_parts(monkeypatch):
    dataset = GustsDataset(DatasetParams(size=20, steps=6, train=10, val=2, test={"cases": 5, "repeats": 3}))
    whole = {split: dataset.prepare(split, np.random.default_rng(7)) for split in ("train", "test")}
    monkeypatch.setattr(gusts_dataset, "SITES_AT_ONCE", 4 * 20 * 20)
    for split, expected in whole.items():
        assert dataset.parts(split) > 1
        parts = [dataset.part(split, np.random.default_rng(7), k) for k in range(dataset.parts(split))]
        np.testing.assert_array_equal(np.concatenate([p.arrival for p in parts]), expected.arrival)
        np.testing.assert_array_equal(np.concatenate([p.params for p in parts]), expected.params)


def test_repeats_of_a_case_share_start_and_parameters_and_nothing_else():
    dataset = GustsDataset(DatasetParams(size=24, train=1, val=1, test={"cases": 6, "repeats": 4}))
    test = dataset.prepare("test", np.random.default_rng(0))
    starts, final = test.frame(0).reshape(6, 4, -1), test.final().reshape(6, 4, -1)
    assert (starts == starts[:, :1]).all()
    assert (test.params.reshape(6, 4, 2) == test.params[::4, None]).all()
    assert len({s.tobytes() for s in starts[:, 0]}) == len(np.unique(test.params, axis=0)) == 6
    assert len({s.tobytes() for s in final.reshape(24, -1)}) == 24


def test_starts_have_as_many_seeds_as_asked_for_inside_the_inner_hexagon():
    seeds = draw_starts(np.arange(2000), size=60, clusters=(1, 4), age=(0, 0), seed=0)
    count = seeds.sum(axis=(1, 2))
    assert set(count) == {1, 2, 3, 4}
    times = np.bincount(count)[1:]
    assert stats.chisquare(times).pvalue > 1e-4  # seeds on one another are rare
    i, j = np.indices((60, 60)) - 30
    inside = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) <= 10
    assert not seeds[:, ~inside].any()
    falls = seeds[:, inside].sum(axis=0)
    assert stats.chisquare(falls).pvalue > 1e-4  # every place is as likely


def test_starts_continue_to_other_futures():
    dataset = GustsDataset(DatasetParams(size=24, train=5, val=1, steps=8))
    starts = dataset.prepare("train", np.random.default_rng(0))
    futures = dataset.continued(starts, 3, np.random.default_rng(1))
    assert futures.domain == dataset.domain
    np.testing.assert_array_equal(futures.frame(0), starts.frame(0).repeat(3, axis=0))
    np.testing.assert_array_equal(futures.params, starts.params.repeat(3, axis=0))
    assert len({state.tobytes() for state in futures.final()}) == 15
    assert (futures.lengths == 9).all()


def test_a_likelihood_is_claimed_of_single_steps_with_noise_alone():
    dataset = GustsDataset(DatasetParams(size=24, train=2, val=1, steps=8))
    record = dataset.prepare("train", np.random.default_rng(0))
    assert GustsSimulator(SimulatorParams(noise="none")).likelihood is None
    for noise in ("gusts", "sites"):
        simulator = GustsSimulator(SimulatorParams(noise=noise))
        for stride, kind in ((1, "exact"), (2, None)):
            rollout = simulator.rollout(record.framed(stride, 4).start(), 4, np.random.default_rng(0))
            assert simulator.likelihood == kind
            assert rollout.domain.stride == stride
            assert (rollout.lengths == 5).all()
    with pytest.raises(ValueError, match="has no stride"):
        simulator.rollout(record.start(), 4, np.random.default_rng(0))


def test_observables_of_shapes_that_are_known():
    states = np.zeros((4, 1, 15, 15), np.float32)
    states[0, 0, 7, 7] = 1
    states[1, 0, 4:11, 7] = 1  # a row of seven
    states[2, 0, 2, 2] = states[2, 0, 3, 3] = states[2, 0, 9, 9] = states[2, 0, 10, 9] = 1
    values = {name: function(states) for name, function in OBSERVE.items()}
    assert values["area"].tolist() == [1, 7, 4, 0]
    assert values["clusters"].tolist() == [1, 1, 2, 0]
    assert values["boundary"][0] == 6
    assert values["boundary"][1] == 18
    np.testing.assert_allclose(values["elongation"][[0, 1, 3]], [1, np.sqrt((4 + 5 / 72) / (5 / 72)), 1])
    np.testing.assert_allclose(values["centre_x"][[0, 1, 3]], 0, atol=1e-12)
    np.testing.assert_allclose(values["centre_y"][2], (-5 - 4 + 2 + 2) / 4 * np.sqrt(3) / 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rate": (0.0, 0.1)}, r"0 < low < high <= 10, got \[0, 0.1\]"),
        ({"rate": (0.1, 11)}, r"high <= 10, got \[0.1, 11\]"),
        ({"strength": (-1, 2)}, r"0 <= low <= high <= 10, got \[-1, 2\]"),
        ({"strength": (0, 12)}, r"<= 10, got \[0, 12\]"),
        ({"clusters": (0, 2)}, r"clusters must be \[low, high\] with 1 <= low <= high <= size = 48, got \[0, 2\]"),
        ({"age": (5, 3)}, r"age must be \[low, high\] with 0 <= low <= high <= size = 48, got \[5, 3\]"),
        ({"size": 11}, "greater than or equal to 12"),
        ({"steps": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_parameters_are_refused_with_the_bound(wrong, message):
    with pytest.raises(ValidationError, match=message):
        DatasetParams(**wrong)


def test_lattices_that_are_not_square_are_refused():
    with pytest.raises(ValueError, match="as high as they are wide"):
        grow(np.zeros((1, 4, 5), bool), np.ones(1), np.ones(1), steps=1, seed=0)


@pytest.mark.slow
def test_on_the_suites_data_a_look_up_is_far_from_the_truth_and_so_is_a_model_without_a_common_cause(registry):
    """Where the truth redrawn is at no distance, and the gap in likelihood is several nats a transition."""
    suite = read_suite(Path(__file__).parents[1] / "suites" / "gusts.yaml", registry)
    dataset, horizon = GustsDataset(DatasetParams(**suite.datasets[0].params)), suite.protocol.horizon
    train, test = (
        dataset.prepare(split, np.random.default_rng(seed)).framed(1, horizon)
        for seed, split in enumerate(("train", "test"))
    )
    repeats = dataset.params.test.repeats
    memory = looked_up(train, test.select(np.arange(0, len(test), repeats)), repeats)
    redrawn, alone, still = (
        GustsSimulator(SimulatorParams(noise=noise)).rollout(test.start(), horizon, np.random.default_rng(2))
        for noise in ("gusts", "sites", "none")
    )
    for leads in ([4], [8], [16], [4, 8, 12, 16]):
        truth, remembered, independent, median = (
            energy_distance(test, other, leads) for other in (redrawn, memory, alone, still)
        )
        print(f"frames {leads}: redrawn {truth}, look-up {remembered}, sites {independent}, noise-free {median}")
        assert abs(truth.mean) < 3.5 * truth.error
        assert remembered.mean > 8 * remembered.error
        assert median.mean > 8 * median.error
    assert independent.mean > 3.5 * independent.error
    index, t = test.transitions()
    x, x_next = (test.at(index, frame)[:, 0] > 0.5 for frame in (t, t + 1))
    rate, strength = test.params[index].T
    law, sites = log_likelihood(x, x_next, rate, strength), factorised_log_likelihood(x, x_next, rate, strength)
    each = (law - sites).reshape(len(test), -1).mean(axis=1)
    error = each.std(ddof=1) / np.sqrt(len(each))
    print(
        f"log p {law.mean():.2f}, sites alone {sites.mean():.2f}, gap {each.mean():.2f} ± {error:.2f} nats a transition"
    )
    assert each.mean() > 2
    touched = (replace(test).final()[:, 0] > 0.5)[:, [0, -1]].any(axis=(1, 2)).mean()
    assert touched < 0.02  # the lattice is large enough
