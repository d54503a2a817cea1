"""Facts about the ground truth."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from nsbench.lattices import attached_neighbours
from nsbench_lca import kernel
from nsbench_lca.kernel import grow
from nsbench_lca.morphology import area, boundary
from slow_lca import grow_slowly, neighbour_table


def test_published_check_value_332_steps():
    assert grow([0.5], size=32, sigma=0, seed=0).steps.tolist() == [332]


@pytest.mark.parametrize("rho", [0.36, 0.42, 0.5, 0.57, 0.63])
def test_a_slow_float64_implementation_grows_the_same_crystal(rho):
    arrival, steps = grow_slowly(rho, 32)
    ours = grow([rho], size=32, sigma=0, seed=0)
    np.testing.assert_array_equal(ours.arrival[0], arrival)
    assert ours.steps[0] == steps


def test_a_larger_quadrant_agrees_too():
    arrival, _ = grow_slowly(0.6, 64)
    np.testing.assert_array_equal(grow([0.6], size=64, sigma=0, seed=0).arrival[0], arrival)


def test_noise_free_crystals_are_symmetric_under_transposition():
    arrival = grow(np.linspace(0.35, 0.64, 9), size=40, sigma=0, seed=0).arrival
    np.testing.assert_array_equal(arrival, arrival.transpose(0, 2, 1))


def test_noise_breaks_the_symmetry():
    arrival = grow([0.5], size=32, sigma=0.01, seed=0).arrival
    assert (arrival != arrival.transpose(0, 2, 1)).any()


def test_mass_is_conserved_when_the_reservoir_is_sealed():
    """Σ (b + c + d), sites on the axes weighing ½, stays what it was, step by step, to float32 rounding.

    Sealed: the reservoir's sites hold nothing and reflect, like attached ones.
    """
    size = 24
    padded = (size + 1, size + 1)
    vapour, other = np.empty(padded, np.float32), np.zeros(padded, np.float32)
    b, c, weight = np.zeros(padded, np.float32), np.zeros(padded, np.float32), np.empty(padded, np.float32)
    neighbours, attached = np.zeros(padded, np.int8), np.zeros(padded, np.bool_)
    front, grown = np.empty((size * size, 2), np.int32), np.empty((size * size, 2), np.int32)
    law = np.array([0.14, 1.1, 7e-5, 8.5e-3, 7e-3, 4.8e-2, 0.5, 0], np.float32)
    front_size = kernel.seed_crystal(law[6], vapour, c, neighbours, weight, attached, front)
    interior = np.zeros(padded, bool)
    interior[1:size, 1:size] = True
    vapour[~interior] = 0
    rows, columns = neighbour_table(size)
    reservoir_neighbours = ((rows == size - 1) | (columns == size - 1)).sum(-1)
    weight[1:, 1:] += reservoir_neighbours.astype(np.float32)
    share = np.where(interior, 1.0, 0.0)
    share[1, 1:size] = share[1:size, 1] = 0.5
    share[1, 1] = 1 / 3  # the centre belongs to three sectors

    def mass() -> float:
        return float(((b.astype(np.float64) + c + vapour) * share).sum())

    before, grown_sites = mass(), 0
    for _ in range(150):
        kernel.mirror(vapour)
        kernel.diffuse(vapour, weight, other)
        vapour, other = other, vapour
        count = kernel.react(vapour, b, c, neighbours, front, front_size, law, grown)
        after = mass()
        assert after == pytest.approx(before, rel=3e-7)
        before = after
        if count:
            front_size = kernel.attach(grown, count, neighbours, weight, attached, front, front_size)
        grown_sites += count
    assert grown_sites > 30


def test_growth_does_not_depend_on_threads():
    rho = np.linspace(0.4, 0.6, 12)
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = grow(rho, size=24, sigma=0.01, seed=3)
    finally:
        numba.set_num_threads(before)
    together = grow(rho, size=24, sigma=0.01, seed=3)
    np.testing.assert_array_equal(alone.arrival, together.arrival)


def test_a_crystal_depends_on_its_position_and_seed_alone():
    many = grow(np.full(5, 0.5), size=24, sigma=0.01, seed=3).arrival
    fewer = grow(np.full(3, 0.5), size=24, sigma=0.01, seed=3).arrival
    np.testing.assert_array_equal(many[:3], fewer)
    assert len({arrival.tobytes() for arrival in many}) == 5
    assert (grow(np.full(5, 0.5), size=24, sigma=0.01, seed=4).arrival != many).any()


def test_random_signs_are_fair_and_independent_of_their_neighbours():
    words = np.array([kernel.random_word(np.uint64(7), np.uint64(k)) for k in range(4000)], dtype=np.uint64)
    bits = np.unpackbits(words.view(np.uint8)).astype(float) * 2 - 1
    error = 4 / np.sqrt(bits.size)
    assert abs(bits.mean()) < error
    for lag in (1, 8, 63, 64, 65):
        assert abs((bits[lag:] * bits[:-lag]).mean()) < error


def test_noise_keeps_the_mean_vapour_and_has_the_stated_size():
    vapour = np.ones((201, 201), np.float32)
    kernel.shake(vapour, np.float32(0.1), np.uint64(5), 1)
    inside = vapour[1:200, 1:200].astype(float)
    assert np.unique(inside.round(6)).tolist() == [0.9, 1.1]
    assert abs(inside.mean() - 1) < 4 * 0.1 / 199
    assert (vapour[200] == 1).all()
    assert (vapour[:, 200] == 1).all()


def test_growth_stops_at_the_margin_and_not_before():
    arrival = grow(np.linspace(0.35, 0.64, 6), size=32, sigma=0.01, seed=0, stop_margin=9)
    reach = np.maximum(arrival.arrival[:, 23].max(1), arrival.arrival[:, :, 23].max(1))
    np.testing.assert_array_equal(reach, arrival.steps)
    assert (arrival.arrival[:, 24:] == -1).all()


def test_every_crystal_is_connected():
    """A site attaches only beside one that had attached before."""
    for arrival in grow(np.linspace(0.35, 0.64, 4), size=24, sigma=0.01, seed=0).arrival:
        for step in np.unique(arrival[arrival > 0]):
            before = np.where((arrival >= 0) & (arrival < step), 1.0, 0.0).astype(np.float32)
            padded = np.pad(before, 1)
            around = sum(
                padded[1 + i : 25 + i, 1 + j : 25 + j] for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1))
            )
            assert (around[arrival == step] > 0).all()


def test_each_law_may_differ_by_crystal():
    together = grow([0.5, 0.5], size=24, sigma=0, seed=0, beta=[1.1, 1.6]).arrival
    alone = [grow([0.5], size=24, sigma=0, seed=0, beta=beta).arrival[0] for beta in (1.1, 1.6)]
    np.testing.assert_array_equal(together, alone)
    assert (together[0] != together[1]).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma": 1.5}, r"sigma must be in \[0, 1\), got 1.5"),
        ({"size": 2}, "size must be >= 4, got 2"),
        ({"stop_margin": 40}, "stop_margin must be in"),
        ({"rho": [np.nan]}, "finite"),
        ({"max_steps": 0}, "max_steps"),
        ({"rho": [[0.5]]}, "one number a crystal"),
    ],
)
def test_parameters_outside_of_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        grow(**{"rho": [0.5], "size": 16, "sigma": 0, "seed": 0} | wrong)


def test_area_and_boundary_of_a_crystal_drawn_by_hand():
    state = np.zeros((1, 1, 5, 5), np.float32)
    state[0, 0, 0, 0] = 1
    assert (area(state)[0], boundary(state)[0]) == (1, 3)  # (1,0), (0,1), (1,1)
    state[0, 0, 1, 1] = 1
    # (1,0) (0,1) (2,1) (1,2) (2,2); the two sites share (1,0) and (0,1)
    assert (area(state)[0], boundary(state)[0]) == (2, 5)


def test_neighbours_in_a_quadrant_count_those_behind_the_mirrors():
    attached = np.random.default_rng(0).random((3, 12, 12)) < 0.4
    rows, columns = neighbour_table(12)
    expected = np.stack([site[rows, columns].sum(-1) for site in attached])
    ours = attached_neighbours(attached, "hexagonal-quadrant")
    np.testing.assert_array_equal(ours[:, :-1, :-1], expected[:, :-1, :-1])  # the table clamps at the far edge


@pytest.mark.parametrize("lattice", ["square", "hexagonal"])
def test_neighbours_are_mutual(lattice):
    """On lattices without mirrors the neighbours of all attached sites, counted, are the counts, summed."""
    attached = np.random.default_rng(1).random((5, 9, 7)) < 0.5
    alone = np.zeros((1, 9, 7), bool)
    total = np.zeros((5, 9, 7), int)
    for i, j in np.ndindex(9, 7):
        alone[:] = False
        alone[0, i, j] = True
        total += attached[:, i, j, None, None] * attached_neighbours(alone, lattice)
    np.testing.assert_array_equal(total, attached_neighbours(attached, lattice))
