"""Observables of a crystal from an open start, which may be in several pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nsbench.trajectories.domain import Observable
from nsbench.trajectories.morphology import State
from nsbench_lca.morphology import OBSERVABLES

_TOUCHING = np.zeros((3, 3, 3), np.bool_)
_TOUCHING[1] = [[1, 1, 0], [1, 1, 1], [0, 1, 1]]
"""Sites of one state that are neighbours in skewed coordinates."""


def clusters(state: State) -> NDArray[np.float64]:
    """Connected pieces of a crystal on the hexagonal lattice, float64[n], of states [n, 1, H, W]."""
    labels = ndimage.label(state[:, 0] > 0.5, _TOUCHING)[0]
    values, first = np.unique(labels, return_index=True)
    owners = first[values > 0] // labels[0].size
    return np.bincount(owners, minlength=len(state)).astype(np.float64)


def gyration(state: State) -> NDArray[np.float64]:
    """Radius of gyration, √⟨|r − ⟨r⟩|²⟩ over the attached sites, float64[n], of states [n, 1, H, W].

    In distances between neighbours: |(i, j)|² = i² − i·j + j² in skewed coordinates. 0 where nothing is attached.
    """
    attached = (state[:, 0] > 0.5).astype(np.float64)
    i, j = (axis.ravel() for axis in np.indices(attached.shape[1:], dtype=np.float64))
    moments = attached.reshape(len(attached), -1) @ np.stack([i * 0 + 1, i, j, i * i - i * j + j * j], axis=1)
    total = np.maximum(moments[:, 0], 1)
    mean_i, mean_j, square = (moments[:, k] / total for k in (1, 2, 3))
    return np.asarray(np.sqrt(np.maximum(square - (mean_i**2 - mean_i * mean_j + mean_j**2), 0)))


OPEN_OBSERVABLES = (
    *OBSERVABLES["none"],
    Observable("clusters", "1", clusters),
    Observable("gyration", "spacings", gyration),
)
"""The observables of a crystal from an open start."""
