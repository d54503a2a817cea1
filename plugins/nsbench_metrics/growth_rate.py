"""Difference of the curves of growth. Not proper; read the floor.

Shapes: E ensembles, g truths and M simulated members each, L lead times.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.figures import SIMULATOR, TRUTH, figure, png
from nsbench_metrics.shared.increments import increments
from nsbench_metrics.shared.observables import choose_observable
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class GrowthRateParams(Params):
    """observable: the number that grows, by name; the domain's first if not given."""

    observable: str | None = None
    resamples: int = fields.resamples()


class GrowthRate(EnsembleMean):
    """Mean absolute difference between the truth's and the simulator's curve of growth, per frame.

        mean over ensembles and lead times of |mean_g Δo(t) − mean_M Δo(t)|,   Δo(t) = o(t) − o(t − 1)

    o: an observable; ended trajectories grow by 0. Means of few members are noisy, which raises it: the floor.
    Items: by ensemble and lead time.
    """

    direction = "min"
    unit = "sites/frame"
    zero = "climatology"
    least_members = 1
    params: GrowthRateParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        reference, domain = comparison.reference, comparison.reference.domain
        observable = choose_observable(domain, self.params.observable)
        truth, simulated = (increments(t, comparison.last, observable) for t in (reference, comparison.rollouts))
        curves = [(truth[e.cases].mean(axis=1), simulated[e.rollouts].mean(axis=1)) for e in comparison.groups]
        truths, rollouts = (np.concatenate(side) for side in zip(*curves, strict=True))  # [E, L]
        conditions = reference.params[:, domain.column(domain.condition)]
        condition = np.concatenate([conditions[e.cases[:, 0]] for e in comparison.groups])
        return ByEnsemble(
            np.abs(truths - rollouts),
            figure=partial(_curves, truths, rollouts, condition, observable.name, domain.condition),
            unit=f"{observable.unit}/frame",
        )


def _curves(truths: Array, rollouts: Array, condition: Array, name: str, parameter: str) -> bytes:
    """Curves of growth of both sides, in thirds of the conditioning parameter."""
    thirds = [part for part in np.array_split(np.argsort(condition), 3) if len(part)]
    drawing, axes = figure(len(thirds))
    for ax, part in zip(axes, thirds, strict=True):
        leads = np.arange(1, truths.shape[1] + 1)
        ax.plot(leads, truths[part].mean(axis=0), color=TRUTH, label="truth", linewidth=2)
        ax.plot(leads, rollouts[part].mean(axis=0), color=SIMULATOR, label="simulator")
        ax.set(xlabel="frame", ylabel=f"{name} a frame")
        ax.set_title(f"{parameter} {condition[part].min():.3g} to {condition[part].max():.3g}", fontsize=9)
    axes[0].legend(frameon=False)
    return png(drawing)


SPEC = metric_spec(GrowthRate, GrowthRateParams, "difference of the curves of growth")
