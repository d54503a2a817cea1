"""Two-sample statistic of nearest neighbours: is the state that is nearest to a truth's a truth's or a member's?

Shapes: E ensembles, g truths and M simulated members each, N = g + M.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.intervals import TAIL
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate, mean
from nsbench_metrics.shared.comparison import Comparison, compare
from nsbench_metrics.shared.features import deviations
from nsbench_metrics.shared.norms import flat, squared_distances
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

TIE = 1e-9
"""Squared distances are equal that differ by less than this share of the largest of their ensemble."""


class NearestNeighbourParams(Params):
    """The space in which states are near to each other.

    space         states: whole states; observables: the domain's, in the truths' standard deviations.
    permutations  relabellings for the p-value, which is never below 1 / (permutations + 1).
    """

    space: Literal["states", "observables"] = "states"
    permutations: int = Field(199, ge=1)
    resamples: int = fields.resamples()


def nearest_neighbours(points: Array) -> Array:
    """How far each point is the nearest of each other one, float64[E, N, N]: rows sum to 1.

    points: float64[E, N, D], N ≥ 2. A point is no neighbour of itself. Points that are equally near share the 1, so
    that no order decides.
    """
    centred = points - points.mean(axis=1, keepdims=True)  # inner products of what is near 0 lose no digits
    squares = squared_distances(centred, centred)
    margin = TIE * squares.max(axis=(1, 2), keepdims=True)
    squares += np.where(np.eye(points.shape[1], dtype=bool), np.inf, 0.0)
    tied = squares <= squares.min(axis=2, keepdims=True) + margin
    return tied / tied.sum(axis=2, keepdims=True)


def own_side(nearest: Array, is_truth: Mask) -> Array:
    """How much more often than by chance the nearest neighbour is of a point's own side, float64[E, 2].

        (s − e) / (1 − e),   s: the share of n points;   e = (n − 1) / (N − 1)

    Of truths, and of members. 1 where the neighbour always is of the same side, −(n − 1) / (N − n) where it never is;
    0 in expectation for equal distributions, exactly, for any n and with any ties: then sides are names that are dealt
    out at random, and the neighbour of one of n has one of the n − 1 left among N − 1.
    nearest: float64[E, N, N]; is_truth: bool[E, N], as many in each ensemble, at least one on either side.
    Schilling 1986, doi 10.1080/01621459.1986.10478337; Henze 1988, doi 10.1214/aos/1176350835.
    """
    sides = []
    for side in (is_truth, ~is_truth):
        count, total = int(side[0].sum()), side.shape[1]
        share = ((nearest @ side[:, :, None])[:, :, 0] * side).sum(axis=1) / count
        expected = (count - 1) / (total - 1)
        sides.append((share - expected) / (1 - expected))
    return np.stack(sides, axis=1)


def told_apart(sides: Array) -> float:
    """½ (|t| + |m|), of the means over ensembles of own_side, float64[E, 2]."""
    return float(np.abs(sides.mean(axis=0)).mean())


class NearestNeighbour(Metric):
    """How far states of truths and of rollouts are told apart by their nearest neighbours: ½ (|t| + |m|).

    t: how much more often than by chance the nearest neighbour of a truth's state, among all of its ensemble at its
    lead time, is a truth's; m: that of a member's a member's. Means over lead times and ensembles; 0 for equal
    distributions, 1 where neighbours never are of the other side. |·| of each by itself: they cancel where members
    huddle among truths that lie apart.

        t > 0, m > 0   members lie elsewhere than truths
        t < 0, m > 0   members huddle: copies of each other in the midst of the truths, too little spread
        t > 0, m < 0   members lie around the truths: too much spread
        t < 0, m < 0   members lie too close to truths: copies of them

    Extras: t, m; p_value, the share of relabellings with at least this value when in each ensemble truths and members
    swap places at random, exact however much lead times depend on each other; members. Items: t and m by ensemble, each
    times its sign over all ensembles. Chance raises the value of the truth above 0; the interval reaches down to 0
    unless p is 0.05 or less.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    columns = (("t", "t"), ("m", "m"), ("p_value", "p"))
    params: NearestNeighbourParams

    @property
    def items_by(self) -> str:
        return "ensemble"

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, truths=2)
        ensembles = _by_size(comparison, self.params.space)
        sides = _sides(ensembles)
        t, m = sides.mean(axis=0)
        items = sides * np.where([t < 0, m < 0], -1.0, 1.0)
        value, interval = estimate(
            mean(items.mean(axis=1)), len(items), self.params.resamples, rng, within=(0.0, np.inf)
        )
        others = [told_apart(_sides(_relabelled(ensembles, rng))) for _ in range(self.params.permutations)]
        p_value = (1 + sum(other >= value * (1 - TIE) for other in others)) / (1 + len(others))
        if interval is not None and p_value > 2 * TAIL:
            interval = (0.0, interval[1])
        extras = {"members": float(comparison.members[0]), "t": float(t), "m": float(m), "p_value": p_value}
        return Score(value, interval, items, extras, label=comparison.label)


Sized = list[tuple[Array, Mask]]
"""(nearest float64[E, N, N], the mean over lead times; is_truth bool[E, N]), one for each size of ensembles."""


def _sides(ensembles: Sized) -> Array:
    """own_side of all ensembles, float64[E, 2]."""
    return np.concatenate([own_side(*group) for group in ensembles])


def _relabelled(ensembles: Sized, rng: np.random.Generator) -> Sized:
    """The same where in each ensemble truths and members have swapped places at random."""
    return [(nearest, rng.permuted(is_truth, axis=1)) for nearest, is_truth in ensembles]


def _by_size(comparison: Comparison, space: str) -> Sized:
    """The nearest neighbours of all ensembles, those of one size together, in the order of the comparison."""
    parts: dict[int, list[Array]] = {}
    for truths, nearest in _of_states(comparison) if space == "states" else _of_observables(comparison):
        parts.setdefault(truths, []).append(nearest)
    groups = [(truths, np.concatenate(some)) for truths, some in parts.items()]
    return [(nearest, np.tile(np.arange(nearest.shape[1]) < truths, (len(nearest), 1))) for truths, nearest in groups]


def _of_states(comparison: Comparison) -> Iterator[tuple[int, Array]]:
    """(g, nearest) of some ensembles after others, by whole states."""
    for chunk in comparison.chunks():
        pools = (np.concatenate([flat(x), flat(y)], axis=1) for x, y in comparison.scaled_states(chunk))
        yield chunk.cases.shape[1], np.asarray(sum(map(nearest_neighbours, pools))) / comparison.last


def _of_observables(comparison: Comparison) -> Iterator[tuple[int, Array]]:
    """(g, nearest) of some ensembles after others, by all observables."""
    truth, simulated = comparison.observed(comparison.reference.domain.observables)  # [n, L, K]
    unit = deviations(truth)
    truth, simulated = truth / unit, simulated / unit
    for group in comparison.groups:
        pool = np.concatenate([truth[group.cases], simulated[group.rollouts]], axis=1)  # [E, N, L, K]
        leads = (pool[:, :, lead] for lead in range(comparison.last))
        yield group.cases.shape[1], np.asarray(sum(map(nearest_neighbours, leads))) / comparison.last


SPEC = metric_spec(
    NearestNeighbour, NearestNeighbourParams, "are truths and rollouts told apart by nearest neighbours?"
)
