"""Scores by independent unit of the test data, so that two simulators on the same test cases are compared in pairs.

A metric whose value is the mean of its items says in `items_by` what they are:

    "bin"         values of the conditioning parameter in a bin of its range; bins share no trajectory
    "ensemble"    cases of equal parameters and start, in the order of nsbench.trajectories.ensembles.ensembles
    "transition"  transitions of the test data, in the order of Trajectories.transitions; NaN for one that was not
                  scored

Bins and ensembles are independent of each other. Transitions of a trajectory are not, nor are trajectories of an
ensemble, whose parameters are the same draw; so their items are gathered by ensemble.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles

Array = NDArray[np.float64]

_TOLERANCE = 1e-6


class NoPairs(Exception):
    """A score has no independent units to pair; the message says why."""


@dataclass(frozen=True, eq=False)
class UnitScores:
    """A score by unit: its value is the mean of `values`, float64[U], with `weights`, float64[U]. unit: in words."""

    values: Array
    weights: Array
    unit: str


@dataclass(frozen=True, eq=False)
class CaseGroups:
    """The ensembles of the test data.

    sizes: float64[E], how many truths each has. of_transition: int64[b], the ensemble of each transition.
    """

    sizes: Array
    of_transition: NDArray[np.int64]


def case_groups(reference: Trajectories) -> CaseGroups:
    """The ensembles of framed test data."""
    groups = [cases for group in ensembles(reference, 1) for cases in group.cases]
    ensemble_of_case = np.empty(len(reference), dtype=np.int64)
    for k, cases in enumerate(groups):
        ensemble_of_case[cases] = k
    return CaseGroups(np.array([float(len(cases)) for cases in groups]), ensemble_of_case[reference.transitions()[0]])


def unit_scores(items: Array, items_by: str | None, value: float, groups: Callable[[], CaseGroups]) -> UnitScores:
    """A score's items by independent unit. groups: called only where it is needed. Raises NoPairs."""
    if items_by is None or not len(items):
        raise NoPairs("its value is not a mean over test cases")
    if np.isinf(items).any() or (items_by != "transition" and np.isnan(items).any()):
        raise NoPairs("some of its items are not finite")
    if items_by == "transition":
        scores = _by_ensemble(items, groups().of_transition)
    elif items_by in ("bin", "ensemble"):
        means = items.reshape(len(items), -1).mean(axis=1)
        scores = UnitScores(means, np.ones(len(means)), "bins" if items_by == "bin" else "ensembles")
        if items_by == "ensemble" and not _explains(scores, value) and len(groups().sizes) == len(means):
            scores = UnitScores(means, groups().sizes, "ensembles")
    else:
        raise NoPairs(f"its items are by {items_by!r}, which is unknown here")
    if not _explains(scores, value):
        raise NoPairs("its value is not the mean of its items")
    return scores


def _by_ensemble(items: Array, ensemble: NDArray[np.int64]) -> UnitScores:
    """The means of items over the transitions of each ensemble that were scored, weighted by their number."""
    if items.shape != ensemble.shape:
        raise NoPairs(f"it has {len(items):,} items for {len(ensemble):,} test transitions")
    scored = ~np.isnan(items)
    counts = np.bincount(ensemble[scored]).astype(np.float64)
    sums, present = np.bincount(ensemble[scored], items[scored]), counts > 0
    return UnitScores(sums[present] / counts[present], counts[present], "ensembles")


def _explains(scores: UnitScores, value: float) -> bool:
    """Return whether a value is the mean of its scores by unit."""
    if not len(scores.values):
        return False
    mean = float(np.average(scores.values, weights=scores.weights))
    return abs(mean - value) <= _TOLERANCE * max(abs(value), float(np.abs(scores.values).mean()), 1e-12)
