"""Scores by independent unit of the test data: what of two simulators on the same test cases is a pair.

A metric whose value is the mean of its items says in `items_by` what they are:

    "bin"         values of the conditioning parameter in a bin of its range; bins share no trajectory
    "ensemble"    cases of equal parameters and start, in the order of nsbench.trajectories.ensembles.ensembles
    "transition"  transitions of the test data, in the order of Trajectories.transitions

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
    """Why a score has no independent units to pair, in words."""


@dataclass(frozen=True, eq=False)
class UnitScores:
    """A score by unit: its value is the mean of `values`, float64[U], with `weights`, float64[U]. unit: in words."""

    values: Array
    weights: Array
    unit: str


@dataclass(frozen=True, eq=False)
class CaseGroups:
    """The ensembles of the test data. sizes: float64[E], their truths; of_transition: int64[b], their transitions."""

    sizes: Array
    of_transition: NDArray[np.int64]


def case_groups(reference: Trajectories) -> CaseGroups:
    """The ensembles of framed test data."""
    found = [cases for group in ensembles(reference, 1) for cases in group.cases]
    of_case = np.empty(len(reference), dtype=np.int64)
    for k, cases in enumerate(found):
        of_case[cases] = k
    return CaseGroups(np.array([float(len(cases)) for cases in found]), of_case[reference.transitions()[0]])


def unit_scores(items: Array, items_by: str | None, value: float, groups: Callable[[], CaseGroups]) -> UnitScores:
    """A score's items by independent unit. groups: asked for only where it is needed. Raises NoPairs."""
    if items_by is None or not len(items):
        raise NoPairs("its value is not a mean over test cases")
    if not np.isfinite(items).all():
        raise NoPairs("some of its items are not finite")
    if items_by == "transition":
        found = _by_ensemble(items, groups().of_transition)
    elif items_by in ("bin", "ensemble"):
        means = items.reshape(len(items), -1).mean(axis=1)
        found = UnitScores(means, np.ones(len(means)), "bins" if items_by == "bin" else "ensembles")
        if items_by == "ensemble" and not _explains(found, value) and len(groups().sizes) == len(means):
            found = UnitScores(means, groups().sizes, "ensembles")
    else:
        raise NoPairs(f"its items are by {items_by!r}, which is unknown here")
    if not _explains(found, value):
        raise NoPairs("its value is not the mean of its items")
    return found


def _by_ensemble(items: Array, ensemble: NDArray[np.int64]) -> UnitScores:
    if items.shape != ensemble.shape:
        raise NoPairs(f"it has {len(items):,} items for {len(ensemble):,} test transitions")
    counts = np.bincount(ensemble).astype(np.float64)
    sums, seen = np.bincount(ensemble, items), counts > 0
    return UnitScores(sums[seen] / counts[seen], counts[seen], "ensembles")


def _explains(found: UnitScores, value: float) -> bool:
    mean = float(np.average(found.values, weights=found.weights))
    return abs(mean - value) <= _TOLERANCE * max(abs(value), float(np.abs(found.values).mean()), 1e-12)
