"""Which way time runs: processes that are told from themselves backwards, and those that are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nsbench
from forecasts import domain, evidence, gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_metrics.time_asymmetry import asymmetry, halves, squared_asymmetry, third_cumulant


def curves(values, repeats=8):
    """Fields that are flat in space, of numbers float64[n, T]: ensembles of so many."""
    values = np.asarray(values)
    n, frames = values.shape
    states = np.broadcast_to(values[:, :, None, None, None], (n, frames, 1, 2, 2)).astype(np.float32)
    rates = np.repeat(np.arange(n / repeats), repeats)[:, None]
    return FieldTrajectories(rates, np.full(n, frames, np.int32), domain(2, "fields"), states)


def sawtooth(n, rng, frames=30):
    """Slow rises and sudden falls at random times, from 0 to 0, float64[n, T]."""
    values = np.zeros((n, frames))
    for t in range(1, frames - 1):
        values[:, t] = np.where(rng.random(n) < 0.25, 0, values[:, t - 1] + 1)
    return values


def autoregression(n, rng, frames=30, phi=0.7):
    """A stationary Gaussian autoregression that starts at 0 at frame 0, after which it has forgotten its start."""
    values = np.zeros((n, frames))
    values[:, 1] = rng.normal(size=n) / np.sqrt(1 - phi**2)
    for t in range(2, frames):
        values[:, t] = phi * values[:, t - 1] + rng.normal(size=n)
    return values


def backwards(trajectories):
    return replace(trajectories, values=trajectories.values[:, ::-1])


def score(rollouts, truth, name="time_asymmetry", **params):
    return nsbench.load("metric", name, **params).score(evidence(rollouts), truth, generator())


def test_the_third_cumulant_of_exponential_values_is_2_however_few_they_are():
    for n in (3, 4, 9):
        values = third_cumulant(generator(n).exponential(size=(60_000, n)))
        assert values.mean() == pytest.approx(2, abs=4 * values.std() / np.sqrt(60_000))


def test_the_square_of_an_asymmetry_is_unbiased():
    rng = generator(1)
    ways = list(halves(6, 64, rng))
    for draw, expected in ((rng.exponential, 4), (rng.normal, 0)):
        values = squared_asymmetry(draw(size=(60_000, 6, 1, 1)), ways)
        assert values.mean() == pytest.approx(expected, abs=4 * values.std() / np.sqrt(60_000))


@pytest.mark.parametrize(("count", "number"), [(6, 10), (7, 35), (8, 35)])
def test_an_ensemble_is_halved_in_every_way_once(count, number):
    ways = {min(way.tobytes(), (~way).tobytes()) for way in halves(count, 64, generator())}
    assert len(ways) == number == len(list(halves(count, 64, generator())))
    assert all(way.sum() == count // 2 for way in halves(count, 64, generator()))
    assert len(list(halves(40, 64, generator()))) == 64


def test_backwards_the_asymmetry_turns_its_sign():
    steps = np.diff(sawtooth(80, generator()).reshape(10, 8, -1, 1), axis=2)
    np.testing.assert_allclose(asymmetry(-steps[:, :, ::-1]), -asymmetry(steps))
    assert (asymmetry(steps) < 0).all()  # sudden falls


def test_the_truth_replayed_backwards_is_found_out_and_two_points_do_not_see_it():
    truth, redrawn = (curves(sawtooth(512, generator(k))) for k in (1, 2))
    replayed = backwards(redrawn)
    np.testing.assert_array_equal(replayed.values[:, [0, -1]], truth.values[:, [0, -1]])
    good, bad = score(redrawn, truth), score(replayed, truth)
    assert abs(good.value) < bad.value / 10
    assert good.interval[0] < 0 < good.interval[1]
    assert bad.interval[0] > good.interval[1]
    assert bad.extras["simulator_total"] == pytest.approx(-good.extras["simulator_total"], rel=1e-6)
    assert bad.value == pytest.approx((2 * good.extras["truth_total"]) ** 2, rel=0.4)  # of lags that differ
    assert score(backwards(truth), truth, "autocorrelation").value == pytest.approx(0, abs=1e-9)
    assert score(replayed, truth, "autocorrelation").value == pytest.approx(
        score(redrawn, truth, "autocorrelation").value, abs=0.01
    )


def test_what_obeys_detailed_balance_is_the_same_backwards():
    truth, redrawn = (curves(autoregression(256, generator(k))) for k in (1, 2))
    frames = redrawn.values.copy()
    frames[:, 1:] = frames[:, :0:-1]
    for rollouts in (redrawn, replace(redrawn, values=frames)):
        low, high = score(rollouts, truth).interval
        assert low < 0 < high


def test_truths_redrawn_are_at_0_on_average():
    values = [score(*(curves(sawtooth(64, generator([k, side]))) for side in (1, 2))).value for k in range(40)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(40)


@pytest.mark.parametrize("backward", [False, True])
def test_the_interval_covers_what_infinitely_many_ensembles_score(backward):
    def drawn(n, seed):
        truth, other = (curves(sawtooth(n, generator([seed, side]), frames=12)) for side in (1, 2))
        return backwards(other) if backward else other, truth

    params = {"lags": 1, "resamples": 100}
    expected = score(*drawn(16_000, 1), **params).value if backward else 0.0
    intervals = [score(*drawn(128, seed), **params).interval for seed in range(2, 102)]
    assert 87 <= sum(low <= expected <= high for low, high in intervals) <= 100  # 95 expected, ± 2.2


def test_the_value_has_no_unit_and_is_the_mean_of_its_items():
    truth, other = curves(sawtooth(64, generator(1))), backwards(curves(sawtooth(64, generator(2))))
    plain = score(other, truth)
    assert plain.items.shape == (8, 4, 2)
    assert plain.items.mean() == pytest.approx(plain.value)
    larger = [replace(t, values=1024 * t.values) for t in (other, truth)]
    assert score(*larger).value == pytest.approx(plain.value)


def test_growth_few_members_and_what_never_fluctuates_are_declined_with_the_reason():
    growth = growth_maps(np.repeat([0.2, 0.4], 6), generator())
    with pytest.raises(NotApplicable, match="growth only goes one way"):
        score(growth, growth)
    few = gaussian_fields(np.repeat([0.2, 0.4], 5), generator())
    with pytest.raises(NotApplicable, match="at least 6 members, the smallest has 5"):
        score(few, few)
    still = curves(np.tile(np.arange(5.0), (16, 1)))
    with pytest.raises(NotApplicable, match="no observable fluctuates"):
        score(still, still)
    labels = label_maps(np.repeat([0.2, 0.4, 0.6, 0.8], 6), generator(1))
    assert np.isfinite(score(labels, labels).value)
