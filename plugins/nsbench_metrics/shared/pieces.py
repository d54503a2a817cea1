"""Connected pieces of the attached sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Boundary, Lattice
from nsbench.trajectories.lattices import OFFSETS, surrounded


def connected_pieces(
    attached: NDArray[np.bool_], lattice: Lattice, boundaries: tuple[Boundary, Boundary] = ("open", "open")
) -> tuple[NDArray[np.int32], int]:
    """(number of the piece of each site int32[n, H, W], 0 where nothing is attached; number of pieces).

    Sites hang together along the lattice's neighbours, within a state, and across its ends where the boundaries join
    them. attached: bool[n, H, W].
    """
    from scipy.ndimage import label

    structure = np.zeros((3, 3, 3), bool)
    structure[1, 1, 1] = True
    for i, j in OFFSETS[lattice]:
        structure[1, 1 + i, 1 + j] = True
    if boundaries == ("open", "open"):
        pieces, count = label(attached, structure)
        return pieces, count
    pieces, count = label(surrounded(attached, boundaries), structure)
    return _joined(pieces, count, boundaries)


def _joined(
    pieces: NDArray[np.int32], count: int, boundaries: tuple[Boundary, Boundary]
) -> tuple[NDArray[np.int32], int]:
    """Pieces of states with what lies beyond them, int32[n, H + 2, W + 2], as pieces of the sites, int32[n, H, W].

    What lies beyond is one of the sites again, so that both are of one piece.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    inside = pieces[:, 1:-1, 1:-1]
    pairs = pieces.ravel(), surrounded(inside, boundaries).ravel()
    graph = coo_array((np.ones(pieces.size, bool), pairs), shape=(count + 1, count + 1))
    found, piece = connected_components(graph, directed=False)
    return piece.astype(np.int32)[inside], found - 1
