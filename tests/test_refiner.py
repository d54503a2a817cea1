"""PDE-Refiner: what its steps draw, exactly, and that a fit comes near to it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import nsbench
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.trajectories.domain import Domain, Observable, Parameter
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_refiner.model import refine
from test_states import domain, voters

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"width": 8, "batch": 16, "learning_rate": 0.01, "clip": 1.0, "embedding_width": 16, "embedding": 8}


def first(state):
    return state[:, 0].mean(axis=(1, 2), dtype=np.float64)


def place(side=8, boundaries=("periodic", "periodic")):
    return Domain(
        "square", (side, side), ("u", "still"), "fields", (Parameter("rate", -1, 1),), "rate",
        (Observable("mean", "1", first),), boundaries=boundaries, stride=1,
    )  # fmt: skip


def jumps(count, seed, of_rate=1.0, at=None, **facts):
    """Two frames: u grows by of_rate·rate + N(0, 0.5²) at each site, independently; the second channel stays."""
    rng, here = np.random.default_rng(seed), place(**facts)
    rate = rng.uniform(-1, 1, (count, 1)) if at is None else np.full((count, 1), at)
    x = rng.normal(2, 1, (count, 2, *here.shape))
    step = of_rate * rate[:, :, None] + 0.5 * rng.normal(size=x[:, 0].shape)
    after = x + np.stack([step, np.zeros_like(step)], axis=1)
    values = np.stack([x, after], axis=1).astype(np.float32)
    return FieldTrajectories(rate, np.full(count, 2, np.int32), here, values)


def fitted(tmp_path: Path, transitions=4000, name="refiner", train=None, **params):
    simulator = nsbench.load("simulator", name, **TINY | params)
    train = jumps(400, 0) if train is None else train
    simulator.fit(train, train.select(slice(0, 8)), FitContext(transitions, tmp_path, np.random.default_rng(0)))
    return simulator


def steps_of(simulator, at, count=64, seed=0):
    """The increments of u in one frame, float[count, H, W]."""
    start = jumps(count, 5, at=at).start()
    rolled = simulator.rollout(start, 1, np.random.default_rng(seed))
    assert np.array_equal(rolled.frame(1)[:, 1], start.frame(0)[:, 1])
    return rolled.frame(1)[:, 0].astype(float) - start.frame(0)[:, 0]


def of_gaussian(mean, deviation, levels):
    """The exact answers for increments that are N(mean, deviation²) at each site."""

    def answer(u, k):
        if k == 0:
            return torch.full_like(u, mean)
        level = levels[k - 1]
        return level / (deviation**2 + level**2) * (u - mean)

    return answer


def variance(deviation, levels):
    """V_k = (τ² / (τ² + σ_k²))² (V_{k−1} + σ_k²): of refinements that know a Gaussian exactly."""
    v = 0.0
    for level in levels:
        v = (deviation**2 / (deviation**2 + level**2)) ** 2 * (v + level**2)
    return v


def levels_of(count, smallest):
    return [smallest ** (k / count) for k in range(1, count + 1)]


@pytest.mark.parametrize(("count", "smallest"), [(1, 0.5), (3, 0.01), (4, 0.3), (100, 0.05)])
def test_of_a_gaussian_known_exactly_a_refiner_draws_less_than_half_of_the_variance(count, smallest):
    levels, like = levels_of(count, smallest), torch.zeros(1, 1, 200, 200)
    u = refine(of_gaussian(1.5, 0.7, levels), like, levels, torch.Generator().manual_seed(0))
    expected = variance(0.7, levels)
    assert u.mean().item() == pytest.approx(1.5, abs=4.5 * math.sqrt(expected) / 200)
    assert u.var().item() == pytest.approx(expected, rel=4.5 * math.sqrt(2) / 200)
    assert expected < 0.7**2 / 2
    assert count < 100 or expected > 0.98 * 0.7**2 / 2


def two_states(p, levels):
    """The exact answers where each map is 1 everywhere with probability p, and else −1 everywhere."""

    def answer(u, k):
        if k == 0:
            return torch.full_like(u, 2 * p - 1)
        level = levels[k - 1]
        odds = 2 * u.double().sum((1, 2, 3), keepdim=True) / level**2 + math.log(p / (1 - p))
        mean = torch.tanh(odds / 2).float()
        return (u - mean) / level

    return answer


def test_two_fields_that_are_as_likely_are_both_drawn_and_never_a_blend():
    levels = levels_of(4, 0.05)
    u = refine(two_states(0.5, levels), torch.zeros(2000, 1, 4, 4), levels, torch.Generator().manual_seed(0))
    assert torch.allclose(u.abs(), torch.ones_like(u), atol=0.01)
    assert (u[:, 0, 0, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=4.5 * 0.5 / math.sqrt(2000))


@pytest.mark.parametrize("count", [1, 4, 20])
def test_a_site_that_changes_seldom_changes_less_often_than_it_should(count):
    """Why growth and labels are refused."""
    levels = levels_of(count, 0.05)
    u = refine(two_states(0.2, levels), torch.zeros(20_000, 1, 1, 1), levels, torch.Generator().manual_seed(0))
    assert (u > 0).float().mean().item() < 0.13


def test_without_refinements_it_is_an_operator_that_predicts_the_mean(tmp_path):
    simulator = fitted(tmp_path, refinements=0)
    for at in (-0.7, 0.7):
        one, other = (steps_of(simulator, at, seed=seed) for seed in (0, 1))
        assert np.array_equal(one, other)
        assert one.mean() == pytest.approx(at, abs=0.1)
        assert one.std() < 0.1


def test_a_fit_draws_what_exact_answers_would(tmp_path):
    simulator = fitted(tmp_path, refinements=3, smallest_noise=0.3)
    spread = math.sqrt(1 / 3 + 0.25)  # of increments in the training set, the unit of its noise
    expected = spread * math.sqrt(variance(0.5 / spread, levels_of(3, 0.3)))
    for at in (-0.7, 0.7):
        steps = steps_of(simulator, at)
        assert steps.mean() == pytest.approx(at, abs=0.1)
        assert (steps - steps.mean(0)).std() == pytest.approx(expected, rel=0.12)


def test_the_fourier_operator_learns_the_same_and_runs_on_other_lattices(tmp_path):
    simulator = fitted(tmp_path, refinements=0, backbone="fno", modes=2, layers=2)
    assert steps_of(simulator, 0.7).mean() == pytest.approx(0.7, abs=0.1)
    start = jumps(4, 3, at=-0.7, side=13).start()
    rolled = simulator.rollout(start, 1, np.random.default_rng(0))
    assert (rolled.frame(1) - start.frame(0))[:, 0].mean() == pytest.approx(-0.7, abs=0.15)


def test_what_it_cannot_learn_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Refiner learns fields, and these states are labels"):
        fitted(tmp_path, train=voters(8, 3, 0, domain("labels")))
    with pytest.raises(ValueError, match="backbone fno of Refiner works on lattices that are periodic on both axes"):
        fitted(tmp_path, train=jumps(8, 0, boundaries=("open", "periodic")), backbone="fno", modes=2)
    with pytest.raises(ValueError, match="needs lattices of 15 sites a side or more, got 8×8"):
        fitted(tmp_path, backbone="fno")
    with pytest.raises(ValueError, match="divisible by 8, got 13×13"):
        fitted(tmp_path, train=jumps(8, 0, side=13))
    fitted(tmp_path, transitions=8, train=jumps(8, 0, boundaries=("open", "periodic")))


@pytest.mark.parametrize("backbone", ["unet", "fno"])
def test_a_frame_takes_an_evaluation_more_than_there_are_refinements(backbone, tmp_path):
    start, counts = jumps(2, 1).start(), []
    for refinements in (0, 1, 4):
        params = {"refinements": refinements, "backbone": backbone, "modes": 2}
        simulator = fitted(tmp_path / str(refinements), 8, **params)
        counts.append(simulator.flops(start, 3, np.random.default_rng(0)))
    assert counts[0] > 0
    assert counts[1:] == [2 * counts[0], 5 * counts[0]]


@pytest.mark.parametrize("backbone", ["unet", "fno"])
def test_bfloat16_trains_and_draws(backbone, tmp_path):
    simulator = nsbench.load("simulator", "refiner", **TINY | {"backbone": backbone, "modes": 2})
    conditions, train = Conditions(precision="bfloat16"), jumps(40, 0)
    simulator.fit(train, train, FitContext(64, tmp_path, np.random.default_rng(0), conditions))
    rolled = simulator.rollout(train.start(), 2, np.random.default_rng(0))
    assert rolled.values.dtype == np.float32
    assert np.isfinite(rolled.values).all()
