"""Fair continuous ranked probability score of the observables over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.features import deviations
from nsbench_metrics.shared.observables import choose_observables, common_unit
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class CRPSParams(Params):
    """The numbers that are scored; of growth they must have one unit."""

    observables: list[str] | None = fields.observables()
    resamples: int = fields.resamples()


def fair_crps(truths: Array, members: Array) -> Array:
    """Fair continuous ranked probability score of a number, in its unit.

        CRPS = mean_m |x_m − y| − Σ_{m,m'} |x_m − x_m'| / (2 M (M − 1))

    truths: float64[..., g], members: float64[..., M], M ≥ 2. Returns float64[..., g]. Its expectation does not depend
    on M (Ferro 2014, doi 10.1002/qj.2270), so it may be negative.
    Matheson & Winkler 1976. In O(M log M): of sorted members, Σ_{m,m'} |x_m − x_m'| = 2 Σ_m (2 m − M − 1) x_m.
    """
    count = members.shape[-1]
    weights = 2 * np.arange(1, count + 1) - count - 1
    among = np.sort(members, axis=-1) @ weights / (count * (count - 1))
    away = np.abs(members[..., None, :] - truths[..., None]).mean(axis=-1)
    return np.asarray(away - among[..., None])


class CRPS(EnsembleMean):
    """Fair CRPS of the domain's observables, the mean over observables, lead times and truths.

    Items: by ensemble and lead time. Extras: the mean of each observable, members. Observables of fields, whose
    channels have units of their own, are in the truth's standard deviations, over truths and lead times; then items are
    by observable too.
    """

    direction = "min"
    unit = "sites"
    zero = "climatology"
    params: CRPSParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        observables = choose_observables(comparison.reference.domain, self.params.observables)
        truth, simulated = comparison.observed(observables)  # [n, L, K]
        dense = comparison.reference.domain.states != "growth"
        if dense:
            scale = deviations(truth.reshape(-1, len(observables)))
            truth, simulated, unit = truth / scale, simulated / scale, "σ"
        else:
            unit = common_unit(observables)
        parts = [
            fair_crps(np.moveaxis(truth[e.cases], 1, -1), np.moveaxis(simulated[e.rollouts], 1, -1)).mean(axis=-1)
            for e in comparison.groups
        ]
        values = np.concatenate(parts)  # [E, L, K]
        means = np.average(values.mean(axis=1), axis=0, weights=comparison.weights)
        extras = {o.name: float(mean) for o, mean in zip(observables, means, strict=True)}
        return ByEnsemble(values if dense else values.mean(axis=2), extras, unit=unit)


SPEC = metric_spec(CRPS, CRPSParams, "fair CRPS of the observables over time")
