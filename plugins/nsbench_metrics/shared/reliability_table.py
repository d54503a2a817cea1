"""Reliability tables: how often an event happened, by the probability that was said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench_metrics.shared.comparison import Comparison

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often an event was said to have probability p = 0, 1/M, …, 1, and how often it then happened.

    said: float64[b], the probabilities; count, happened: float64[b], how often each was said, and how often
    the event then happened.
    """

    said: Array
    count: Array
    happened: Array

    def frequency(self) -> Array:
        """The share of cases in which the event happened, float64[b], NaN where a probability was never said."""
        with np.errstate(invalid="ignore"):
            return self.happened / self.count

    def decomposition(self) -> tuple[float, float, float]:
        """(reliability, resolution, uncertainty): Brier score = reliability − resolution + uncertainty.

        Exactly so for the plain score, (p − y)² without the fair correction. Murphy 1973.
        """
        used = self.count > 0
        weights, frequency = self.count[used] / self.count.sum(), self.frequency()[used]
        base = self.happened.sum() / self.count.sum()
        reliability = float((weights * (self.said[used] - frequency) ** 2).sum())
        resolution = float((weights * (frequency - base) ** 2).sum())
        return reliability, resolution, float(base * (1 - base))


def reliability_counts(truths: Array, members: Array, threshold: float = 0.5) -> Array:
    """Pairs of a truth and a site, and those in which the event happened, by ensemble and members with the event.

    float64[E, 2, M + 1] for truths float64[E, g, ...] and members float64[E, M, ...]; the event is x > threshold.
    """
    count = members.shape[1]
    said = (members > threshold).sum(axis=1).reshape(len(members), -1)  # [E, sites]
    happened = (truths > threshold).sum(axis=1).reshape(len(members), -1)
    cell = said + (count + 1) * np.arange(len(said))[:, None]
    bins = len(said) * (count + 1)
    weights = [np.full(said.shape, truths.shape[1]), happened]
    return np.stack([np.bincount(cell.ravel(), w.ravel(), bins).reshape(-1, count + 1) for w in weights], axis=1)


def reliability_table(counts: Array) -> Reliability:
    """The table of all ensembles together, of float64[E, 2, M + 1]."""
    total = counts.sum(axis=0)
    return Reliability(np.linspace(0, 1, counts.shape[2]), total[0], total[1])


def counts_by_ensemble(comparison: Comparison, threshold: float) -> Array:
    """reliability_counts over all lead times and ensembles, float64[E, 2, M + 1], M the largest.

    Smaller ensembles say fewer different probabilities; theirs are put to the nearest of the largest's.
    """
    parts = []
    for chunk in comparison.chunks():
        total = sum(reliability_counts(truths, members, threshold) for truths, members in comparison.states(chunk))
        parts.append(_spread_out(np.asarray(total), comparison.members[1]))
    return np.concatenate(parts)


def _spread_out(counts: Array, largest: int) -> Array:
    """Counts of smaller ensembles among those of the largest, float64[E, 2, largest + 1]."""
    place = np.rint(np.linspace(0, largest, counts.shape[2])).astype(int)
    wide = np.zeros((*counts.shape[:2], largest + 1))
    wide[:, :, place] = counts
    return wide
