"""The rules of the local cellular automaton of snow crystal growth, compiled.

Gravner & Griffeath, "Modeling snow crystal growth II", Physica D 237 (2008), with the noise of section III
of that paper, as Timmer, Minartz and Menkovski use them (arXiv 2405.16608).

The front is the set of free sites with an attached neighbour; nothing but vapour changes elsewhere. A step:

    diffuse  the vapour of all sites, from one buffer into the other
    react    freezing, attachment and melting on the front
    attach   the neighbours' counts and the front, which new sites change
    shake    noise in the vapour of all sites

Weights are k + 1 for a free site with k attached neighbours, 0 for an attached one, negative for sites that
the rules leave alone. How a lattice lies in memory: ``nsbench_lca.layout``.

Sums and products are rounded in a fixed order, and a·b + c everywhere once (``fma``), so that the CUDA version
of these rules in ``nsbench_lca.cuda`` can do the same bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from nsbench_lca.layout import GHOST, RESERVOIR, Layout
from nsbench_lca.vectors import LANES, diffuse_vector, fma, shake_vector

SHIFT = LANES.bit_length() - 1
"""The vector of site s is s >> SHIFT; numba's // checks for zero and for signs."""


class Memory(NamedTuple):
    """The fields of a ``Layout`` that the compiled functions need."""

    stride: int
    top: int
    centre: int
    mirrored: bool
    weight: NDArray[np.int8]
    stop: NDArray[np.bool_]
    rows: NDArray[np.int64]


def memory(lattice: Layout) -> Memory:
    """The fields of that layout."""
    return Memory(
        lattice.stride, lattice.top, lattice.centre, lattice.mirrored, lattice.weight, lattice.stop, lattice.rows
    )


class Crystal(NamedTuple):
    """The state of a crystal while it grows: flat arrays [length] in the order of a layout.

    vapour         [2, length]: step s reads it at [1 − s % 2] and leaves it, with its noise, at [s % 2].
    weight         see the module; of the vapour's type, as it is multiplied with it.
    boundary_mass, crystal_mass
    open           int16[length / LANES]: sites of each vector that may attach still.
    signs          uint64: the random bits of the step, one a site of the flat arrays.
    front, born    uint32[.]: places of the front's sites, and of those that attach in a step. Unsigned, so
                   that numba need not look for negative indices.
    """

    vapour: NDArray[np.floating]
    weight: NDArray[np.floating]
    boundary_mass: NDArray[np.floating]
    crystal_mass: NDArray[np.floating]
    open: NDArray[np.int16]
    signs: NDArray[np.uint64]
    front: NDArray[np.uint32]
    born: NDArray[np.uint32]


@njit(cache=True)
def random_word(key: np.uint64, counter: np.uint64) -> np.uint64:
    """The 64 random bits at a position: SplitMix64 (Steele, Lea & Flood 2014) as a counter's hash."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def seed_crystal(rho, lattice):
    """A crystal of one site at the centre, in vapour of density ρ: (its Crystal, the size of its front)."""
    crystal = vapour_alone(rho, lattice)
    crystal.crystal_mass[lattice.centre] = 1
    crystal.born[0] = lattice.centre
    return crystal, attach(crystal, lattice, 1, 0)


@njit(cache=True)
def vapour_alone(rho, lattice):
    """A lattice of vapour of density ρ on which nothing has attached."""
    length, kind = lattice.weight.size, type(rho)
    weight = lattice.weight.astype(kind)
    vapour = np.full((2, length), rho, kind)
    boundary_mass, crystal_mass = np.zeros(length, kind), np.zeros(length, kind)
    openings = np.zeros(length // LANES, np.int16)
    for s in range(length):
        openings[s >> SHIFT] += lattice.weight[s] > 0
    signs = np.empty((length + 63) // 64, np.uint64)
    front, born = np.empty(length, np.uint32), np.empty(length, np.uint32)
    return Crystal(vapour, weight, boundary_mass, crystal_mass, openings, signs, front, born)


@njit(cache=True)
def advance(crystal, lattice, law, key, step, front_size):
    """Take one step; return (the front's size, the number of sites that attached), these sites being in ``born``.

    law: [8] in the order of LAWS. step: 1, 2, ...
    """
    before, after = crystal.vapour[1 - step % 2], crystal.vapour[step % 2]
    rho, sigma = law[6], law[7]
    if lattice.mirrored:
        mirror(before, lattice)
    diffuse(before, after, crystal.weight, crystal.open, lattice, rho)
    front_size, count = react(after, crystal, lattice, law, front_size)
    if count > 0:
        front_size = attach(crystal, lattice, count, front_size)
    if sigma > 0:
        draw_signs(crystal.signs, key, step)
        shake(after, crystal.signs.view(np.uint16), crystal.open, lattice, rho, sigma)
    return front_size, count


@njit(cache=True)
def mirror(vapour, lattice):
    """Fill the ghosts from the sites that they mirror."""
    stride, side = lattice.stride, lattice.rows.shape[0] + 1
    for q in range(side):
        vapour[LANES - 1 + q] = vapour[2 * stride + LANES + q]
    for p in range(1, side):
        vapour[p * stride + LANES - 1] = vapour[(p + 1) * stride + LANES + 1]


@njit(cache=True)
def diffuse(vapour, out, weight, openings, lattice, rho):
    """Diffuse `vapour` into `out`: (Σ of the six neighbours' vapour + (k + 1)·vapour) / 7 at all free sites.

    Attached neighbours hold nothing and reflect, hence the k. Vectors in which everything
    has attached are left alone: both buffers are zero there.
    """
    rows, stride, seventh = lattice.rows, lattice.stride, type(rho)(1 / 7)
    for p in range(rows.shape[0]):
        for s in range(rows[p, 0], rows[p, 1], LANES):
            if openings[s >> SHIFT] > 0:
                diffuse_vector(vapour, weight, out, s, stride, seventh)
        out[rows[p, 2]] = rho
        out[rows[p, 3]] = rho


@njit(cache=True)
def draw_signs(signs, key, step):
    """Draw the random bits of a step into `signs`, by (key, step, place)."""
    for w in range(signs.size):
        signs[w] = random_word(key, np.uint64(step * signs.size + w))


@njit(cache=True)
def shake(vapour, signs, openings, lattice, rho, sigma):
    """Multiply the vapour of all free sites by 1 ± σ. signs: uint16, one a vector, a bit a site."""
    rows, one = lattice.rows, type(rho)(1)
    high, low = one + sigma, one - sigma
    for p in range(rows.shape[0]):
        for s in range(rows[p, 0], rows[p, 1], LANES):
            if openings[s >> SHIFT] > 0:
                shake_vector(vapour, s, signs[s >> SHIFT], high, low)
        vapour[rows[p, 2]] = rho
        vapour[rows[p, 3]] = rho


@njit(cache=True)
def react(vapour, crystal, lattice, law, front_size):
    """Freeze, attach and melt on the front; return (front sites left, sites that attach).

    vapour: after diffusion. What a site does depends on its own masses and on the vapour beyond the front
    alone: the order of the front does not matter.
    """
    alpha, beta, gamma, theta, kappa, mu = law[0], law[1], law[2], law[3], law[4], law[5]
    weight, boundary_mass, crystal_mass = crystal.weight, crystal.boundary_mass, crystal.crystal_mass
    front, born, stride, one = crystal.front, crystal.born, lattice.stride, type(alpha)(1)
    kept = count = 0
    for f in range(front_size):
        s = front[f]
        density, k = vapour[s], weight[s] - one
        b = fma(one - kappa, density, boundary_mass[s])
        c = fma(kappa, density, crystal_mass[s])
        if k >= 4:
            attaches = True
        elif k == 3:
            attaches = b >= one or (b >= alpha and vapour_around(vapour, weight, stride, s) < theta)
        else:
            attaches = b >= beta
        if attaches:
            crystal_mass[s] = c + b
            boundary_mass[s] = 0
            born[count] = s
            count += 1
        else:
            vapour[s] = fma(mu, b, gamma * c)
            boundary_mass[s] = fma(-mu, b, b)
            crystal_mass[s] = fma(-gamma, c, c)
            front[kept] = s
            kept += 1
    return kept, count


@njit(cache=True)
def vapour_around(vapour, weight, stride, s):
    """Σ of a site's neighbours' vapour after freezing: front and attached sites hold none."""
    total = vapour[s] * 0
    for distance in (-stride - 1, -stride, -1, 1, stride, stride + 1):
        r = s + distance
        if weight[r] == GHOST:
            r = mirrored_site(stride, r)
        if weight[r] == 1 or weight[r] == RESERVOIR:
            total += vapour[r]
    return total


@njit(cache=True)
def mirrored_site(stride, ghost):
    """The site that a ghost mirrors."""
    return ghost + 2 * stride + 1 if ghost < stride else ghost + stride + 2


@njit(cache=True)
def attach(crystal, lattice, count, front_size):
    """Count the sites in ``born`` at their neighbours; return the size of the front with the new sites.

    On the axes of a quadrant, a site whose mirror image is a neighbour of the same site too counts twice.
    """
    stride, weight = lattice.stride, crystal.weight
    for g in range(count):
        s = crystal.born[g]
        weight[s] = 0
        crystal.vapour[0, s] = crystal.vapour[1, s] = 0
        crystal.open[s >> SHIFT] -= 1
    for g in range(count):
        s = crystal.born[g]
        for distance in (-stride - 1, -stride, -1, 1, stride, stride + 1):
            r = s + distance
            before = weight[r]
            if before <= 0:
                continue
            twice = lattice.mirrored and beside_axis(lattice, s, r)
            weight[r] = before + (2 if twice else 1)
            if before == 1:
                crystal.front[front_size] = r
                front_size += 1
    return front_size


@njit(cache=True)
def beside_axis(lattice, s, r):
    """Whether r lies on an axis and its neighbour s beside that axis."""
    first, second = 2 * lattice.stride, 3 * lattice.stride
    on_row = r < first and first <= s < second
    return on_row or (r % lattice.stride == LANES and s % lattice.stride == LANES + 1)


@njit(cache=True)
def grow_one(law, key, lattice, max_steps, arrival):
    """Grow a crystal into `arrival`; return its steps."""
    crystal, front_size = seed_crystal(law[6], lattice)
    note(lattice, crystal.born, 1, 0, arrival)
    for step in range(1, max_steps + 1):
        front_size, count = advance(crystal, lattice, law, key, step, front_size)
        if note(lattice, crystal.born, count, step, arrival):
            return step
    return max_steps


@njit(cache=True)
def note(lattice, born, count, step, arrival):
    """Write the step in which sites attached into `arrival`; return whether one of them ends growth."""
    reached = False
    for g in range(count):
        s = born[g]
        arrival[s // lattice.stride - lattice.top, s % lattice.stride - LANES] = step
        reached |= lattice.stop[s]
    return reached


@njit(cache=True, parallel=True)
def grow_all(laws, key, first, lattice, max_steps, arrival, steps):
    """Grow a crystal for each row of `laws` into `arrival` and `steps`, a thread a crystal."""
    for k in prange(laws.shape[0]):
        crystal_key = random_word(key, np.uint64(first + k))
        steps[k] = grow_one(laws[k], crystal_key, lattice, max_steps, arrival[k])
