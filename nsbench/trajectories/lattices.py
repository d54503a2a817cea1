"""Lattices: the neighbours of each site, and what lies beyond the last one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Boundary, Lattice

OFFSETS: dict[Lattice, tuple[tuple[int, int], ...]] = {
    "square": ((1, 0), (-1, 0), (0, 1), (0, -1)),
    "hexagonal": ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
    "hexagonal-quadrant": ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
    "hexagon": ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)),
}
"""The neighbours of (i, j), as differences; hexagonal lattices in skewed coordinates."""


_PADDING: dict[Boundary, Literal["constant", "edge", "reflect", "wrap"]] = {
    "open": "constant",
    "closed": "edge",
    "mirror": "reflect",
    "periodic": "wrap",
}
"""What numpy calls each boundary."""


def surrounded(sites: NDArray[Any], boundaries: tuple[Boundary, Boundary], width: int = 1) -> NDArray[Any]:
    """Sites [..., H, W] with what lies beyond them, [..., H + 2·width, W + 2·width]."""
    for axis, boundary in zip((-2, -1), boundaries, strict=True):
        widths = [(0, 0)] * sites.ndim
        widths[axis] = (width, width)
        sites = np.pad(sites, widths, _PADDING[boundary])
    return sites


def attached_neighbours(
    attached: NDArray[np.bool_], lattice: Lattice, boundaries: tuple[Boundary, Boundary] = ("open", "open")
) -> NDArray[np.int8]:
    """The number of attached neighbours of each site, int8[n, H, W] for bool[n, H, W].

    Beyond the lattice lies what the boundaries say; at the mirrors of a hexagonal quadrant (−1, j) is (1, j+1) and
    (i, −1) is (i+1, 1).
    """
    padded = surrounded(attached, boundaries)  # site (i, j) at [i + 1, j + 1]
    if lattice == "hexagonal-quadrant":
        padded[:, 0, :-1] = padded[:, 2, 1:]
        padded[:, 1:-1, 0] = padded[:, 2:, 2]
    height, width = attached.shape[1:]
    count = np.zeros(attached.shape, np.int8)
    for i, j in OFFSETS[lattice]:
        count += padded[:, 1 + i : 1 + i + height, 1 + j : 1 + j + width]
    return count
