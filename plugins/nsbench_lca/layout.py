"""The layout of a lattice in memory.

A crystal's sites lie in one flat array, row after row, a row being padded to whole vectors: the site in row p
and column q is at p·stride + LANES + q. Its six neighbours are then at fixed distances, and the rules need no
special case at the border.

    quadrant  one 120° sector in skewed coordinates, the centre at (0, 0). The axes are mirrors: a row and a
              column of ghosts in front of them hold the values of the sites that they mirror, (−1, j) those of
              (1, j+1) and (i, −1) those of (i+1, 1). Row and column N−1 are the reservoir.
    none      the whole crystal: the hexagon |i|, |j|, |i−j| <= N−1 around the centre, its rim the reservoir,
              on a map of 2N × 2N sites with the centre at (N, N). Sites outside of it are unused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsbench_lca.vectors import LANES

Symmetry = Literal["quadrant", "none"]

RESERVOIR, GHOST = -1, -2
"""Weights of sites that the rules leave alone; a free site has k + 1 > 0, an attached one 0."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A lattice in memory.

    side      sites along a map's side: N, or 2N for the whole crystal.
    top       rows of ghosts before the map's first row: 1 or 0.
    stride    from one row to the next.
    length    of the flat arrays.
    centre    where the seed is.
    mirrored  whether there are ghosts.
    weight    int8[length]: 1 for a site that may attach, RESERVOIR, GHOST, or 0 for padding.
    stop      bool[length]: the sites whose attachment ends growth.
    rows      int64[., 4], a row with sites that may attach each: where its first vector begins, where its
              last one ends, and the reservoir sites left and right of it, which vectors may overwrite.
    """

    side: int
    top: int
    stride: int
    length: int
    centre: int
    mirrored: bool
    weight: NDArray[np.int8]
    stop: NDArray[np.bool_]
    rows: NDArray[np.int64]

    def map(self, flat: NDArray[Any]) -> NDArray[Any]:
        """The view [side, side] of a flat array [length] that holds the lattice's sites."""
        table = flat[: (self.top + self.side) * self.stride].reshape(-1, self.stride)
        return table[self.top :, LANES : LANES + self.side]


@lru_cache(maxsize=16)
def layout(size: int, symmetry: Symmetry, stop_margin: int) -> Layout:
    """The lattice of crystals with N = size, which stop growing `stop_margin` rows before its rim."""
    mirrored = symmetry == "quadrant"
    side, top, origin = (size, 1, 0) if mirrored else (2 * size, 0, size)
    stride = LANES * (1 + -(-side // LANES))
    length = (top + side + 1) * stride
    i, j = np.indices((side, side)) - origin
    radius = np.maximum(np.maximum(abs(i), abs(j)), abs(i - j))
    lattice = Layout(
        side,
        top,
        stride,
        length,
        centre=(top + origin) * stride + LANES + origin,
        mirrored=mirrored,
        weight=np.zeros(length, np.int8),
        stop=np.zeros(length, np.bool_),
        rows=_rows(radius < size - 1, top, stride),
    )
    lattice.map(lattice.weight)[:] = np.where(radius < size - 1, 1, np.where(radius == size - 1, RESERVOIR, 0))
    lattice.map(lattice.stop)[:] = radius == size - stop_margin
    if mirrored:
        lattice.weight[LANES - 1 : LANES + side] = GHOST
        lattice.weight[stride + LANES - 1 : (top + side) * stride : stride] = GHOST
    return lattice


def _rows(free: NDArray[np.bool_], top: int, stride: int) -> NDArray[np.int64]:
    """``Layout.rows`` for the sites that may attach, bool[side, side]: an unbroken run in each row."""
    rows = np.flatnonzero(free.any(axis=1))
    first, count = free[rows].argmax(axis=1), free[rows].sum(axis=1)
    start, last = (top + rows) * stride + LANES, first + count - 1
    begin, end = first // LANES * LANES, (last // LANES + 1) * LANES
    return np.stack([start + begin, start + end, start + first - 1, start + last + 1], axis=1)
