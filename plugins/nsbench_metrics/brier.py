"""Fair Brier score by site, with its decomposition."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.reliability_table import counts_by_ensemble, reliability_table
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import event_threshold

Array = NDArray[np.float64]


class BrierParams(Params):
    """The event that is said to be probable; of labels: that a site holds one of them, whatever the threshold."""

    threshold: float = fields.threshold()
    resamples: int = fields.resamples()


def fair_brier(truths: Array, members: Array, threshold: float = 0.5) -> Array:
    """Fair Brier score of the event x > threshold, the mean over sites and channels.

        BS = mean over sites of (p − y)² − p (1 − p) / (M − 1),   p = share of members with the event

    truths: float64[E, g, ...], members: float64[E, M, ...], M ≥ 2. Returns float64[E, g].
    Brier 1950; the correction is that of Ferro 2014, doi 10.1002/qj.2270.
    """
    y, p = truths > threshold, (members > threshold).mean(axis=1, keepdims=True)
    count, sites = members.shape[1], tuple(range(2, truths.ndim))
    return ((p - y) ** 2).mean(axis=sites) - (p * (1 - p)).mean(axis=sites) / (count - 1)


class Brier(EnsembleMean):
    """Fair Brier score by site, the mean over sites, lead times and truths.

    Of labels it is half the sum over them, ½ Σ_k (p_k − y_k)², which for two labels is the score of either.

    Items: by ensemble and lead time. Extras: reliability, resolution and uncertainty of the plain score, over all lead
    times together; members.
    """

    direction = "min"
    unit = "1"
    zero = "climatology"
    params: BrierParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        domain = comparison.reference.domain
        threshold = event_threshold(domain, self.params.threshold)
        share = max(domain.labels, 2) / 2  # the mean over K labels becomes half their sum
        values = comparison.at_lead_times(partial(fair_brier, threshold=threshold)) * share
        parts = reliability_table(counts_by_ensemble(comparison, threshold)).decomposition()
        names = ("reliability", "resolution", "uncertainty")
        return ByEnsemble(values, {name: part * share for name, part in zip(names, parts, strict=True)})


SPEC = metric_spec(Brier, BrierParams, "fair Brier score by site, with its decomposition")
