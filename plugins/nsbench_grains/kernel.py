"""Grains that coarsen: the compiled rules, with checks of what they are given."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from nsbench_grains.params import coldest
from nsbench_grains.rules import coarsen_all
from nsbench_grains.tessellation import tessellate_all

LAWS = ("temperature", "anisotropy", "diagonal")
"""The parameters of the law, in the order in which a row of them is given."""


def coarsen(
    labels: NDArray[np.uint8],
    laws: NDArray[np.float64],
    *,
    q: int,
    sweeps: int,
    seed: int,
    first: int = 0,
    every: int = 1,
) -> NDArray[np.uint8]:
    """The states of n lattices of grains, every `every` sweeps, uint8[n, sweeps // every + 1, H, W].

    labels: uint8[n, H, W], the first states. laws: float64[n, 3], a row of LAWS each. q: the number of labels.
    At temperature 0 a state is a function of the one before it: see ``rules``.

    The trajectory at position k depends on `seed`, `first` + k, its own first state and law alone: not on the number of
    threads, nor on what else is computed. Raises ValueError for what has no such states.
    """
    check(labels, laws, q)
    frames = np.empty((len(labels), sweeps // every + 1, *labels.shape[1:]), np.uint8)
    frames[:, 0] = labels
    with numba.parallel_chunksize(1):
        coarsen_all(frames, couplings(laws), factors(laws), np.float32(q), stream(seed), first, every)
    return frames


def couplings(laws: NDArray[np.float64]) -> NDArray[np.float64]:
    """The couplings of neighbours in a row, a column and a diagonal, float64[n, 3], in units of J."""
    epsilon, diagonal = laws[:, 1], laws[:, 2]
    return np.stack([1 + epsilon, 1 - epsilon, diagonal], axis=1)


def factors(laws: NDArray[np.float64]) -> NDArray[np.float32]:
    """The factors exp(J / T) of those neighbours, float32[n, 3]; 0 at temperature 0."""
    temperature = laws[:, :1]
    exponents = np.divide(couplings(laws), temperature, where=temperature > 0, out=np.full((len(laws), 3), -np.inf))
    return np.exp(exponents).astype(np.float32)


def tessellations(
    points: NDArray[np.int64], *, shape: tuple[int, int], q: int, seed: int, first: int = 0
) -> NDArray[np.uint8]:
    """The Voronoi cells of `points` random points, each of a random label, uint8[n, H, W]; points: int64[n]."""
    cells = np.empty((len(points), *shape), np.uint8)
    with numba.parallel_chunksize(1):
        tessellate_all(cells, points, q, stream(seed), first)
    return cells


def check(labels: NDArray[Any], laws: NDArray[np.float64], q: int) -> None:
    """Raise ValueError for states or laws that the rules cannot do."""
    if labels.ndim != 3 or labels.shape[1] % 2 or labels.shape[2] % 2:
        raise ValueError(f"labels must be [n, H, W] with H and W even, got {list(labels.shape)}")
    if not 2 <= q <= 256 or (labels.size and labels.max() >= q):
        raise ValueError(f"labels must be below q, and q in [2, 256], got labels to {labels.max(initial=0)}, q {q}")
    if laws.shape != (len(labels), len(LAWS)) or not np.isfinite(laws).all():
        raise ValueError(f"laws must be {len(labels)} rows of finite {', '.join(LAWS)}, got {list(laws.shape)}")
    temperature, epsilon, diagonal = laws.T
    if (abs(epsilon) > 1).any() or (diagonal < 0).any():
        raise ValueError(
            f"anisotropy must be in [-1, 1] and diagonal >= 0, got {abs(epsilon).max():g} beside {diagonal.min():g}"
        )
    bounds = np.array([coldest(d) for d in diagonal.tolist()])
    for row in np.flatnonzero((temperature != 0) & ~(temperature >= bounds))[:1]:
        raise ValueError(f"temperature must be 0 or at least {bounds[row]:g}, got {temperature[row]:g}")


def stream(seed: int) -> np.uint64:
    """The key of a seed's random numbers."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
