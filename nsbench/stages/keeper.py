"""A keeper of finished batches: what long work hands its batches to, so that another sitting may go on after them."""

from __future__ import annotations

from typing import Any

import numpy as np

Batch = dict[str, Any]
"""What one batch of work gave: trajectories, arrays and numbers by name."""


class Keeper:
    """A keeper that keeps nothing: the work is done in one sitting. nsbench/stages/parts.py derives one that keeps.

    Work consists of series, such as rollouts; a series of batches, made in their order.
    """

    def earlier(self, series: str, rng: np.random.Generator | None = None) -> list[Batch]:
        """The batches of a series that earlier sittings finished, from the first on, without a gap.

        rng: what the series draws from, batch after batch; it is put into the state in which they left it.
        """
        return []

    def keep(self, series: str, batch: Batch, rng: np.random.Generator | None = None, *, more: bool) -> None:
        """Take the next batch of a series. rng: as in `earlier`. more: whether other batches of the series follow."""
