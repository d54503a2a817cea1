"""Grains by plain numpy, written from the rules alone: a second implementation, and a picture of the first one.

    python benchmarks/plain_grains.py docs/grains.png

The rules are those of docs/grains.md. A sweep is a function of the labels, of a random number a site and of the order
of the sublattices, so that both implementations can be given the same ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from workload import Workload

OFFSETS = ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""The neighbours of a site: left, right, above, below, then the diagonals."""

KINDS = (0, 0, 1, 1, 2, 2, 2, 2)
"""The coupling of each of them: of rows, columns or diagonals."""


def neighbours(labels: NDArray[np.uint8], k: int) -> list[NDArray[np.uint8]]:
    """The labels of the eight neighbours of sublattice k's sites, uint8[n, H/2, W/2] each, of labels[n, H, W]."""
    a, b = divmod(k, 2)
    height, width = labels.shape[1:]
    wide = np.pad(labels, ((0, 0), (1, 1), (1, 1)), "wrap")
    return [wide[:, 1 + a + i : 1 + i + height : 2, 1 + b + j : 1 + j + width : 2] for i, j in OFFSETS]


def sweep(
    labels: NDArray[np.uint8],
    factors: NDArray[np.float32],
    q: int,
    numbers: NDArray[np.float32],
    orders: Sequence[Sequence[int]],
) -> NDArray[np.uint8]:
    """The labels after one sweep, uint8[n, H, W].

    factors: float32[n, 3], exp(J / T). numbers: float32[n, H, W] in [0, 1]. orders: of each lattice's sublattices.
    """
    labels = labels.copy()
    for visit in range(4):
        for k in range(4):
            mine = np.array([t for t, order in enumerate(orders) if order[visit] == k], int)
            if len(mine):
                a, b = divmod(k, 2)
                chosen = redrawn(labels[mine], k, factors[mine], q, numbers[mine, a::2, b::2])
                labels[mine, a::2, b::2] = chosen
    return labels


def redrawn(
    labels: NDArray[np.uint8], k: int, factors: NDArray[np.float32], q: int, numbers: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """The new labels of sublattice k, uint8[n, H/2, W/2]."""
    around = neighbours(labels, k)
    x = [factors[:, kind, None, None] for kind in KINDS]
    one = np.float32(1)
    ends = [np.float32(q)]
    for m, label in enumerate(around):
        share = one
        for before in range(m):
            share = share * np.where(label == around[before], x[before], one)
        ends.append(ends[-1] + share * (x[m] - one))
    r = numbers * ends[-1]
    a, b = divmod(k, 2)
    shift = np.minimum(r, np.float32(q - 1)).astype(np.uint16)
    choice = ((labels[:, a::2, b::2] + shift) % q).astype(np.uint8)
    for label, end in zip(around, ends, strict=False):
        np.copyto(choice, label, where=r >= end)
    return choice


def settled(labels: NDArray[np.uint8], couplings: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The labels after one sweep without noise, uint8[n, H, W]. couplings: float64[n, 3]."""
    labels = labels.copy()
    for k in range(4):
        a, b = divmod(k, 2)
        around = neighbours(labels, k)

        def bound(label, around=around):
            bonds = np.zeros((3, *label.shape))
            for other, kind in zip(around, KINDS, strict=True):
                bonds[kind] += other == label
            return sum(bonds[kind] * couplings[:, kind, None, None] for kind in range(3))

        best = labels[:, a::2, b::2].copy()
        most = bound(best)
        for label in around:
            better = bound(label) > most
            best, most = np.where(better, label, best), np.where(better, bound(label), most)
        labels[:, a::2, b::2] = best
    return labels


def energy(labels: NDArray[np.uint8], couplings: NDArray[np.float64]) -> NDArray[np.float64]:
    """H = Σ J (1 − δ) over all bonds, float64[n], of labels [n, H, W]. A site counts its bonds one way each."""
    total = np.zeros(len(labels))
    for (i, j), kind in zip(OFFSETS, KINDS, strict=True):
        unlike = (labels != np.roll(labels, (-i, -j), (1, 2))).sum(axis=(1, 2))
        total += couplings[:, kind] * unlike / 2
    return total


def words(key: NDArray[np.uint64] | np.uint64, counter: NDArray[np.uint64] | int) -> NDArray[np.uint64]:
    """SplitMix64 of a key at that position, uint64."""
    with np.errstate(over="ignore"):
        z = key + (np.asarray(counter, np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def numbers(word: NDArray[np.uint64], places: NDArray[np.uint32]) -> NDArray[np.float32]:
    """A number in [0, 1] for each place, from 31 bits of a hash of (word, place)."""
    x = places ^ (word >> np.uint64(32)).astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> np.uint32(15))) + word.astype(np.uint32)
    x = x * np.uint32(0xD35A2D97)
    x ^= x >> np.uint32(15)
    return (x >> np.uint32(1)).astype(np.int32).astype(np.float32) * np.float32(2.0**-31)


def sweep_numbers(
    keys: NDArray[np.uint64], sweep: int, orders: NDArray[np.uint8], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The random numbers of a sweep, float32[n, H, W], and the orders of its sublattices, uint8[n, 4].

    keys: uint64[n], a lattice each. orders: uint8[24, 4]. Word 8·sweep of a lattice chooses the order, the next four
    are of the sublattices in that order.
    """
    chosen = orders[words(keys, 8 * sweep) % np.uint64(24)]
    places = np.arange(shape[0] * shape[1], dtype=np.uint32).reshape(shape)
    drawn = np.empty((len(keys), *shape), np.float32)
    for visit in range(4):
        word = words(keys, 8 * sweep + visit + 1)[:, None, None]
        for k in range(4):
            mine, (a, b) = chosen[:, visit] == k, divmod(k, 2)
            drawn[mine, a::2, b::2] = numbers(word[mine], places[a::2, b::2])
    return drawn, chosen


def coarsened(
    labels: NDArray[np.uint8],
    factors: NDArray[np.float32],
    q: int,
    keys: NDArray[np.uint64],
    orders: NDArray[np.uint8],
    sweeps: int,
) -> NDArray[np.uint8]:
    """The labels after each sweep, uint8[n, sweeps + 1, H, W]."""
    frames = [labels]
    for s in range(sweeps):
        drawn, chosen = sweep_numbers(keys, s, orders, labels.shape[1:])
        frames.append(sweep(frames[-1], factors, q, drawn, chosen))
    return np.stack(frames, axis=1)


def workload() -> Workload:
    """Grains at the size of suites/grains.yaml: every sweep of 1,024 lattices, five times; plain: of 64 lattices, once.

    Operations of a site: 28 comparisons of neighbours with selections and products, seven products and eight sums of
    shares, thirteen of the random number and its product, sixteen comparisons and selections of a neighbour and five of
    another label. Bytes: the labels of eight neighbours and its own, its place, and the label that is stored.
    """
    from nsbench_grains.kernel import coarsen, factors, tessellations
    from nsbench_grains.rules import ORDERS

    q, size, sweeps = 12, 32, 24
    rng = np.random.default_rng(0)
    laws = np.stack([rng.uniform(0.3, 0.7, 1024), rng.uniform(-0.6, 0.6, 1024), np.full(1024, 0.5)], axis=1)
    cells = tessellations(np.full(1024, 120), shape=(size, size), q=q, seed=0)
    keys = words(np.uint64(1), np.arange(64, dtype=np.uint64))

    def compiled() -> int:
        for seed in range(5):
            coarsen(cells, laws, q=q, sweeps=sweeps, seed=seed)
        return 5 * 1024 * sweeps * size**2

    def plain() -> int:
        coarsened(cells[:64], factors(laws[:64]), q, keys, ORDERS, sweeps)
        return 64 * sweeps * size**2

    return Workload("grains", compiled, plain, operations=134, bytes=44)


def picture(path: str) -> None:
    """A grid of grains after the same number of sweeps from the same start: temperatures by anisotropies."""
    import matplotlib.pyplot as plt

    from nsbench_grains.kernel import coarsen, tessellations

    size, q, sweeps = 128, 12, 60
    temperatures, anisotropies = (0.3, 0.5, 0.7, 0.9), (-0.6, 0.0, 0.6)
    laws = np.array([[t, e, 0.5] for e in anisotropies for t in temperatures])
    start = tessellations(np.array([2400]), shape=(size, size), q=q, seed=3)
    last = coarsen(np.repeat(start, len(laws), 0), laws, q=q, sweeps=sweeps, seed=0, every=sweeps)[:, -1]
    shape = (len(anisotropies), len(temperatures))
    figure, axes = plt.subplots(*shape, figsize=(8, 6.2), layout="constrained")
    for axis, labels, (temperature, epsilon, _) in zip(axes.flat, last, laws, strict=True):
        axis.imshow(labels, cmap="Paired", vmin=0, vmax=q - 1, interpolation="nearest")
        axis.set_title(f"T = {temperature:g}, ε = {epsilon:g}", fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    picture(sys.argv[1])
