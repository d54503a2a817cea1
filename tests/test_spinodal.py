"""Facts about spinodal decomposition: conservation, the linear regime, symmetries, energy, and a second implementation."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import njit
from scipy import stats

import nsbench
from lookup import energy_distance, looked_up
from nsbench_spinodal.fourier import LANES, backward, forward
from nsbench_spinodal.kernel import block_law, evolve
from nsbench_spinodal.noise import GOLDEN, draw, random_word
from nsbench_spinodal.observables import OBSERVABLES, domain_size, energy, interface, structure_factor, variance
from nsbench_spinodal.params import DatasetParams
from nsbench_spinodal.starts import random_start, squared_wave_numbers

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain_spinodal

N = 16
K2 = squared_wave_numbers(N)
SMALL = {"size": N, "ticks": 8, "train": 40, "val": 8, "test": {"cases": 4, "repeats": 2}}


def generator(seed=0):
    return np.random.default_rng(seed)


def starts(count, mean=0.1, amplitude=0.3, size=N):
    return np.stack([random_start(size, mean, amplitude, 2.0, generator(k)) for k in range(count)])


def structure(fields):
    """S_k of fields [n, N, N], float64[n, N, N/2 + 1]."""
    return structure_factor(fields[:, None])


def held_to(power, expected):
    """z-scores of the mean structure factor, which is exponential around its expectation (a square where k is real)."""
    real = np.zeros_like(expected, dtype=bool)
    real[[0, 0, N // 2, N // 2], [0, N // 2, 0, N // 2]] = True
    spread = np.where(real, np.sqrt(2), 1.0) * expected / np.sqrt(len(power))
    return ((power.mean(axis=0) - expected) / np.where(spread > 0, spread, 1))[expected > 0]


def test_the_mean_is_conserved_to_rounding():
    begin = starts(16).astype(np.float32)
    fields = evolve(begin, 0.1, frames=100, steps=1, time_step=0.1, seed=1)
    drift = fields.mean(axis=(2, 3), dtype=np.float64) - begin.mean(axis=(1, 2), dtype=np.float64)[:, None]
    assert np.abs(drift).max() < 2e-7
    assert np.abs(fields[:, -1] - fields[:, 0]).max() > 0.5


@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_small_waves_grow_at_their_rate_from_the_noise(mean):
    """dS/dt = 2ωS + 2εk² from S = 0: S = εk² (e^(2ωt) − 1)/ω, ω = k²(1 − 3c² − k²), for every wave."""
    omega = K2 * (1 - 3 * mean**2 - K2)
    for frames, steps in ((1, 1), (4, 20)):
        time = 0.1 * frames * steps
        fields = evolve(np.full((4000, N, N), mean), 1e-8, frames=frames, steps=steps, time_step=0.1, seed=2)
        growth = np.where(omega == 0, 2 * time, np.expm1(2 * omega * time) / np.where(omega == 0, 1, omega))
        z = held_to(structure(fields[:, -1] - fields[:, 0].mean()), 1e-8 * K2 * growth)
        assert np.abs(z).max() < 4.5
        assert np.abs(z.mean()) < 4.5 / np.sqrt(z.size)


def test_a_stable_mixture_keeps_the_structure_factor_of_equilibrium():
    """S = ε/(k² − 1 + 3c²) where 3c² > 1."""
    fields = evolve(np.full((1600, N, N), 0.8), 1e-6, frames=1, steps=1000, time_step=0.1, seed=3)
    slow = K2 * (K2 - 1 + 3 * 0.8**2) * 100 > 8  # the waves that have forgotten their start after a time of 100
    z = held_to(structure(fields[:, -1]), np.where(slow & (K2 > 0), 1e-6 / (K2 - 1 + 3 * 0.64), 0))
    assert slow.sum() > 100
    assert np.abs(z).max() < 4.5


def test_noise_is_drawn_anew_in_each_step_and_for_each_trajectory():
    """From a flat start: what a step adds to what is left of the one before is normal, and correlated with nothing."""
    fields = evolve(np.zeros((3000, N, N)), 1e-8, frames=2, steps=1, time_step=0.01, seed=4).astype(np.float64)
    before, after = (np.fft.rfft2(fields[:, t]) for t in (1, 2))
    added = np.fft.irfft2(after - np.exp(K2 * (1 - K2) * 0.01) * before, s=(N, N))

    def correlation(a, b):
        return (a * b).mean() / (a.std() * b.std())

    for other in (fields[:, 1], np.roll(added, 1, axis=0), np.roll(fields[:, 1], 1, axis=0)):
        assert abs(correlation(added, other)) < 4.5 * np.sqrt(
            6 / added.size
        )  # neighbours are correlated, of one another
    z = added / added.std(axis=0)
    assert abs((z**3).mean()) < 0.02
    assert abs((z**4).mean() - 3) < 0.03


def test_without_noise_the_free_energy_never_rises():
    fields = evolve(starts(16, amplitude=0.5), 0.0, frames=100, steps=1, time_step=0.1, seed=0)
    free = np.stack([energy(fields[:, t : t + 1]) for t in range(101)])
    assert np.diff(free, axis=0).max() < 1e-7
    assert (free[0] - free[-1]).min() > 0.01


@pytest.mark.parametrize(
    "image",
    [
        lambda f: -f,
        lambda f: np.roll(f, (3, 5), (-2, -1)),
        lambda f: np.rot90(f, axes=(-2, -1)),
        lambda f: np.flip(f, -1),
        lambda f: np.swapaxes(f, -1, -2),
    ],
    ids=["sign", "translation", "quarter turn", "reflection", "diagonal reflection"],
)
def test_without_noise_the_law_commutes_with_its_symmetries(image):
    begin = starts(8)
    here, there = (evolve(f, 0.0, frames=5, steps=20, time_step=0.1, seed=0) for f in (begin, image(begin)))
    assert np.abs(there - image(here)).max() < 2e-4


def test_plain_numpy_follows_the_same_law():
    begin = starts(8)
    ours = evolve(begin, 0.0, frames=1, steps=200, time_step=0.1, seed=0)[:, 1]
    plain = np.stack([plain_spinodal.evolve(f, 0.0, steps=200, time_step=0.1) for f in begin])
    assert np.abs(ours - plain).max() < 2e-4


def kernel_noise(seed, lane, size, steps):
    """The white noise of each step of that trajectory of the first block, as fields, float64[N, N]."""
    stream = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    keys = random_word.py_func(stream + np.arange(1, LANES + 1).astype(np.uint64) * GOLDEN)
    law = block_law(size, 0.1, np.zeros(LANES), np.zeros(LANES), keys)
    k, half = np.arange(size), size // 2
    basis = np.where(
        k[:, None] <= half, np.cos(np.outer(k, k) * 2 * np.pi / size), np.sin(np.outer(k, k) * 2 * np.pi / size)
    )
    inverse = np.linalg.inv(basis)
    share = np.sqrt((basis**2).sum(1))
    row = np.empty(size * LANES, np.float32)
    for step in range(1, steps + 1):
        waves = np.empty((size, size))
        for y in range(size):
            shift = (step * size + y) * half * int(GOLDEN) % 2**64
            draw(law.positions, np.uint64(shift), row)
            waves[y] = row.reshape(size, LANES)[:, lane]
        yield inverse @ (waves * share[:, None] * share) @ inverse.T


@pytest.mark.parametrize(("size", "epsilon"), [(16, 0.0), (16, 0.1), (24, 0.1)])
def test_plain_numpy_with_the_same_random_numbers_makes_the_same_fields(size, epsilon):
    start, steps = starts(LANES, size=size), 60
    fields = evolve(start, epsilon, frames=1, steps=steps, time_step=0.1, seed=7)[:, -1]
    for lane in (0, 5):
        white = kernel_noise(7, lane, size, steps).__next__
        phi = plain_spinodal.evolve(start[lane].astype(np.float64), epsilon, steps=steps, time_step=0.1, white=white)
        assert abs(fields[lane] - phi).max() < 2e-5


@pytest.mark.parametrize("n", [8, 24, 40])
def test_transforms_are_those_of_fourier(n):
    @njit
    def both(values, waves, again):
        forward(n, values, 0, LANES, waves, 0, LANES)
        backward(n, waves, 0, LANES, again, 0, LANES)

    values = np.random.default_rng(0).standard_normal((n, LANES)).astype(np.float32)
    waves, again = np.empty(n * LANES, np.float32), np.empty(n * LANES, np.float32)
    both(values.ravel(), waves, again)
    expected = np.fft.rfft(values.astype(np.float64), axis=0)
    half_complex = np.concatenate([expected.real, expected.imag[-2:0:-1]])
    assert abs(waves.reshape(n, LANES) - half_complex).max() < 1e-6 * n
    assert abs(again.reshape(n, LANES) / n - values).max() < 1e-6


def test_random_numbers_are_independent_and_gaussian():
    gaussian = np.empty(400_000, np.float32)
    draw(random_word.py_func(np.arange(200_000).astype(np.uint64)), np.uint64(9), gaussian)
    assert stats.kstest(gaussian.astype(np.float64), "norm").pvalue > 1e-3
    for lag in (1, 8, 200_000):
        r = np.corrcoef(gaussian[:-lag], gaussian[lag:])[0, 1]
        assert abs(r) < 4.5 / np.sqrt(len(gaussian) - lag)
    assert abs(stats.kurtosis(gaussian.astype(np.float64))) < 4.5 * np.sqrt(24 / len(gaussian))


def test_plain_numpy_has_the_same_distribution_with_noise():
    begin, rng = starts(1, mean=-0.2)[0], generator(5)
    ours = evolve(np.repeat(begin[None], 400, 0), 0.1, frames=1, steps=50, time_step=0.1, seed=6)[:, 1]
    plain = np.stack(
        [
            plain_spinodal.evolve(begin, 0.1, steps=50, time_step=0.1, white=lambda: rng.standard_normal((N, N)))
            for _ in range(400)
        ]
    )
    for observable in OBSERVABLES:
        a, b = (observable.function(f[:, None].astype(np.float32)) for f in (ours, plain))
        assert abs(a.mean() - b.mean()) < 4.5 * np.sqrt((a.var() + b.var()) / 400), observable.name
        assert abs(np.log(a.std() / b.std())) < 4.5 / np.sqrt(400), observable.name


def test_the_error_of_a_time_step_is_proportional_to_it():
    begin = starts(8, amplitude=0.4)
    exact = np.stack([plain_spinodal.evolve(f, 0.0, steps=1600, time_step=0.005) for f in begin])
    errors = [
        np.abs(evolve(begin, 0.0, frames=1, steps=round(8 / h), time_step=h, seed=0)[:, 1] - exact).max()
        for h in (0.1, 0.05)
    ]
    assert errors[0] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)


def test_fields_depend_on_seed_place_and_start_alone():
    begin = starts(21)
    whole = evolve(begin, 0.1, frames=2, steps=5, time_step=0.1, seed=7)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    alone = evolve(begin[13:], 0.1, frames=2, steps=5, time_step=0.1, seed=7, first=13)
    numba.set_num_threads(threads)
    assert np.array_equal(whole[13:], alone)
    assert not np.array_equal(whole, evolve(begin, 0.1, frames=2, steps=5, time_step=0.1, seed=8))


@pytest.mark.parametrize("split", ["train", "test"])
def test_parts_are_the_whole(split, monkeypatch):
    dataset = nsbench.load("dataset", "spinodal", **SMALL)
    whole = dataset.prepare(split, generator(1))
    monkeypatch.setattr(type(dataset), "_part_size", lambda self: 8)
    parts = [dataset.part(split, generator(1), k) for k in range(dataset.parts(split))]
    joined = type(whole).joined(parts)
    assert all(np.array_equal(a, joined.arrays()[name]) for name, a in whole.arrays().items())


def test_repeats_share_their_start_and_nothing_else():
    test = nsbench.load("dataset", "spinodal", **SMALL).prepare("test", generator())
    assert np.array_equal(test.values[::2, 0], test.values[1::2, 0])
    assert np.array_equal(test.params[::2], test.params[1::2])
    assert (np.abs(test.values[::2, 1] - test.values[1::2, 1]).max(axis=(1, 2, 3)) > 1e-3).all()
    assert np.allclose(test.values.mean(axis=(2, 3, 4)), test.params[:, :1], atol=1e-6)


def test_the_truth_goes_on_from_any_state_in_frames_of_any_stride():
    dataset = nsbench.load("dataset", "spinodal", **SMALL)
    framed = dataset.prepare("test", generator()).framed(4, 2)
    still = nsbench.load("simulator", "spinodal", noise=0)
    rolled = still.rollout(framed.start(), 2, generator(1))
    plain = plain_spinodal.evolve(framed.values[0, 0, 0].astype(float), 0.0, steps=4 * 20, time_step=0.1)
    assert np.abs(rolled.values[0, 1, 0] - plain).max() < 2e-4
    later = replace(framed.start(), values=framed.values[:, 1:2])
    futures = dataset.continued(later, 3, generator(2))
    assert futures.values.shape[:2] == (3 * len(framed), 9)
    assert np.array_equal(futures.values[::3, 0], later.values[:, 0])
    assert not np.array_equal(futures.values[0, 1], futures.values[1, 1])
    assert futures.domain == dataset.domain


def test_observables_have_their_closed_forms():
    x = np.arange(N)
    wave = np.broadcast_to(0.4 * np.sin(2 * np.pi * 2 * x / N), (1, 1, N, N)).astype(np.float32)
    assert domain_size(wave)[0] == pytest.approx(N / 2, rel=1e-6)
    assert variance(wave)[0] == pytest.approx(0.08, rel=1e-6)
    k = 2 * np.pi * 2 / N
    assert energy(wave)[0] == pytest.approx((1 - 2 * 0.08 + 3 / 8 * 0.4**4) / 4 + k**2 * 0.08 / 2, rel=1e-5)
    uniform = np.full((1, 1, N, N), 0.5, np.float32)
    assert (energy(uniform)[0], domain_size(uniform)[0]) == (pytest.approx(0.75**2 / 4), 0)
    stripes = np.broadcast_to(np.where(x % 8 < 4, 1.0, -1.0), (1, 1, N, N)).astype(np.float32)
    assert interface(stripes)[0] == 4 * N


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 20}, r"size must be a multiple of 8 in \[8, 128\], got 20"),
        ({"tick": 2.0, "steps": 10}, r"the time step must be in \(0, 0.1\], beyond which it is unstable, got 0.2"),
        ({"noise": (0.1, 0.3)}, r"noise must be \[low, high\] with 0 <= low < high <= 0.2"),
        ({"mean": (0.4, 0.4)}, r"mean must be \[low, high\] with -1 <= low < high <= 1"),
        ({"amplitude": (0.2, 0.6)}, r"amplitude must be \[low, high\] with 0 <= low < high <= 0.5"),
        ({"length": (1.0, 20.0)}, r"length must be \[low, high\] with 0.5 <= low < high <= 8"),
    ],
)
def test_parameters_that_cannot_be_computed_are_refused_with_the_bound(params, message):
    with pytest.raises(ValueError, match=message):
        DatasetParams(**params)
    with pytest.raises(ValueError, match="the time step must be"):
        evolve(starts(1), 0.0, frames=1, steps=1, time_step=0.3, seed=0)


def test_the_strongest_starts_and_noise_that_are_allowed_stay_bounded():
    for mean in (0.0, 0.5, 1.0):
        begin = np.stack([random_start(N, mean, 0.5, 0.5, generator(k)) for k in range(256)])
        fields = evolve(begin, 0.2, frames=1, steps=100, time_step=0.1, seed=1)
        assert np.abs(fields[:, 1]).max() < 3


def test_fields_that_run_away_are_an_error():
    with pytest.raises(ValueError, match="grew without bound"):
        evolve(starts(1, amplitude=4.0), 0.0, frames=1, steps=100, time_step=0.1, seed=0)


@pytest.mark.slow
def test_a_look_up_is_worse_than_the_truth():
    """On the suite's own data: the training trajectories nearest in parameters and start know little of a future."""
    dataset = nsbench.load("dataset", "spinodal")
    train, test = (dataset.prepare(s, generator(k)).framed(2, 10) for k, s in enumerate(("train", "test")))
    again = nsbench.load("simulator", "spinodal").rollout(test.start(), 10, generator(2))
    first = test.select(np.arange(0, len(test), 8))
    for leads in ([1], [4], [10], [2, 4, 8, 10]):
        truth, memory = energy_distance(test, again, leads), energy_distance(test, looked_up(train, first, 8), leads)
        print(f"frames {leads}: truth redrawn {truth}, look-up {memory}")
        assert abs(truth.mean) < 4 * truth.error
        assert memory.mean > 5 * memory.error
        assert memory.mean > truth.mean + 1
