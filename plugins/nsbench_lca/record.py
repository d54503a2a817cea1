"""One crystal grown again, slowly, with its masses: what files of the CGNE authors' layout hold.

The rules, the order of the steps and the random signs are the kernel's, see there; so is the arithmetic, in
float32, with one rounding where compiled code multiplies and adds at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.lattices import attached_neighbours
from nsbench_lca.formats import Record
from nsbench_lca.kernel import random_word

Field = NDArray[np.float32]

_AROUND = ((-1, -1), (-1, 0), (0, -1), (0, 1), (1, 0), (1, 1))
"""The neighbours of (i, j), as differences, in the order in which diffusion adds them up."""

_AROUND_POOR = ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 1), (-1, -1))
"""The same in the order in which attachment adds them up."""


def record(
    laws: NDArray[np.float64], position: int, *, size: int, seed: int, stop_margin: int, max_steps: int
) -> Record:
    """Grow the crystal that ``kernel.grow`` with `seed` grows at `position`, and keep its masses.

    laws: float64[8], in the order of ``kernel.LAWS``. size: N, sites along an axis.
    """
    alpha, beta, gamma, theta, kappa, mu, rho, sigma = laws.astype(np.float32)
    one, noise = np.float32(1), Noise(seed, position, size)
    inside = np.zeros((size, size), bool)
    inside[:-1, :-1] = True
    attached = np.zeros((size, size), bool)
    attached[0, 0] = True
    b, c = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    d = np.full((size, size), rho, np.float32)
    c[0, 0], d[0, 0] = 1, 0
    arrival = np.where(attached, 0, -1).astype(np.int32)
    ice, steps = [], []
    for step in range(1, max_steps + 1):
        k = attached_neighbours(attached[None], "hexagonal-quadrant")[0]
        free = inside & ~attached
        front = free & (k >= 1)
        d = np.where(free, diffused(d, k), np.where(attached, np.float32(0), d))
        b, c = np.where(front, b + (one - kappa) * d, b), np.where(front, c + kappa * d, c)
        d = np.where(front, np.float32(0), d)
        poor = summed(d, _AROUND_POOR) < theta
        grown = front & np.where(k >= 3, (k >= 4) | (b >= one) | ((b >= alpha) & poor), b >= beta)
        melting = front & ~grown
        b, c = np.where(grown, np.float32(0), b), np.where(grown, c + b, c)
        d = np.where(melting, d + (mu * b + gamma * c), d)
        b, c = np.where(melting, b - mu * b, b), np.where(melting, c - gamma * c, c)
        if sigma > 0:
            d = np.where(inside, d * noise.factors(step, sigma), d)
        if not grown.any():
            continue
        attached |= grown
        arrival[grown] = step
        ice.append(c)
        steps.append(step)
        if grown[size - stop_margin].any() or grown[:, size - stop_margin].any():
            break
    final = np.stack([attached.astype(np.float32), b, c, d], axis=-1)
    masses = np.stack(ice) if ice else np.empty((0, size, size), np.float32)
    return Record(arrival, masses, np.array(steps, np.int32), final)


def diffused(d: Field, k: NDArray[np.int8]) -> Field:
    """(Σ d over the six neighbours + (k + 1)·d) / 7 on every site, float32[N, N].

    Product and sum are rounded once, as compiled code rounds them: exact in float64, then to float32.
    """
    total = (summed(d, _AROUND) + (k + 1.0) * d.astype(np.float64)).astype(np.float32)
    return total * np.float32(1 / 7)


def summed(d: Field, around: tuple[tuple[int, int], ...]) -> Field:
    """Σ of d over the neighbours of each site, added up in that order; beyond the far edges there is nothing."""
    n = len(d)
    padded = np.zeros((n + 2, n + 2), np.float32)
    padded[1:-1, 1:-1] = d
    padded[0, :-1] = padded[2, 1:]  # (−1, j) is (1, j + 1)
    padded[1:, 0] = np.append(padded[2:, 2], np.float32(0))  # (i, −1) is (i + 1, 1)
    total = np.zeros((n, n), np.float32)
    for i, j in around:
        total += padded[1 + i : 1 + i + n, 1 + j : 1 + j + n]
    return total


class Noise:
    """The random signs of one crystal, a fair bit of (seed, position, step, site): the kernel's."""

    def __init__(self, seed: int, position: int, size: int) -> None:
        key = np.random.SeedSequence(seed).generate_state(1, np.uint64)
        self._key = random_word.py_func(key, np.array([position], np.uint64))
        self._size = size
        self._words = (size + 62) // 64

    def factors(self, step: int, sigma: np.float32) -> Field:
        """1 ± σ on each site, float32[N, N]; 1 on the reservoir."""
        n, words = self._size, self._words
        rows = step * n + np.arange(1, n)
        counters = (rows[:, None] * words + np.arange(words)).astype(np.uint64)  # [N − 1, words]
        drawn = random_word.py_func(self._key, counters)
        bits = (drawn[:, :, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
        signs = bits.reshape(n - 1, -1)[:, : n - 1].astype(np.float32) * 2 - 1
        factors = np.ones((n, n), np.float32)
        factors[:-1, :-1] = np.float32(1) + sigma * signs
        return factors
