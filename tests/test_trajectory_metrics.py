"""Metrics along the way, on growth whose course is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forecasts import evidence, gaussian_fields, generator, growth_maps
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_metrics.arrival_error import ArrivalError, ArrivalParams, arrival_errors, arrival_maps
from nsbench_metrics.autocorrelation import Autocorrelation, AutocorrelationParams, autocorrelation
from nsbench_metrics.divergence import Divergence, DivergenceParams, divergence_times
from nsbench_metrics.growth_rate import GrowthRate, GrowthRateParams
from nsbench_metrics.shared.increments import increments
from nsbench_metrics.spectrum import Spectrum, SpectrumParams, log_spectral_distance, radial_spectrum


def as_fields(growth, frames):
    values = np.stack([growth.frame(t) for t in range(frames)], axis=1)
    domain = replace(growth.domain, states="fields")
    return FieldTrajectories(growth.params, growth.lengths, domain, values)


def test_arrival_maps_of_growth_and_of_the_same_as_fields_agree():
    growth = growth_maps([0.1, 0.4, 0.6], generator())
    index = np.array([[0, 2], [1, 1]])
    expected = arrival_maps(growth, index, 5, 0.5)
    np.testing.assert_array_equal(arrival_maps(as_fields(growth, 6), index, 5, 0.5), expected)
    assert expected.min() == 0
    assert expected.max() == 6  # never, by frame 5


def test_arrival_errors_by_hand():
    truths, members = np.array([[[0.0, 2.0, 9.0]]]), np.array([[[0.0, 3.0, 4.0], [1.0, 2.0, 9.0]]])
    error, spread = arrival_errors(truths, members, np.array([5.0]))  # 9 is never: 5
    assert error[0] == pytest.approx(((0 + 1 + 1) + (1 + 0 + 0)) / 2 / 2)
    assert spread[0] == pytest.approx((1 + 1 + 1) / 2)


def test_a_shift_in_time_is_its_own_arrival_error():
    growth = growth_maps(np.full(4, 0.3), generator(), frames=20)
    growth = growth.select(np.zeros(4, int))  # deterministic: one trajectory four times
    later = replace(
        growth,
        arrival=np.where(growth.arrival > 0, growth.arrival + 2, growth.arrival).astype(np.int32),
        lengths=growth.lengths + np.int32(2),
    )
    score = ArrivalError(ArrivalParams(resamples=10)).score(evidence(later), growth, generator())
    sites = (growth.arrival[0] >= 0).sum()
    capped = np.minimum(np.where(growth.arrival[0] > 0, growth.arrival[0] + 2, 0), 20)
    expected = np.abs(capped - np.maximum(growth.arrival[0], 0))[growth.arrival[0] >= 0].sum() / sites
    assert score.value == pytest.approx(expected)
    assert score.extras["crps"] == pytest.approx(expected)


def test_growth_rates_are_increments_and_their_gap_is_zero_for_the_truth_itself():
    growth = growth_maps(np.repeat([0.2, 0.5], 3), generator())
    total = growth.domain.observables[0]
    gained = increments(growth, 5, total)
    np.testing.assert_array_equal(gained.sum(axis=1), total.function(growth.final()) - 1)
    metric = GrowthRate(GrowthRateParams(resamples=10))
    score = metric.score(evidence(growth), growth, generator())
    assert score.value == 0
    assert score.unit == "sites/frame"
    slower = metric.score(evidence(replace(growth.start(), params=growth.params)), growth, generator())
    assert slower.value == pytest.approx(gained.mean())  # all that it did not grow


def test_divergence_is_the_first_time_beyond_the_tolerance():
    squares = [np.array([0.0, 0.2, 0.0]), np.array([0.3, 0.0, 0.05]), np.array([0.0, 0.0, 0.1])]
    assert divergence_times(squares, 0.1).tolist() == [2, 1, 4]


def test_what_never_leaves_the_truth_diverges_after_the_end():
    growth = growth_maps(np.full(3, 0.3), generator()).select(np.zeros(3, int))
    metric = Divergence(DivergenceParams(resamples=10))
    assert metric.score(evidence(growth), growth, generator()).value == 6
    assert metric.score(evidence(growth.start()), growth, generator()).value == 1


def test_autocorrelation_of_an_autoregression_is_its_powers():
    rng, phi = generator(), 0.6
    a = np.zeros((4000, 40))
    a[:, 0] = rng.normal(size=4000) / np.sqrt(1 - phi**2)
    for t in range(1, 40):
        a[:, t] = phi * a[:, t - 1] + rng.normal(size=4000)
    np.testing.assert_allclose(autocorrelation(a, 3), phi ** np.arange(1, 4), atol=0.02)
    assert autocorrelation(np.zeros((2, 5)), 2).tolist() == [0, 0]


def test_white_noise_has_the_same_power_at_each_wavenumber():
    spectrum = radial_spectrum(generator().normal(0, 3, (4000, 16, 16))).mean(axis=0)
    np.testing.assert_allclose(spectrum, 9, rtol=0.05)


def test_a_wave_is_at_its_wavenumber():
    x = np.cos(2 * np.pi * 3 * np.arange(16) / 16)[None] * np.ones((16, 1))
    assert radial_spectrum(x).argmax() + 1 == 3


def test_a_tenfold_power_is_ten_decibels():
    spectrum = generator().random((5, 8)) + 0.1
    assert log_spectral_distance(spectrum, 10 * spectrum) == pytest.approx(10)
    assert log_spectral_distance(spectrum, spectrum) == 0


METRICS = [
    ArrivalError(ArrivalParams(resamples=10)),
    GrowthRate(GrowthRateParams(resamples=10)),
    Divergence(DivergenceParams(resamples=10)),
    Autocorrelation(AutocorrelationParams()),
    Spectrum(SpectrumParams(resamples=10)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("make", [growth_maps, gaussian_fields])
def test_growth_and_fields_are_scored_alike_in_any_order_of_cases(metric, make):
    rates = np.repeat([0.1, 0.3, 0.6], 4)
    truth, other = make(rates, generator(1)), make(rates, generator(2))
    order = generator(3).permutation(12)
    value = metric.score(evidence(other), truth, generator()).value
    assert np.isfinite(value)
    again = metric.score(evidence(other.select(order)), truth.select(order), generator()).value
    assert again == pytest.approx(value)


def test_rollouts_that_stop_early_or_late_are_judged_over_the_truths_time():
    truth = growth_maps(np.repeat([0.2, 0.4], 3), generator(1))
    longer = growth_maps(np.repeat([0.2, 0.4], 3), generator(2), frames=15)
    for metric in METRICS:
        for rollouts in (longer, truth.start()):
            assert np.isfinite(metric.score(evidence(rollouts), truth, generator()).value)
