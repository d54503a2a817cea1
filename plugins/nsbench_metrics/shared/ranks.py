"""Ranks of truths among the members of their ensembles.

Shapes: E ensembles, g truths and M simulated members each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.observables import choose_observables

Array = NDArray[np.float64]
Ranks = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Pool:
    """Truths and members of each ensemble, in one order.

    order: int64[E, g + M, L, K], from pool_order; is_truth: bool[E, g + M]; members: M.
    """

    order: Ranks
    is_truth: Mask
    members: int

    def ranks(self) -> Ranks:
        """The number of members below each truth, int64[E, g, L, K]."""
        return truth_ranks(self.order, self.is_truth)


def pooled(comparison: Comparison, observables: Sequence[str] | None, rng: np.random.Generator) -> Pool:
    """The pool of the named observables, all if None, at all lead times.

    Raises NotApplicable for ensembles of several sizes, and for a name that the domain does not have.
    """
    group = comparison.only_group()
    truth, simulated = comparison.observed(choose_observables(comparison.reference.domain, observables))
    order = pool_order(truth[group.cases], simulated[group.rollouts], rng)
    truths, members = group.cases.shape[1], group.rollouts.shape[1]
    return Pool(order, np.tile(np.arange(truths + members) < truths, (len(group), 1)), members)


def pool_order(truths: Array, members: Array, rng: np.random.Generator) -> Ranks:
    """Place of each truth and member in the order of all of them, ties at random: int64[E, g + M, ...].

    truths: float64[E, g, ...], members: float64[E, M, ...]; the truths come first in the result.
    """
    pool = np.concatenate([truths, members], axis=1)
    order = np.lexsort((rng.random(pool.shape), pool), axis=1)
    return np.argsort(order, axis=1)


def truth_ranks(order: Ranks, truths: Mask) -> Ranks:
    """Number of members below each truth, int64[E, g, ...], 0 to M.

    order: from pool_order; truths: bool[E, g + M], which of the pool are held to be the truths, as many in
    each ensemble.
    """
    g = int(truths[0].sum())
    index = np.argsort(~truths, axis=1, kind="stable")[:, :g]  # [E, g]
    chosen = np.take_along_axis(order, index.reshape(*index.shape, *[1] * (order.ndim - 2)), axis=1)
    fellows = (chosen[:, None] < chosen[:, :, None]).sum(axis=2)
    return chosen - fellows
