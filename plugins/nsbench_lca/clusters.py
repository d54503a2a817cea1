"""Random clusters, the starts of open growth: small blobs at random places near the centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.lattices import OFFSETS
from nsbench_lca.rules import random_word

NOISE, PLACES, BLOBS = 0, 1, 2
"""The streams of random numbers of a history: the noise of its growth, its seeds' places, the sites beside them."""

_words = random_word.py_func
"""The hash of ``nsbench_lca.rules`` for arrays of keys and counters, which broadcast."""


def history_keys(histories: NDArray[np.floating], stream: int) -> NDArray[np.uint64]:
    """The key of one stream of each history's random numbers, uint64[n]. histories: whole numbers in [0, 2⁵³]."""
    return np.asarray(_words(histories.astype(np.uint64), np.full(1, stream, np.uint64)))


def random_clusters(
    histories: NDArray[np.floating], seeds: NDArray[np.integer], fill: float, *, radius: int, size: int
) -> NDArray[np.bool_]:
    """The clusters that histories begin with, bool[n, 2N, 2N] on the hexagon around (N, N), N = size.

    seeds: int[n], each cluster's number of seeds: distinct sites at most `radius` steps from the centre, all sets of
    them equally likely. Each of a seed's six neighbours belongs to the cluster too with probability `fill`.
    """
    places = hexagon(radius)  # [M, 2]
    site = np.arange(len(places), dtype=np.uint64)
    order = _words(history_keys(histories, PLACES)[:, None], site).argsort(axis=1, kind="stable")
    case, rank = np.nonzero(np.arange(len(places)) < seeds[:, None])
    chosen = order[case, rank]
    clusters = np.zeros((len(histories), 2 * size, 2 * size), np.bool_)
    _mark(clusters, case, places[chosen] + size)
    for m, offset in enumerate(OFFSETS["hexagon"]):
        words = _words(history_keys(histories, BLOBS)[case], site[chosen] * np.uint64(6) + np.uint64(m))
        drawn = words * 2.0**-64 < fill
        _mark(clusters, case[drawn], places[chosen[drawn]] + size + np.array(offset))
    return clusters


def _mark(clusters: NDArray[np.bool_], case: NDArray[np.integer], places: NDArray[np.integer]) -> None:
    clusters[case, places[:, 0], places[:, 1]] = True


def hexagon(radius: int) -> NDArray[np.int64]:
    """The sites at most `radius` steps from the origin, int64[3r(r + 1) + 1, 2], row by row."""
    sites = np.argwhere(np.ones((2 * radius + 1,) * 2, np.bool_)) - radius
    return sites[steps_from_centre(sites[:, 0], sites[:, 1]) <= radius]


def steps_from_centre(i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.integer]:
    """The steps from (0, 0) to (i, j) on the hexagonal lattice: max(|i|, |j|, |i − j|)."""
    return np.maximum(np.maximum(abs(i), abs(j)), abs(i - j))


def extents(clusters: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The steps from the centre to each cluster's farthest site, int64[n], of bool[n, 2N, 2N]; −1 of an empty one."""
    i, j = np.indices(clusters.shape[1:]) - clusters.shape[1] // 2
    return np.where(clusters, steps_from_centre(i, j), -1).max(axis=(1, 2), initial=-1).astype(np.int64)
