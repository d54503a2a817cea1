"""Metrics on fields of several channels, each with a unit of its own: none decides by the size of its numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nsbench
from forecasts import evidence, gaussian_fields, generator
from nsbench.trajectories.domain import Observable
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_metrics.shared.comparison import channel_deviations

SCALED = (
    "crps",
    "energy_score",
    "variogram_score",
    "mmd",
    "ssim",
    "spectrum",
    "divergence",
    "sliced_wasserstein",
    "sliced_energy",
    "nearest_neighbour",
)
PARAMS = {"divergence": {"tolerance": 2.5}, "mmd": {"space": "fields"}, "sliced_wasserstein": {"space": "fields"}}


def mean_of(channel):
    return lambda state: state[:, channel].mean(axis=(1, 2), dtype=np.float64)


def with_channels(*layers):
    """Fields of one channel each as the channels of one."""
    first = layers[0]
    names = tuple("uvw"[: len(layers)])
    seen = tuple(Observable(name, unit, mean_of(c)) for c, (name, unit) in enumerate(zip(names, ("m", "K", "s"))))  # noqa: B905
    domain = replace(first.domain, channels=names, observables=seen)
    values = np.concatenate([layer.values for layer in layers], axis=2)
    return FieldTrajectories(first.params, first.lengths, domain, values)


def scaled(trajectories, *factors):
    return replace(trajectories, values=trajectories.values * np.array(factors, np.float32)[:, None, None])


@pytest.fixture(scope="module")
def pair():
    """(truths, rollouts) of two channels: three ensembles of four truths, one member each."""
    rng, means = generator(1), np.repeat([0.2, 0.5, 0.8], 4)
    truth, other = (gaussian_fields(means, rng, frames=3, size=8) for _ in range(2))
    drawn, wrong = (gaussian_fields(means, rng, frames=3, size=8, scale=s) for s in (1.0, 3.0))
    return with_channels(truth, other), with_channels(drawn, wrong)


def score(name, truth, rollouts):
    metric = nsbench.load("metric", name, **PARAMS.get(name, {}))
    return metric.score(evidence(rollouts), truth, np.random.default_rng(0))


@pytest.mark.parametrize("name", SCALED)
def test_no_number_depends_on_a_channels_unit(pair, name):
    truth, rollouts = pair
    plain = score(name, truth, rollouts)
    for factors in ((1e5, 1), (1, 2.0**-20), (1e-2, 1e5)):
        other = score(name, scaled(truth, *factors), scaled(rollouts, *factors))
        assert other.value == pytest.approx(plain.value, rel=2e-5), factors
        np.testing.assert_allclose(other.items, plain.items, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SCALED)
def test_both_channels_count(pair, name):
    truth, rollouts = pair
    big = scaled(truth, 1e5, 1), scaled(rollouts, 1e5, 1)
    right = replace(big[1], values=np.concatenate([big[1].values[:, :, :1], big[0].values[:, :, 1:]], axis=2))
    assert score(name, big[0], right).value != pytest.approx(score(name, *big).value, rel=1e-3)


@pytest.mark.parametrize("name", ["energy_score", "variogram_score"])
def test_the_value_is_the_mean_of_the_channels_alone_and_items_are_by_channel(pair, name):
    truth, rollouts = pair
    both = score(name, truth, rollouts)
    alone = [score(name, only(truth, c), only(rollouts, c)) for c in (0, 1)]
    assert both.value == pytest.approx(np.mean([a.value for a in alone]), rel=1e-12)
    np.testing.assert_allclose(both.items, np.stack([a.items for a in alone], axis=-1), rtol=1e-12)
    assert both.items.shape == (3, 2, 2)
    assert [both.extras["u"], both.extras["v"]] == pytest.approx([a.value for a in alone], rel=1e-12)


def only(trajectories, channel):
    domain = trajectories.domain
    one = replace(
        domain, channels=domain.channels[channel : channel + 1], observables=(Observable("mean", "m", mean_of(0)),)
    )
    return FieldTrajectories(
        trajectories.params, trajectories.lengths, one, trajectories.values[:, :, channel : channel + 1]
    )


def test_crps_of_observables_with_other_units_is_in_the_truths_deviations(pair):
    result = score("crps", *pair)
    assert result.unit == "σ"
    assert result.items.shape == (3, 2, 2)
    assert result.value == pytest.approx(result.items.mean(), rel=1e-12)


def test_deviations_in_pieces_are_those_of_the_whole():
    states = np.random.default_rng(0).normal(size=(12, 3, 5, 4)) * [[[1e-3]], [[1.0]], [[50.0]]] + 1e4
    states[:, 1] = 7.25
    found = channel_deviations(states[k : k + 5] for k in range(0, 12, 5))
    expected = states.std(axis=(0, 2, 3))
    np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-6)
    assert found[1] == 1, "a channel that is the same everywhere keeps its unit"
