"""Observables of a crystal: what Timmer et al. (arXiv 2405.16608, section 4) compare distributions of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories import Observable

NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1))
"""The six neighbours on the hexagonal lattice in skewed coordinates."""


def area(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Attached sites, float64[n], of states float32[n, 1, H, W]."""
    return (state > 0.5).sum(axis=(1, 2, 3)).astype(np.float64)


def boundary(state: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unattached sites with an attached neighbour, float64[n], of states float32[n, 1, H, W].

    The mirrors of a quadrant change nothing: a mirrored neighbour is also a neighbour by itself.
    """
    attached = state[:, 0] > 0.5
    padded = np.pad(attached, ((0, 0), (1, 1), (1, 1)))
    height, width = attached.shape[1:]
    touched = np.zeros_like(attached)
    for i, j in NEIGHBOURS:
        touched |= padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width]
    return (touched & ~attached).sum(axis=(1, 2)).astype(np.float64)


OBSERVABLES = (Observable("area", "sites", area), Observable("boundary", "sites", boundary))
