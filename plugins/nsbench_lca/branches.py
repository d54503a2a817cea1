"""Branched growth: whole crystals that grow from clusters, each to its branch with one noise, and on with another.

Of a crystal in mid-growth its attached sites do not tell the masses, so that no growth could go on from them. A history
does: the crystal grows again from its cluster to the branch, bit for bit, and then goes on with noise of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from nsbench_lca.branching import grow_all
from nsbench_lca.clusters import NOISE, extents, history_keys
from nsbench_lca.kernel import LAWS, Precision, check, stream
from nsbench_lca.layout import layout
from nsbench_lca.rules import memory

MOST_STEPS = 10_000
"""Growth ends here, if not at the margin; and no crystal takes more steps to its branch."""


@dataclass(frozen=True, eq=False)
class Branches:
    """The growth of n crystals from their branches on.

    arrival: int32[n, 2N, 2N]; 0 for the sites attached at the branch, s >= 1 where one attached in step s after it,
             −1 for never.
    steps:   int32[n], the number of steps grown since the branch.
    before:  int32[n], the number of steps from the cluster to the branch.
    """

    arrival: NDArray[np.int32]
    steps: NDArray[np.int32]
    before: NDArray[np.int32]


def grow_branches(
    laws: NDArray[np.float64],
    clusters: NDArray[np.bool_],
    after: NDArray[np.float64],
    histories: NDArray[np.floating],
    *,
    size: int,
    seed: int,
    stop_margin: int = 5,
    sigma: float | None = None,
    first: int = 0,
    max_steps: int = MOST_STEPS,
    precision: Precision = "float32",
) -> Branches:
    """Grow one crystal for each row of `laws`, float64[n, 8] in the order of ``kernel.LAWS``, from its cluster.

    clusters: bool[n, 2N, 2N]; the sites of a cluster have crystal mass 1 and no vapour, all others vapour of density ρ
    and no other mass. after: float64[n] in [0, 1), the share of the way to the margin at which a crystal branches: in
    the step in which its farthest site is first e + ⌊after · (E − e)⌋ steps from the centre, e that of the cluster and
    E = N − stop_margin. 0 branches at once. Noise comes from `histories` (whole numbers in [0, 2⁵³]) before the branch
    and from `seed`, `first` and the crystal's place after it, there of strength `sigma`, None for the law's own.

    Raises ValueError for parameters that make no crystal, for clusters that are empty or as large as the margin, and
    for crystals that do not come to their branch in `max_steps` steps.
    """
    check(laws, size, stop_margin, max_steps)
    begun = _begun(clusters, size, stop_margin)
    if not ((after >= 0) & (after < 1)).all():
        raise ValueError("after, the share of growth before the branch, must be in [0, 1)")
    branch = begun + np.floor(after * (size - stop_margin - begun)).astype(np.int64)
    onward = laws.copy()
    if sigma is not None:
        onward[:, LAWS.index("sigma")] = sigma
        check(onward, size, stop_margin, max_steps)
    arrival = np.full(clusters.shape, -1, dtype=np.int32)
    steps, before = np.zeros(len(laws), dtype=np.int32), np.zeros(len(laws), dtype=np.int32)
    keys = history_keys(histories, NOISE)
    lattice = memory(layout(size, "none", stop_margin))
    with numba.parallel_chunksize(1):
        grow_all(
            laws.astype(precision), onward.astype(precision), clusters, branch, keys, stream(seed), first, lattice,
            max_steps, arrival, steps, before,
        )  # fmt: skip
    late = np.flatnonzero(steps < 0)
    if len(late):
        raise ValueError(
            f"crystal {late[0]} does not come to its branch in {max_steps} steps: its law lets it not grow"
        )
    return Branches(arrival, steps, before)


def _begun(clusters: NDArray[np.bool_], size: int, stop_margin: int) -> NDArray[np.int64]:
    """The extents of clusters from which crystals can grow, int64[n]. Raises ValueError for others."""
    if clusters.shape[1:] != (2 * size, 2 * size):
        raise ValueError(f"clusters must be on maps of {2 * size} × {2 * size} sites, got {clusters.shape[1:]}")
    begun, bound = extents(clusters), size - stop_margin
    wrong = np.flatnonzero((begun < 0) | (begun >= bound))
    if len(wrong):
        extent = "is empty" if begun[wrong[0]] < 0 else f"reaches {begun[wrong[0]]} steps from the centre"
        raise ValueError(f"cluster {wrong[0]} {extent}; it must reach 0 to {bound - 1}, short of the margin")
    return begun
