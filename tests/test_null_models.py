"""Null models: their likelihoods are exact, and what they know is what they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

import nsbench
from forecasts import domain, gaussian_fields, generator, growth_maps
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.randomness import initialised
from nsbench.neural.simulator import Network
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.growth import Growth
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.lattices import attached_neighbours

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"embedding": 4, "embedding_width": 8}
NETWORKS = {
    "bernoulli-unet": {"width": 4, **SMALL},
    "stochastic-nca": {"channels": 4, "hidden": 8, "updates": 3, **SMALL},
}


def context(tmp_path, transitions=100_000):
    return FitContext(transitions, tmp_path, generator(1))


def untrained(name, seed=0):
    """A network with weights large enough that its probabilities are far from a half."""
    simulator = nsbench.load("simulator", name, **NETWORKS[name])
    simulator.parameters, simulator.columns = ["rate"], [0]
    simulator.states = StateFacts("growth", 1, 0, False, ("open", "open"))
    simulator.network = initialised(lambda: Network(simulator.build(Growth(), 1), 1), seed).eval()
    with torch.no_grad():
        last = simulator.network.model.unet.out if name == "bernoulli-unet" else simulator.network.model.logit
        last.weight.mul_(5)
    return simulator


def table(tmp_path, size=3, **params):
    simulator = nsbench.load("simulator", "frozen-neighbour", **params)
    truth = growth_maps(np.linspace(0.05, 0.95, 400), generator(), size=size)
    simulator.fit(truth, truth, context(tmp_path))
    return simulator


def next_states(x, free):
    """Every state that differs from x, [H, W], in sites among `free`, float32[2^len, 1, H, W]."""
    states = np.repeat(x[None, None], 2 ** len(free), axis=0)
    for state, values in zip(states, product((0, 1), repeat=len(free)), strict=True):
        for site, value in zip(free, values, strict=True):
            state[0][site] = value
    return states


@pytest.mark.parametrize("name", ["frozen-neighbour", "bernoulli-unet", "stochastic-nca"])
@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_likelihoods_sum_to_one_over_all_next_states(name, rate, tmp_path):
    size = 8 if name == "bernoulli-unet" else 3
    simulator = table(tmp_path) if name == "frozen-neighbour" else untrained(name)
    x = np.ones((size, size), np.float32)
    x[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, 0, 0]]  # where the lattice is larger, the rest is attached
    free = [tuple(site) for site in np.argwhere(x == 0)]
    states = next_states(x, free)
    before = np.repeat(x[None, None], len(states), axis=0)
    nats = simulator.log_likelihood(before, states, np.full((len(states), 1), rate), 1, generator())
    assert simulator.likelihood == "exact"
    assert nats.dtype == np.float64
    assert np.exp(nats).sum() == pytest.approx(1, abs=1e-5)
    assert nats.std() > 0.1
    every = next_states(x, [*free, (0, 0)])  # the states in which the seed melts have no probability
    before = np.repeat(x[None, None], len(every), axis=0)
    nats = simulator.log_likelihood(before, every, np.full((len(every), 1), rate), 1, generator())
    assert np.exp(nats).sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exact_likelihood_asks_for_no_samples(name):
    simulator, truth = untrained(name), growth_maps([0.2] * 3, generator())
    x, x_next = truth.frame(1), truth.frame(2)
    one, many = (simulator.log_likelihood(x, x_next, truth.params, k, generator(k)) for k in (1, 64))
    np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("name", ["frozen-neighbour", "stochastic-nca", "bernoulli-unet"])
def test_rollouts_have_the_probabilities_of_the_likelihood(name, tmp_path):
    """How often each site attaches in a step, against exp of the likelihood summed over the other sites."""
    size = 8 if name == "bernoulli-unet" else 3
    simulator = table(tmp_path) if name == "frozen-neighbour" else untrained(name)
    simulator.conditions = Conditions(decode="sample")
    x = np.ones((size, size), np.float32)
    x[0, :2] = 0
    count = 4000
    arrival = np.where(x > 0, 0, -1).astype(np.int32)[None].repeat(count, 0)
    facts = domain(size)
    start = GrowthTrajectories(np.full((count, 1), 0.4), np.ones(count, np.int32), facts, arrival)
    attached = simulator.rollout(start, 1, generator()).frame(1)[:, 0, 0, :2]
    states = next_states(x, [(0, 0), (0, 1)])
    before, params = np.repeat(x[None, None], 4, axis=0), np.full((4, 1), 0.4)
    p = np.exp(simulator.log_likelihood(before, states, params, 1, generator()))
    found = np.bincount((attached @ [2, 1]).astype(int), minlength=4) / count
    np.testing.assert_allclose(found, p, atol=4 * np.sqrt(0.25 / count))


def test_the_table_finds_the_rate_of_sites_that_do_not_look_at_their_neighbours(tmp_path):
    simulator = nsbench.load("simulator", "frozen-neighbour", bins=2)
    truth = growth_maps(np.repeat([0.2, 0.7], 300), generator(), size=8)
    simulator.fit(truth, truth, context(tmp_path))
    assert simulator.table.shape == (2, 5)
    np.testing.assert_allclose(simulator.table[0], 0.2, atol=0.02)
    np.testing.assert_allclose(simulator.table[1], 0.7, atol=0.04)


def test_the_table_finds_a_rule_that_does_look_at_them(tmp_path):
    """A site attaches with probability (attached neighbours) / 5."""
    rng = generator()
    before = rng.random((2000, 6, 6)) < 0.4
    attaches = rng.random(before.shape) < attached_neighbours(before, "square") / 5
    arrival = np.where(before, 0, np.where(attaches, 1, -1)).astype(np.int32)
    truth = GrowthTrajectories(np.full((2000, 1), 0.5), np.full(2000, 2, np.int32), domain(6), arrival)
    simulator = nsbench.load("simulator", "frozen-neighbour", bins=1)
    simulator.fit(truth, truth, context(tmp_path))
    np.testing.assert_allclose(simulator.table[0], np.arange(5) / 5, atol=0.03)
    grown = simulator.rollout(truth.start(), 1, generator(5))
    assert grown.final().sum() / 2000 == pytest.approx(truth.final().sum() / 2000, rel=0.01)


def test_nothing_that_was_never_seen_is_impossible_or_certain(tmp_path):
    simulator = table(tmp_path, bins=64)
    assert simulator.table.min() > 0
    assert simulator.table.max() < 1
    fresh = nsbench.load("simulator", "frozen-neighbour", bins=64)
    truth = growth_maps([0.5], generator(), size=3)
    fresh.fit(truth, truth, context(tmp_path, transitions=1))
    assert fresh.table[0, 0] == 0.5  # Jeffreys, nothing counted


def test_a_table_is_read_as_it_was_written_and_keeps_to_its_budget(tmp_path):
    simulator = table(tmp_path)
    simulator.save(tmp_path)
    again = nsbench.load("simulator", "frozen-neighbour")
    again.load(tmp_path)
    np.testing.assert_array_equal(again.table, simulator.table)
    assert again.size() == simulator.table.size == 16 * 5
    start = growth_maps([0.2, 0.9], generator(), size=3).start()
    a, b = (s.rollout(start, 5, generator(3)).arrival for s in (simulator, again))
    np.testing.assert_array_equal(a, b)
    seen = []
    truth = growth_maps(np.full(50, 0.5), generator(), size=3)
    few = replace(context(tmp_path, transitions=40), progress=lambda done, total: seen.append((done, total)))
    nsbench.load("simulator", "frozen-neighbour").fit(truth, truth, few)
    assert seen == [(40, 40)]


def test_parameters_beyond_the_tables_range_count_as_its_ends(tmp_path):
    simulator = table(tmp_path)
    x = np.zeros((4, 3, 3), bool)
    p = simulator.probabilities(x, np.array([[-1.0], [0.0], [1.0], [2.0]]))
    np.testing.assert_array_equal(p[0], p[1])
    np.testing.assert_array_equal(p[2], p[3])
    assert (p[0] < p[3]).all()


def test_the_table_refuses_fields(tmp_path):
    fields = gaussian_fields([0.0, 1.0], generator())
    with pytest.raises(ValueError, match="growth of one channel"):
        nsbench.load("simulator", "frozen-neighbour").fit(fields, fields, context(tmp_path))


def test_a_growing_table_ends_at_the_stop_rule(tmp_path):
    simulator = table(tmp_path)
    truth = growth_maps(np.full(20, 0.9), generator(), size=8)
    start = replace(truth.start(), domain=replace(truth.domain, stop_margin=2))
    grown = simulator.rollout(start, 50, generator())
    ends = grown.stopped().lengths
    np.testing.assert_array_equal(grown.lengths, ends)
    assert ends.max() < 50


def test_the_automaton_sees_as_far_as_its_updates_and_no_farther():
    model = untrained("stochastic-nca").network.model
    x = torch.zeros(2, 1, 15, 15)
    x[1, 0, 7, 7] = 1
    with torch.no_grad():
        here, there = model.sites(x, torch.zeros(2, 1))
    differs = ((here - there).abs() > 1e-5)[0]
    i, j = torch.meshgrid(torch.arange(15), torch.arange(15), indexing="ij")
    distance = torch.maximum((i - 7).abs(), (j - 7).abs())
    assert not differs[distance > 3].any()
    assert differs[distance == 3].any()


def test_the_unet_is_deterministic_by_its_mode_and_the_automaton_never_is():
    start = growth_maps(np.full(6, 0.5), generator()).start()
    for name in NETWORKS:
        simulator = untrained(name)
        for decode in ("mode", "sample"):
            simulator.conditions = Conditions(decode=decode)
            a, b = (simulator.rollout(start, 3, generator(seed)).arrival for seed in (1, 2))
            assert (a != b).any() == (decode == "sample" or name == "stochastic-nca")


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_without_latents_learn_the_rate(name, tmp_path):
    """Sites attach with one rate, whatever their neighbours: the best likelihood is its entropy."""
    rate = 0.15
    truth = growth_maps(np.full(200, rate), generator(), frames=5)
    simulator = nsbench.load("simulator", name, **NETWORKS[name], learning_rate=1e-2, condition="all")
    simulator.fit(truth, truth, context(tmp_path, transitions=2000))
    index, t = truth.transitions()
    x, x_next = truth.at(index, t), truth.at(index, t + 1)
    nats = simulator.log_likelihood(x, x_next, truth.params[index], 1, generator())
    entropy = (rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) * (1 - x).sum(axis=(1, 2, 3))
    assert nats.mean() == pytest.approx(entropy.mean(), rel=0.05)


def test_persistence_does_not_grow_for_as_long_as_it_is_asked():
    simulator = nsbench.load("simulator", "persistence")
    assert simulator.likelihood is None
    for start in (growth_maps([0.5, 0.9], generator()).start(), gaussian_fields([0.0, 3.0], generator()).start()):
        still = simulator.rollout(start, 7, generator())
        np.testing.assert_array_equal(still.lengths, [8, 8])
        np.testing.assert_array_equal(still.final(), start.frame(0))
