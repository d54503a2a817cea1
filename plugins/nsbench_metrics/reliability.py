"""Reliability diagram: the gap between probabilities said and frequencies seen, by site."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.bootstrap import estimate
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.shared.reliability_table import Reliability, counts_by_ensemble, reliability_table
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import event_threshold


class ReliabilityParams(Params):
    """The event that is said to be probable; of labels: that a site holds one of them, whatever the threshold."""

    threshold: float = fields.threshold()
    resamples: int = fields.resamples()


class ReliabilityDiagram(Metric):
    """Root mean square gap between the probability said and the frequency seen, over sites and lead times.

        √ Σ_k n_k (p_k − o_k)² / Σ_k n_k,   p_k = k / M, o_k the frequency of the event where p_k was said

    Sites on which the whole ensemble and the truth agree count, with a gap near 0. Items: the frequencies, by
    p_k (−1: never said). A true ensemble is not quite at 0: p_k is a share of M members, not a probability.
    Bröcker & Smith 2007, doi 10.1175/WAF993.1.
    """

    direction = "min"
    unit = "probability"
    zero = "persistence"
    params: ReliabilityParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference)
        counts = counts_by_ensemble(comparison, event_threshold(reference.domain, self.params.threshold))

        def gap(times: NDArray[np.int64]) -> float:
            return reliability_table(counts * times[:, None, None]).decomposition()[0] ** 0.5

        value, interval = estimate(gap, len(counts), self.params.resamples, rng, distance=True)
        table = reliability_table(counts)
        return Score(
            value,
            interval,
            items=np.nan_to_num(table.frequency(), nan=-1.0),
            extras={"members": float(comparison.members[0])},
            figure=partial(_diagram, table),
            label=comparison.label,
        )


def _diagram(table: Reliability) -> bytes:
    """Frequencies against probabilities, and how often each was said."""
    drawing, (left, right) = figure(2)
    used = table.count > 0
    left.plot([0, 1], [0, 1], color=TRUTH, linewidth=1)
    left.plot(table.said[used], table.frequency()[used], "o-", color=SIMULATOR, markersize=4)
    left.set(xlabel="probability said", ylabel="frequency seen")
    right.bar(table.said, table.count, width=0.8 / len(table.said), color=SIMULATOR)
    right.set(xlabel="probability said", ylabel="sites × truths", yscale="log")
    return png(drawing)


SPEC = metric_spec(ReliabilityDiagram, ReliabilityParams, "do sites attach as often as they are said to?")
