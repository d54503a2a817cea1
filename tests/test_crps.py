"""Networks with injected noise: their scores against second implementations, and a law that they recover."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scoringrules
import torch

import nsbench
from forecasts import domain, gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.protocol import Conditions
from nsbench.components.simulator import FitContext
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_crps.scores import absolute, almost_fair, root_mean_square

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"width": 4, "embedding": 4, "embedding_width": 8, "noise": 4}


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(members, truth, fair, distance):
    """α · the fair score + (1 − α) · that of the members as they are, by a double loop."""
    m = len(members)
    error = sum(distance(x, truth) for x in members) / m
    apart = sum(distance(one, other) for one in members for other in members)
    return fair * (error - apart / (2 * m * (m - 1))) + (1 - fair) * (error - apart / (2 * m * m))


@pytest.mark.parametrize("fair", [0, 0.5, 0.95, 1])
@pytest.mark.parametrize("m", [2, 3, 8])
@pytest.mark.parametrize("distance", [absolute, root_mean_square])
def test_the_score_is_that_of_its_definition(fair, m, distance):
    members, truth = draws(m, 5, 2, 3, 3), draws(5, 2, 3, 3, seed=1)
    expected = by_definition(members, truth, fair, distance)
    torch.testing.assert_close(almost_fair(members, truth, fair, distance), expected)


@pytest.mark.parametrize(("fair", "estimator"), [(0, "nrg"), (1, "fair")])
def test_scores_are_those_of_scoringrules(fair, estimator):
    members, truth = draws(6, 40, 1, 2, 2), draws(40, 1, 2, 2, seed=1)
    expected = scoringrules.crps_ensemble(truth.numpy(), np.moveaxis(members.numpy(), 0, -1), estimator=estimator)
    np.testing.assert_allclose(almost_fair(members, truth, fair, absolute).numpy(), expected)
    flat = np.moveaxis(members.flatten(2).numpy(), 0, 1)  # [40, m, 4]
    expected = scoringrules.es_ensemble(truth.flatten(1).numpy(), flat, estimator=estimator)
    np.testing.assert_allclose(2 * almost_fair(members, truth, fair, root_mean_square).numpy(), expected)


@pytest.mark.parametrize(("fair", "m"), [(1, 2), (0.95, 2), (0.95, 4), (0, 2)])
def test_the_score_is_least_where_its_closed_form_says(fair, m):
    """Members N(0, s²), truth N(0, 1): √(2/π) (√(1 + s²) − (1 − ε) s / √2) is least at s² = q / (1 − q), q = (1 − ε)²/2."""
    shrunk = 1 - (1 - fair) / m
    best = math.sqrt(shrunk**2 / 2 / (1 - shrunk**2 / 2))
    assert (best == pytest.approx(1)) == (fair == 1)
    truth, members = draws(400_000), draws(m, 400_000, seed=1)
    scales = best * np.array([0.7, 0.85, 1, 1.15, 1.3])
    scores = [almost_fair(s * members, truth, fair, absolute).mean().item() for s in scales]
    closed = [math.sqrt(2 / math.pi) * (math.hypot(1, s) - shrunk * s / math.sqrt(2)) for s in scales]
    np.testing.assert_allclose(scores, closed, atol=0.005)
    assert np.argmin(scores) == 2


def test_one_member_is_no_ensemble():
    with pytest.raises(ValueError, match="two members"):
        almost_fair(draws(1, 3), draws(3), 1, absolute)


def test_the_energy_score_has_a_gradient_where_members_are_equal():
    members = torch.zeros(2, 1, 1, 2, 2, requires_grad=True)
    almost_fair(members, torch.ones(1, 1, 2, 2), 1, root_mean_square).sum().backward()
    assert torch.isfinite(members.grad).all()


DRIFT, DEVIATION = 2.0, 0.5


def shifted(count, seed=0):
    """A random field and a map of ones; the field moves as a whole by DRIFT · rate + DEVIATION · η, η ~ N(0, 1)."""
    rng = generator(seed)
    rates = rng.random(count)
    first = rng.normal(size=(count, 8, 8))
    step = DRIFT * rates + DEVIATION * rng.normal(size=count)
    field = np.stack((first, first + step[:, None, None]), axis=1)
    values = np.stack((field, np.ones_like(field)), axis=2).astype(np.float32)  # [n, 2, 2, 8, 8]
    place = domain(8, "fields")
    place = nsbench.Domain(
        place.lattice, place.shape, ("u", "map"), "fields", place.parameters, "rate", place.observables, stride=1
    )
    return FieldTrajectories(rates[:, None], np.full(count, 2, np.int32), place, values)


def fitted(folder, record, transitions, **params):
    simulator = nsbench.load("simulator", "crps", **SMALL | {"learning_rate": 5e-3} | params)
    simulator.fit(record, record, FitContext(transitions, folder, generator(1)))
    return simulator


@pytest.mark.parametrize("score", ["crps", pytest.param("energy", marks=pytest.mark.slow)])
def test_a_gaussian_increment_of_all_sites_together_is_recovered(score, tmp_path):
    simulator = fitted(tmp_path, shifted(1000), 5000, score=score, fair=1)
    for rate in (0.2, 0.8):
        start = shifted(400, seed=5).start()
        start = FieldTrajectories(np.full((400, 1), rate), start.lengths, start.domain, start.values)
        rollout = simulator.rollout(start, 1, generator(3))
        step = rollout.frame(1) - rollout.frame(0)
        assert (step[:, 1] == 0).all()  # what never changed is carried over
        np.testing.assert_allclose(step[:, 0].mean(), DRIFT * rate, atol=0.15)
        assert step[:, 0].std(axis=0).mean() == pytest.approx(DEVIATION, rel=0.15)
        together = step[:, 0].reshape(400, -1).mean(1)
        assert together.std() == pytest.approx(step[:, 0].std(axis=0).mean(), rel=0.05)  # all sites have one cause


@pytest.mark.slow
def test_noise_maps_let_sites_differ_and_a_vector_alone_moves_them_together(tmp_path):
    """Sites with independent increments N(0, 1): the vector alone gives the right spread at a site, and one cause."""
    record = gaussian_fields(np.zeros(400), generator(), frames=2, size=8)
    shares = {}
    for maps in (0, 2):
        simulator = fitted(tmp_path / str(maps), record, 4000, noise_maps=maps, fair=1)
        step = simulator.rollout(record.start(), 1, generator(3)).frame(1)[:, 0]
        assert step.std(axis=0).mean() == pytest.approx(1, rel=0.2)
        shares[maps] = step.reshape(400, -1).mean(1).var() / step.var(axis=0).mean()  # of variance in the mean
    assert shares[0] > 0.3
    assert shares[2] < shares[0]


def test_noise_is_drawn_for_each_member_and_frame_whatever_the_decoding(tmp_path):
    record = shifted(40)
    simulator = fitted(tmp_path, record, 320)
    start = record.start().select(np.zeros(3, int))
    rollouts = []
    for decode in ("mode", "sample"):
        simulator.conditions = Conditions(decode=decode)
        rollouts.append(simulator.rollout(start, 2, generator(4)).values)
    np.testing.assert_array_equal(*rollouts)
    steps = np.diff(rollouts[0][:, :, 0], axis=1).mean(axis=(2, 3))  # [3 members, 2 frames]
    assert len(np.unique(steps.round(6))) == 6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fit_repeats_and_weights_survive_a_file(precision, tmp_path):
    record, conditions = shifted(40), Conditions(precision=precision)
    rollouts = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        simulator = nsbench.load("simulator", "crps", **SMALL, noise_maps=1)
        simulator.conditions = conditions
        simulator.fit(record, record, FitContext(160, folder, generator(1), conditions))
        rollouts.append(simulator.rollout(record.start(), 1, generator(2)).values)
    simulator.save(tmp_path)
    loaded = nsbench.load("simulator", "crps", **SMALL, noise_maps=1)
    loaded.conditions = conditions
    loaded.load(tmp_path)
    rollouts.append(loaded.rollout(record.start(), 1, generator(2)).values)
    np.testing.assert_array_equal(rollouts[0], rollouts[1])
    np.testing.assert_array_equal(rollouts[0], rollouts[2])


def test_other_states_are_refused_and_no_likelihood_is_claimed(tmp_path):
    for record in (growth_maps([0.5], generator()), label_maps([0.5], generator(), size=8)):
        with pytest.raises(ValueError, match=f"these states are {record.domain.states}"):
            fitted(tmp_path, record, 10)
    assert nsbench.load("simulator", "crps").likelihood is None
