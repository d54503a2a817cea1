"""Grains: the heat bath leaves exp(−H/T) as it is, grains grow as they should, and memory does not pass for physics."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise, permutations, product
from pathlib import Path

import numba
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage, stats

from lookup import energy_distance, looked_up

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain_grains as plain

from nsbench.suite.reading import read_suite
from nsbench_grains import rules
from nsbench_grains.clusters import clusters
from nsbench_grains.dataset import GrainsDataset
from nsbench_grains.kernel import coarsen, couplings, factors, stream, tessellations
from nsbench_grains.observables import OBSERVABLES
from nsbench_grains.params import DatasetParams, SimulatorParams, coldest
from nsbench_grains.simulator import GrainsSimulator

LAW = (2.5, 0.35, 0.55)  # temperature, anisotropy, diagonal
OBSERVE = {o.name: o.function for o in OBSERVABLES}


def laws_of(n, law=LAW):
    return np.tile(law, (n, 1)).astype(np.float64)


def random_labels(n, height, width, q, seed=0):
    return np.random.default_rng(seed).integers(0, q, (n, height, width), dtype=np.uint8)


def conditional(neighbours, label, q, law=LAW):
    """p(a | neighbours) by the kernel's own shares and choice: each interval of [0, Z) goes to the label it chooses."""
    temperature, epsilon, diagonal = law
    x = np.exp(np.array([1 + epsilon, 1 - epsilon, diagonal]) / temperature)
    n = tuple(float(a) for a in neighbours)
    ends = rules.shares(n, *x, float(q))
    edges = [*range(q), *ends]
    p = np.zeros(q)
    for low, high in pairwise(edges):
        p[int(rules.chosen((low + high) / 2, float(label), n, ends))] += high - low
    return p / ends[-1]


def sweep_matrix(height, width, q):
    """(the transition matrix of one sweep between all states, these states uint8[S, H, W])."""
    states = np.array(list(product(range(q), repeat=height * width)), np.uint8).reshape(-1, height, width)
    number = q ** np.arange(height * width)[::-1].reshape(height, width)
    known = {}
    visits = []
    for k in range(4):
        a, b = divmod(k, 2)
        sites = [(i, j) for i in range(a, height, 2) for j in range(b, width, 2)]
        matrix = np.zeros((len(states), len(states)))
        for row, state in enumerate(states):
            futures, chances = np.array([(state * number).sum()]), np.ones(1)
            for i, j in sites:
                around = tuple(int(state[(i + di) % height, (j + dj) % width]) for di, dj in plain.OFFSETS)
                key = (around, int(state[i, j]))
                if key not in known:
                    known[key] = conditional(*key, q)
                step = (np.arange(q) - int(state[i, j])) * number[i, j]
                futures = (futures[:, None] + step).ravel()
                chances = (chances[:, None] * known[key]).ravel()
            matrix[row, futures] = chances
        visits.append(matrix)
    orders = [visits[a] @ visits[b] @ visits[c] @ visits[d] for a, b, c, d in rules.ORDERS]
    return sum(orders) / len(orders), states


@pytest.fixture(scope="module", params=[(2, 4, 2), (2, 2, 3)], ids=["2x4, q = 2", "2x2, q = 3"])
def lattice(request):
    """(q, the matrix of a sweep, the states) of a lattice so small that all states can be listed."""
    height, width, q = request.param
    return q, *sweep_matrix(height, width, q)


def boltzmann(states):
    """exp(−H/T) / Z of all states, H with double bonds where two ways lead from a site to another."""
    weight = np.exp(-plain.energy(states, couplings(laws_of(len(states)))) / LAW[0])
    return weight / weight.sum()


def test_a_sweep_leaves_the_boltzmann_distribution_as_it_is(lattice):
    _, matrix, states = lattice
    weight = boltzmann(states)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(weight @ matrix, weight, rtol=0, atol=1e-12)
    assert np.abs(np.full(len(states), 1 / len(states)) @ matrix - 1 / len(states)).max() > 1e-3


def test_the_law_of_a_sweep_has_all_translations_reflections_and_permutations_of_labels(lattice):
    q, matrix, states = lattice
    number = {state.tobytes(): row for row, state in enumerate(states)}
    moves = [lambda s, by=by: np.roll(s, by, (1, 2)) for by in ((0, 1), (1, 0), (1, 1))]
    moves += [lambda s: s[:, ::-1], lambda s: s[:, :, ::-1]]
    moves += [lambda s, p=p: np.array(p, np.uint8)[s] for p in permutations(range(q))]
    for move in moves:
        index = [number[state.tobytes()] for state in np.ascontiguousarray(move(states))]
        np.testing.assert_allclose(matrix[np.ix_(index, index)], matrix, rtol=0, atol=1e-13)


def test_sampled_states_have_boltzmann_frequencies():
    n = 20_000
    states = np.array(list(product(range(2), repeat=8)), np.uint8).reshape(-1, 2, 4)
    start = random_labels(n, 2, 4, 2)
    last = coarsen(start, laws_of(n), q=2, sweeps=40, seed=5, every=40)[:, -1]
    counts = np.bincount((last.reshape(n, 8) * 2 ** np.arange(8)[::-1]).sum(axis=1), minlength=256)
    expected = n * boltzmann(states)
    common = expected >= 5
    found = [*counts[common], counts[~common].sum()]
    assert stats.chisquare(found, [*expected[common], expected[~common].sum()]).pvalue > 1e-3


def test_a_heat_bath_step_has_the_probabilities_of_the_formula():
    rng = np.random.default_rng(2)
    for _ in range(200):
        q = int(rng.integers(2, 24))
        law = (rng.uniform(0.2, 2), rng.uniform(-1, 1), rng.uniform(0, 1))
        n = rng.integers(0, min(q, int(rng.integers(2, 9))), 8)
        coupling = np.array([1 + law[1], 1 - law[1], law[2]])[list(plain.KINDS)]
        weight = np.exp([coupling[n == a].sum() / law[0] for a in range(q)])
        p = conditional(n, int(rng.integers(q)), q, law)
        np.testing.assert_allclose(p, weight / weight.sum(), rtol=1e-12, atol=1e-14)


def test_permuted_neighbours_have_permuted_probabilities():
    rng = np.random.default_rng(3)
    for _ in range(100):
        permuted = rng.permutation(12)
        n = rng.integers(0, 12, 8)
        np.testing.assert_allclose(conditional(permuted[n], 3, 12)[permuted], conditional(n, 7, 12), rtol=1e-12)


def test_shifted_labels_have_shifted_futures_bit_for_bit():
    start = random_labels(4, 16, 12, 12)
    futures = coarsen(start, laws_of(4), q=12, sweeps=20, seed=1)
    for shift in (1, 5):
        shifted = ((start + shift) % 12).astype(np.uint8)
        assert np.array_equal(coarsen(shifted, laws_of(4), q=12, sweeps=20, seed=1), (futures + shift) % 12)


def test_permuted_labels_have_permuted_futures_without_noise():
    start = tessellations(np.full(8, 40), shape=(16, 16), q=12, seed=0)
    permuted = np.random.default_rng(0).permutation(12).astype(np.uint8)
    cold = laws_of(8, (0, 0.3, 0.5))
    assert np.array_equal(
        coarsen(permuted[start], cold, q=12, sweeps=5, seed=0), permuted[coarsen(start, cold, q=12, sweeps=5, seed=1)]
    )


def test_moved_states_and_numbers_have_moved_futures_bit_for_bit():
    rng = np.random.default_rng(4)
    start, u = random_labels(24, 8, 12, 6), rng.random((24, 8, 12), np.float32)
    x = factors(laws_of(24))
    future = plain.sweep(start, x, 6, u, rules.ORDERS)
    for by in ((0, 1), (1, 0), (3, 5)):
        moved = rules.ORDERS ^ np.uint8(2 * (by[0] % 2) + by[1] % 2)
        rolled = plain.sweep(np.roll(start, by, (1, 2)), x, 6, np.roll(u, by, (1, 2)), moved)
        assert np.array_equal(rolled, np.roll(future, by, (1, 2)))


@pytest.mark.parametrize(("height", "width", "q"), [(16, 16, 12), (6, 10, 3), (2, 4, 200), (32, 32, 24)])
def test_plain_numpy_given_the_same_numbers_makes_the_same_states(height, width, q):
    n, rng = 12, np.random.default_rng(6)
    laws = np.stack([rng.uniform(0.3, 1.2, n), rng.uniform(-1, 1, n), rng.uniform(0, 1, n)], axis=1)
    start = tessellations(np.full(n, max(1, height * width // 8)), shape=(height, width), q=q, seed=2)
    keys = plain.words(stream(9), np.arange(3, 3 + n))
    second = plain.coarsened(start, factors(laws), q, keys, rules.ORDERS, 12)
    assert np.array_equal(coarsen(start, laws, q=q, sweeps=12, seed=9, first=3), second)
    assert (second[:, -1] != second[:, 0]).any()


def test_without_noise_plain_numpy_makes_the_same_states_and_energy_never_rises():
    n, rng = 12, np.random.default_rng(7)
    laws = np.stack([np.zeros(n), rng.uniform(-1, 1, n), rng.uniform(0, 1, n)], axis=1)
    laws[:4, 1:] = 0, 0.5  # many ties
    start = tessellations(np.full(n, 60), shape=(16, 24), q=8, seed=2)
    frames = coarsen(start, laws, q=8, sweeps=6, seed=0)
    assert np.array_equal(frames, coarsen(start, laws, q=8, sweeps=6, seed=1))
    energies = []
    for s in range(6):
        assert np.array_equal(plain.settled(frames[:, s], couplings(laws)), frames[:, s + 1])
        energies.append(plain.energy(frames[:, s], couplings(laws)))
    assert (np.diff(energies, axis=0) <= 1e-9).all()
    assert (energies[-1] < energies[0]).all()


def test_every_frame_is_the_record_of_every_sweep_thinned():
    start = random_labels(3, 8, 8, 4)
    whole = coarsen(start, laws_of(3), q=4, sweeps=12, seed=0)
    assert np.array_equal(coarsen(start, laws_of(3), q=4, sweeps=12, seed=0, every=3), whole[:, ::3])


def test_random_numbers_are_uniform_and_independent():
    places = np.arange(1 << 12, dtype=np.uint32)
    keys = plain.words(stream(0), np.arange(4))[:, None, None]
    u = plain.numbers(plain.words(keys, np.arange(64)[:, None]), places)  # [lattices, words, places]
    assert 0 <= u.min() < 1e-5 < 1 - 1e-5 < u.max() <= 1
    assert stats.chisquare(np.histogram(u, 1000, (0, 1))[0]).pvalue > 1e-3
    z = (u.astype(np.float64) - 0.5) * 12**0.5
    for axis, steps in ((0, (1,)), (1, (1, 2, 8)), (2, (1, 2, 16, 32, 64))):
        for step in steps:
            assert abs((z * np.roll(z, step, axis)).mean()) < 4.5 / z.size**0.5
    orders = plain.words(keys[:, 0], 8 * np.arange(3000)) % np.uint64(24)
    assert stats.chisquare(np.bincount(orders.ravel().astype(int), minlength=24)).pvalue > 1e-3


def test_the_mean_area_of_grains_grows_in_proportion_to_time():
    """dA/dt is constant where boundaries move by their curvature (von Neumann-Mullins): log A has slope 1 in log t."""
    start = random_labels(1, 512, 512, 32)
    frames = coarsen(start, laws_of(1, (0.25, 0, 0.5)), q=32, sweeps=600, seed=0, every=50)
    t = 50 * np.arange(2, 13)
    areas = OBSERVE["mean_area"](frames[0, 2:, None].astype(np.float32))
    slope = np.polyfit(np.log(t), np.log(areas), 1)[0]
    straight = np.corrcoef(t, areas)[0, 1] ** 2
    print(f"slope of log area by log time, sweeps 100 to 600: {slope:.3f}; r² of area by time {straight:.4f}; {areas}")
    assert slope == pytest.approx(1, abs=0.1)
    assert straight > 0.995


def test_boundaries_avoid_the_bonds_that_cost_most():
    start = np.repeat(tessellations(np.full(16, 120), shape=(32, 32), q=12, seed=1), 3, 0)
    laws = np.array([[0.4, e, 0.5] for _ in range(16) for e in (-0.6, 0, 0.6)])
    last = coarsen(start, laws, q=12, sweeps=24, seed=0, every=24)[:, -1].astype(np.float32)
    tall, even, wide = OBSERVE["elongation"](last[:, None]).reshape(16, 3).mean(axis=0)
    assert tall < -0.15
    assert abs(even) < 0.06
    assert wide > 0.15


def test_clusters_are_those_of_scipy_joined_round_the_torus():
    for q, size in ((2, 6), (2, 17), (3, 32), (12, 32)):
        labels = random_labels(20, size, size, q)
        for state, numbers in zip(labels, clusters(labels), strict=True):
            assert np.array_equal(np.unique(numbers), np.arange(numbers.max() + 1))
            tiled = np.zeros((3 * size, 3 * size), int)
            for label in range(q):  # any two sites that are connected on the torus, are in one image of it or the next
                found, _ = ndimage.label(np.tile(state == label, (3, 3)))
                tiled += np.where(found > 0, found + tiled.max(), 0)
            first = tiled[size : 2 * size, size : 2 * size]
            merged = _merged(first, tiled, size)
            assert len(set(zip(merged.ravel(), numbers.ravel(), strict=True))) == numbers.max() + 1
            assert len(np.unique(merged)) == numbers.max() + 1


def _merged(first, tiled, size):
    """The components of the tiled plane that hold images of one another, under one number; int[size, size]."""
    parent = {}

    def root(a):
        while parent.get(a, a) != a:
            a = parent[a]
        return a

    for i, j in product(range(3), repeat=2):
        image = tiled[i * size : (i + 1) * size, j * size : (j + 1) * size]
        for a, b in set(zip(first.ravel(), image.ravel(), strict=True)):
            parent[root(int(a))] = root(int(b))
    return np.vectorize(lambda a: root(int(a)))(first)


def test_observables_of_a_known_state():
    state = np.zeros((1, 1, 8, 8), np.float32)
    state[0, 0, 0, :] = 1  # a row round the torus: 16 bonds along columns
    state[0, 0, 4, 7] = state[0, 0, 4, 0] = 1  # two sites across the edge: 6 bonds, 2 of them along the row
    found = {name: float(function(state)[0]) for name, function in OBSERVE.items()}
    assert found == {
        "grains": 3,  # the row, the rest, and the two sites
        "mean_area": pytest.approx(64 / 3),
        "boundary": 22,
        "largest": pytest.approx(54 / 64),
        "elongation": pytest.approx((20 - 2) / 22),
    }


def test_a_tessellation_is_the_voronoi_diagram_of_its_points():
    q, key = 12, plain.words(plain.words(stream(4), 7), np.arange(30))
    i, j, label = (
        ((key >> np.uint64(11)) * 2.0**-53 * np.array([[16.0], [24.0], [q]])[np.arange(30) % 3, 0]).reshape(-1, 3).T
    )
    rows, columns = np.indices((16, 24))
    di, dj = (abs(a[..., None] - b) for a, b in ((rows, i), (columns, j)))
    nearest = (np.minimum(di, 16 - di) ** 2 + np.minimum(dj, 24 - dj) ** 2).argmin(axis=-1)
    cells = tessellations(np.array([10]), shape=(16, 24), q=q, seed=4, first=7)[0]
    assert np.array_equal(cells, np.floor(label)[nearest])


SMALL = {"size": 16, "points": (8, 40), "sweeps": 6, "train": 40, "val": 6, "test": {"cases": 7, "repeats": 3}}


def test_data_depend_on_neither_threads_nor_parts(monkeypatch):
    import nsbench_grains.dataset as module

    dataset = GrainsDataset(DatasetParams(**SMALL))
    before = numba.get_num_threads()
    for split in ("train", "val", "test"):
        made = []
        for threads in sorted({1, min(2, numba.config.NUMBA_NUM_THREADS)}):
            numba.set_num_threads(threads)
            made.append(dataset.prepare(split, np.random.default_rng(0)))
        numba.set_num_threads(before)
        monkeypatch.setattr(module, "SITE_SWEEPS", 4 * 16**2 * 8)
        parts = [dataset.part(split, np.random.default_rng(0), k) for k in range(dataset.parts(split))]
        monkeypatch.undo()
        assert len(parts) > 1
        made.append(type(parts[0]).joined(parts))
        for other in made[1:]:
            assert np.array_equal(made[0].labels, other.labels)
            assert np.array_equal(made[0].params, other.params)


def test_cases_differ_in_start_and_parameters_and_repeats_in_their_future_alone():
    test = GrainsDataset(DatasetParams(**SMALL)).prepare("test", np.random.default_rng(0))
    starts = test.labels[:, 0].reshape(7, 3, -1)
    assert (starts == starts[:, :1]).all()
    assert len(np.unique(starts[:, 0], axis=0)) == 7
    for column in test.domain.varying:
        assert len(np.unique(test.params[:, column])) == 7
    assert test.domain.varying == (0, 1)
    assert len(np.unique(test.labels[:, -1].reshape(21, -1), axis=0)) == 21


def test_continued_truths_begin_with_the_starts_and_have_members_in_a_row():
    dataset = GrainsDataset(DatasetParams(**SMALL))
    starts = dataset.prepare("val", np.random.default_rng(0))
    futures = dataset.continued(starts, 4, np.random.default_rng(1))
    assert futures.labels.shape == (24, 7, 16, 16)
    assert np.array_equal(futures.labels[:, 0], np.repeat(starts.labels[:, 0], 4, axis=0))
    assert np.array_equal(futures.params, np.repeat(starts.params, 4, axis=0))
    assert len(np.unique(futures.labels[:, -1].reshape(24, -1), axis=0)) == 24


def test_the_simulator_without_noise_is_a_function_of_the_start():
    dataset = GrainsDataset(DatasetParams(**SMALL))
    start = dataset.prepare("test", np.random.default_rng(0)).framed(2, 3).start()
    still, noisy = (GrainsSimulator(SimulatorParams(temperature=t)) for t in (0, None))
    first, second = (still.rollout(start, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.params, start.params)
    assert (noisy.rollout(start, 3, np.random.default_rng(0)).labels[:, -1] != first.labels[:, -1]).any()
    walled = replace(start, domain=replace(start.domain, boundaries=("closed", "periodic")))
    with pytest.raises(ValueError, match="boundaries closed and periodic"):
        noisy.rollout(walled, 3, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": 33}, "size must be even.*got 33"),
        ({"size": 6}, "greater than or equal to 8"),
        ({"temperature": (0.05, 0.5)}, r"= 0\.075 <= low < high, got \[0\.05, 0\.5\]"),
        ({"temperature": (0.5, 0.5)}, r"low < high, got \[0\.5, 0\.5\]"),
        ({"diagonal": 2.0, "temperature": (0.1, 0.5)}, r"= 0\.15 <= low"),
        ({"anisotropy": (-1.2, 0.5)}, r"-1 <= low < high <= 1.*got \[-1\.2, 0\.5\]"),
        ({"points": (10, 300), "size": 16}, r"size² = 256, got \[10, 300\]"),
        ({"labels": 300}, "less than or equal to 256"),
    ],
)
def test_parameters_that_make_no_grains_are_refused_with_the_bound(params, message):
    with pytest.raises(ValidationError, match=message):
        DatasetParams(**params)


def test_the_coldest_heat_bath_is_finite_and_a_colder_one_is_refused():
    laws = laws_of(2, (coldest(0.5), 0.3, 0.5))
    start = tessellations(np.full(2, 30), shape=(16, 16), q=12, seed=0)
    with np.errstate(over="raise"):
        assert np.isfinite(np.prod(factors(laws)[0].astype(np.float64) ** [2, 2, 4]) * 8)
        assert np.prod(factors(laws)[0].astype(np.float64) ** [2, 2, 4]) * 8 < np.finfo(np.float32).max
    assert OBSERVE["grains"](coarsen(start, laws, q=12, sweeps=20, seed=0)[:, -1:].astype(np.float32)).max() < 30
    with pytest.raises(ValueError, match=r"temperature must be 0 or at least 0\.075, got 0\.07"):
        coarsen(start, laws_of(2, (0.07, 0.3, 0.5)), q=12, sweeps=1, seed=0)
    with pytest.raises(ValueError, match="H and W even"):
        coarsen(start[:, 1:], laws, q=12, sweeps=1, seed=0)
    with pytest.raises(ValueError, match="labels must be below q"):
        coarsen(start, laws, q=3, sweeps=1, seed=0)


def test_a_look_up_over_the_training_data_is_far_from_the_truth(registry):
    """On the suite's own dataset, where the truth redrawn is at no distance."""
    suite = read_suite(Path(__file__).parents[1] / "suites" / "grains.yaml", registry)
    dataset = GrainsDataset(DatasetParams(**suite.datasets[0].params))
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
    for leads in ([2], [4], [8], [12], [2, 4, 8, 12]):
        redrawn, remembered = energy_distance(test, again, leads), energy_distance(test, memory, leads)
        print(f"frames {leads}: truth redrawn {redrawn}, look-up {remembered}")
        assert abs(redrawn.mean) < 3.5 * redrawn.error
        assert remembered.mean > 5 * remembered.error
        assert remembered.mean > 5 * abs(redrawn.mean)
