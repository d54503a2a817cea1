"""First lead time at which rollouts have left the truth. Not proper; read the floor.

Shapes: E ensembles, g truths and M simulated members each, L lead times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nsbench.components.component import Params
from nsbench.trajectories.ensembles import Ensembles
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.norms import flat, squared_distances
from nsbench_metrics.shared.spec import metric_spec

Array = NDArray[np.float64]


class DivergenceParams(Params):
    """tolerance: of ‖x − y‖² / ‖y‖², the truth y; beyond it a rollout has left the truth."""

    tolerance: float = Field(0.1, gt=0)
    resamples: int = fields.resamples()


def divergence_times(squares: Sequence[Array], tolerance: float) -> Array:
    """First lead time at which a relative squared distance exceeds the tolerance, L + 1 if none.

    squares: L arrays float64[...], ‖x − y‖² / ‖y‖² at lead times 1 to L. Returns float64[...].
    """
    apart = np.stack([s > tolerance for s in squares])
    return np.where(apart.any(axis=0), apart.argmax(axis=0) + 1.0, len(squares) + 1.0)


class Divergence(EnsembleMean):
    """First lead time at which a member has left the truth: ‖x − y‖² > tolerance · ‖y‖². Later is better.

    For growth the share of sites that differ, of those that the truth has attached; channels of fields are in the
    truth's standard deviations; for labels twice the share of sites that differ. The mean over pairs of a truth and a
    member; a pair that stays together counts L + 1. Truths leave each other too, which is the floor;
    a deterministic simulator in their middle may stay longer. Items: by ensemble.
    """

    direction = "max"
    unit = "frames"
    zero = "climatology"
    least_members = 1
    params: DivergenceParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        return ByEnsemble(np.concatenate([self._times(comparison, chunk) for chunk in comparison.chunks()]))

    def _times(self, comparison: Comparison, chunk: Ensembles) -> Array:
        """The mean time of some ensembles, float64[E]."""
        squares = [_relative(truths, members) for truths, members in comparison.scaled_states(chunk)]
        return divergence_times(squares, self.params.tolerance).mean(axis=(1, 2))


def _relative(truths: Array, members: Array) -> Array:
    """‖x − y‖² / ‖y‖², float64[E, g, M]."""
    y, x = flat(truths), flat(members)
    return squared_distances(y, x) / np.maximum((y**2).sum(axis=2), 1e-12)[:, :, None]


SPEC = metric_spec(Divergence, DivergenceParams, "first lead time at which rollouts have left the truth")
