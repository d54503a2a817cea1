"""Proper scores: closed forms, second implementations, fairness, and that the true distribution wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scoringrules

import nsbench
from forecasts import domain, evidence, gaussian_fields, generator, growth_maps, label_maps
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.ensembles import ensembles
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_metrics.brier import Brier, BrierParams, fair_brier
from nsbench_metrics.crps import CRPS, CRPSParams, fair_crps
from nsbench_metrics.divergence import Divergence, DivergenceParams
from nsbench_metrics.energy_score import EnergyScore, EnergyScoreParams, energy_score
from nsbench_metrics.mmd import MMD, MMDParams
from nsbench_metrics.shared.norms import squared_distances
from nsbench_metrics.shared.reliability_table import reliability_counts, reliability_table
from nsbench_metrics.shared.states import as_vectors
from nsbench_metrics.spectrum import Spectrum, SpectrumParams
from nsbench_metrics.variogram_score import VariogramParams, VariogramScore, variogram_score

SQUARE = ((1, 0), (0, 1))


def brute_kernel_score(truth, members, distance):
    """mean d(x, y) − ½ mean over pairs of different members of d(x, x')."""
    own = np.mean([distance(x, truth) for x in members])
    count = len(members)
    among = sum(distance(members[i], members[j]) for i in range(count) for j in range(count) if i != j)
    return own - among / (2 * count * (count - 1))


def test_crps_of_a_gaussian_is_its_closed_form():
    rng = generator()
    members = rng.normal(2, 3, (4000, 5))
    expected = scoringrules.crps_normal(4.0, 2.0, 3.0)
    assert fair_crps(np.full((4000, 1), 4.0), members).mean() == pytest.approx(expected, abs=0.1)


def test_crps_is_the_sum_over_all_pairs_and_that_of_scoringrules():
    rng = generator(1)
    truths, members = rng.normal(size=(3, 4)), rng.normal(size=(3, 6))
    expected = [
        [brute_kernel_score(y, x, lambda a, b: abs(a - b)) for y in ys] for ys, x in zip(truths, members, strict=True)
    ]
    np.testing.assert_allclose(fair_crps(truths, members), expected)
    beside = np.broadcast_to(members[:, None], (3, 4, 6))
    other = scoringrules.crps_ensemble(truths, beside, estimator="pwm", backend="numpy")
    np.testing.assert_allclose(fair_crps(truths, members), other)


def test_energy_score_is_the_sum_over_all_pairs_and_that_of_scoringrules():
    rng = generator(2)
    truths, members = rng.normal(size=(2, 3, 1, 4, 4)), rng.normal(size=(2, 5, 1, 4, 4))
    found = energy_score(truths, members)
    brute = [
        [brute_kernel_score(y, x, lambda a, b: np.linalg.norm(a - b)) for y in ys]
        for ys, x in zip(truths, members, strict=True)
    ]
    np.testing.assert_allclose(found, brute)
    beside = np.broadcast_to(members[:, None], (2, 3, 5, 1, 4, 4)).reshape(2, 3, 5, 16)
    other = scoringrules.es_ensemble(truths.reshape(2, 3, 16), beside, estimator="fair", backend="numpy")
    np.testing.assert_allclose(found, other)


def test_energy_score_in_one_dimension_is_the_crps():
    rng = generator(3)
    truths, members = rng.normal(size=(4, 2)), rng.normal(size=(4, 7))
    np.testing.assert_allclose(energy_score(truths[..., None], members[..., None]), fair_crps(truths, members))


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_variogram_score_is_that_of_scoringrules_with_neighbours_weighted(p):
    rng = generator(4)
    truths, members = rng.normal(size=(1, 1, 1, 3, 4)), rng.normal(size=(1, 5, 1, 3, 4))
    sites = [(i, j) for i in range(3) for j in range(4)]
    weights = np.array([[float((c - a, d - b) in SQUARE) for c, d in sites] for a, b in sites])
    other = scoringrules.vs_ensemble(
        truths.reshape(12), members.reshape(5, 12), weights, p=p, estimator="fair", backend="numpy"
    )
    assert variogram_score(truths, members, SQUARE, p)[0, 0] == pytest.approx(other / weights.sum())


def test_variogram_score_by_hand_on_two_sites():
    truth = np.array([[1.0], [0.0]])[None, None, None]  # differ: v = 1
    members = np.array([[[1.0], [0.0]], [[1.0], [1.0]]])[None, :, None]  # v = 1, 0
    assert variogram_score(truth, members, [(1, 0)])[0, 0] == pytest.approx((0.5 - 1) ** 2 - 0.5 / 2)


def test_brier_is_the_square_and_its_fair_correction_by_hand():
    truth, members = np.array([[[1.0, 0.0]]]), np.array([[[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]])
    expected = np.mean([(0.75 - 1) ** 2 - 0.75 * 0.25 / 3, 0.25**2 - 0.25 * 0.75 / 3])
    assert fair_brier(truth, members)[0, 0] == pytest.approx(expected)


def test_the_parts_of_the_brier_score_add_up_to_it():
    rng = generator(5)
    truths, members = (rng.random(shape) < 0.3 for shape in ((4, 3, 1, 5, 5), (4, 6, 1, 5, 5)))
    reliability, resolution, uncertainty = reliability_table(reliability_counts(truths, members)).decomposition()
    plain = ((members.mean(axis=1, keepdims=True) - truths) ** 2).mean()
    assert reliability - resolution + uncertainty == pytest.approx(plain)


RULES = {
    "crps": lambda y, x: fair_crps(y.sum(axis=(2, 3, 4)), x.sum(axis=(2, 3, 4))),
    "energy": energy_score,
    "variogram": lambda y, x: variogram_score(y, x, SQUARE),
    "brier": lambda y, x: fair_brier(y, x, threshold=0.5),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_fair_scores_of_the_truth_do_not_depend_on_the_ensemble_size(rule):
    rng = generator(6)
    means = []
    for members in (2, 4, 16):
        scores = rule(rng.normal(size=(6000, 1, 1, 2, 3)), rng.normal(size=(6000, members, 1, 2, 3)))
        means.append((scores.mean(), scores.std() / np.sqrt(scores.size)))
    for value, error in means[1:]:
        assert value == pytest.approx(means[0][0], abs=4 * np.hypot(error, means[0][1]))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_true_distribution_scores_best_among_perturbed_ones(rule):
    rng = generator(7)
    truths, members = rng.normal(size=(8000, 1, 1, 2, 3)), rng.normal(size=(8000, 6, 1, 2, 3))
    perturbed = {"narrow": 0.5 * members, "wide": 1.7 * members, "shifted": members + np.linspace(0, 1.5, 3)}
    own = rule(truths, members).mean()
    assert {name: own < rule(truths, other).mean() for name, other in perturbed.items()} == dict.fromkeys(
        perturbed, True
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_order_of_members_and_of_truths_changes_nothing(rule):
    rng = generator(8)
    for _ in range(5):
        truths, members = rng.normal(size=(3, 4, 1, 4, 4)), rng.normal(size=(3, 5, 1, 4, 4))
        shuffled = members[:, rng.permutation(5)]
        order = rng.permutation(4)
        np.testing.assert_allclose(rule(truths, shuffled), rule(truths, members))
        np.testing.assert_allclose(rule(truths[:, order], members), rule(truths, members)[:, order])


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_scaling_scales(factor):
    rng = generator(9)
    truths, members = rng.normal(size=(3, 4, 1, 4, 4)), rng.normal(size=(3, 5, 1, 4, 4))
    for name, power in (("crps", 1), ("energy", 1), ("variogram", 1)):  # (|Δ|^½)² scales as |Δ|
        scaled = RULES[name](factor * truths, factor * members)
        np.testing.assert_allclose(scaled, factor**power * RULES[name](truths, members), rtol=1e-6)


METRICS = [
    CRPS(CRPSParams(resamples=20)),
    EnergyScore(EnergyScoreParams(resamples=20)),
    VariogramScore(VariogramParams(resamples=20)),
    Brier(BrierParams(resamples=20)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("make", [growth_maps, label_maps, gaussian_fields])
def test_metrics_score_all_kinds_alike_and_say_how_many_members(metric, make):
    rates = np.repeat([0.2, 0.35, 0.5, 0.65], 3)
    truth = make(rates, generator(1))
    score = metric.score(evidence(make(np.repeat(rates, 2), generator(2)), 2), truth, generator())
    assert score.label == "6 members"
    assert score.extras["members"] == 6
    assert score.items.shape[1] == truth.lengths.max() - 1
    assert score.items.mean() == pytest.approx(score.value)
    assert score.interval[0] <= score.value <= score.interval[1]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_the_order_of_cases_changes_nothing(metric):
    rates = np.repeat([0.1, 0.3, 0.6], 2)
    truth, rollouts = growth_maps(rates, generator(1)), growth_maps(rates, generator(2))
    order = generator(3).permutation(6)
    first = metric.score(evidence(rollouts), truth, generator()).value
    again = metric.score(evidence(rollouts.select(order)), truth.select(order), generator()).value
    assert again == pytest.approx(first)


def test_a_single_member_is_declined_with_the_reason():
    truth = growth_maps([0.2, 0.5], generator())
    with pytest.raises(NotApplicable, match="at least 2 members, the smallest has 1"):
        METRICS[0].score(evidence(truth), truth, generator())


def test_cases_with_equal_start_and_parameters_form_one_ensemble():
    truth = growth_maps([0.2, 0.5, 0.2, 0.5, 0.5], generator())
    by_size = {group.cases.shape[1]: group for group in ensembles(truth, 2)}
    assert by_size[2].cases.tolist() == [[0, 2]]
    assert by_size[3].cases.tolist() == [[1, 3, 4]]
    assert by_size[2].rollouts.tolist() == [[0, 1, 4, 5]]


def test_observables_of_different_units_are_not_averaged():
    truth = growth_maps([0.2, 0.2], generator())
    first, second = truth.domain.observables
    mixed = replace(truth, domain=replace(truth.domain, observables=(first, replace(second, unit="mm"))))
    with pytest.raises(NotApplicable, match="different units"):
        METRICS[0].score(evidence(mixed), mixed, generator())
    alone = CRPS(CRPSParams(observables=["peak"], resamples=20)).score(evidence(mixed), mixed, generator())
    assert alone.unit == "mm"


def as_two_labels(growth):
    """Growth as states of two labels: 1 where a site is attached."""
    frames = np.stack([growth.frame(t)[:, 0] for t in range(int(growth.lengths.max()))], axis=1).astype(np.uint8)
    facts = domain(growth.domain.shape[0], "labels", 2)
    return LabelTrajectories(growth.params, growth.lengths, facts, frames)


@pytest.mark.parametrize("metric", [*METRICS[1:], MMD(MMDParams(resamples=20))], ids=lambda m: type(m).__name__)
def test_two_labels_are_scored_as_growth_is(metric):
    rates = np.repeat([0.2, 0.5], 4)
    truth, rollouts = growth_maps(rates, generator(1)), growth_maps(rates, generator(2))
    growth = metric.score(evidence(rollouts), truth, generator())
    labels = metric.score(evidence(as_two_labels(rollouts)), as_two_labels(truth), generator())
    assert labels.value == pytest.approx(growth.value, rel=1e-9)
    if isinstance(metric, Brier):
        assert labels.extras["resolution"] < labels.extras["uncertainty"] < 1 / 2


PERMUTED = [*METRICS[1:], MMD(MMDParams(resamples=20)), Divergence(DivergenceParams()), Spectrum(SpectrumParams())]


@pytest.mark.parametrize("metric", PERMUTED, ids=lambda m: type(m).__name__)
def test_the_names_of_labels_do_not_count(metric):
    rates = np.repeat([0.2, 0.5], 4)
    truth, rollouts = (label_maps(rates, generator(k), labels=5) for k in (1, 2))
    others = np.array([3, 0, 4, 1, 2], np.uint8)
    plain = metric.score(evidence(rollouts), truth, generator()).value
    renamed = [replace(t, labels=others[t.labels]) for t in (truth, rollouts)]
    assert metric.score(evidence(renamed[1]), renamed[0], generator()).value == pytest.approx(plain, rel=1e-9)
    one_side = metric.score(evidence(renamed[1]), truth, generator()).value
    if not isinstance(metric, VariogramScore | Spectrum | Divergence):  # two see textures, one is a whole number
        assert abs(one_side - plain) > 0.01 * abs(plain)


def test_the_squared_distance_of_labels_is_the_number_of_sites_that_differ():
    states = generator().integers(0, 7, (9, 1, 5, 6)).astype(np.float64)
    facts = domain(5, "labels", 7)
    vectors = as_vectors(states, facts)
    assert vectors.shape == (9, 7, 5, 6)
    differing = (states[:, None] != states[None]).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(squared_distances(*[vectors.reshape(9, -1)] * 2), differing, atol=1e-9)
    with pytest.raises(NotApplicable, match="256 are the most"):
        as_vectors(states, replace(facts, labels=257))


def test_the_brier_score_of_labels_that_are_drawn_anew_is_its_closed_form():
    """Truth and members uniform over K labels: ½ Σ_k E(p_k − y_k)² = ½ (1 − 1/K), fair for any M."""
    labels = 4
    truth, rollouts = (label_maps(np.ones(400), generator(k), labels=labels) for k in (1, 2))
    value = METRICS[3].score(evidence(rollouts), truth, generator()).value
    assert value == pytest.approx((1 - 1 / labels) / 2, abs=0.003)


@pytest.mark.parametrize(
    "name", ["ssim", "arrival_error", "identity_collapse", "melting", "orphans", "frechet_descriptors"]
)
def test_metrics_of_numbers_decline_labels_with_the_reason(name):
    truth, rollouts = (label_maps(np.repeat([0.2, 0.5], 3), generator(k), size=8) for k in (1, 2))
    with pytest.raises(NotApplicable, match="states are labels"):
        nsbench.load("metric", name).score(evidence(rollouts), truth, generator())
