"""Masked discrete diffusion: its bound is that of its very sampler, and rounds are what lets sites agree."""

from __future__ import annotations

import math
from itertools import pairwise, permutations, product

import numpy as np
import pytest
import torch

import nsbench
from forecasts import domain, generator, growth_maps, label_maps
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.randomness import initialised
from nsbench.neural.simulator import Network
from nsbench.neural.states.facts import StateFacts
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_absorbing.order import KNOWN, drawn_before, places
from nsbench_absorbing.params import AbsorbingParams

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 4, "embedding": 4, "embedding_width": 8}
FACTS = {
    "growth": StateFacts("growth", 1, 0, False, ("open", "open")),
    "labels": StateFacts("labels", 1, 3, False, ("periodic", "periodic")),
}
FREE = [(0, 1), (3, 3), (3, 4), (6, 2)]


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def untrained(states="growth", seed=0, **params):
    """A network with weights large enough that sites depend on each other strongly."""
    simulator = nsbench.load("simulator", "absorbing", **SMALL, **params)
    simulator.parameters, simulator.columns, simulator.states = ["rate"], [0], FACTS[states]
    space = simulator.space(FACTS[states])
    simulator.network = initialised(lambda: Network(simulator.build(space, 1), 1), seed).eval()
    with torch.no_grad():
        simulator.network.model.unet.out.weight.mul_(12)
    return simulator


def nearly_full(count=1, free=FREE):
    x = torch.ones(count, 1, 8, 8)
    for i, j in free:
        x[:, 0, i, j] = 0
    return x


def next_states(free=FREE):
    """Every next state of the nearly full lattice, float32[2^len, 1, 8, 8]."""
    states = nearly_full(2 ** len(free), free)
    for state, values in zip(states, product((0.0, 1.0), repeat=len(free)), strict=True):
        for (i, j), value in zip(free, values, strict=True):
            state[0, i, j] = value
    return states


def by_hand(model, x, x_next, y, groups):
    """log p(x_next | x, y, groups): groups of sites are drawn in turn, one transition, written out site by site."""
    masked = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    for site in [site for group in groups for site in group]:
        masked[0, 0][site] = True
    nats, state = 0.0, x.clone()
    for group in groups:
        out = model.sites(x, state, masked, y)
        for site in group:
            p = torch.sigmoid(out[0, 0][site].double())
            nats += float(torch.log(p if x_next[0, 0][site] > 0.5 else 1 - p))
        for site in group:
            masked[0, 0][site] = False
            state[0, 0][site] = x_next[0, 0][site]
    return nats


def cut(order, before):
    return [order[a:b] for a, b in pairwise(before) if b > a]


@pytest.mark.parametrize(("schedule", "evaluations"), list(product(["linear", "cosine"], [1, 2, "sites"])))
def test_the_bounds_weights_average_to_the_probability_of_the_sampler_which_sums_to_one(schedule, evaluations):
    model = untrained(evaluations=evaluations, schedule=schedule).network.model
    free = FREE[:3]
    x, states, y = nearly_full(1, free), next_states(free), torch.zeros(1, 1)
    rounds = len(free) if evaluations == "sites" else evaluations
    before = [int(n) for n in drawn_before(torch.tensor([len(free)]), rounds, schedule)]
    with torch.inference_mode():
        orders = [cut(order, before) for order in permutations(free)]
        exact = np.array([[by_hand(model, x, state[None], y, order) for order in orders] for state in states])
        p = np.exp(exact).mean(1)
        weights = model.log_weights(
            x.expand_as(states), states, y.expand(len(states), 1), 400, noise()
        ).numpy()  # [400, 8]
    assert p.sum() == pytest.approx(1, abs=1e-5)
    error = np.exp(weights).std(0) / 20
    assert np.all(np.abs(np.exp(weights).mean(0) - p) < 4.5 * error + 1e-6)
    assert np.all(np.abs(weights.mean(0) - exact.mean(1)) < 4.5 * weights.std(0) / 20 + 1e-5)
    assert np.all(exact.mean(1) <= np.log(p) + 1e-9)  # Jensen: the bound is one
    assert (np.exp(exact.mean(1)).sum() < 1 - 1e-3) == (evaluations != 1)  # and a loose one, unless no order matters


@pytest.mark.parametrize("evaluations", [1, 2, "sites"])
def test_rollouts_have_the_probabilities_that_the_weights_estimate(evaluations):
    simulator = untrained(evaluations=evaluations, seed=3)
    x, count = nearly_full()[0, 0].numpy(), 3000
    arrival = np.where(x > 0, 0, -1).astype(np.int32)[None].repeat(count, 0)
    start = GrowthTrajectories(np.full((count, 1), 0.0), np.ones(count, np.int32), domain(8), arrival)
    drawn = simulator.rollout(start, 1, generator()).frame(1)[:, 0]
    shares = np.bincount((drawn[:, *np.transpose(FREE)] @ [8, 4, 2, 1]).astype(int), minlength=16) / count
    states, p = next_states().numpy(), np.zeros(16)
    before = nearly_full(16).numpy()
    for seed in range(2):
        p += np.exp(simulator.log_likelihood(before, states, np.zeros((16, 1)), 200, generator(seed))) / 2
    assert p.std() > 0.02
    np.testing.assert_allclose(shares, p, atol=4.5 * np.sqrt(0.25 / count) + 0.01)


def test_one_round_is_a_factorised_model_whose_likelihood_is_exact():
    simulator = untrained(evaluations=1)
    model, states = simulator.network.model, next_states()
    x, y = nearly_full(16), torch.zeros(16, 1)
    out = model.sites(x, x, model.free(x), y)
    expected = model.space.log_density(out, x, states)
    for seed in range(3):
        torch.testing.assert_close(model.log_weights(x, states, y, 1, noise(seed))[0], expected)
    assert simulator.likelihood == "exact"
    assert untrained(evaluations=2).likelihood == "elbo"


def test_labels_have_a_bound_that_sums_to_less_than_one_and_weights_that_sum_to_one():
    model = untrained("labels", evaluations=3).network.model
    x = torch.zeros(1, 1, 8, 8)
    model.free = lambda x: (torch.arange(64).view(8, 8) < 3).expand(len(x), 1, 8, 8)  # three sites in a row
    states = torch.zeros(27, 1, 8, 8)
    states[:, 0, 0, :3] = torch.tensor(list(product(range(3), repeat=3)), dtype=torch.float32)
    with torch.inference_mode():
        weights = model.log_weights(x.expand_as(states), states, torch.zeros(27, 1), 300, noise())
    exponentials = weights.exp().sum(1)  # of each draw of orders, independent by state
    assert abs(exponentials.mean() - 1) < 4 * exponentials.std() / math.sqrt(300) + 1e-6
    assert weights.mean(0).exp().sum() < 1


def test_what_melts_has_no_probability_and_a_full_lattice_stays_with_certainty():
    model = untrained().network.model
    full, molten = torch.ones(1, 1, 8, 8), nearly_full()
    weights = model.log_weights(full.expand(2, 1, 8, 8), torch.cat((full, molten)), torch.zeros(2, 1), 3, noise())
    assert torch.equal(weights, torch.tensor([[0.0, -math.inf]] * 3, dtype=torch.float64))


def test_orders_are_uniform_over_free_sites_and_leave_the_others_out():
    free = nearly_full(12_000)[:, 0:1] < 0.5
    place = places(free, noise())
    assert (place[~free] == KNOWN).all()
    of_free = place[free].view(-1, len(FREE))
    codes = (of_free @ torch.tensor([64, 16, 4, 1])).unique(return_counts=True)[1]
    assert len(codes) == math.factorial(len(FREE))
    assert (codes.float() / 500 - 1).abs().max() < 4.5 / math.sqrt(500)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_rounds_draw_every_site_once_and_never_fewer_than_none(schedule):
    count = torch.arange(0, 70)
    for rounds in (1, 2, 7, 64, 100):
        before = torch.stack(drawn_before(count, rounds, schedule))
        assert (before[0] == 0).all()
        assert torch.equal(before[-1], count)
        steps = before.diff(dim=0)
        assert (steps >= 0).all()
        assert (steps[:, count <= rounds] <= 1).all()
    few_first = torch.stack(drawn_before(torch.tensor([64]), 8, "cosine")).diff(dim=0)[:, 0]
    assert few_first[0] < few_first[-1]


def agreeing(count, seed=0):
    """A lattice full but for four sites, of which in the next frame either the first two attach, or the others do."""
    rng = generator(seed)
    arrival = np.where(nearly_full()[0, 0].numpy() > 0, 0, -1).astype(np.int32)[None].repeat(count, 0)
    first = rng.random(count) < 0.5
    for k, site in enumerate(FREE):
        arrival[(k < 2) == first, site[0], site[1]] = 1
    lengths = np.full(count, 2, np.int32)
    return GrowthTrajectories(rng.random((count, 1)), lengths, domain(8), arrival)


def fitted(tmp_path, record, transitions, **params):
    simulator = nsbench.load("simulator", "absorbing", **SMALL | {"learning_rate": 5e-3} | params)
    simulator.fit(record, record, FitContext(transitions, tmp_path, generator(1)))
    return simulator


def test_two_equally_likely_next_states_are_learned_with_rounds_and_cannot_be_with_one(tmp_path):
    record = agreeing(400)
    many = fitted(tmp_path / "many", record, 5000, evaluations="sites")
    one = nsbench.load("simulator", "absorbing", **SMALL | {"learning_rate": 5e-3}, evaluations=1)
    many.save(tmp_path / "weights")
    one.load(tmp_path / "weights")  # the same weights: rounds are a matter of sampling
    states = next_states().numpy()
    attached = {}
    for name, simulator in {"many": many, "one": one}.items():
        drawn = simulator.rollout(record.start(), 1, generator()).frame(1)[:, 0]
        attached[name] = (drawn[:, *np.transpose(FREE)] @ [8, 4, 2, 1]).astype(int)
    shares = np.bincount(attached["many"], minlength=16) / 400
    assert shares[0b1100] == pytest.approx(0.5, abs=0.12)
    assert shares[0b0011] == pytest.approx(0.5, abs=0.12)
    assert shares[0b1100] + shares[0b0011] > 0.95
    x, params = np.repeat(nearly_full().numpy(), 2, 0), np.full((2, 1), 0.5)
    happened = states[[0b1100, 0b0011]]
    nats = many.log_likelihood(x, happened, params, 64, generator())
    np.testing.assert_allclose(nats, math.log(0.5), atol=0.25)
    # With one round sites are independent: P(A)·P(B) = Π p(1 − p) <= 1/4⁴, so one of the two has at most 1/16.
    assert one.log_likelihood(x, happened, params, 1, generator()).mean() <= -4 * math.log(2) + 1e-6
    counts = np.bincount(attached["one"], minlength=16)
    assert min(counts[0b1100], counts[0b0011]) / 400 < 1 / 16 + 4 * math.sqrt(1 / 16 / 400)


def test_the_loss_is_the_bound_of_any_order_autoregression():
    model = untrained(evaluations="sites", all_masked=0).network.model
    free = FREE[:3]
    x, x_next, y = nearly_full(1, free), next_states(free)[5:6], torch.zeros(1, 1)
    with torch.inference_mode():
        bound = np.mean([by_hand(model, x, x_next, y, [[s] for s in order]) for order in permutations(free)])
        many = (part.expand(200, *part.shape[1:]) for part in (x, x_next, y))
        arguments = *many, 0.0, noise(1)
        losses = [model.loss(*arguments) for _ in range(60)]
    errors = np.array([loss.terms["error"].item() for loss in losses])
    assert abs(errors.mean() + bound) < 4 * errors.std() / math.sqrt(60)
    assert errors.std() / math.sqrt(60) < 0.05 * abs(bound)
    assert losses[0].total.item() * 64 == pytest.approx(errors[0], rel=1e-5)  # a site of the lattice


@pytest.mark.parametrize("states", ["growth", "labels"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_fits_repeat_and_go_on_from_a_checkpoint_and_states_are_drawn_whatever_the_decoding(
    states, precision, tmp_path
):
    record = growth_maps([0.3, 0.6], generator()) if states == "growth" else label_maps([0.3, 0.6], generator(), size=8)
    rollouts = []
    for decode in ("mode", "sample"):
        simulator = nsbench.load("simulator", "absorbing", **SMALL, evaluations=3)
        simulator.conditions = Conditions(precision=precision, decode=decode)
        simulator.fit(record, record, FitContext(64, tmp_path / decode, generator(1), simulator.conditions))
        rollouts.append(simulator.rollout(record.start(), 3, generator(2)))
    first, second = (np.stack([rollout.frame(t) for t in range(4)]) for rollout in rollouts)
    np.testing.assert_array_equal(first, second)
    assert isinstance(rollouts[0], GrowthTrajectories if states == "growth" else LabelTrajectories)


def test_rounds_change_no_fit_and_no_curve(tmp_path):
    record, curves, weights = growth_maps([0.3, 0.6], generator()), [], []
    for evaluations in (1, 3, "sites"):
        points = []
        simulator = nsbench.load("simulator", "absorbing", **SMALL, evaluations=evaluations)
        folder, log = tmp_path / str(evaluations), lambda *point, points=points: points.append(point)
        simulator.fit(record, record, FitContext(64, folder, generator(1), log=log))
        simulator.save(folder)
        curves.append(points)
        weights.append((folder / "weights.safetensors").read_bytes())
    assert curves[0] == curves[1] == curves[2]
    assert "val/elbo" in {name for name, _, _ in curves[0]}
    assert weights[0] == weights[1] == weights[2]


def test_fields_are_refused_and_parameters_are_checked(tmp_path):
    from forecasts import gaussian_fields

    record = gaussian_fields([0.5], generator(), size=8)
    with pytest.raises(ValueError, match="these states are fields"):
        fitted(tmp_path, record, 10)
    for wrong in ({"evaluations": 0}, {"evaluations": "all"}, {"schedule": "sine"}, {"all_masked": 2}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AbsorbingParams(**wrong)
