"""Observables of a crystal: what Timmer et al. (arXiv 2405.16608, section 4) compare distributions of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.lattices import attached_neighbours
from nsbench.trajectories import Observable


def area(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Attached sites, float64[n], of states float32[n, 1, H, W]."""
    return (state > 0.5).sum(axis=(1, 2, 3)).astype(np.float64)


def boundary(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unattached sites with an attached neighbour, float64[n], of states float32[n, 1, H, W]."""
    attached = state[:, 0] > 0.5
    touched = attached_neighbours(attached, "hexagonal-quadrant") > 0
    return (touched & ~attached).sum(axis=(1, 2)).astype(np.float64)


OBSERVABLES = (Observable("area", "sites", area), Observable("boundary", "sites", boundary))
