"""Clusters: sites of one label that neighbours connect, on a lattice that is periodic along both axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def clusters(labels: NDArray[Any]) -> NDArray[np.int32]:
    """The number of each site's cluster, int32[n, H, W], of labels [n, H, W]: 0, 1, … in the order of first sites.

    Neighbours share a row or a column. Union-find: Hoshen & Kopelman 1976.
    """
    numbers = np.empty(labels.shape, np.int32)
    _number_all(np.ascontiguousarray(labels, np.float32), numbers)
    return numbers


@njit(cache=True)
def _root(parent, site):
    """The first site of a cluster, in the forest of parents; paths are halved on the way."""
    while parent[site] != site:
        parent[site] = parent[parent[site]]
        site = parent[site]
    return site


@njit(cache=True)
def _join(parent, a, b):
    """Join the clusters of two sites; the first of all their sites stays the root."""
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)


@njit(cache=True)
def _number_all(labels, numbers):
    count, height, width = labels.shape
    parent = np.empty(height * width, np.int32)
    for t in range(count):
        state = labels[t]
        parent[:] = np.arange(height * width)
        for i in range(height):
            for j in range(width):
                right, below = (j + 1) % width, (i + 1) % height
                if state[i, j] == state[i, right]:
                    _join(parent, i * width + j, i * width + right)
                if state[i, j] == state[below, j]:
                    _join(parent, i * width + j, below * width + j)
        following, flat = 0, numbers[t].reshape(-1)
        for site in range(height * width):
            root = _root(parent, site)
            if root == site:
                flat[site] = following
                following += 1
            else:
                flat[site] = flat[root]
