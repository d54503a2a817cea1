"""Observables of a crystal, whose distributions Timmer et al. (arXiv 2405.16608, section 4) compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Lattice, Observable
from nsbench.trajectories.lattices import attached_neighbours
from nsbench_lca.layout import Symmetry


def area(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Attached sites, float64[n], of states float32[n, 1, H, W]."""
    return (state > 0.5).sum(axis=(1, 2, 3)).astype(np.float64)


def quadrant_boundary(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unattached sites with an attached neighbour, float64[n], of quadrants float32[n, 1, H, W]."""
    return _boundary(state, "hexagonal-quadrant")


def boundary(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unattached sites with an attached neighbour, float64[n], of whole crystals float32[n, 1, H, W]."""
    return _boundary(state, "hexagon")


def _boundary(state: NDArray[np.float32], lattice: Lattice) -> NDArray[np.float64]:
    attached = state[:, 0] > 0.5
    touched = attached_neighbours(attached, lattice) > 0
    return (touched & ~attached).sum(axis=(1, 2)).astype(np.float64)


OBSERVABLES: dict[Symmetry, tuple[Observable, ...]] = {
    "quadrant": (Observable("area", "sites", area), Observable("boundary", "sites", quadrant_boundary)),
    "none": (Observable("area", "sites", area), Observable("boundary", "sites", boundary)),
}
