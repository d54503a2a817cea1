"""A keeper of finished batches: what long work hands its batches to, so that another sitting may go on after them."""

from __future__ import annotations

from typing import Any

import numpy as np

Batch = dict[str, Any]
"""What one batch of work gave: trajectories, arrays and numbers by name."""


class Keeper:
    """A keeper of batches in memory: the work is done in one sitting. nsbench/stages/parts.py derives one that keeps.

    Work consists of series, such as rollouts; a series of batches, made in their order.
    """

    def __init__(self) -> None:
        self._batches: dict[str, list[Batch]] = {}

    def earlier(self, series: str, rng: np.random.Generator | None = None) -> int:
        """Begin a series: the number of its batches, from the first on, that earlier sittings finished.

        rng: what the series draws from, batch after batch; it is put into the state in which they left it.
        """
        self._batches[series] = []
        return 0

    def keep(self, series: str, batch: Batch, rng: np.random.Generator | None = None, *, more: bool) -> None:
        """Take the next batch of a series. rng: as in `earlier`. more: whether other batches of the series follow."""
        self._batches[series].append(batch)

    def batches(self, series: str) -> list[Batch]:
        """All batches of a series, those of earlier sittings included; dense fields may lie in files."""
        return self._batches[series]
