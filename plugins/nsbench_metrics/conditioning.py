"""Does what grows follow the parameter that it is asked for?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensembles
from nsbench_metrics.bootstrap import bootstrap_ensembles
from nsbench_metrics.diagnostic_params import ConditioningParams
from nsbench_metrics.leads import select_observables

Array = NDArray[np.float64]


def slope(x: Array, y: Array, weights: Array) -> float:
    """Of the weighted least-squares line of y over x; 0 where x does not vary."""
    total = weights.sum()
    dx, dy = x - (weights * x).sum() / total, y - (weights * y).sum() / total
    spread = float((weights * dx * dx).sum())
    return float((weights * dx * dy).sum()) / spread if spread > 0 else 0.0


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's, ties at their mean rank; 0 where one side does not vary."""
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
        domain, found = reference.domain, ensembles(reference, evidence.members)
        name = self.params.observable or domain.observables[0].name
        function = select_observables(domain, [name])[0][0].function
        own, truth = (function(t.final()).astype(np.float64) for t in (evidence.rollouts, reference))
        given = reference.params[:, domain.column(domain.condition)]
        asked = evidence.rollouts.params[:, domain.column(domain.condition)]
        true_slope = slope(given, truth, np.ones(len(truth)))
        if given.std() == 0 or true_slope == 0:
            raise NotApplicable(f"the truth's {name} does not follow {domain.condition}")

        def gap(times: NDArray[np.int64]) -> float:
            ours, theirs = weights(times, [e.rollouts for e in found]), weights(times, [e.cases for e in found])
            theirs_slope = slope(given, truth, theirs)
            return abs(slope(asked, own, ours) / theirs_slope - 1) if theirs_slope else 1.0

        count = sum(len(e) for e in found)
        return Score(
            value=gap(np.ones(count, np.int64)),
            interval=bootstrap_ensembles(gap, count, self.params.resamples, rng, distance=True),
            extras={
                "slope": slope(asked, own, np.ones(len(own))),
                "truth_slope": true_slope,
                "rank_correlation": rank_correlation(asked, own),
                "truth_rank_correlation": rank_correlation(given, truth),
            },
        )


def weights(times: NDArray[np.int64], index: list[NDArray[np.int64]]) -> Array:
    """How often each trajectory counts when ensembles count `times`: int64[E] to float64[n]."""
    rows = [row for group in index for row in group]
    counted = np.zeros(sum(row.size for row in rows))
    for row, k in zip(rows, times, strict=True):
        counted[row] = k
    return counted
