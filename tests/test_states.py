"""State spaces: densities that are densities, draws that follow them, and networks that run on every kind of states."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import nsbench
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.conditioning import chosen_parameters
from nsbench.neural.networks.layers import Down, ResidualBlock, Up
from nsbench.neural.networks.padding import padded, set_boundaries
from nsbench.neural.states.choice import space_of
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.fields import Fields
from nsbench.neural.states.growth import Growth
from nsbench.neural.states.labels import Labels, Permuted
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench.trajectories.labels import LabelTrajectories

pytestmark = pytest.mark.usefixtures("one_thread")

PERIODIC = ("periodic", "periodic")


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def share(state):
    return (state > 0.5).mean(axis=(1, 2, 3), dtype=np.float64)


def domain(states, **facts):
    known = {"labels": {"labels": 3, "symmetries": ("labels",)}, "fields": {"channels": ("u", "map")}}[states]
    known = {"channels": (states,), "boundaries": PERIODIC, "stride": 1} | known | facts
    return Domain(
        "square", (8, 8), states=states, parameters=(Parameter("rate", 0.1, 0.9),), condition="rate",
        observables=(nsbench.Observable("share", "1", share),), **known,
    )  # fmt: skip


def voters(count, frames, seed, place=None):
    """Labels: with probability `rate` each site takes the label of a random neighbour on a torus."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.1, 0.9, (count, 1))
    states = [rng.integers(0, 3, (count, 8, 8))]
    for _ in range(frames - 1):
        shifted = np.stack([np.roll(states[-1], shift, axis) for shift in (1, -1) for axis in (1, 2)])
        chosen = np.take_along_axis(shifted, rng.integers(0, 4, (1, count, 8, 8)), axis=0)[0]
        states.append(np.where(rng.random((count, 8, 8)) < rate[:, :, None], chosen, states[-1]))
    labels = np.stack(states, axis=1).astype(np.uint8)
    return LabelTrajectories(rate, np.full(count, frames, np.int32), place or domain("labels"), labels)


def waves(count, frames, seed):
    """Fields: u relaxes to its neighbours' mean at a rate, with noise; the second channel is a map that never changes."""
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.1, 0.9, (count, 1))
    still, states = rng.normal(size=(count, 8, 8)), [rng.normal(5, 2, (count, 8, 8))]
    for _ in range(frames - 1):
        mean = sum(np.roll(states[-1], shift, axis) for shift in (1, -1) for axis in (1, 2)) / 4
        pull = rate[:, :, None] * (mean - states[-1])
        states.append(states[-1] + pull + 0.1 * rng.normal(size=still.shape))
    values = np.stack([np.stack(states, axis=1), np.repeat(still[:, None], frames, 1)], axis=2).astype(np.float32)
    return FieldTrajectories(rate, np.full(count, frames, np.int32), domain("fields"), values)


def test_probabilities_of_labels_sum_to_one_and_draws_follow_them():
    space = Labels(3, exchangeable=True)
    out = 2 * torch.randn((1, 3, 1, 3), generator=noise())
    x = torch.tensor([[[[0.0, 1, 2]]]])
    states = torch.tensor(list(product(range(3), repeat=3)), dtype=torch.float32)[:, None, None]
    many = out.expand(len(states), -1, -1, -1)
    density = space.log_density(many, x.expand_as(states), states).exp()
    assert density.sum().item() == pytest.approx(1, abs=1e-6)
    drawn = space.next_state(x.expand(40_000, -1, -1, -1), out.expand(40_000, -1, -1, -1), "sample", noise(1))
    counts = np.bincount((drawn.flatten(1) @ torch.tensor([9.0, 3, 1])).long().numpy(), minlength=27) / 40_000
    error = np.sqrt(density.detach().numpy() * (1 - density.detach().numpy()) / 40_000)
    assert np.all(np.abs(counts - density.detach().numpy()) < 4.5 * error + 1e-9)
    mode = space.next_state(x, out, "mode", noise())
    assert torch.equal(mode[0], states[density.argmax()])


def test_densities_of_fields_are_in_the_channels_own_units():
    record = waves(20, 6, 0)
    space = Fields(2)
    space.measure(record)
    index, t = record.transitions()
    x, x_next = (torch.from_numpy(record.at(index, t + k)) for k in (0, 1))
    out = torch.randn((len(x), 4, 8, 8), generator=noise())
    mean, scale = space.distribution(out)
    law = Normal(
        (x + space.drift + space.spread * mean)[:, 0].double(),
        (space.spread * scale)[:, 0].double(),
        validate_args=False,
    )
    expected = law.log_prob(x_next[:, 0].double()).flatten(1).sum(1)
    torch.testing.assert_close(space.log_density(out, x, x_next), expected, atol=1e-3, rtol=1e-4)
    assert torch.equal(space.next_state(x, out, "sample", noise())[:, 1], x[:, 1])
    drawn = space.next_state(x.repeat(40, 1, 1, 1), out.repeat(40, 1, 1, 1), "sample", noise(1))[:, 0]
    z = (drawn - law.mean.repeat(40, 1, 1)) / law.stddev.repeat(40, 1, 1)
    assert abs(z.mean().item()) < 0.01
    assert z.std().item() == pytest.approx(1, abs=0.01)
    torch.testing.assert_close(space.next_state(x, out, "mode", noise())[:, 0].double(), law.mean, atol=1e-5, rtol=1e-5)


def test_a_channel_that_never_changed_may_not_change():
    space = Fields(2)
    space.measure(waves(20, 6, 0))
    x, out = torch.zeros(1, 2, 8, 8), torch.zeros(1, 4, 8, 8)
    assert math.isfinite(space.log_density(out, x, x).item())
    other = x.clone()
    other[0, 1, 3, 3] = 1
    assert space.log_density(out, x, other).item() == -math.inf


def test_scales_are_those_of_the_training_set():
    record = waves(30, 6, 1)
    space = Fields(2)
    space.measure(record)
    encoded = space.encode(torch.from_numpy(record.values[:, :-1].reshape(-1, 2, 8, 8)))
    torch.testing.assert_close(encoded.mean((0, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoded.std((0, 2, 3)), torch.ones(2), atol=1e-3, rtol=0)
    step = np.diff(record.values[:, :, 0], axis=1)
    assert space.spread[0].item() == pytest.approx(step.std(), rel=1e-4)
    assert space.moves.flatten().tolist() == [1, 0]


def test_permuted_labels_come_back_and_have_the_same_probability():
    exchange = Permuted(50, 3, noise())
    x = torch.from_numpy(voters(50, 1, 0).frame(0))
    there = exchange.there(x)
    assert torch.equal(exchange.back(there), x)
    assert not torch.equal(there, x)
    out = torch.randn((50, 3, 8, 8), generator=noise(1))
    permuted = torch.stack([o[order] for o, order in zip(out, exchange.old, strict=True)])
    space = Labels(3, exchangeable=True)
    x_next = torch.from_numpy(voters(50, 1, 1).frame(0))
    torch.testing.assert_close(
        space.log_density(permuted, there, exchange.there(x_next)), space.log_density(out, x, x_next)
    )


def test_labels_are_not_permuted_where_the_law_tells_them_apart():
    facts = StateFacts.of(replace(domain("labels"), symmetries=()))
    x = torch.from_numpy(voters(50, 1, 0).frame(0))
    assert torch.equal(space_of(facts).exchange(50, noise()).there(x), x)


def test_distances_between_outputs_are_total_variations():
    x = torch.zeros(1, 1, 1, 1)
    labels = Labels(2, exchangeable=False)
    one, other = torch.tensor([[[[2.0]], [[0.0]]]]), torch.tensor([[[[-9.0]], [[0.0]]]])
    sites, apart = labels.changes(one, other, x)
    p, q = (torch.sigmoid(torch.tensor(v + 3.0)).item() for v in (2.0, -9.0))
    assert (sites.item(), apart.item()) == (1, pytest.approx(abs(p - q), abs=1e-6))
    growth = Growth()
    assert growth.changes(torch.ones(1, 1, 1, 1), -torch.ones(1, 1, 1, 1), x)[1].item() == pytest.approx(
        math.tanh(0.5), abs=1e-6
    )


@pytest.mark.parametrize(
    ("boundaries", "axes"), [(PERIODIC, (2, 3)), (("periodic", "open"), (2,)), (("open",) * 2, ())]
)
def test_a_network_commutes_with_translations_along_periodic_axes_and_no_others(boundaries, axes):
    torch.manual_seed(0)
    network = torch.nn.Sequential(ResidualBlock(1, 8), Down(8, 8), ResidualBlock(8, 8), Up(8, 4)).eval()
    set_boundaries(network, boundaries)
    x = torch.randn(1, 1, 8, 8, generator=noise())
    for axis in (2, 3):
        moved = network(x.roll(2, axis))
        same = torch.allclose(moved, network(x).roll(2, axis), atol=1e-5)
        assert same == (axis in axes)


SIMULATORS = {
    "cgne-laptop": {"width": 4, "latent_channels": 2, "latent_width": 4, "kl_weight": 1.0},
    "pns-laptop": {"width": 4, "levels": 2, "latents": 4},
    "stochastic-nca": {"channels": 4, "hidden": 8, "updates": 2},
}
QUICK = {"batch": 40, "learning_rate": 0.01, "clip": 1.0}
UNETS = {"labels": "categorical-unet", "fields": "gaussian-unet"}
MAKERS = {"labels": voters, "fields": waves}


@pytest.mark.parametrize("states", ["labels", "fields"])
@pytest.mark.parametrize("name", [*SIMULATORS, "unet"])
def test_simulators_learn_every_kind_of_states(name, states, tmp_path: Path):
    train, val = MAKERS[states](60, 6, 0), MAKERS[states](12, 6, 1)
    real = UNETS[states] if name == "unet" else name
    params = SIMULATORS.get(name, {"width": 4}) | QUICK

    def fitted(transitions):
        simulator = nsbench.load("simulator", real, **params)
        simulator.fit(train, val, FitContext(transitions, tmp_path / str(transitions), np.random.default_rng(0)))
        return simulator

    index, t = val.transitions()
    pairs = val.at(index, t), val.at(index, t + 1), val.params[index]
    untaught, simulator = fitted(1), fitted(1000)
    first, last = (s.log_likelihood(*pairs, 4, np.random.default_rng(0)).mean() for s in (untaught, simulator))
    assert last > first + 6  # nats, of 64 sites
    simulator.conditions = Conditions(decode="sample")
    rolled = simulator.rollout(val.start(), 4, np.random.default_rng(0))
    assert type(rolled) is type(train)
    assert np.array_equal(rolled.frame(0), val.frame(0))
    if states == "fields":
        assert np.array_equal(rolled.frame(4)[:, 1], val.frame(0)[:, 1])
    simulator.save(tmp_path)
    again = nsbench.load("simulator", real, **params)
    again.load(tmp_path)
    again.conditions = Conditions(decode="sample")
    same = again.rollout(val.start(), 4, np.random.default_rng(0))
    assert np.array_equal(same.frames, rolled.frames)


def test_a_network_is_not_run_on_other_states_than_it_learned(tmp_path: Path):
    simulator = nsbench.load("simulator", "categorical-unet", width=4)
    simulator.fit(voters(8, 3, 0), voters(4, 3, 1), FitContext(8, tmp_path, np.random.default_rng(0)))
    other = voters(2, 3, 2, replace(domain("labels"), boundaries=("open", "open")))
    with pytest.raises(ValueError, match="fitted on other states"):
        simulator.rollout(other.start(), 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="learns labels, and these states are fields"):
        nsbench.load("simulator", "categorical-unet").fit(
            waves(4, 3, 0), waves(4, 3, 1), FitContext(8, tmp_path, np.random.default_rng(0))
        )


def test_hidden_parameters_are_shown_to_no_network():
    place = replace(
        domain("labels"),
        parameters=(Parameter("rate", 0.1, 0.9), Parameter("J", 1, 1), Parameter("seed", 0, 9, hidden=True)),
    )
    assert chosen_parameters(place, "varying") == ["rate"]
    assert chosen_parameters(place, "all") == ["rate", "J"]


def test_too_many_labels_are_refused():
    with pytest.raises(ValueError, match="at most 256 of them, got 300"):
        Labels(300, exchangeable=False)


def test_the_documented_kind_of_states_is_one_file_that_cgne_runs_on(tmp_path: Path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs" / "states.md").read_text()
    code = page.split("<!-- counts -->")[1].split("<!-- end -->")[0].split("```python\n")[1].split("```")[0]
    (tmp_path / "counts_of_the_page.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    place = replace(domain("fields", channels=("cells",)), space="counts_of_the_page:Counts")
    rng = np.random.default_rng(0)

    def births(count):
        rate = rng.uniform(0.1, 0.9, (count, 1))
        states = [rng.poisson(3, (count, 1, 8, 8))]
        for _ in range(4):
            states.append(rng.poisson(0.2 + rate[:, :, None, None] * states[-1]))
        values = np.stack(states, axis=1).astype(np.float32)
        return FieldTrajectories(rate, np.full(count, 5, np.int32), place, values)

    space = space_of(StateFacts.of(place))
    every = torch.arange(60.0)[:, None, None, None]
    one = space.log_density(torch.full((60, 1, 1, 1), 2.0), torch.zeros_like(every), every)
    assert one.exp().sum().item() == pytest.approx(1, abs=1e-6)
    train, val = births(60), births(12)
    index, t = val.transitions()
    pairs = val.at(index, t), val.at(index, t + 1), val.params[index]
    means = []
    for transitions in (1, 1000):
        simulator = nsbench.load("simulator", "cgne-laptop", **SIMULATORS["cgne-laptop"] | QUICK)
        simulator.fit(train, val, FitContext(transitions, tmp_path / str(transitions), np.random.default_rng(0)))
        means.append(simulator.log_likelihood(*pairs, 4, np.random.default_rng(0)).mean())
    assert means[1] > means[0] + 10
    simulator.conditions = Conditions(decode="sample")
    rolled = simulator.rollout(val.start(), 3, np.random.default_rng(0))
    assert np.array_equal(rolled.values, rolled.values.round())


@pytest.mark.parametrize("width", [1, 5])
def test_periodic_padding_is_that_of_torch_and_so_is_its_gradient(width):
    x = torch.randn(2, 3, 6, 8, dtype=torch.float64, generator=noise(), requires_grad=True)
    ours, torchs = padded(x, width, PERIODIC), torch.nn.functional.pad(x, (width,) * 4, "circular")
    assert torch.equal(ours, torchs)
    weight = torch.randn(ours.shape, dtype=torch.float64, generator=noise(1))
    one, other = (torch.autograd.grad((p * weight).sum(), x)[0] for p in (ours, torchs))
    torch.testing.assert_close(one, other)
