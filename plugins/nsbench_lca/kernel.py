"""The local cellular automaton of snow crystal growth, compiled.

The rules are those of Gravner & Griffeath, "Modeling snow crystal growth II", Physica D 237 (2008), with
the noise of section III of that paper, as Timmer, Minartz and Menkovski use them (arXiv 2405.16608).

Lattice: one 120° sector of a hexagonal lattice in skewed coordinates, the crystal's centre at (0, 0). The
neighbours of (i, j) are (i±1, j), (i, j±1), (i+1, j+1) and (i−1, j−1); the axes are mirrors, so that
(−1, j) is (1, j+1) and (i, −1) is (i+1, 1). Row and column N−1 are a reservoir of vapour density ρ.

In the compiled functions arrays are [N+1, N+1] with one ghost row and column: site (i, j) is at
[i+1, j+1]. The vapour's ghosts are the mirrored sites; attached sites hold no vapour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

LAWS = ("alpha", "beta", "gamma", "theta", "kappa", "mu", "rho", "sigma")
"""The parameters of the rules, in the order in which the compiled functions take them."""

_ROWS = np.array([-1, 1, 0, 0, 1, -1])
_COLUMNS = np.array([0, 0, -1, 1, 1, -1])


@dataclass(frozen=True, eq=False)
class Growth:
    """What n crystals did.

    arrival: int32[n, N, N]; 0 at the seed, s >= 1 where the site attached in step s, −1 for never.
    steps:   int32[n], the number of steps grown.
    """

    arrival: NDArray[np.int32]
    steps: NDArray[np.int32]


def grow(
    rho: ArrayLike,
    *,
    size: int,
    sigma: ArrayLike,
    seed: int,
    stop_margin: int = 5,
    max_steps: int = 10_000,
    alpha: ArrayLike = 0.14,
    beta: ArrayLike = 1.1,
    gamma: ArrayLike = 7e-5,
    theta: ArrayLike = 8.5e-3,
    kappa: ArrayLike = 7e-3,
    mu: ArrayLike = 4.8e-2,
) -> Growth:
    """Grow one crystal for each entry of `rho`, until a site of row or column N − stop_margin attaches.

    rho: float64[n], vapour density of the start and of the reservoir. The other parameters are numbers,
    or arrays [n] where they differ between crystals. size: N, sites along an axis of the quadrant. sigma:
    relative noise of the vapour in each step, in [0, 1). The crystal at position k depends on `seed`, k
    and its own parameters alone: not on the number of threads, nor on what else is grown.

    Raises ValueError for parameters outside of sense.
    """
    rho = np.atleast_1d(np.asarray(rho, dtype=np.float64))
    given = {"alpha": alpha, "beta": beta, "gamma": gamma, "theta": theta, "kappa": kappa, "mu": mu}
    given |= {"rho": rho, "sigma": sigma}
    laws = np.stack([np.broadcast_to(np.asarray(given[name], np.float64), rho.shape) for name in LAWS], axis=1)
    _check(laws, rho.shape, size, stop_margin, max_steps)
    arrival = np.full((len(rho), size, size), -1, dtype=np.int32)
    steps = np.zeros(len(rho), dtype=np.int32)
    key = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
    with numba.parallel_chunksize(1):
        _grow_all(laws.astype(np.float32), key, stop_margin, max_steps, arrival, steps)
    return Growth(arrival, steps)


def _check(laws: NDArray[np.float64], shape: tuple[int, ...], size: int, stop_margin: int, max_steps: int) -> None:
    if len(shape) != 1:
        raise ValueError(f"rho must be one number a crystal, got an array of shape {shape}")
    if size < 4:
        raise ValueError(f"size must be >= 4, got {size}")
    if not 2 <= stop_margin < size:
        raise ValueError(f"stop_margin must be in [2, size), got {stop_margin} with size {size}")
    if max_steps < 1:
        raise ValueError(f"max_steps must be >= 1, got {max_steps}")
    if not np.isfinite(laws).all() or (laws < 0).any():
        raise ValueError("the parameters of growth must be finite and >= 0")
    for name in ("gamma", "kappa", "mu", "sigma"):
        worst = laws[:, LAWS.index(name)].max(initial=0.0)
        if worst >= 1:
            raise ValueError(f"{name} must be in [0, 1), got {worst:g}")


@njit(cache=True)
def random_word(key: np.uint64, counter: np.uint64) -> np.uint64:
    """64 random bits by their position: SplitMix64 (Steele, Lea & Flood 2014) as a counter's hash."""
    z = key + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def mirror(vapour):
    """Fill the ghost row and column from the sites that they mirror."""
    n = vapour.shape[0] - 1
    for q in range(n):
        vapour[0, q] = vapour[2, q + 1]
    for p in range(1, n):
        vapour[p, 0] = vapour[p + 1, 2]


@njit(cache=True, fastmath={"contract"})
def diffuse(vapour, weight, out):
    """out = (Σ vapour over the six neighbours + (k + 1)·vapour) / 7 on free sites, 0 on attached ones.

    weight: k + 1 for a free site with k attached neighbours (they reflect), 0 for an attached site.
    """
    n = vapour.shape[0] - 1
    seventh = np.float32(1 / 7)
    for p in range(1, n):
        above, here, below = vapour[p - 1], vapour[p], vapour[p + 1]
        w, o = weight[p], out[p]
        for q in range(1, n):
            around = above[q - 1] + above[q] + here[q - 1] + here[q + 1] + below[q] + below[q + 1]
            value = (around + w[q] * here[q]) * seventh
            o[q] = value if w[q] > 0 else np.float32(0)


@njit(cache=True)
def react(vapour, boundary_mass, crystal_mass, neighbours, front, front_size, law, grown):
    """Freezing, attachment and melting on the front: the free sites with an attached neighbour.

    neighbours: int8, attached neighbours of each site. front: int32[., 2], of which front_size are
    valid. law: float32[8]. Writes the sites that attach to grown and returns how many they are; the
    neighbour counts are left as they were at the start of the step.
    """
    alpha, beta, gamma, theta, kappa, mu = law[0], law[1], law[2], law[3], law[4], law[5]
    one = np.float32(1)
    for f in range(front_size):
        p, q = front[f]
        density = vapour[p, q]
        boundary_mass[p, q] += (one - kappa) * density
        crystal_mass[p, q] += kappa * density
        vapour[p, q] = 0
    mirror(vapour)
    count = 0
    for f in range(front_size):
        p, q = front[f]
        k, b = neighbours[p, q], boundary_mass[p, q]
        if k >= 4:
            attaches = True
        elif k == 3:
            attaches = b >= one
            if not attaches and b >= alpha:
                around = np.float32(0)
                for m in range(6):
                    around += vapour[p + _ROWS[m], q + _COLUMNS[m]]
                attaches = around < theta
        else:
            attaches = b >= beta
        if attaches:
            grown[count, 0], grown[count, 1] = p, q
            count += 1
    for g in range(count):
        p, q = grown[g]
        crystal_mass[p, q] += boundary_mass[p, q]
        boundary_mass[p, q] = -one  # marks it for the melting below
    for f in range(front_size):
        p, q = front[f]
        b, c = boundary_mass[p, q], crystal_mass[p, q]
        if b < 0:
            boundary_mass[p, q] = 0
        else:
            vapour[p, q] += mu * b + gamma * c
            boundary_mass[p, q] = b - mu * b
            crystal_mass[p, q] = c - gamma * c
    return count


@njit(cache=True)
def attach(grown, count, neighbours, weight, attached, front, front_size):
    """Attach the grown sites, count them at their neighbours, and return the new front's size.

    A site next to an axis counts twice for the axis sites whose mirrored neighbour it is.
    """
    n = neighbours.shape[0] - 1
    for g in range(count):
        p, q = grown[g]
        attached[p, q] = True
        weight[p, q] = 0
    for g in range(count):
        p, q = grown[g]
        for m in range(6):
            r, s = p + _ROWS[m], q + _COLUMNS[m]
            if r < 1 or s < 1 or r >= n or s >= n:
                continue
            twice = (r == 1 and p == 2) or (s == 1 and q == 2)
            before = neighbours[r, s]
            neighbours[r, s] = before + (2 if twice else 1)
            if not attached[r, s]:
                weight[r, s] = weight[r, s] + (2 if twice else 1)
                if before == 0:
                    front[front_size, 0], front[front_size, 1] = r, s
                    front_size += 1
    kept = 0
    for f in range(front_size):
        p, q = front[f]
        if not attached[p, q]:
            front[kept, 0], front[kept, 1] = p, q
            kept += 1
    return kept


@njit(cache=True, fastmath={"contract"})
def shake(vapour, sigma, key, step):
    """vapour · (1 ± σ) on the interior, the sign a fair random bit of (key, step, site)."""
    n = vapour.shape[0] - 1
    words = (n + 62) // 64
    for p in range(1, n):
        row = vapour[p]
        for w in range(words):
            bits = random_word(key, np.uint64((step * n + p) * words + w))
            first = 1 + 64 * w
            for q in range(first, min(first + 64, n)):
                sign = np.float32(np.int32((bits >> np.uint64(q - first)) & np.uint64(1)) * 2 - 1)
                row[q] *= np.float32(1) + sigma * sign


@njit(cache=True)
def seed_crystal(rho, vapour, crystal_mass, neighbours, weight, attached, front):
    """One attached site at the centre in vapour of density ρ; returns the front's size."""
    vapour[:] = rho
    weight[:] = 1
    crystal_mass[1, 1] = 1
    vapour[1, 1] = 0
    grown = np.ones((1, 2), np.int32)
    return attach(grown, 1, neighbours, weight, attached, front, 0)


@njit(cache=True)
def _grow_one(law, key, stop_margin, max_steps, arrival):
    size = arrival.shape[0]
    padded = (size + 1, size + 1)
    vapour, other = np.empty(padded, np.float32), np.empty(padded, np.float32)
    boundary_mass, crystal_mass = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    neighbours, weight = np.zeros(padded, np.int8), np.empty(padded, np.float32)
    attached = np.zeros(padded, np.bool_)
    front, grown = np.empty((size * size, 2), np.int32), np.empty((size * size, 2), np.int32)
    rho, sigma = law[6], law[7]
    front_size = seed_crystal(rho, vapour, crystal_mass, neighbours, weight, attached, front)
    other[:] = rho
    arrival[0, 0] = 0
    for step in range(1, max_steps + 1):
        mirror(vapour)
        diffuse(vapour, weight, other)
        vapour, other = other, vapour
        count = react(vapour, boundary_mass, crystal_mass, neighbours, front, front_size, law, grown)
        if sigma > 0:
            shake(vapour, sigma, key, step)
        reached = False
        for g in range(count):
            i, j = grown[g, 0] - 1, grown[g, 1] - 1
            arrival[i, j] = step
            reached |= i == size - stop_margin or j == size - stop_margin
        if reached:
            return step
        if count > 0:
            front_size = attach(grown, count, neighbours, weight, attached, front, front_size)
    return max_steps


@njit(cache=True, parallel=True)
def _grow_all(laws, key, stop_margin, max_steps, arrival, steps):
    for k in prange(laws.shape[0]):
        own = random_word(key, np.uint64(k))
        steps[k] = _grow_one(laws[k], own, stop_margin, max_steps, arrival[k])
