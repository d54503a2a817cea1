"""Coverage of central intervals of the observables.

A calibrated simulator need not be a good one: truths of any other parameters are calibrated too. Read it beside a
proper score.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.ranks import Ranks, pooled
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class CoverageParams(Params):
    """The numbers that should be covered."""

    observables: list[str] | None = fields.observables()
    resamples: int = fields.resamples()


def central_coverage(ranks: Ranks, members: int) -> tuple[Array, Array]:
    """(nominal, actual) coverage of the intervals from the k-th smallest to the k-th largest member.

    A truth that is like a member lies inside with probability (M + 1 − 2k) / (M + 1), exactly, for any M.
    ranks: members below each truth; k = 1, …, ⌊M/2⌋. Two float64[⌊M/2⌋], the widest interval first.
    """
    k = np.arange(1, members // 2 + 1)
    inside = (ranks.ravel() >= k[:, None]) & (ranks.ravel() <= members - k[:, None])
    return (members + 1 - 2 * k) / (members + 1), inside.mean(axis=1)


class Coverage(Metric):
    """Mean absolute gap between actual and nominal coverage of central intervals of the observables.

    Over all lead times, truths and intervals that M members have; ties at random. Items: actual coverage, the
    widest interval first. Extras: actual and nominal, of the widest; members.
    """

    direction = "min"
    unit = "probability"
    zero = "persistence"
    columns = (("actual", "covered"), ("nominal", "of nominal"))
    params: CoverageParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference)
        pool = pooled(comparison, self.params.observables, rng)
        ranks, members = pool.ranks(), pool.members
        nominal, _ = central_coverage(ranks, members)
        covered = np.stack([central_coverage(ensemble, members)[1] for ensemble in ranks])  # [E, k]

        def gap(times: NDArray[np.int64]) -> float:
            return float(np.abs(np.average(covered, axis=0, weights=times) - nominal).mean())

        value, interval = estimate(gap, len(covered), self.params.resamples, rng, distance=True)
        actual = covered.mean(axis=0)
        return Score(
            value,
            interval,
            items=actual,
            extras={"members": float(members), "actual": float(actual[0]), "nominal": float(nominal[0])},
            label=comparison.label,
        )


SPEC = metric_spec(Coverage, CoverageParams, "coverage of central intervals of the observables")
