"""Diagnostic: dependence of the final state on the parameter that is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.observables import choose_observable
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class ConditioningParams(Params):
    """observable: the number that should follow the parameter, by name; the domain's first if not given."""

    observable: str | None = None
    resamples: int = fields.resamples()


def slope(x: Array, y: Array, weights: Array) -> float:
    """Slope of the weighted least-squares line of y over x, float64[n]; 0 where x does not vary."""
    total = weights.sum()
    dx, dy = x - (weights * x).sum() / total, y - (weights * y).sum() / total
    spread = float((weights * dx * dx).sum())
    return float((weights * dx * dy).sum()) / spread if spread > 0 else 0.0


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one side does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


class Conditioning(Metric):
    """|s / s* − 1|: s the slope of an observable of the final state over the conditioning parameter, s* the truth's.

    0: what grows follows the parameter as the truth does; 1: it does not follow it at all. Extras: slope and
    truth_slope, in the observable's unit by the parameter's; rank_correlation and truth_rank_correlation, Spearman's.
    A slope sees a straight line only; the rank correlation any monotone dependence, but not how steep it is.
    Items: none.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    columns = (("rank_correlation", "rank correlation"), ("truth_rank_correlation", "the truth's"))
    params: ConditioningParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        domain, groups = reference.domain, ensembles(reference, evidence.members)
        observable = choose_observable(domain, self.params.observable)
        simulated, truth = (observable.function(t.final()).astype(np.float64) for t in (evidence.rollouts, reference))
        given = reference.params[:, domain.column(domain.condition)]
        asked = evidence.rollouts.params[:, domain.column(domain.condition)]
        true_slope = slope(given, truth, np.ones(len(truth)))
        if given.std() == 0 or true_slope == 0:
            raise NotApplicable(f"the truth's {observable.name} does not follow {domain.condition}")

        def gap(times: NDArray[np.int64]) -> float:
            resampled = slope(given, truth, weights(times, [g.cases for g in groups]))
            counts = weights(times, [g.rollouts for g in groups])
            return abs(slope(asked, simulated, counts) / resampled - 1) if resampled else 1.0

        value, interval = estimate(gap, sum(len(g) for g in groups), self.params.resamples, rng, distance=True)
        extras = {
            "slope": slope(asked, simulated, np.ones(len(simulated))),
            "truth_slope": true_slope,
            "rank_correlation": rank_correlation(asked, simulated),
            "truth_rank_correlation": rank_correlation(given, truth),
        }
        return Score(value, interval, extras=extras)


def weights(times: NDArray[np.int64], index: list[NDArray[np.int64]]) -> Array:
    """The number of times that each trajectory counts, float64[n], when ensembles count `times`, int64[E].

    index: the trajectories of the ensembles, int64[E, m], an array for each size of ensemble.
    """
    rows = [row for group in index for row in group]
    counted = np.zeros(sum(row.size for row in rows))
    for row, k in zip(rows, times, strict=True):
        counted[row] = k
    return counted


SPEC = metric_spec(
    Conditioning,
    ConditioningParams,
    "diagnostic: does the final area follow the parameter as the truth's does?",
)
