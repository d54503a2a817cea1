"""Memory of the fluctuations of growth. Not proper; read the floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared.comparison import compare
from nsbench_metrics.shared.increments import increments
from nsbench_metrics.shared.observables import choose_observable
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class AutocorrelationParams(Params):
    """observable: the number whose increments count, by name; the domain's first if not given.

    lags: compared, in frames.
    """

    observable: str | None = None
    lags: int = Field(4, ge=1)


def autocorrelation(anomalies: Array, lags: int) -> Array:
    """Correlation of a fluctuation with itself k frames later, float64[lags], k = 1, 2, ….

        r_k = (Σ a(t) a(t + k) / N_k) / (Σ a(t)² / N_0),   N: the number of terms

    anomalies: float64[n, L], with mean 0 at each lead time. 0 where nothing fluctuates.
    """
    power = float((anomalies**2).mean())
    if power == 0:
        return np.zeros(lags)
    return np.array([float((anomalies[:, :-k] * anomalies[:, k:]).mean()) for k in range(1, lags + 1)]) / power


class Autocorrelation(Metric):
    """Mean absolute difference of the autocorrelations of growth, over lags.

    Of the increments of an observable, minus their mean over the ensemble at the same lead time, truths and
    members each on their own side: does a growth spurt last as long as it should? A side that does not fluctuate
    has autocorrelation 0. Items: truth's then simulator's, by lag.
    """

    direction = "min"
    unit = "1"
    zero = "persistence"
    params: AutocorrelationParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        comparison = compare(evidence, reference, truths=2)
        lags = min(self.params.lags, comparison.last - 1)
        if lags < 1:
            raise NotApplicable("needs truths of two frames after the start")
        observable = choose_observable(reference.domain, self.params.observable)
        sides = (
            (reference, [e.cases for e in comparison.groups]),
            (evidence.rollouts, [e.rollouts for e in comparison.groups]),
        )
        truth, simulated = (
            autocorrelation(_anomalies(increments(trajectories, comparison.last, observable), index), lags)
            for trajectories, index in sides
        )
        return Score(
            value=float(np.abs(truth - simulated).mean()),
            items=np.concatenate([truth, simulated]),
            extras={
                "members": float(comparison.members[0]),
                "truth": float(truth[0]),
                "simulator": float(simulated[0]),
            },
            label=comparison.label,
        )


def _anomalies(values: Array, ensembles: list[NDArray[np.int64]]) -> Array:
    """Values of all trajectories, float64[n, L], minus their mean over each ensemble, int64[E, m]: float64[n, L]."""
    groups = [values[index] for index in ensembles]  # [E, m, L]
    return np.concatenate([(g - g.mean(axis=1, keepdims=True)).reshape(-1, values.shape[1]) for g in groups])


SPEC = metric_spec(Autocorrelation, AutocorrelationParams, "memory of the fluctuations of growth")
