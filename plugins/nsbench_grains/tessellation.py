"""Random tessellations: the Voronoi cells of random points on a torus, each with a random label."""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from nsbench_grains.rules import random_word


@njit(cache=True)
def _fraction(key, counter):
    """A random number in [0, 1), of 53 bits."""
    return (random_word(key, np.uint64(counter)) >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _tessellate(cells, points, labels, key):
    """Fill cells uint8[H, W] with the labels of the nearest of `points` random points, distances taken round the torus.

    labels: the number of labels that the points draw from.
    """
    height, width = cells.shape
    i, j = np.empty(points), np.empty(points)
    label = np.empty(points, np.uint8)
    for m in range(points):
        i[m] = height * _fraction(key, 3 * m)
        j[m] = width * _fraction(key, 3 * m + 1)
        label[m] = np.uint8(labels * _fraction(key, 3 * m + 2))
    for row in range(height):
        for column in range(width):
            best, nearest = np.inf, 0
            for m in range(points):
                di, dj = abs(i[m] - row), abs(j[m] - column)
                di, dj = min(di, height - di), min(dj, width - dj)
                distance = di * di + dj * dj
                if distance < best:
                    best, nearest = distance, m
            cells[row, column] = label[nearest]


@njit(cache=True, parallel=True)
def tessellate_all(cells, points, labels, key, first):
    """Fill cells uint8[n, H, W], each tessellation by itself. points: int64[n], how many points each has."""
    for t in prange(cells.shape[0]):
        _tessellate(cells[t], points[t], labels, random_word(key, np.uint64(first + t)))
