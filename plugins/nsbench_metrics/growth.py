"""How an observable grows from frame to frame, and with what memory. Neither is proper; read the floors.

Shapes: E ensembles, g truths and M simulated members each, L lead times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, NotApplicable, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.domain import Observable
from nsbench_metrics.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.leads import (
    averaged,
    groups,
    last_lead,
    members_label,
    members_range,
    observed,
    select_observables,
    truth_counts,
)
from nsbench_metrics.params import AutocorrelationParams, GrowthRateParams

Array = NDArray[np.float64]


class GrowthRate(Metric):
    """Mean absolute difference between the truth's and the simulator's curve of growth, per frame.

        mean over ensembles and lead times of |mean_g Δo(t) − mean_M Δo(t)|,   Δo(t) = o(t) − o(t − 1)

    o: an observable; ended trajectories grow by 0. Means of few members are noisy, which raises it: the floor.
    Items: by ensemble and lead time.
    """

    direction = "min"
    unit = "sites/frame"
    zero = "climatology"
    items_by = "ensemble"
    params: GrowthRateParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference, members=1), last_lead(reference)
        observable = _one(reference, self.params.observable)
        truth, simulated = (increments(t, last, observable) for t in (reference, evidence.rollouts))
        curves = [(truth[e.cases].mean(axis=1), simulated[e.rollouts].mean(axis=1)) for e in found]
        own, others = (np.concatenate(side) for side in zip(*curves, strict=True))  # [E, L]
        weights, members = truth_counts(found), members_range(found)
        gap = np.abs(own - others)
        score = averaged(gap.mean(axis=1), weights, members, self.params.resamples, rng, {"members": float(members[0])})
        conditions = reference.params[:, reference.domain.column(reference.domain.condition)]
        order = np.concatenate([conditions[e.cases[:, 0]] for e in found])
        return Score(
            value=score.value,
            interval=score.interval,
            items=gap,
            extras=score.extras,
            figure=_curves(own, others, order, observable.name, reference.domain.condition),
            label=score.label,
            unit=f"{observable.unit}/frame",
        )


def increments(trajectories: Trajectories, last: int, observable: Observable) -> Array:
    """What an observable gains from frame to frame, float64[n, L]."""
    return np.diff(observed(trajectories, last, [observable], first=0)[:, :, 0], axis=1)


def _curves(own: Array, others: Array, order: Array, name: str, condition: str) -> bytes:
    """Curves of growth of both sides, in thirds of the conditioning parameter."""
    thirds = [part for part in np.array_split(np.argsort(order), 3) if len(part)]
    drawn, axes = figure(len(thirds))
    for ax, part in zip(axes, thirds, strict=True):
        leads = np.arange(1, own.shape[1] + 1)
        ax.plot(leads, own[part].mean(axis=0), color=TRUTH, label="truth", linewidth=2)
        ax.plot(leads, others[part].mean(axis=0), color=SIMULATOR, label="simulator")
        ax.set(xlabel="frame", ylabel=f"{name} a frame")
        ax.set_title(f"{condition} {order[part].min():.3g} to {order[part].max():.3g}", fontsize=9)
    axes[0].legend(frameon=False)
    return png(drawn)


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
        found, last = groups(evidence, reference, truths=2), last_lead(reference)
        lags = min(self.params.lags, last - 1)
        if lags < 1:
            raise NotApplicable("needs truths of two frames after the start")
        observable = _one(reference, self.params.observable)
        truth, simulated = (increments(t, last, observable) for t in (reference, evidence.rollouts))
        own, others = (
            autocorrelation(np.concatenate([_anomalies(x[i]) for i in index]), lags)
            for x, index in ((truth, [e.cases for e in found]), (simulated, [e.rollouts for e in found]))
        )
        members = members_range(found)
        return Score(
            value=float(np.abs(own - others).mean()),
            items=np.concatenate([own, others]),
            extras={"members": float(members[0]), "truth": float(own[0]), "simulator": float(others[0])},
            label=members_label(members),
        )


def _anomalies(values: Array) -> Array:
    """float64[E, m, L] minus the mean over m, as float64[E · m, L]."""
    return (values - values.mean(axis=1, keepdims=True)).reshape(-1, values.shape[2])


def _one(reference: Trajectories, name: str | None) -> Observable:
    first = reference.domain.observables[0].name
    return select_observables(reference.domain, [name or first])[0][0]
