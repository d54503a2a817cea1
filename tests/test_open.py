"""Facts about open starts: clusters, crystals in mid-growth, and their branches."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numba
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from lookup import energy_distance, looked_up
from nsbench.components.protocol import Conditions
from nsbench_lca import rules
from nsbench_lca.branches import grow_branches
from nsbench_lca.branching import cluster_crystal, grow_one
from nsbench_lca.clusters import NOISE, extents, hexagon, history_keys, random_clusters
from nsbench_lca.kernel import LAWS, grow, stream
from nsbench_lca.layout import RESERVOIR, layout
from nsbench_lca.open_dataset import OpenDataset
from nsbench_lca.open_morphology import clusters, gyration
from nsbench_lca.open_params import OpenDatasetParams
from nsbench_lca.open_simulator import OpenSimulator
from nsbench_lca.params import SimulatorParams

sys.path.append(str(Path(__file__).parent.parent / "benchmarks"))
import plain_open

PAPER = {"alpha": 0.14, "beta": 1.1, "gamma": 7e-5, "theta": 8.5e-3, "kappa": 7e-3, "mu": 4.8e-2}
SMALL = {"size": 16, "train": 60, "val": 20, "test": {"cases": 12, "repeats": 4}}


def laws_of(count: int, **given) -> np.ndarray:
    values = PAPER | {"rho": 0.5, "sigma": 0.02} | given
    return np.stack([np.broadcast_to(np.asarray(values[name], float), count) for name in LAWS], axis=1)


def some_clusters(count: int, size: int, radius: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(histories, clusters) of one to four seeds."""
    histories = np.random.default_rng(5).integers(2**53, size=count).astype(float)
    return histories, random_clusters(histories, 1 + np.arange(count) % 4, 0.5, radius=radius, size=size)


def open_dataset(**given) -> OpenDataset:
    return OpenDataset(OpenDatasetParams(**(SMALL | given)))


def truth(**given) -> OpenSimulator:
    return OpenSimulator(SimulatorParams(**given))


def test_one_seed_at_the_centre_grows_the_whole_crystals_of_the_lca_bit_for_bit():
    rho = np.linspace(0.38, 0.62, 6)
    seed_alone = random_clusters(np.arange(6.0), np.ones(6, int), 0.0, radius=0, size=20)
    ours = grow_branches(laws_of(6, rho=rho), seed_alone, np.zeros(6), np.arange(6.0), size=20, seed=9)
    whole = grow(rho, size=20, sigma=0.02, seed=9, symmetry="none")
    np.testing.assert_array_equal(ours.arrival, whole.arrival)
    np.testing.assert_array_equal(ours.steps, whole.steps)
    assert not ours.before.any()


def test_prefix_and_continuation_with_the_prefixs_own_noise_are_the_unbroken_growth():
    """To the bit, wherever the branch is; masses and vapour at the branch are therefore the hidden ones."""
    size = 20
    lattice = rules.memory(layout(size, "none", 5))
    histories, starts = some_clusters(4, size)
    keys, laws = history_keys(histories, NOISE), laws_of(4).astype(np.float32)
    for k, begun in enumerate(extents(starts)):

        def grown(branch, k=k):
            arrival = np.full((2 * size, 2 * size), -1, np.int32)
            after, before = grow_one(laws[k], laws[k], starts[k], branch, keys[k], keys[k], lattice, 10_000, arrival)
            return arrival, after, before

        unbroken, steps, none = grown(begun)
        assert none == 0
        for branch in range(begun + 1, size - 5):
            arrival, after, before = grown(branch)
            assert 0 < before < before + after == steps
            np.testing.assert_array_equal(arrival, np.where(unbroken < 0, -1, np.maximum(unbroken - before, 0)))


def test_a_crystal_branches_in_the_step_in_which_it_first_reaches_its_share_of_the_way():
    size, margin, count = 20, 5, 24
    histories, starts = some_clusters(count, size)
    after = np.linspace(0, 0.99, count)
    growth = grow_branches(laws_of(count), starts, after, histories, size=size, seed=1, stop_margin=margin)
    begun = extents(starts)
    np.testing.assert_array_equal(
        extents(growth.arrival == 0), begun + np.floor(after * (size - margin - begun)).astype(int)
    )
    np.testing.assert_array_equal(extents(growth.arrival >= 0), size - margin)
    assert ((growth.before == 0) == (extents(growth.arrival == 0) == begun)).all()


@pytest.fixture(scope="module")
def branched():
    """64 branches each of four crystals in mid-growth, in frames of 5 events."""
    dataset = open_dataset(size=20, sigma=0.03, rho=0.5, start={"after": [0.3, 0.5]}, test={"cases": 4, "repeats": 64})
    return dataset.prepare("test", np.random.default_rng(3)).framed(5, 30)


def test_branches_share_their_first_frame_and_part_after_it(branched):
    start, later = branched.frame(0)[:, 0], branched.final()[:, 0]
    for case in range(4):
        own = slice(64 * case, 64 * (case + 1))
        assert len(np.unique(branched.params[own], axis=0)) == 1
        assert (start[own] == start[64 * case]).all()
        assert len({frame.tobytes() for frame in later[own]}) > 60
    assert (start[0] != start[64]).any()


def test_the_spread_of_branches_grows_from_nothing(branched):
    """Site by site, in the mean over cases: Σ p (1 − p) of the ensemble's probability p of a site.

    Frames a few apart: from one to the next it may fall, as many sites of one branch may attach in one event.
    """
    spread = []
    for t in (0, 1, 4, 7):
        p = branched.frame(t)[:, 0].reshape(4, 64, 40, 40).mean(axis=1)
        spread.append((p * (1 - p)).sum(axis=(1, 2)).mean())
    assert spread[0] == 0
    assert (np.diff(spread) > 0).all()


def test_the_noise_free_truth_has_the_start_that_noise_has_made_and_one_future(branched):
    cases = branched.select(np.array([0, 1, 2, 64, 65]))
    ours = truth(sigma=0).rollout(cases.start(), 30, np.random.default_rng(0))
    np.testing.assert_array_equal(ours.frame(0), cases.frame(0))
    np.testing.assert_array_equal(ours.arrival[:3], ours.arrival[[0, 0, 0]])
    np.testing.assert_array_equal(ours.arrival[3], ours.arrival[4])
    assert (ours.arrival[0] != cases.arrival[0]).any()


@pytest.mark.parametrize("size", [12, 17, 24])
def test_plain_numpy_grows_the_same_crystals_from_clusters_with_the_same_noise(size):
    """A second implementation, in float64, written from the rules alone; it is given the kernel's random signs."""
    lattice = layout(size, "none", 3)
    count, seed = 3, 11
    rho, beta = [0.4, 0.5, 0.6], [1.05, 1.3, 1.5]
    laws = laws_of(count, rho=rho, beta=beta, mu=[0.02, 0.05, 0.09])
    histories, starts = some_clusters(count, size)
    ours = grow_branches(
        laws, starts, np.zeros(count), histories, size=size, seed=seed, stop_margin=3, precision="float64"
    )
    for k in range(count):
        key = rules.random_word(stream(seed), np.uint64(k))

        def signs(step, key=key):
            words = np.empty((lattice.length + 63) // 64, np.uint64)
            rules.draw_signs(words, key, step)
            bits = np.unpackbits(words.view(np.uint8), bitorder="little")[: lattice.length]
            return lattice.map(bits) * 2.0 - 1

        arrival, steps = plain_open.grow_plainly(laws[k], starts[k], size, signs, margin=3)
        np.testing.assert_array_equal(ours.arrival[k], arrival)
        assert ours.steps[k] == steps


def test_mass_is_conserved_from_a_cluster_when_the_reservoir_is_sealed():
    """Σ (b + c + d) stays what it was, to float32 rounding; the reservoir holds nothing and reflects."""
    size = 24
    plan = layout(size, "none", 5)
    lattice, law = rules.memory(plan), laws_of(1, sigma=0)[0].astype(np.float32)
    (start,) = some_clusters(3, size)[1][2:]
    crystal, sites, front = cluster_crystal(law[6], start, lattice)
    assert sites == start.sum() > 3
    rim = np.where(plan.weight == RESERVOIR, np.float32(1), np.float32(0))
    stride, free = plan.stride, plan.weight > 0
    around = sum(np.roll(rim, distance) for distance in (1, -1, stride, -stride, stride + 1, -stride - 1))
    crystal.vapour[:, ~free] = 0
    crystal.weight[free & (crystal.weight > 0)] += around[free & (crystal.weight > 0)]
    law[6] = 0  # what passes over the lattice write to the reservoir

    def mass(step: int) -> float:
        return float((crystal.boundary_mass.astype(float) + crystal.crystal_mass + crystal.vapour[step % 2]).sum())

    before, attached = mass(0), 0
    assert before == pytest.approx(sites + 0.5 * (free.sum() - sites), rel=1e-6)
    for step in range(1, 151):
        front, count = rules.advance(crystal, lattice, law, np.uint64(0), step, front)
        assert mass(step) == pytest.approx(before, rel=3e-7)
        before, attached = mass(step), attached + count
    assert attached > 30


def test_a_moved_cluster_grows_the_moved_crystal_until_the_rim_is_felt():
    """Nothing travels faster than a site a step, so that a rim d sites away is not felt for d steps: to the bit."""
    size, moves = 100, [(0, 0), (7, -3), (-16, -16), (5, 21)]
    start = some_clusters(4, size)[1][3]
    moved = np.stack([np.roll(start, move, axis=(0, 1)) for move in moves])
    steps = size - 1 - int(extents(moved).max())
    growth = grow_branches(
        laws_of(4, sigma=0, rho=0.64), moved, np.zeros(4), np.zeros(4), size=size, seed=0, max_steps=steps
    )
    assert (growth.arrival[0] > 0).sum() > 30
    for move, arrival in zip(moves, growth.arrival, strict=True):
        np.testing.assert_array_equal(np.roll(growth.arrival[0], move, axis=(0, 1)), arrival)


def test_a_turned_or_mirrored_cluster_grows_the_turned_or_mirrored_crystal_without_noise():
    """In float64: sums are rounded in an order that turns with nothing."""
    size = 20
    start = some_clusters(4, size)[1][3]
    i, j = np.indices(start.shape) - size
    inside = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j)) < size
    turn, mirror = (np.where(inside, i - j, 0) + size, np.where(inside, i, 0) + size), (j + size, i + size)
    images = np.stack([start, start[turn] & inside, start[mirror]])
    assert (images[0] != images[1]).any()
    assert (images[0] != images[2]).any()
    case = {"size": size, "seed": 0, "precision": "float64"}
    arrival = grow_branches(laws_of(3, sigma=0), images, np.zeros(3), np.zeros(3), **case).arrival
    np.testing.assert_array_equal(arrival[1], np.where(inside, arrival[0][turn], -1))
    np.testing.assert_array_equal(arrival[2], arrival[0][mirror])


def test_seeds_are_distinct_and_every_place_is_as_likely():
    count, radius, seeds = 20_000, 2, 4
    alone = random_clusters(np.arange(count, dtype=float), np.full(count, seeds), 0.0, radius=radius, size=8)
    assert (alone.sum(axis=(1, 2)) == seeds).all()
    places = hexagon(radius)
    share = alone[:, places[:, 0] + 8, places[:, 1] + 8].mean(axis=0)
    p = seeds / len(places)
    assert share.sum() == pytest.approx(seeds)
    assert abs(share - p).max() < 4.5 * np.sqrt(p * (1 - p) / count)


def test_a_seeds_neighbours_belong_to_its_cluster_with_the_stated_probability():
    count = 5_000
    blobs = random_clusters(np.arange(count, dtype=float) + 2**52, np.ones(count, int), 0.3, radius=0, size=8)
    size = blobs.sum(axis=(1, 2)) - 1
    assert blobs[:, 8, 8].all()
    assert extents(blobs).max() == 1
    assert abs(size.mean() - 1.8) < 4 * np.sqrt(6 * 0.3 * 0.7 / count)
    assert abs(size.var() - 6 * 0.3 * 0.7) < 0.1


@pytest.mark.parametrize("start", [{}, {"after": [0.1, 0.6]}])
def test_data_depend_neither_on_threads_nor_on_parts(start, monkeypatch):
    dataset = open_dataset(start=start)
    monkeypatch.setattr(OpenDataset, "_part_size", lambda self: 7)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = dataset.prepare("test", np.random.default_rng(1))
    finally:
        numba.set_num_threads(before)
    assert dataset.parts("test") == 7
    pieces = [dataset.part("test", np.random.default_rng(1), k) for k in range(7)]
    for name, array in dataset.prepare("test", np.random.default_rng(1)).arrays().items():
        np.testing.assert_array_equal(array, alone.arrays()[name])
        np.testing.assert_array_equal(array, np.concatenate([piece.arrays()[name] for piece in pieces]))


def test_laws_vary_in_their_ranges_and_only_they_are_shown():
    dataset = open_dataset(train=400, mu=[0.02, 0.06], start={"after": [0.0, 0.5]})
    domain = dataset.domain
    assert {domain.parameters[k].name for k in domain.varying} == {"beta", "rho", "sigma", "mu"}
    params = dataset.prepare("train", np.random.default_rng(0)).params
    for k in domain.varying:
        low, high = domain.parameters[k].low, domain.parameters[k].high
        assert low <= params[:, k].min() < low + 0.05 * (high - low)
        assert high >= params[:, k].max() > high - 0.05 * (high - low)
    assert len(np.unique(params[:, domain.column("history")])) == 400


def test_training_leaves_the_gaps_that_held_out_cases_are_drawn_from():
    gaps = {"rho": (0.45, 0.55), "beta": (1.05, 1.2)}
    dataset = open_dataset(train=400, holdout=gaps, test={"cases": 20, "repeats": 2, "held_out": 0.5})
    for split, inside in (("train", 0), ("val", 0), ("test", 20)):
        params = dataset.prepare(split, np.random.default_rng(0)).params
        for law, (low, high) in gaps.items():
            values = params[:, dataset.domain.column(law)]
            held_out = (values >= low) & (values < high)
            assert held_out.tolist() == [True] * inside + [False] * (len(values) - inside)
            assert dataset.params.range(law)[0] <= values.min()
            assert values.max() <= dataset.params.range(law)[1]


def test_the_truth_continues_recorded_starts_as_often_as_asked():
    dataset = open_dataset(start={"after": [0.2, 0.5]})
    starts = dataset.prepare("val", np.random.default_rng(4)).select(np.array([3, 8, 11]))
    record = dataset.continued(starts.framed(4, 9).start(), 5, np.random.default_rng(0))
    assert record.domain == dataset.domain
    np.testing.assert_array_equal(record.params, np.repeat(starts.params, 5, axis=0))
    np.testing.assert_array_equal(record.frame(0), np.repeat(starts.frame(0), 5, axis=0))
    assert len({arrival.tobytes() for arrival in record.arrival}) == 15


def test_continued_truths_are_distributed_as_the_recorded_ones(branched):
    """The area some frames later, of 64 recorded and 64 continued branches of each start."""
    dataset = open_dataset(size=20, sigma=0.03, rho=0.5, start={"after": [0.3, 0.5]})
    one_a_case = branched.select(np.arange(0, 256, 64)).start()
    again = dataset.continued(one_a_case, 64, np.random.default_rng(8)).framed(5, 30)
    distance = energy_distance(branched, again, [4, 8, 12])
    assert abs(distance.mean) < 4 * distance.error


def test_a_start_that_its_history_does_not_give_is_refused():
    starts = open_dataset(start={"after": [0.2, 0.5]}).prepare("val", np.random.default_rng(4)).framed(4, 9).start()
    arrival = starts.arrival.copy()
    arrival[2, 20, 20] = -1 if arrival[2, 20, 20] == 0 else 0
    with pytest.raises(ValueError, match=r"start 2 is not the crystal that its history gives \(1 of 20 are not\)"):
        truth().rollout(replace(starts, arrival=arrival), 5, np.random.default_rng(0))


def test_a_domain_without_histories_is_refused(crystals):
    with pytest.raises(ValueError, match="lattice hexagonal-quadrant, which lacks history, seeds, radius, fill, after"):
        truth().rollout(crystals[0].start(), 3, np.random.default_rng(0))


def test_the_truth_grows_on_the_cpu_where_networks_run_on_a_gpu():
    starts = open_dataset().prepare("val", np.random.default_rng(4)).framed(4, 9).start()
    on_cpu, beside_a_gpu = truth(), truth()
    beside_a_gpu.conditions = Conditions(device="cuda")
    grown = [simulator.rollout(starts, 5, np.random.default_rng(0)) for simulator in (on_cpu, beside_a_gpu)]
    np.testing.assert_array_equal(grown[0].arrival, grown[1].arrival)


def test_crystals_that_cannot_come_to_their_branch_are_refused():
    histories, starts = some_clusters(2, 16)
    with pytest.raises(ValueError, match="crystal 1 does not come to its branch in 50 steps"):
        grow_branches(laws_of(2, rho=[0.6, 1e-3]), starts, np.full(2, 0.2), histories, size=16, seed=0, max_steps=50)


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (np.zeros((1, 32, 32), bool), "cluster 0 is empty; it must reach 0 to 10"),
        (np.ones((1, 32, 32), bool), "cluster 0 reaches 31 steps from the centre; it must reach 0 to 10"),
        (np.ones((1, 30, 30), bool), "maps of 32 × 32 sites"),
    ],
)
def test_clusters_from_which_nothing_can_grow_are_refused(cluster, message):
    with pytest.raises(ValueError, match=message):
        grow_branches(laws_of(1), cluster, np.zeros(1), np.zeros(1), size=16, seed=0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mu": [0.5, 1.2]}, r"mu must be in \[0, 1\), got 1.2"),
        ({"beta": [1.5, 1.1]}, r"beta must be a number or \[low, high\] with 0 <= low <= high, got \[1.5, 1.1\]"),
        ({"alpha": -0.1}, r"alpha must be .* got \[-0.1, -0.1\]"),
        ({"rho": [0, 0.5]}, "rho must be > 0, got 0"),
        ({"start": {"seeds": [0, 2]}}, r"1 <= low <= high <= 61, the sites within radius 4, got \[0, 2\]"),
        ({"start": {"seeds": [1, 8], "radius": 1}}, r"high <= 7, the sites within radius 1, got \[1, 8\]"),
        ({"start": {"after": [0.5, 1.0]}}, r"after must be .* high < 1, got \[0.5, 1\]"),
        ({"size": 10}, "reach up to 5 steps from the centre; they must stay below size - stop_margin = 5"),
        ({"holdout": {"mu": [0.04, 0.05]}}, r"gap of mu in holdout must be a part of its range \[0.048, 0.048\]"),
        ({"holdout": {"rho": [0.35, 0.64]}}, r"must be a part of its range \[0.35, 0.64\], got \[0.35, 0.64\]"),
        ({"holdout": {"rho": [0.6, 0.7]}}, r"must be a part of its range \[0.35, 0.64\], got \[0.6, 0.7\]"),
    ],
)
def test_parameters_outside_of_sense_are_refused_with_the_bound(wrong, message):
    with pytest.raises(ValidationError, match=message):
        OpenDatasetParams(**wrong)


def test_observables_of_crystals_drawn_by_hand():
    state = np.zeros((4, 1, 9, 9), np.float32)
    state[0, 0, 4, 4] = 1
    state[1, 0, [4, 5], [4, 5]] = 1  # neighbours along the diagonal
    state[2, 0, [4, 5], [5, 4]] = 1  # not neighbours: √3 apart
    np.testing.assert_allclose(clusters(state), [1, 1, 2, 0])
    np.testing.assert_allclose(gyration(state), [0, 1 / 2, np.sqrt(3) / 2, 0], atol=1e-12)
    ring = np.zeros((1, 1, 9, 9), np.float32)
    for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)):
        ring[0, 0, 4 + i, 4 + j] = 1
    assert (clusters(ring)[0], gyration(ring)[0]) == (1, pytest.approx(1))  # six sites at distance 1 of their centre


@pytest.mark.slow
def test_memory_is_no_rival_of_the_truth_on_the_suite():
    """Mean energy distances over 64 ensembles of 8, by lead time in frames: look-up over 3,000 crystals, truth redrawn."""
    suite = yaml.safe_load((Path(__file__).parents[1] / "suites" / "snow-open.yaml").read_text())
    dataset = OpenDataset(OpenDatasetParams(**suite["datasets"][0]["params"]))
    frames = suite["protocol"]["stride"], suite["protocol"]["horizon"]
    train = dataset.prepare("train", np.random.default_rng(1)).framed(*frames)
    test = dataset.prepare("test", np.random.default_rng(2)).framed(*frames)
    memory = looked_up(train, test.select(np.arange(0, len(test), 8)), 8)
    redrawn = truth().rollout(test.start(), frames[1], np.random.default_rng(3))
    for leads in ([1], [3], [6], [12], [20], [3, 6, 12, 20]):
        remembered, true = (energy_distance(test, simulated, leads) for simulated in (memory, redrawn))
        print(f"frames {leads}: look-up {remembered}, truth redrawn {true}")
        assert abs(true.mean) < 4 * true.error
        assert remembered.mean > 8 * remembered.error
        assert remembered.mean > 20 * true.error
