"""Distances between distributions whose distance is known."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

import numpy as np
import ot
import pytest
from skimage.metrics import structural_similarity

from forecasts import evidence, gaussian_fields, generator, growth_maps
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.domain import Domain, Parameter
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.morphology import OBSERVABLES
from nsbench_metrics.ewd import EWD, EWDParams
from nsbench_metrics.fid import FID, FIDParams, image_features, read_layers
from nsbench_metrics.frechet_descriptors import FrechetDescriptors, FrechetParams
from nsbench_metrics.mmd import MMD, MMDParams, mmd2
from nsbench_metrics.shared.descriptors import DESCRIPTORS, describe
from nsbench_metrics.shared.directions import random_directions
from nsbench_metrics.shared.frechet import frechet_distance, gaussian_frechet, weighted_moments
from nsbench_metrics.sliced_wasserstein import SlicedParams, SlicedWasserstein, sliced_wasserstein
from nsbench_metrics.ssim import SSIM, SSIMParams, ssim


def test_mmd_of_gaussians_is_its_closed_form():
    rng, h, shift, dimension = generator(), 1.5, 1.0, 2
    x, y = rng.normal(size=(1500, dimension)), rng.normal(size=(1500, dimension)) + np.array([shift, 0])
    scale = (h**2 / (h**2 + 2)) ** (dimension / 2)
    expected = 2 * scale * (1 - np.exp(-(shift**2) / (2 * (h**2 + 2))))
    assert mmd2(x, y, h) == pytest.approx(expected, abs=0.01)


def test_mmd_is_the_sum_over_all_pairs():
    rng = generator(1)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(6, 3))
    k = lambda a, b: np.exp(-((a - b) ** 2).sum() / 2)  # noqa: E731
    own = np.mean([k(x[i], x[j]) for i in range(4) for j in range(4) if i != j])
    others = np.mean([k(y[i], y[j]) for i in range(6) for j in range(6) if i != j])
    assert mmd2(x, y, 1.0) == pytest.approx(own + others - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_mmd_of_equal_distributions_is_zero_on_average_even_of_few():
    rng = generator(2)
    values = [mmd2(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), 1.0) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(0, abs=4 * np.std(values) / np.sqrt(3000))


def test_mmd_in_chunks_is_the_same(monkeypatch):
    rng = generator(3)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 1
    whole = mmd2(x, y, 2.0)
    monkeypatch.setattr("nsbench_metrics.mmd.ROWS", 7)
    assert mmd2(x, y, 2.0) == pytest.approx(whole)


def test_sliced_wasserstein_is_that_of_pot():
    rng = generator(4)
    x, y = rng.normal(size=(20, 5)), rng.normal(size=(40, 5)) + 1
    directions = random_directions(5, 30, rng)
    other = ot.sliced_wasserstein_distance(x, y, projections=directions, p=1)
    assert sliced_wasserstein(x, y, directions) == pytest.approx(other)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    rng = generator(5)
    x, directions = rng.normal(size=(50, 2)), random_directions(2, 20_000, rng)
    assert sliced_wasserstein(x, x + np.array([3.0, 4.0]), directions) == pytest.approx(5 * 2 / np.pi, rel=0.02)
    assert sliced_wasserstein(x, rng.permutation(x), directions) == pytest.approx(0, abs=1e-12)


def test_frechet_distance_of_gaussians_that_commute_is_its_closed_form():
    a, b = np.diag([4.0, 9.0]), np.diag([1.0, 1.0])
    assert gaussian_frechet(np.zeros(2), a, np.array([3.0, 4.0]), b) == pytest.approx(25 + 1 + 4)


def test_frechet_distance_is_symmetric_zero_for_itself_and_blind_to_rotation():
    rng = generator(6)
    x, y = rng.normal(size=(200, 3)), rng.normal(size=(300, 3)) @ np.diag([1, 2, 3.0]) + 1
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    assert frechet_distance(x @ rotation, y @ rotation) == pytest.approx(frechet_distance(x, y))
    root = ot.gaussian.bures_wasserstein_distance(x.mean(0), y.mean(0), np.cov(x.T), np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(float(root) ** 2)


def test_moments_with_weights_are_those_of_repeated_rows():
    rng = generator(7)
    x, times = rng.normal(size=(10, 3)), rng.integers(0, 4, 10)
    mean, covariance = weighted_moments(x, times.astype(float))
    repeated = np.repeat(x, times, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(repeated.T))


def crystal(attached, lattice="square", seed=(0, 0), frames=4):
    attached = np.asarray(attached, dtype=bool)
    arrival = np.where(attached, frames - 1, -1).astype(np.int32)
    arrival[seed] = 0
    domain = Domain(lattice, attached.shape, ("a",), "growth", (Parameter("rho", 0, 1),), "rho", OBSERVABLES, stride=1)
    return GrowthTrajectories(np.zeros((1, 1)), np.array([frames], np.int32), domain, arrival[None])


def described(trajectories, name):
    return describe(trajectories, [name])[0, 0]


def test_descriptors_of_a_full_square():
    full = crystal(np.ones((8, 8)), seed=(0, 0))
    assert described(full, "area") == 64
    assert described(full, "boundary") == 0 == described(full, "compactness")
    assert described(full, "fractal_dimension") == pytest.approx(2)
    assert described(full, "radius_of_gyration") == pytest.approx(np.sqrt(2 * np.mean(np.arange(8.0) ** 2)))
    assert described(full, "tip_speed") == pytest.approx(np.hypot(7, 7) / 3)


def test_descriptors_of_a_line_and_of_a_cross():
    line, cross = np.zeros((16, 16)), np.zeros((17, 17))
    line[0] = 1
    cross[8], cross[:, 8] = 1, 1
    assert described(crystal(line), "fractal_dimension") == pytest.approx(1)
    assert described(crystal(line), "arm_count") == 1
    assert described(crystal(cross, seed=(8, 8)), "arm_count") == 4
    assert described(crystal(cross, seed=(8, 8)), "tip_speed") == pytest.approx(8 / 3)


def test_all_six_neighbours_on_the_hexagonal_lattice_are_at_distance_one():
    ring = np.zeros((5, 5))
    for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
        ring[2 + i, 2 + j] = 1
    ring[2, 2] = 1
    assert described(crystal(ring, "hexagonal", (2, 2)), "radius_of_gyration") == pytest.approx(np.sqrt(6 / 7))


def test_descriptors_agree_with_the_observables_of_the_lca(crystals):
    train, _ = crystals
    np.testing.assert_array_equal(describe(train, ["area", "boundary"]), train.domain.observe(train.final()))
    assert np.isfinite(describe(train)).all()
    with pytest.raises(ValueError, match="no descriptor 'arms'"):
        describe(train, ["arms"])


METRICS = [
    MMD(MMDParams(resamples=20)),
    MMD(MMDParams(resamples=20, space="descriptors", by="condition", bins=4)),
    SlicedWasserstein(SlicedParams(resamples=20)),
    SlicedWasserstein(SlicedParams(resamples=20, space="observables", by="condition", bins=4)),
    FrechetDescriptors(FrechetParams(resamples=20)),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: f"{type(m).__name__}-{getattr(m.params, 'space', '')}")
@pytest.mark.parametrize("make", [growth_maps, partial(gaussian_fields, scale=0.2)], ids=["growth", "fields"])
def test_truths_of_other_parameters_are_farther_than_the_truth_redrawn(metric, make):
    rates = np.repeat(np.linspace(0.05, 0.6, 8), 20)
    truth, other = make(rates, generator(1)), make(rates, generator(2))
    confused = make(rates[::-1], generator(3))
    own = metric.score(evidence(other), truth, generator()).value
    assert own < metric.score(evidence(confused), truth, generator()).value / 2


def test_distances_within_ensembles_need_truths_to_compare():
    truth = growth_maps(np.linspace(0.1, 0.5, 6), generator())
    with pytest.raises(NotApplicable, match="at least 2 truths"):
        METRICS[0].score(evidence(truth.select(np.repeat(np.arange(6), 2)), 2), truth, generator())


def test_ewd_takes_any_observables_by_name():
    rates = np.repeat(np.linspace(0.05, 0.6, 8), 5)
    truth, other = growth_maps(rates, generator(1)), growth_maps(rates, generator(2))
    score = EWD(EWDParams(bins=4, resamples=10, observables=["peak", "fractal_dimension"])).score(
        evidence(other), truth, generator()
    )
    assert score.unit == "std"
    assert {"bias_peak", "bias_fractal_dimension"} <= score.extras.keys()
    with pytest.raises(NotApplicable, match="no observable 'colour'"):
        EWD(EWDParams(observables=["colour"])).score(evidence(other), truth, generator())


def test_all_descriptors_have_a_name_that_the_metric_takes():
    truth = growth_maps(np.repeat([0.2, 0.5], 4), generator())
    for name in DESCRIPTORS:
        score = FrechetDescriptors(FrechetParams(descriptors=[name], joint=False, resamples=10)).score(
            evidence(truth), truth, generator()
        )
        assert score.value == pytest.approx(0, abs=1e-9)


def test_ssim_is_one_for_equal_states_and_that_of_scikit_image():
    rng = generator(8)
    x, y = rng.random((2, 1, 16, 16))
    assert ssim(x, x, 1.0) == pytest.approx(1)
    assert ssim(x, y, 1.0, 5) == pytest.approx(structural_similarity(x[0], y[0], win_size=5, data_range=1.0))


def test_ssim_is_labelled_improper_and_compares_with_the_mean_too():
    rates = np.repeat([0.1, 0.4], 4)
    truth, other = growth_maps(rates, generator(1)), growth_maps(rates, generator(2))
    metric = SSIM(SSIMParams(cases=5, resamples=10))
    score = metric.score(evidence(other), truth, generator())
    assert score.label == "improper"
    assert score.extras["mean"] > score.value  # a blur looks liker than another draw
    assert metric.score(evidence(truth), truth, generator()).value == pytest.approx(1)


def weights(tmp_path, content):
    from safetensors.numpy import save

    path = tmp_path / "net.safetensors"
    path.write_bytes(save(content))
    return path, sha256(path.read_bytes()).hexdigest()


def test_image_features_by_hand_and_other_files_are_refused(tmp_path, one_thread):
    layers = {"0.weight": np.ones((1, 1, 1, 1), np.float32), "0.bias": np.zeros(1, np.float32)}
    layers |= {"1.weight": np.array([2, -1], np.float32).reshape(2, 1, 1, 1), "1.bias": np.zeros(2, np.float32)}
    path, digest = weights(tmp_path, layers)
    states = generator().random((3, 1, 4, 4)).astype(np.float32)
    features = image_features(states, read_layers(path, digest))
    np.testing.assert_allclose(features, np.stack([2 * states.mean((1, 2, 3)), np.zeros(3)], axis=1), rtol=1e-6)
    with pytest.raises(ValueError, match="the suite says"):
        read_layers(path, "0" * 64)
    truth = growth_maps([0.1, 0.4, 0.2], generator())
    score = FID(FIDParams(weights=str(path), sha256=digest)).score(evidence(truth), truth, generator())
    assert score.value == pytest.approx(0, abs=1e-9)
    path, digest = weights(tmp_path, {"conv.weight": np.ones((1, 1, 3, 3), np.float32)})
    with pytest.raises(ValueError, match=r"must hold 0\.weight"):
        read_layers(path, digest)
