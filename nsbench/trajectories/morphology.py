"""The shape of what has attached: its area, its boundary, and the sites in front of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Boundary, Lattice
from nsbench.trajectories.lattices import attached_neighbours

Boundaries = tuple[Boundary, Boundary]

State = NDArray[np.float32] | NDArray[np.bool_]
"""States of n trajectories, [n, 1, H, W]; a site is attached where its state is above ½."""


def area(state: State) -> NDArray[np.float64]:
    """Attached sites, float64[n], of states [n, 1, H, W]."""
    return (state > 0.5).sum(axis=(1, 2, 3)).astype(np.float64)


def boundary(state: State, lattice: Lattice, boundaries: Boundaries = ("open", "open")) -> NDArray[np.float64]:
    """Unattached sites with an attached neighbour, float64[n], of states [n, 1, H, W]."""
    return front(state[:, 0] > 0.5, lattice, boundaries).sum(axis=(1, 2)).astype(np.float64)


def front(
    attached: NDArray[np.bool_], lattice: Lattice, boundaries: Boundaries = ("open", "open")
) -> NDArray[np.bool_]:
    """Unattached sites with an attached neighbour, bool[n, H, W] of bool[n, H, W]."""
    return (attached_neighbours(attached, lattice, boundaries) > 0) & ~attached
