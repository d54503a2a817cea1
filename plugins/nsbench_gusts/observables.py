"""Observables of clusters in the wind.

Area, boundary and number of clusters hardly tell a wind that all sites share from winds of their own. What tells them
apart is where a crystal is: the whole front shifts with each gust, and by nothing if every site has its own.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from nsbench.trajectories.domain import Observable
from nsbench.trajectories.lattices import OFFSETS
from nsbench.trajectories.morphology import State, area, boundary


def clusters(state: State) -> NDArray[np.float64]:
    """The number of connected clusters, float64[n], of states [n, 1, H, W]."""
    bonds = np.zeros((3, 3, 3), bool)  # of a site with its neighbours, in its own state alone
    bonds[1, 1, 1] = True
    for i, j in OFFSETS["hexagonal"]:
        bonds[1, 1 + i, 1 + j] = True
    labels, _ = label(state[:, 0] > 0.5, bonds)
    last = np.maximum.accumulate(labels.max(axis=(1, 2), initial=0))  # labels count on from state to state
    return np.diff(last, prepend=0).astype(np.float64)


def centre(state: State, axis: int) -> NDArray[np.float64]:
    """The coordinate of the centre of mass, float64[n], of states [n, 1, H, W]: x for axis 0, y for axis 1.

    In spacings, the distance of neighbours, from the middle of the lattice; 0 where nothing is attached.
    """
    return _moments(state)[0][:, axis]


def elongation(state: State) -> NDArray[np.float64]:
    """The ratio of the principal axes of inertia, float64[n], of states [n, 1, H, W]: 1 for what is round.

        √(larger / smaller), of the eigenvalues of the sites' covariance plus that of a single site's own area

    1 where nothing is attached.
    """
    smaller, larger = np.linalg.eigvalsh(_moments(state)[1]).T
    return np.sqrt(larger / smaller)


def _moments(state: State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The centres of mass float64[n, 2] and covariances float64[n, 2, 2] of what is attached, in the plane."""
    attached = (state[:, 0] > 0.5).reshape(len(state), -1).astype(np.float64)
    i, j = np.indices(state.shape[2:]).reshape(2, -1) - (np.array(state.shape[2:]) - 1)[:, None] / 2
    place = np.stack([i - j / 2, j * np.sqrt(3) / 2], axis=1)  # [sites, 2]
    count = np.maximum(attached.sum(axis=1), 1.0)
    middle = attached @ place / count[:, None]
    square = attached @ (place[:, :, None] * place[:, None]).reshape(-1, 4) / count[:, None]
    own = np.eye(2) * 5 / 72  # the variance of a hexagon of unit width, each way
    covariance = square.reshape(-1, 2, 2) - middle[:, :, None] * middle[:, None]
    return middle, covariance * (attached.sum(axis=1) > 0)[:, None, None] + own


OBSERVABLES = (
    Observable("area", "sites", area),
    Observable("boundary", "sites", partial(boundary, lattice="hexagonal")),
    Observable("clusters", "1", clusters),
    Observable("centre_x", "spacings", partial(centre, axis=0)),
    Observable("centre_y", "spacings", partial(centre, axis=1)),
    Observable("elongation", "1", elongation),
)
