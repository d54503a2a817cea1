"""Dendrites: heat is conserved, crystals have the symmetry of their anisotropy, and memory does not pass for physics."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from lookup import energy_distance, looked_up

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain_dendrite as plain

from nsbench.suite.reading import read_suite
from nsbench_dendrite.dataset import DendriteDataset
from nsbench_dendrite.kernel import Grid, grow, keys_of
from nsbench_dendrite.law import DRIVE, RELAXATION, SHARPNESS, WIDTH, longest_step, stiffest
from nsbench_dendrite.observables import OBSERVABLES
from nsbench_dendrite.params import DatasetParams, SimulatorParams
from nsbench_dendrite.simulator import DendriteSimulator
from nsbench_dendrite.starts import centres, nuclei, starts

OBSERVE = {o.name: o.function for o in OBSERVABLES}
SMALL = {"size": 16, "lead": 2, "ticks": 5, "train": 20, "val": 4, "test": {"cases": 5, "repeats": 3}}


def nucleus(n, sites, dx=0.02, radius=0.12, shift=(0, 0)):
    """(p, u) of a round nucleus in the middle of the box, or so many sites from it, float64[n, N, N]."""
    axis = (np.arange(sites) + 0.5 - sites / 2) * dx
    r = np.hypot(axis[:, None] - shift[0] * dx, axis - shift[1] * dx)
    p = 1 / (1 + np.exp(np.minimum((r - radius) / (2**0.5 * WIDTH), 500)))
    return np.repeat(p[None], n, axis=0), np.ones((n, sites, sites))


def grown(p, u, laws, *, steps, order=4, dx=0.02, dt=6.25e-5, seed=0, first=0):
    """(p, u) after that many steps, as new arrays."""
    p, u, laws = p.copy(), u.copy(), np.asarray(laws, np.float64)
    grid = Grid(p.shape[1], 1, dx, dt, steps, order)
    grow(p, u, laws, grid, keys=keys_of(seed, first, len(p)), ticks=1)
    return p, u


def random_laws(n, seed=0):
    rng = np.random.default_rng(seed)
    ranges = ((0.8, 2), (0, 0.028), (-1, 1), (0, 1))
    return np.stack([rng.uniform(*limits, n) for limits in ranges], axis=1)


def tips(p, dx, directions):
    """The distances from the middle at which p falls below ½ along each direction, by linear interpolation."""
    middle = (p.shape[0] - 1) / 2
    r = np.arange(0, middle, 0.25)
    i, j = middle + r * np.sin(directions)[:, None], middle + r * np.cos(directions)[:, None]
    a, b = i.astype(int), j.astype(int)
    x, y = i - a, j - b
    inside = (
        p[a, b] * (1 - x) * (1 - y) + p[a + 1, b] * x * (1 - y) + p[a, b + 1] * (1 - x) * y + p[a + 1, b + 1] * x * y
    )
    last = np.array([np.flatnonzero(row >= 0.5).max() for row in inside])
    k = np.arange(len(last))
    high, low = inside[k, last], inside[k, last + 1]
    return (r[last] + 0.25 * (high - 0.5) / (high - low)) * dx


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize("shift", [(0, 0), (7, -9)], ids=["middle", "at walls"])
def test_plain_numpy_given_the_same_numbers_grows_the_same_crystals(order, shift):
    laws = random_laws(6, seed=order)
    p, u = nucleus(6, 30, shift=shift)
    second = plain.grown(p, u, laws, keys_of(5, 3, 6), 120, order=order)
    first = grown(p, u, laws, steps=120, order=order, seed=5, first=3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert (first[0].mean(axis=(1, 2)) > 2 * p.mean(axis=(1, 2))).all()
    assert stats.pearsonr((first[0] - p).ravel(), (second[0] - p).ravel()).statistic > 0.999999


@pytest.mark.parametrize(("kind", "tolerance"), [(np.float64, 1e-14), (np.float32, 2e-6)])
def test_heat_less_latent_heat_is_conserved_within_insulated_walls(kind, tolerance):
    """The mean of T − K p, while crystals grow into the walls."""
    laws = random_laws(6)
    p, u = (a.astype(kind) for a in nucleus(6, 48, shift=(10, -6)))
    q, v = grown(p, u, laws, steps=640)

    def content(phase, cold):
        return (1 - cold.astype(np.float64) - laws[:, 0, None, None] * phase).mean(axis=(1, 2))

    difference = np.abs(content(q, v) - content(p, u)).max()
    print(f"{kind.__name__}: the mean of T − K p changed by {difference:.1e}; solid {q.mean(axis=(1, 2))}")
    assert difference < tolerance
    assert (q.mean(axis=(1, 2)) > 3 * p.mean(axis=(1, 2))).all()


def test_undercooled_liquid_without_a_nucleus_stays_as_it_is():
    p, u = np.zeros((3, 24, 24)), np.ones((3, 24, 24))
    q, v = grown(p, u, [[1.5, 0.03, 0, 1.0]] * 3, steps=200)
    assert np.array_equal(q, p)
    assert np.array_equal(v, u)


def test_a_flat_front_without_latent_heat_moves_as_fast_as_its_travelling_wave():
    """p = 1 / (1 + exp((x − v t) / √2 ε̄)) solves the equation with v = √2 ε̄ m / τ."""
    n, dx, dt, steps = 64, 0.005, 5e-6, 1200
    x = (np.arange(n) + 0.5) * dx
    p = np.tile(1 / (1 + np.exp((x - 0.06) / (2**0.5 * WIDTH))), (1, n, 1))
    start = p.mean()
    p, _ = grown(p, np.ones_like(p), [[0, 0, 0, 0]], steps=steps, dx=dx, dt=dt)
    m = DRIVE / np.pi * np.arctan(SHARPNESS)
    assert (p.mean() - start) * n * dx / (steps * dt) == pytest.approx(2**0.5 * WIDTH * m / RELAXATION, rel=0.02)


def test_nuclei_below_the_critical_radius_melt_and_larger_ones_grow():
    """R = ε̄ / √2 m, at which the curvature of the interface stops it (Gibbs & Thomson)."""
    cold = 0.05
    critical = WIDTH / (2**0.5 * DRIVE / np.pi * np.arctan(SHARPNESS * cold))
    small, large = ((nucleus(1, 64, dx=0.005, radius=r * critical)[0]) for r in (0.75, 1.25))
    law, u = [[0, 0, 0, 0]], np.full((1, 64, 64), cold)
    melted, frozen = (grown(p, u, law, steps=1600, dx=0.005, dt=5e-6)[0] for p in (small, large))
    assert melted.mean() < 0.5 * small.mean()
    assert frozen.mean() > 1.2 * large.mean()


def test_heat_alone_decays_as_the_discrete_modes_of_an_insulated_box_do():
    """cos(π k (i + ½)/N) is multiplied by 1 − 4 (Δt/Δx²) sin²(π k / 2N) in each step."""
    n, k, steps = 24, 3, 50
    mode = np.cos(np.pi * k * (np.arange(n) + 0.5) / n)
    u = 1 + 0.1 * mode[:, None] * np.ones(n)
    factor = 1 - 4 * 6.25e-5 / 0.02**2 * np.sin(np.pi * k / (2 * n)) ** 2
    _, v = grown(np.zeros((1, n, n)), u[None], [[1.5, 0.03, 0, 0]], steps=steps)
    np.testing.assert_allclose(v[0], 1 + 0.1 * factor**steps * mode[:, None] * np.ones(n), rtol=0, atol=1e-13)


def test_without_noise_four_directions_of_growth_have_all_symmetries_of_the_square():
    p, _ = grown(*nucleus(1, 64), [[1.6, 0.05, 0, 0]], steps=960)
    for moved in (np.rot90(p[0]), p[0].T, p[0, ::-1], p[0, :, ::-1]):
        np.testing.assert_allclose(moved, p[0], rtol=0, atol=1e-8)
    assert p.mean() > 0.2


def test_without_noise_six_directions_of_growth_have_reflections_and_nearly_turns_of_60_degrees():
    p, _ = grown(*nucleus(1, 96), [[1.2, 0.025, 0, 0]], steps=640, order=6)
    for moved in (p[0, ::-1], p[0, :, ::-1]):
        np.testing.assert_allclose(moved, p[0], rtol=0, atol=1e-8)
    long = tips(p[0], 0.02, np.pi / 3 * np.arange(6))
    short = tips(p[0], 0.02, np.pi / 3 * (np.arange(6) + 0.5))
    print(f"tips along the six directions {long}, between them {short}")
    assert np.ptp(long) < 0.03 * long.mean()
    assert long.min() > 1.03 * short.max()


def test_a_turned_anisotropy_turns_the_crystal():
    laws = np.array([[1.4, 0.05, 0, 0], [1.4, 0.05, np.pi / 4, 0]])
    straight, turned = grown(*nucleus(2, 96), laws, steps=640)[0]
    directions = np.array([0, np.pi / 4])
    assert np.diff(tips(straight, 0.02, directions))[0] < -0.05
    assert np.diff(tips(turned, 0.02, directions))[0] > 0.05


def test_turned_and_mirrored_states_have_turned_and_mirrored_futures():
    p, u = nucleus(1, 32, shift=(3, -5))
    law = [[1.3, 0.05, 0, 0]]
    q, v = grown(p, u, law, steps=150)
    for move in (lambda a: np.rot90(a, axes=(1, 2)), lambda a: a[:, ::-1], lambda a: a.swapaxes(1, 2)):
        moved = grown(np.ascontiguousarray(move(p)), u, law, steps=150)
        np.testing.assert_allclose(moved[0], move(q), rtol=0, atol=1e-10)
        np.testing.assert_allclose(moved[1], move(v), rtol=0, atol=1e-10)


def test_tips_are_slower_the_more_latent_heat_they_have_to_get_rid_of():
    latents = (0.8, 1.1, 1.4, 1.7, 2.0)
    p, _ = grown(*nucleus(5, 96), [[k, 0.04, 0, 0] for k in latents], steps=640)
    reach = [tips(state, 0.02, np.zeros(1))[0] for state in p]
    print(f"tips at t = 0.04 for K = {latents}: {np.round(reach, 3)}")
    assert (np.diff(reach) < -0.02).all()


def test_a_grid_twice_as_fine_has_tips_in_nearly_the_same_place():
    law = [[1.4, 0.05, 0, 0]]
    coarse, _ = grown(*nucleus(1, 96), law, steps=640)
    fine, _ = grown(*nucleus(1, 192, dx=0.01), law, steps=2560, dx=0.01, dt=1.5625e-5)
    a, b = tips(coarse[0], 0.02, np.zeros(1))[0], tips(fine[0], 0.01, np.zeros(1))[0]
    print(
        f"tip at t = 0.04: {a:.4f} with Δx = 0.02, {b:.4f} with Δx = 0.01; solid {coarse.mean():.4f}, {fine.mean():.4f}"
    )
    assert a == pytest.approx(b, rel=0.05)
    assert coarse.mean() == pytest.approx(fine.mean(), rel=0.08)


def test_single_precision_grows_the_crystal_of_double():
    law = [[1.4, 0.05, 0, 0.5]] * 2
    p, u = nucleus(2, 64)
    double = grown(p, u, law, steps=300)
    single = grown(p.astype(np.float32), u.astype(np.float32), law, steps=300)
    for a, b in zip(single, double, strict=True):
        assert np.abs(a - b).mean() < 2e-4


def test_noise_is_uniform_independent_and_acts_on_the_interface_alone():
    chi = plain.noise(keys_of(0, 0, 4), 7, 62)
    assert stats.kstest(chi.ravel() + 0.5, "uniform").pvalue > 1e-3
    z = chi * 12**0.5
    for other in (np.roll(z, 1, 0), np.roll(z, 1, 1), np.roll(z, 1, 2), plain.noise(keys_of(0, 0, 4), 8, 62) * 12**0.5):
        assert abs((z * other).mean()) < 4.5 / z.size**0.5
    start = nucleus(2, 48)
    (quiet, noisy), _ = grown(*start, [[1.4, 0.03, 0, 0], [1.4, 0.03, 0, 1.0]], steps=1)
    moved = np.abs(noisy - quiet)
    interface = start[0][0] * (1 - start[0][0])
    assert moved.max() > 1e-3
    assert (moved <= 0.5 * 6.25e-5 / 3e-4 * interface + plain.LEAST).all()


@pytest.mark.parametrize(("order", "delta", "noise"), [(4, 0.06, 1.0), (6, 0.028, 1.0), (4, 0.0, 0.0)])
def test_the_longest_step_is_stable_and_a_step_of_twice_that_is_not(order, delta, noise):
    dt = longest_step(0.02, order, delta, noise, 2.0)
    p, u = nucleus(1, 48)
    rng = np.random.default_rng(0)
    p += 1e-4 * rng.random(p.shape) * (p > 1e-3)
    u += 1e-3 * rng.standard_normal(u.shape)
    q, v = grown(p, u, [[2.0, delta, 0.3, noise]], steps=1500, order=order, dt=dt)
    assert -1e-6 <= q.min() <= q.max() < 1.1
    assert -1.5 < v.min() <= v.max() < 1.1
    with np.errstate(all="ignore"):
        for _ in range(500):
            p, u = plain.step(p, u, np.array([[2.0, delta, 0.3, 0]]), np.zeros_like(p), order, 2 * dt, 0.02)
    assert not (np.abs(u) < 10).all()


def test_the_stiffest_direction_is_that_of_the_hessian():
    def energy(x, y, order=4, delta=0.05):
        return 0.5 * (1 + delta * np.cos(order * np.arctan2(y, x))) ** 2 * (x * x + y * y)

    angle, h = np.linspace(0, np.pi / 2, 400), 1e-4
    x, y = np.cos(angle), np.sin(angle)
    xx = (energy(x + h, y) - 2 * energy(x, y) + energy(x - h, y)) / h**2
    yy = (energy(x, y + h) - 2 * energy(x, y) + energy(x, y - h)) / h**2
    xy = (energy(x + h, y + h) - energy(x + h, y - h) - energy(x - h, y + h) + energy(x - h, y - h)) / (4 * h**2)
    largest = ((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy)).max()
    assert stiffest(4, 0.05) == pytest.approx(largest, rel=1e-4)


def test_observables_of_a_known_state():
    state = np.zeros((2, 2, 33, 33), np.float32)
    state[0, 0, 16, 4:29] = 1
    state[0, 0, 4:29, 16] = 1  # a cross: 49 sites, arms of 12
    state[0, 1] = 0.5
    found = {name: function(state) for name, function in OBSERVE.items()}
    assert found["solid"] == pytest.approx([49 / 33**2, 0])
    assert found["tip"] == pytest.approx([12, 0])
    assert found["arms"].tolist() == [4, 0]
    assert found["liquid_heat"] == pytest.approx([0.5 * (1 - 49 / 33**2), 0])
    half = np.zeros((1, 2, 32, 32), np.float32)
    half[:, 0, :, 16:] = 1
    assert OBSERVE["interface"](half) == pytest.approx([31])


def test_nuclei_are_round_and_where_their_history_says():
    grid = Grid(32, 3, 0.02, 6.25e-5, 64, 4)
    apart = next(h for h in range(6, 99) if np.linalg.norm(np.diff(centres(2, h, grid), axis=0)) > 0.5)
    p = nuclei(np.array([1.0, 2.0]), np.array([0.12, 0.1]), np.array([5.0, apart]), grid)
    area = p.sum(axis=(1, 2)) * grid.spacing**2
    expected = [np.pi * (r**2 + (2 * WIDTH**2) * np.pi**2 / 3) for r in (0.12, 0.1)]  # ∫ of the profile: Sommerfeld
    assert area[0] == pytest.approx(expected[0], rel=1e-3)
    assert area[1] == pytest.approx(2 * expected[1], rel=1e-3)
    assert not np.array_equal(p[0], nuclei(np.array([1.0]), np.array([0.12]), np.array([7.0]), grid)[0])


def test_data_depend_on_neither_threads_nor_parts(monkeypatch):
    import nsbench_dendrite.dataset as module

    dataset = DendriteDataset(DatasetParams(**SMALL))
    before = numba.get_num_threads()
    for split in ("train", "test"):
        made = []
        for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(threads)
            made.append(dataset.prepare(split, np.random.default_rng(0)))
        numba.set_num_threads(before)
        monkeypatch.setattr(module, "SITE_STEPS", 4 * 48**2 * 7 * 64)
        parts = [dataset.part(split, np.random.default_rng(0), k) for k in range(dataset.parts(split))]
        monkeypatch.undo()
        assert len(parts) > 1
        made.append(type(parts[0]).joined(parts))
        for other in made[1:]:
            assert np.array_equal(made[0].values, other.values)
            assert np.array_equal(made[0].params, other.params)


def test_cases_differ_in_start_and_parameters_and_repeats_in_their_future_alone():
    test = DendriteDataset(DatasetParams(**SMALL)).prepare("test", np.random.default_rng(0))
    first = test.values[:, 0].reshape(5, 3, -1)
    assert (first == first[:, :1]).all()
    assert len(np.unique(first[:, 0], axis=0)) == 5
    assert [test.domain.parameters[k].name for k in test.domain.varying] == ["latent", "anisotropy", "noise"]
    for column in test.domain.varying:
        assert len(np.unique(test.params[:, column])) == 5
    assert len(np.unique(test.values[:, -1].reshape(15, -1), axis=0)) == 15


def test_shown_states_conserve_heat_less_latent_heat():
    made = DendriteDataset(DatasetParams(**SMALL)).prepare("val", np.random.default_rng(0))
    phase, temperature = made.values.mean(axis=(3, 4), dtype=np.float64).transpose(2, 0, 1)
    content = temperature - made.params[:, :1] * phase
    np.testing.assert_allclose(content, content[:, :1] * np.ones(content.shape[1]), rtol=0, atol=2e-6)


def test_continued_truths_begin_with_the_starts_and_have_members_in_a_row():
    dataset = DendriteDataset(DatasetParams(**SMALL))
    first = dataset.prepare("val", np.random.default_rng(0))
    futures = dataset.continued(first, 3, np.random.default_rng(1))
    assert futures.values.shape == (12, 6, 2, 16, 16)
    assert np.array_equal(futures.values[:, 0], np.repeat(first.values[:, 0], 3, axis=0))
    assert np.array_equal(futures.params, np.repeat(first.params, 3, axis=0))
    assert len(np.unique(futures.values[:, -1].reshape(12, -1), axis=0)) == 12


def test_a_start_that_its_hidden_parameters_do_not_make_is_refused():
    dataset = DendriteDataset(DatasetParams(**SMALL))
    record = dataset.prepare("val", np.random.default_rng(0))
    message = "only from first frames that their hidden parameters make, to 0.001; these differ from them by 0.[0-9]+"
    with pytest.raises(ValueError, match=message):
        dataset.continued(replace(record, values=record.values[:, 1:].copy(), lengths=record.lengths - 1), 2, rng())
    params = record.params.copy()
    params[:, record.domain.column("history")] += 1
    other = replace(record, params=params).framed(1, 2).start()
    with pytest.raises(ValueError, match=message):
        DendriteSimulator(SimulatorParams()).rollout(other, 2, rng())
    p, u = starts(record.params, record.domain)
    means = np.stack([p, 1 - u], axis=1).reshape(4, 2, 16, 3, 16, 3).mean(axis=(3, 5))
    np.testing.assert_allclose(means, record.values[:, 0], rtol=0, atol=1e-6)


def rng():
    return np.random.default_rng(0)


def test_the_simulator_without_noise_is_a_function_of_the_start():
    dataset = DendriteDataset(DatasetParams(**SMALL))
    record = dataset.prepare("test", np.random.default_rng(0))
    start = record.framed(2, 2).start()
    still, noisy = (DendriteSimulator(SimulatorParams(noise=a)) for a in (0, None))
    first, second = (still.rollout(start, 2, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(first.values, second.values)
    assert np.array_equal(first.values[::3], first.values[1::3])
    assert np.array_equal(first.params, start.params)
    assert np.array_equal(first.values[:, 0], start.frame(0))
    third = noisy.rollout(start, 2, np.random.default_rng(0))
    assert (third.values[:, -1] != first.values[:, -1]).any(axis=(1, 2, 3)).all()
    away, apart = (np.abs(x.values[:, -1] - record.values[:, 4]).mean() for x in (third, first))
    assert max(away, apart) < 0.02
    walls = replace(start, domain=replace(start.domain, boundaries=("closed", "periodic")))
    with pytest.raises(ValueError, match="boundaries closed and periodic"):
        noisy.rollout(walls, 2, rng())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"time_step": 0.00011}, r"time_step must be at most 7\.164e-05, .*got 0\.00011"),
        ({"spacing": 0.01}, r"time_step must be at most 2\.236e-05"),
        ({"time_step": 0.000225, "spacing": 0.03, "anisotropy": (0.0, 0.06), "noise": (0, 1)}, r"at most 0\.0001249"),
        ({"anisotropy": (0.01, 0.07)}, r"<= 0\.06667, 1/\(j² − 1\).*got \[0\.01, 0\.07\]"),
        ({"anisotropy": (0.01, 0.05), "order": 6}, r"<= 0\.02857"),
        ({"latent": (2.0, 1.0)}, r"0 <= low <= high <= 4, .*got \[2, 1\]"),
        ({"noise": (0.0, 1.2)}, r"noise must be .* <= 1, .*got \[0, 1\.2\]"),
        ({"nuclei": (0, 2)}, r"1 <= low <= high <= 8, got \[0, 2\]"),
        ({"radius": (0.1, 0.5)}, r"radius must be .*0\.04 <= low <= high <= 0\.48.*got \[0\.1, 0\.5\]"),
        ({"size": 4}, "greater than or equal to 8"),
        ({"order": 5}, "4 or 6"),
        ({"anisotropy": (0.03, 0.03), "noise": (0.5, 0.5)}, "at least two of latent, anisotropy, angle and noise"),
    ],
)
def test_parameters_that_make_no_dendrites_are_refused_with_the_bound(params, message):
    with pytest.raises(ValidationError, match=message):
        DatasetParams(**params)


def test_the_kernel_refuses_what_it_cannot_solve():
    p, u = nucleus(1, 24)
    for change, message in (
        ({"dt": 1.2e-4}, r"time_step must be at most 7\.799e-05 for stable steps, got 0\.00012"),
        ({"laws": [[1.5, 0.07, 0, 0]]}, r"anisotropy in \[0, 1/\(j² − 1\) = 0\.06667\)"),
        ({"laws": [[1.5, np.nan, 0, 0]]}, "rows of finite latent, anisotropy, angle, noise"),
        ({"u": u.astype(np.float32)}, "p and u must both be floats"),
    ):
        given = {"p": p, "u": u, "laws": [[1.5, 0.03, 0, 0]], "steps": 1, **change}
        with pytest.raises(ValueError, match=message):
            grown(**given)


@pytest.mark.slow
def test_a_look_up_over_the_training_data_is_far_from_the_truth(registry):
    """On the suite's own dataset, where the truth redrawn is at no distance."""
    suite = read_suite(Path(__file__).parents[1] / "suites" / "dendrite.yaml", registry)
    dataset = DendriteDataset(DatasetParams(**suite.datasets[0].params))
    stride, horizon = suite.protocol.stride, suite.protocol.horizon
    train, test = (
        dataset.prepare(split, np.random.default_rng(seed)).framed(stride, horizon)
        for seed, split in enumerate(("train", "test"))
    )
    cases, repeats = dataset.params.test.cases, dataset.params.test.repeats
    first = test.select(np.arange(0, len(test), repeats))
    again = dataset.continued(first, repeats, np.random.default_rng(2)).framed(stride, horizon)
    memory = looked_up(train, first, repeats)
    assert len(memory) == len(test) == cases * repeats
    for leads in ([2], [4], [8], [16], [2, 4, 8, 16]):
        redrawn, remembered = energy_distance(test, again, leads), energy_distance(test, memory, leads)
        print(f"frames {leads}: truth redrawn {redrawn}, look-up {remembered}")
        assert abs(redrawn.mean) < 3.5 * redrawn.error
        assert remembered.mean > 5 * remembered.error
        assert remembered.mean > 5 * abs(redrawn.mean)
