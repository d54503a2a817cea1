"""Observables of grains: how many and how large they are, the length of their boundaries, and which way these run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Observable
from nsbench_grains.clusters import clusters

State = NDArray[np.float32]
"""States of n trajectories, the labels as numbers, [n, 1, H, W]."""


def grains(state: State) -> NDArray[np.float64]:
    """The number of grains, connected sites of one label, float64[n]."""
    return (clusters(state[:, 0]).max(axis=(1, 2)) + 1).astype(np.float64)


def mean_area(state: State) -> NDArray[np.float64]:
    """The mean area of a grain, sites / grains, float64[n]."""
    return state[0, 0].size / grains(state)


def largest(state: State) -> NDArray[np.float64]:
    """The share of all sites that the largest grain has, float64[n]."""
    return np.array([np.bincount(c.ravel()).max() / c.size for c in clusters(state[:, 0])])


def boundary(state: State) -> NDArray[np.float64]:
    """The length of all boundaries: bonds along rows and columns whose two labels differ, float64[n]."""
    along_rows, along_columns = _unlike(state)
    return along_rows + along_columns


def elongation(state: State) -> NDArray[np.float64]:
    """The share of boundary across columns less that across rows, in [−1, 1], float64[n]; 0 without a boundary.

    Above 0, boundaries run along rows rather than along columns: grains are wide.
    """
    along_rows, along_columns = _unlike(state)
    return (along_columns - along_rows) / np.maximum(along_rows + along_columns, 1)


def _unlike(state: State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The bonds along rows and those along columns whose two labels differ, float64[n] each."""
    labels = state[:, 0]
    rows, columns = ((labels != np.roll(labels, -1, axis)).sum(axis=(1, 2)).astype(np.float64) for axis in (2, 1))
    return rows, columns


OBSERVABLES = (
    Observable("grains", "1", grains),
    Observable("mean_area", "sites", mean_area),
    Observable("boundary", "bonds", boundary),
    Observable("largest", "1", largest),
    Observable("elongation", "1", elongation),
)
