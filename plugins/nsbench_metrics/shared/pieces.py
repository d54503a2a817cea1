"""Connected pieces of the attached sites."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.domain import Lattice
from nsbench.trajectories.lattices import OFFSETS


def connected_pieces(attached: NDArray[np.bool_], lattice: Lattice) -> tuple[NDArray[np.int32], int]:
    """(number of the piece of each site int32[n, H, W], 0 where nothing is attached; number of pieces).

    Sites hang together along the lattice's neighbours, within a state. attached: bool[n, H, W].
    """
    from scipy.ndimage import label

    structure = np.zeros((3, 3, 3), bool)
    structure[1, 1, 1] = True
    for i, j in OFFSETS[lattice]:
        structure[1, 1 + i, 1 + j] = True
    pieces, count = label(attached, structure)
    return pieces, count
