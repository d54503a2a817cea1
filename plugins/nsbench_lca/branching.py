"""Growth from a cluster to a branch and on, compiled: the rules of ``nsbench_lca.rules`` from other starts."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from nsbench_lca.rules import advance, attach, note, random_word, vapour_alone
from nsbench_lca.vectors import LANES


@njit(cache=True)
def cluster_crystal(rho, cluster, lattice):
    """A crystal of the sites of bool[2N, 2N], in vapour of density ρ: (its Crystal, its sites, its front's size)."""
    crystal, count = vapour_alone(rho, lattice), 0
    for i in range(cluster.shape[0]):
        for j in range(cluster.shape[1]):
            if cluster[i, j]:
                s = (i + lattice.top) * lattice.stride + LANES + j
                crystal.crystal_mass[s] = 1
                crystal.born[count] = s
                count += 1
    return crystal, count, attach(crystal, lattice, count, 0)


@njit(cache=True)
def extent(born, count, lattice):
    """The steps from the centre to the farthest of the sites that attached."""
    farthest = 0
    row, column = lattice.centre // lattice.stride, lattice.centre % lattice.stride
    for g in range(count):
        i, j = born[g] // lattice.stride - row, born[g] % lattice.stride - column
        farthest = max(farthest, abs(i), abs(j), abs(i - j))
    return farthest


@njit(cache=True)
def grow_one(law, onward, cluster, branch, history, key, lattice, max_steps, arrival):
    """Grow a crystal to its branch, the extent `branch`, and on into `arrival`: (steps after, steps before).

    law, history: parameters and key of the noise before the branch; onward, key: those after it. Steps after are −1
    where the branch is not reached.
    """
    crystal, count, front_size = cluster_crystal(law[6], cluster, lattice)
    note(lattice, crystal.born, count, 0, arrival)
    farthest, before = extent(crystal.born, count, lattice), 0
    while farthest < branch:
        if before == max_steps:
            return -1, before
        before += 1
        front_size, count = advance(crystal, lattice, law, history, before, front_size)
        note(lattice, crystal.born, count, 0, arrival)
        farthest = max(farthest, extent(crystal.born, count, lattice))
    for step in range(1, max_steps + 1):
        front_size, count = advance(crystal, lattice, onward, key, before + step, front_size)
        if note(lattice, crystal.born, count, step, arrival):
            return step, before
    return max_steps, before


@njit(cache=True, parallel=True)
def grow_all(
    laws, onward, clusters, branches, histories, key, first, lattice, max_steps, arrival, steps, before
):  # fmt: skip
    """Grow a crystal for each row of `laws` into `arrival`, `steps` and `before`, a thread a crystal."""
    for k in prange(laws.shape[0]):
        own = random_word(key, np.uint64(first + k))
        steps[k], before[k] = grow_one(
            laws[k], onward[k], clusters[k], branches[k], histories[k], own, lattice, max_steps, arrival[k]
        )
