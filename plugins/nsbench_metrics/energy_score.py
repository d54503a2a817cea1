"""Fair energy score of the whole state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean, by_channel
from nsbench_metrics.shared.norms import distances, flat
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class EnergyScoreParams(Params):
    """The precision of the interval."""

    resamples: int = fields.resamples()


def energy_score(truths: Array, members: Array) -> Array:
    """Fair energy score of a state, in its norm: the CRPS with |·| the Euclidean norm over all sites.

        ES = mean_m ‖x_m − y‖ − Σ_{m,m'} ‖x_m − x_m'‖ / (2 M (M − 1))

    truths: float64[E, g, ...], members: float64[E, M, ...], M ≥ 2; whatever follows is one vector. Of binary
    states, and of labels, ‖x − y‖ is the square root of the number of sites that differ. Its expectation does not
    depend on M (Ferro 2014, doi 10.1002/qj.2270), so it may be negative. Gneiting & Raftery 2007,
    doi 10.1198/016214506000001437. By inner products: `scoringrules` makes
    an array of M × M × D differences for every truth.
    """
    x, y = flat(members), flat(truths)
    count = x.shape[1]
    among = distances(x, x).sum(axis=(1, 2)) / (count * (count - 1))
    return distances(y, x).mean(axis=2) - among[:, None] / 2


class EnergyScore(EnsembleMean):
    """Fair energy score of the whole state, the mean over lead times and truths. Items: by ensemble and lead time.

    Of fields each channel by itself, in the truth's standard deviations, then the mean over channels. Items then by
    channel too. Extras: the mean of each channel, members.
    """

    direction = "min"
    unit = "state norm"
    zero = "climatology"
    params: EnergyScoreParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        return by_channel(comparison, energy_score)


SPEC = metric_spec(EnergyScore, EnergyScoreParams, "fair energy score of the whole state")
