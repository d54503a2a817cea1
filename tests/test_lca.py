"""Facts about the ground truth."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from nsbench.trajectories.lattices import attached_neighbours
from nsbench.trajectories.morphology import area, boundary
from nsbench_lca import rules
from nsbench_lca.kernel import grow, stream
from nsbench_lca.layout import GHOST, RESERVOIR, layout
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


def sealed_crystal(size: int, symmetry: str) -> tuple[rules.Memory, rules.Crystal, int, np.ndarray]:
    """(lattice, crystal, front, law) of a vapour whose reservoir holds nothing and reflects, like attached sites."""
    lattice = layout(size, symmetry, 5)
    rim = lattice.weight == RESERVOIR
    for ghost in np.flatnonzero(lattice.weight == GHOST):
        rim[ghost] = rim[rules.mirrored_site(lattice.stride, ghost)]
    around = sum(
        np.roll(rim, d) for d in (1, -1, lattice.stride, -lattice.stride, lattice.stride + 1, -lattice.stride - 1)
    )
    law = np.array([0.14, 1.1, 7e-5, 8.5e-3, 7e-3, 4.8e-2, 0.5, 0], np.float32)
    memory = rules.memory(lattice)
    crystal, front = rules.seed_crystal(law[6], memory)
    crystal.vapour[:, lattice.weight <= 0] = 0
    crystal.weight[lattice.weight > 0] += around[lattice.weight > 0].astype(np.float32)
    law[6] = 0  # what passes over the lattice write to the reservoir
    return memory, crystal, front, law


@pytest.mark.parametrize("symmetry", ["quadrant", "none"])
def test_mass_is_conserved_when_the_reservoir_is_sealed(symmetry):
    """Σ (b + c + d) stays what it was, step by step, to float32 rounding.

    In a quadrant sites on the axes weigh ½, and the centre, which belongs to three sectors, ⅓.
    """
    lattice, crystal, front, law = sealed_crystal(24, symmetry)
    share = (lattice.weight > 0).astype(float)
    if symmetry == "quadrant":
        table = layout(24, symmetry, 5).map(share)
        table[0] /= 2
        table[1:, 0] /= 2
        table[0, 0] = 1 / 3

    def mass(step: int) -> float:
        masses = crystal.boundary_mass.astype(np.float64) + crystal.crystal_mass + crystal.vapour[step % 2]
        return float((masses * share).sum())

    before, attached = mass(0), 0
    for step in range(1, 151):
        front, count = rules.advance(crystal, lattice, law, np.uint64(0), step, front)
        assert mass(step) == pytest.approx(before, rel=3e-7)
        before, attached = mass(step), attached + count
    assert attached > 30


def test_the_whole_crystal_is_six_quadrants_when_there_is_no_noise():
    """Its first sector is the quadrant, and it has all twelve symmetries of the hexagonal lattice."""
    rho = [0.4, 0.5, 0.6]
    whole, quadrant = (grow(rho, size=24, sigma=0, seed=0, symmetry=symmetry) for symmetry in ("none", "quadrant"))
    np.testing.assert_array_equal(whole.arrival[:, 24:, 24:], quadrant.arrival)
    np.testing.assert_array_equal(whole.steps, quadrant.steps)
    for arrival in whole.arrival:
        i, j = np.nonzero(arrival >= 0) - np.array(24)[..., None]
        for turned in ((i - j, i), (j, i)):  # a turn by 60°, a reflection: together they generate the group
            np.testing.assert_array_equal(arrival[24 + turned[0], 24 + turned[1]], arrival[24 + i, 24 + j])


def test_noise_breaks_the_symmetry_of_the_whole_crystal():
    arrival = grow([0.5], size=24, sigma=0.01, seed=0, symmetry="none").arrival[0, 1:, 1:]
    assert (arrival != arrival[::-1, ::-1]).any()


def test_a_whole_crystal_stops_at_the_margin_of_its_hexagon():
    growth = grow([0.45, 0.6], size=24, sigma=0.01, seed=0, symmetry="none", stop_margin=7)
    i, j = np.indices((48, 48)) - 24
    radius = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j))
    for arrival, steps in zip(growth.arrival, growth.steps, strict=True):
        assert radius[arrival >= 0].max() == 24 - 7
        assert set(radius[arrival == steps]) >= {17}
        assert radius[(arrival >= 0) & (arrival < steps)].max() == 16


def test_float64_grows_the_crystals_of_the_slow_implementation_with_the_same_noise():
    """The slow one is given the kernel's random signs."""
    size, seed, sigma = 20, 11, 0.02
    lattice = layout(size, "quadrant", 5)
    own = rules.random_word(stream(seed), np.uint64(2))

    def noise(step: int) -> np.ndarray:
        words = np.empty((lattice.length + 63) // 64, np.uint64)
        rules.draw_signs(words, own, step)
        bits = np.unpackbits(words.view(np.uint8), bitorder="little")[: lattice.length]
        return np.where(lattice.map(bits), 1 + sigma, 1 - sigma)

    ours = grow([0.4, 0.5, 0.55], size=size, sigma=sigma, seed=seed, precision="float64")
    arrival, steps = grow_slowly(0.55, size, noise=noise)
    np.testing.assert_array_equal(ours.arrival[2], arrival)
    assert ours.steps[2] == steps


def test_float32_and_float64_grow_the_same_crystals_without_noise():
    rho = np.linspace(0.36, 0.63, 8)
    single, double = (grow(rho, size=32, sigma=0, seed=0, precision=p).arrival for p in ("float32", "float64"))
    np.testing.assert_array_equal(single, double)


@pytest.mark.parametrize("size", [8, 9, 15, 16, 17, 31, 33, 100])
def test_every_size_grows_the_crystal_of_the_largest_while_the_rim_is_far(size):
    """Vectors of sixteen sites end in the middle of most rows: what lies beyond must not be felt."""
    arrival, steps = grow_slowly(0.6, size, stop_margin=3, max_steps=150)
    ours = grow([0.6], size=size, sigma=0, seed=0, stop_margin=3, max_steps=150)
    np.testing.assert_array_equal(ours.arrival[0], arrival)
    assert ours.steps[0] == steps


def test_a_large_set_may_be_grown_in_parts():
    rho = np.linspace(0.4, 0.6, 7)
    whole = grow(rho, size=20, sigma=0.01, seed=3).arrival
    parts = [grow(rho[k : k + 3], size=20, sigma=0.01, seed=3, first=k).arrival for k in (0, 3, 6)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


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
    words = np.array([rules.random_word(np.uint64(7), np.uint64(k)) for k in range(4000)], dtype=np.uint64)
    bits = np.unpackbits(words.view(np.uint8)).astype(float) * 2 - 1
    error = 4 / np.sqrt(bits.size)
    assert abs(bits.mean()) < error
    for lag in (1, 8, 63, 64, 65):
        assert abs((bits[lag:] * bits[:-lag]).mean()) < error


def test_noise_keeps_the_mean_vapour_and_has_the_stated_size():
    lattice = rules.memory(layout(200, "quadrant", 5))
    crystal, _ = rules.seed_crystal(np.float32(1), lattice)
    vapour = crystal.vapour[0]
    rules.draw_signs(crystal.signs, np.uint64(5), 1)
    rules.shake(vapour, crystal.signs.view(np.uint16), crystal.open, lattice, np.float32(1), np.float32(0.1))
    shaken = layout(200, "quadrant", 5).map(vapour).astype(float)
    inside = shaken[:199, :199].ravel()
    assert np.unique(inside[1:].round(6)).tolist() == [0.9, 1.1]
    assert abs(inside.mean() - 1) < 4 * 0.1 / 199
    assert (shaken[199] == 1).all()
    assert (shaken[:, 199] == 1).all()


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
    assert (area(state)[0], boundary(state, "hexagonal-quadrant")[0]) == (1, 3)  # (1,0), (0,1), (1,1)
    state[0, 0, 1, 1] = 1
    # (1,0) (0,1) (2,1) (1,2) (2,2); the two sites share (1,0) and (0,1)
    assert (area(state)[0], boundary(state, "hexagonal-quadrant")[0]) == (2, 5)


def test_the_boundary_of_a_single_site_is_its_six_neighbours():
    state = np.zeros((1, 1, 6, 6), np.float32)
    state[0, 0, 3, 3] = 1
    assert (area(state)[0], boundary(state, "hexagon")[0]) == (1, 6)


def test_neighbours_in_a_quadrant_count_those_behind_the_mirrors():
    attached = np.random.default_rng(0).random((3, 12, 12)) < 0.4
    rows, columns = neighbour_table(12)
    expected = np.stack([site[rows, columns].sum(-1) for site in attached])
    ours = attached_neighbours(attached, "hexagonal-quadrant")
    np.testing.assert_array_equal(ours[:, :-1, :-1], expected[:, :-1, :-1])  # the table clamps at the far edge


@pytest.mark.parametrize("lattice", ["square", "hexagonal", "hexagon"])
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
