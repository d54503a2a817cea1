"""Interpolants: what their steps draw where the drift is known exactly, and that a fit comes near to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import nsbench
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.relaxed import RelaxedFields, RelaxedGrowth, RelaxedLabels
from nsbench.trajectories.domain import Domain
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_interpolant.params import InterpolantParams
from nsbench_interpolant.paths import follow
from test_refiner import TINY, fitted, jumps, steps_of
from test_states import domain, share, voters, waves

pytestmark = pytest.mark.usefixtures("one_thread")

WAYS = [(path, sampler) for path in ("linear", "bridge") for sampler in ("ode", "sde")]
START, MEAN, DEVIATION, NOISE = 0.3, 1.5, 0.7, 1.3
"""The present state, the mean and deviation of the next one, and the path's noise, of every site."""


def on_path(path, s):
    """(variance of the noise in x_s, variance of x_s) of the Gaussian, at time s."""
    noise = NOISE**2 * (1 if path == "linear" else s)
    return noise, (s * DEVIATION) ** 2 + (1 - s) ** 2 * noise


def exact_drift(path):
    """E[x' − x_t − εW | x_s] by the regression of one Gaussian on another."""

    def drift(s, x):
        noise, variance = on_path(path, s)
        slope = (s * DEVIATION**2 - (1 - s) * noise) / variance if variance else 0.0
        return MEAN - START + slope * (x - START - s * (MEAN - START))

    return drift


def drawn(path, sampler, n, side=200):
    params = InterpolantParams(path=path, sampler=sampler, evaluations=n, noise=NOISE)
    present = torch.full((1, 1, side, side), START)
    return follow(exact_drift(path), present, torch.ones(1, 1, 1, 1), params, torch.Generator().manual_seed(0))


def by_diffusion(path, n):
    """The variance at the end of n steps, by the variances of what each step adds up."""
    v = NOISE**2 if path == "linear" else 0.0
    for k in range(n - 1):
        s, later = k / n, (k + 1) / n
        ahead, held = slopes(path, s)
        kept = (1 - later) / (1 - s) if path == "linear" else 1.0
        fresh = NOISE**2 * (1 - kept**2 if path == "linear" else later - s)
        v = (later * ahead + (1 - later) * kept * held) ** 2 * v + (1 - later) ** 2 * fresh
    return slopes(path, 1 - 1 / n)[0] ** 2 * v


def by_flow(path, n):
    """The variance at the end of n steps, by the factor of the one draw from which the flow starts."""

    def root(s):
        return 1.0 if path == "linear" else math.sqrt(s)

    factor, history = (NOISE if path == "linear" else 0.0), []
    for k in range(n):
        s, later = k / n, (k + 1) / n
        ahead, held = (slope * factor for slope in slopes(path, s))
        history.append((ahead, held / root(s) if root(s) else NOISE))
        ahead, held = (
            (3 * now - before for now, before in zip(history[-1], history[-2], strict=True))
            if k
            else (2 * part for part in history[-1])
        )
        factor += ahead / 2 / n + ((1 - later) * root(later) - (1 - s) * root(s)) * held / 2
    return factor**2


def slopes(path, s):
    """How the means of the next state and of the noise rise with x_s."""
    noise, variance = on_path(path, s)
    return (s * DEVIATION**2 / variance, (1 - s) * noise / variance) if variance else (0.0, 0.0)


def variance_of(path, sampler, n):
    return by_flow(path, n) if sampler == "ode" else by_diffusion(path, n)


@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize(("path", "sampler"), WAYS)
def test_a_gaussian_is_drawn_with_its_mean_and_a_variance_that_is_known_for_each_number_of_steps(path, sampler, n):
    x, expected = drawn(path, sampler, n), variance_of(path, sampler, n)
    assert x.mean().item() == pytest.approx(MEAN, abs=4.5 * math.sqrt(expected) / 200)
    assert x.var().item() == pytest.approx(expected, rel=4.5 * math.sqrt(2) / 200)


@pytest.mark.parametrize(("path", "sampler"), WAYS)
def test_with_many_evaluations_it_is_the_variance_of_the_truth_and_with_one_there_is_none(path, sampler):
    errors = [abs(variance_of(path, sampler, n) / DEVIATION**2 - 1) for n in (10, 100, 1000)]
    order = 2 if (path, sampler) == ("linear", "ode") else 1
    assert errors[0] < (0.03 if order == 2 else 0.4)
    assert errors[1] < 2 * errors[0] / 10**order
    assert errors[2] < 2 * errors[1] / 10**order
    torch.testing.assert_close(drawn(path, sampler, 1), torch.full((1, 1, 200, 200), MEAN))


def test_what_is_known_of_the_next_state_is_not_asked_of_the_network():
    params = InterpolantParams(evaluations=3)
    free = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
    x = follow(lambda s, x: torch.full_like(x, 5.0), torch.zeros(1, 2, 4, 4), free, params, torch.Generator())
    assert (x[:, 0] == 0).all()
    assert (x[:, 1] != 0).all()


def sampled(simulator, folder, **sampling):
    """The same fit, drawn from otherwise."""
    other = nsbench.load("simulator", "interpolant", **simulator.params.model_dump() | sampling)
    simulator.save(folder)
    other.load(folder)
    return other


def relaxing(count, seed, at=None):
    """As `jumps`: u relaxes half of the way to 2, with a deviation of 0.6 + 0.4·rate."""
    record, rng = jumps(count, seed, at=at), np.random.default_rng(seed + 100)
    x = record.values[:, 0, 0]
    step = (2 - x) / 2 + (0.6 + 0.4 * record.params[:, :, None]) * rng.normal(size=x.shape)
    record.values[:, 1, 0] = x + step
    return record


@pytest.mark.parametrize("path", ["linear", pytest.param("bridge", marks=pytest.mark.slow)])
def test_a_fit_recovers_a_mean_that_depends_on_the_state_and_a_deviation_that_depends_on_a_parameter(path, tmp_path):
    simulator = fitted(tmp_path, 6000, "interpolant", relaxing(400, 0), path=path)
    for sampler, evaluations in (("ode", 12), ("sde", 60)):
        other = sampled(simulator, tmp_path, sampler=sampler, evaluations=evaluations)
        for at in (-0.7, 0.7):
            x = jumps(64, 5, at=at).values[:, 0, 0]
            steps = steps_of(other, at)
            slope, level = np.polyfit(x.ravel() - 2, steps.ravel(), 1)
            assert (slope, level) == pytest.approx((-0.5, 0.0), abs=0.1)
            rest = steps - level - slope * (x - 2)
            assert rest.std() == pytest.approx(0.6 + 0.4 * at, rel=0.2)
    mean = steps_of(sampled(simulator, tmp_path, evaluations=1), 0.7)
    assert (mean + 0.5 * (x - 2)).std() < 0.2


def one_of_two_growths(count, seed):
    """From a middle column, the left or the right half attaches, all of it, as a coin falls."""
    left = np.random.default_rng(seed).random(count) < 0.5
    column = np.arange(8)[None, None, :]
    grows = np.where(left[:, None, None], column < 4, column > 4)
    arrival = np.where(column == 4, 0, np.where(grows, 1, -1)) * np.ones((1, 8, 1), int)
    here = Domain(
        "square", (8, 8), ("attached",), "growth", (nsbench.Parameter("rate", 0, 1),), "rate",
        (nsbench.Observable("share", "1", share),), stride=1,
    )  # fmt: skip
    rate = np.random.default_rng(seed).random((count, 1))
    return GrowthTrajectories(rate, np.full(count, 2, np.int32), here, arrival.astype(np.int32))


def one_of_two_labels(count, seed):
    """From random labels, all sites become 0, or all become 2, as a coin falls."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (count, 2, 8, 8))
    labels[:, 1] = np.where(rng.random((count, 1, 1)) < 0.5, 0, 2)
    here = domain("labels", symmetries=())
    return LabelTrajectories(rng.random((count, 1)), np.full(count, 2, np.int32), here, labels.astype(np.uint8))


@pytest.mark.parametrize("mixture", [one_of_two_growths, one_of_two_labels])
def test_of_two_next_states_each_is_drawn_half_of_the_time_and_no_blend(mixture, tmp_path):
    train = mixture(200, 0)
    simulator = fitted(tmp_path, 5000, "interpolant", train, sampler="sde", evaluations=12)
    rolled = simulator.rollout(mixture(100, 1).start(), 1, np.random.default_rng(0))
    assert type(rolled) is type(train)
    after = rolled.frame(1)[:, 0]
    two = [np.flatnonzero((after == state).all(axis=(1, 2))) for state in np.unique(train.frame(1)[:, 0], axis=0)[:2]]
    if mixture is one_of_two_labels:
        two = [np.flatnonzero((after == label).all(axis=(1, 2))) for label in (0, 2)]
    assert len(two[0]) + len(two[1]) >= 95
    assert min(len(two[0]), len(two[1])) >= 30


def test_relaxed_states_have_unit_scale_and_come_back():
    noise = torch.Generator()
    labels = RelaxedLabels(3, exchangeable=False)
    x, x_next = (torch.from_numpy(voters(5, 1, seed).frame(0)) for seed in (0, 1))
    relaxed = labels.relaxed(x, x_next)
    assert relaxed.shape == (5, 3, 8, 8)
    assert (relaxed.sum(1) == -1).all()
    assert (relaxed.abs() == 1).all()
    assert torch.equal(labels.next_state(x, relaxed, "sample", noise), x_next)
    growth, x = RelaxedGrowth(), (x > 1).float()
    x_next = torch.maximum(x, (x_next > 1).float())
    assert torch.equal(growth.next_state(x, growth.relaxed(x, x_next), "sample", noise), x_next)
    assert torch.equal(growth.next_state(x, -torch.ones_like(x), "sample", noise), x)  # what is attached stays
    record, fields = waves(20, 6, 0), RelaxedFields(2)
    fields.measure(record)
    x, x_next = (torch.from_numpy(np.concatenate(np.split(record.values, 6, 1)[k : 5 + k])[:, 0]) for k in (0, 1))
    relaxed = fields.relaxed(x, x_next)
    assert relaxed[:, 0].std().item() == pytest.approx(1, rel=0.02)
    torch.testing.assert_close(fields.next_state(x, relaxed, "sample", noise), x_next, atol=1e-4, rtol=1e-4)
    assert torch.equal(fields.next_state(x, 9 * torch.ones_like(x), "sample", noise)[:, 1], x[:, 1])
    torch.testing.assert_close(fields.site_loss(torch.zeros_like(x), x, x_next)[:, 0], relaxed[:, 0] ** 2)


def test_an_interrupted_fit_goes_on_whatever_its_parameters_of_sampling(tmp_path):
    train, weights = jumps(40, 0), []
    for stops in (0, 1):
        calls, simulator = [], nsbench.load("simulator", "interpolant", **TINY)
        folder = tmp_path / str(stops)
        folder.mkdir()

        def context(stopping, folder=folder):
            return FitContext(160, folder, np.random.default_rng(0), stopping=stopping)

        if stops:
            with pytest.raises(KeyboardInterrupt):
                simulator.fit(train, train, context(lambda calls=calls: len(calls) > 4 or calls.append(0)))
            simulator = nsbench.load("simulator", "interpolant", **TINY, evaluations=2, sampler="sde")
        done = []
        ctx = FitContext(160, folder, np.random.default_rng(0), progress=lambda now, total, done=done: done.append(now))
        simulator.fit(train, train, ctx)
        assert done[0] == (96 if stops else 16)
        weights.append(simulator.network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_operations_grow_with_the_evaluations(tmp_path):
    simulator, start, counts = fitted(tmp_path, 8, "interpolant"), jumps(2, 1).start(), []
    for n in (1, 2, 8):
        counts.append(sampled(simulator, tmp_path, evaluations=n).flops(start, 3, np.random.default_rng(0)))
    assert counts == [counts[0], 2 * counts[0], 8 * counts[0]]


@pytest.mark.parametrize("make", [voters, waves])
def test_bfloat16_trains_and_draws_every_kind(make, tmp_path):
    simulator = nsbench.load("simulator", "interpolant", **TINY, sampler="sde", evaluations=2)
    train = make(20, 3, 0)
    ctx = FitContext(64, tmp_path, np.random.default_rng(0), Conditions(precision="bfloat16"))
    simulator.fit(train, train, ctx)
    one, same, other = (simulator.rollout(train.start(), 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert type(one) is type(train)
    assert np.array_equal(one.frame(2), same.frame(2))
    assert not np.array_equal(one.frame(2), other.frame(2))


def test_states_that_nothing_relaxes_and_parameters_that_make_no_sense_are_refused():
    own = nsbench.load("simulator", "interpolant", **TINY)
    with pytest.raises(
        ValueError, match="Interpolant draws relaxed states, and nothing says how mine:Counts is relaxed"
    ):
        own.space(StateFacts("fields", 1, 0, False, ("open", "open"), "mine:Counts"))
    for wrong in ({"noise": 0}, {"evaluations": 0}, {"path": "curved"}):
        with pytest.raises(ValidationError):
            InterpolantParams(**wrong)


SUITE = """\
name: evaluations
datasets:
  - {use: lca, params: {size: 16, train: 12, val: 2, test: {parameters: 2, repeats: 2}}}
simulators:
  - {use: interpolant, params: {width: 4}, grid: {evaluations: [1, 3]}}
metrics: [ewd, wall_clock]
protocol: {stride: 4, horizon: 6, bounds: null}
budget: {transitions: 64}
"""


@pytest.mark.slow
def test_a_suite_fits_once_for_a_curve_over_evaluations(bench):
    outcome, made, _ = bench(SUITE)
    assert len([what for what in made if what.startswith("fit of interpolant")]) == 1
    scores = [{score.metric: score for score in row.scores} for row in outcome.rows]
    flops = [each["wall_clock"].extras["flops"] for each in scores]
    assert 2 < flops[1] / flops[0] < 4  # rollouts that end sooner take fewer
    assert scores[0]["wall_clock"].extras["fit_s"] == scores[1]["wall_clock"].extras["fit_s"]
