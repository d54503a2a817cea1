"""Ties: the simulators that cannot be told from the best one. A lead within the error is no lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.components.rows import ScoreRow
from nsbench.outcomes.families import Test, max_t
from nsbench.outcomes.fits import FitVariance, fit_variances
from nsbench.outcomes.pairing import NoPairs
from nsbench.outcomes.statistics import Interval, compare_pairs
from nsbench.outcomes.stored import StoredResults
from nsbench.suite.trials import Candidate

LEVEL = 0.05

MANY = 20
"""The most candidates that are all read; of more, those far from the best are left out: see `_far`."""


@dataclass(frozen=True)
class Contender:
    """A simulator's score: its mean, the interval of the mean, and the scores by replicate."""

    name: str
    value: float
    interval: Interval | None
    scores: dict[int, tuple[Candidate, ScoreRow]]


def tied_with_best(
    candidates: Sequence[Contender], direction: Literal["min", "max"], stored: StoredResults
) -> set[str]:
    """The names of the best candidate and of those that are tied with it.

    A candidate is tied if its paired difference from the best, over test cases and replicates, is not significant
    at 5 % after correction by max-T over candidates, as `nsbench compare` tests it; where there are no pairs, if its
    interval overlaps the best one's, or one of the two has no interval. The set is empty where there is no other
    candidate, or no error is known. Among many candidates, those that are far from the best are not tied.
    """
    sign = 1 if direction == "min" else -1
    best = min(candidates, key=lambda c: sign * c.value)
    rivals = [c for c in candidates if c is not best]
    if len(rivals) > MANY:
        rivals = [c for c in rivals if not _far(best, c)]
    units = _Units(stored)
    paired: dict[tuple[int, ...], list[Contender]] = {}
    tied = {best.name}
    for candidate in rivals:
        shared = tuple(sorted(best.scores.keys() & candidate.scores.keys()))
        if shared and units.pair(best, candidate, shared):
            paired.setdefault(shared, []).append(candidate)
        elif not _apart(best, candidate):
            tied.add(candidate.name)
    if not paired and not any(best.interval and c.interval for c in rivals):
        return set()
    fits = dict(zip([c.name for c in candidates], fit_variances([_values(c) for c in candidates]), strict=True))
    compared = [(c, units.test(best, c, shared, fits)) for shared, group in paired.items() for c in group]
    corrected = max_t([test for _, test in compared], np.random.default_rng(0))
    return tied | {c.name for (c, _), p in zip(compared, corrected, strict=True) if p >= LEVEL}


def _values(candidate: Contender) -> list[float]:
    """The scores of a candidate, one a replicate."""
    return [score.value for _, score in candidate.scores.values() if score.value is not None]


def _far(best: Contender, other: Contender) -> bool:
    """Return whether two candidates differ by more than twice the sum of their intervals' half-widths.

    The intervals are those over test cases and, of several replicates, over replicates. Two independent scores would
    differ by that less often than once in 10,000 times, so that a paired test would practically never fail to see it.
    """
    widths = [_half_widths(c) for c in (best, other)]
    return None not in widths and abs(best.value - other.value) > 2 * sum(w for w in widths if w is not None)


def _half_widths(candidate: Contender) -> float | None:
    """The sum of a candidate's half-widths, over test cases and over replicates; None if one is unknown."""
    intervals = [score.interval for _, score in candidate.scores.values()]
    if candidate.interval is None or any(interval is None for interval in intervals):
        return None
    over_cases = max((high - low for low, high in filter(None, intervals)), default=0.0) / 2
    over_replicates = (candidate.interval[1] - candidate.interval[0]) / 2 if len(intervals) > 1 else 0.0
    return over_cases + over_replicates


def _apart(a: Contender, b: Contender) -> bool:
    """Return whether two candidates' intervals are both known and do not overlap."""
    if a.interval is None or b.interval is None:
        return False
    return a.interval[0] > b.interval[1] or b.interval[0] > a.interval[1]


class _Units:
    """Scores by independent unit, each read once."""

    def __init__(self, stored: StoredResults) -> None:
        self._stored = stored
        self._scores: dict[str, NDArray[np.float64] | None] = {}
        self._weights: dict[str, NDArray[np.float64]] = {}

    def pair(self, a: Contender, b: Contender, replicates: Sequence[int]) -> bool:
        """Return whether a and b have scores by the same units, two at least, in all of the replicates."""
        names = [self._read(*c.scores[r]) for c in (a, b) for r in replicates]
        weights = [self._weights[name] for name in names if name in self._weights]
        same = len(weights) == len(names) and all(np.array_equal(w, weights[0]) for w in weights)
        return same and len(weights[0]) > 1

    def test(self, best: Contender, rival: Contender, replicates: Sequence[int], fits: dict[str, FitVariance]) -> Test:
        """The test of a rival's difference from the best; fits: the variances between fits, by candidate."""
        weights = self._weights[self._read(*best.scores[replicates[0]])]
        of_best, of_rival = fits[best.name], fits[rival.name]
        sides = (self._values(rival, replicates), self._values(best, replicates))
        paired = compare_pairs(*sides, weights, (of_rival, of_best))
        assert paired.p is not None
        both = of_rival.shrunk + of_best.shrunk
        return Test(paired.p, paired.estimate, (tuple(replicates), len(weights)), of_best.shrunk / both if both else 0)

    def _values(self, candidate: Contender, replicates: Sequence[int]) -> NDArray[np.float64]:
        """The scores of a candidate by replicate and unit, float64[R, U]."""
        scores = [self._scores[self._read(*candidate.scores[r])] for r in replicates]
        return np.stack([values for values in scores if values is not None])

    def _read(self, trial: Candidate, score: ScoreRow) -> str:
        """Read a score by unit, once; returns the name that it is kept by."""
        name = f"{trial.id}/{score.metric}"
        if name not in self._scores:
            try:
                units = self._stored.units(trial, score)
            except NoPairs:
                self._scores[name] = None
            else:
                self._scores[name], self._weights[name] = units.values, units.weights
        return name
