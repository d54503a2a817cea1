"""Mean absolute difference of growth maps. Not proper; read the floor.

Shapes: E ensembles, g truths and M simulated members each, S sites and channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Params
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_metrics.shared import fields
from nsbench_metrics.shared.comparison import Comparison
from nsbench_metrics.shared.ensemble_mean import ByEnsemble, EnsembleMean
from nsbench_metrics.shared.lead_times import state_at
from nsbench_metrics.shared.spec import metric_spec
from nsbench_metrics.shared.states import require_numbers

Array = NDArray[np.float64]


class ArrivalParams(Params):
    """The state in which a site has attached."""

    threshold: float = fields.threshold()
    resamples: int = fields.resamples()


def arrival_maps(trajectories: Trajectories, index: NDArray[np.int64], last: int, threshold: float) -> Array:
    """First frame in which each site is above the threshold, last + 1 where it is not by frame `last`.

    index: int64[E, m]. Returns float64[E, m, S].
    """
    shape = (*index.shape, -1)
    if isinstance(trajectories, GrowthTrajectories) and 0 <= threshold < 1:
        arrival = trajectories.arrival[index.ravel()]
        return np.where((arrival < 0) | (arrival > last), last + 1, arrival).reshape(shape).astype(np.float64)
    arrival = np.full((index.size, trajectories.domain.sites * len(trajectories.domain.channels)), last + 1.0)
    for t in range(last, -1, -1):
        arrival[state_at(trajectories, index, t).reshape(index.size, -1) > threshold] = t
    return arrival.reshape(shape)


def arrival_errors(truths: Array, members: Array, never: Array) -> tuple[Array, Array]:
    """(error, spread) of arrival times, each float64[E], frames a site that attaches.

        error = Σ |a − b| over pairs of a truth and a member and over sites, spread: over pairs of members,

    each divided by the number of pairs and by the mean number of sites that attach in a truth. error − spread/2
    is the fair CRPS of arrival times. truths: float64[E, g, S], members: float64[E, M, S]; never: float64[E],
    later arrivals are put to it.
    """
    a, b = (np.minimum(x, never[:, None, None]) for x in (truths, members))
    sites = np.maximum((a < never[:, None, None]).sum(axis=(1, 2)) / a.shape[1], 1.0)
    error = np.stack([np.abs(a - member[:, None]).sum(axis=2) for member in np.swapaxes(b, 0, 1)], axis=2)  # [E, g, M]
    among = np.stack([np.abs(b - member[:, None]).sum(axis=2) for member in np.swapaxes(b, 0, 1)], axis=2)  # [E, M, M]
    pairs = max(b.shape[1] * (b.shape[1] - 1), 1)
    return error.mean(axis=(1, 2)) / sites, among.sum(axis=(1, 2)) / pairs / sites


class ArrivalError(EnsembleMean):
    """Mean absolute difference of arrival times between truths and members, frames a site that attaches.

    A site that never attaches is put to the frame after the last of its ensemble's longest truth. Truths differ
    among themselves, which is the floor; a deterministic simulator in their middle lies below it, so the fair
    CRPS of arrival times, which is proper, stands beside it. Extras: crps (with two members at least), members.
    Items: by ensemble.
    """

    direction = "min"
    unit = "frames"
    zero = "climatology"
    columns = (("crps", "fair CRPS"),)
    least_members = 1
    params: ArrivalParams

    def by_ensemble(self, comparison: Comparison) -> ByEnsemble:
        require_numbers(comparison.reference.domain)
        sides = [self._errors(comparison, chunk) for chunk in comparison.chunks()]
        error, spread = (np.concatenate(side) for side in zip(*sides, strict=True))
        if comparison.members[0] < 2:
            return ByEnsemble(error)
        return ByEnsemble(error, {"crps": float(np.average(error - spread / 2, weights=comparison.weights))})

    def _errors(self, comparison: Comparison, chunk: Ensembles) -> tuple[Array, Array]:
        """arrival_errors of some ensembles."""
        never = comparison.reference.lengths[chunk.cases].max(axis=1).astype(np.float64)
        truths, members = (
            arrival_maps(trajectories, index, comparison.last, self.params.threshold)
            for trajectories, index in ((comparison.reference, chunk.cases), (comparison.rollouts, chunk.rollouts))
        )
        return arrival_errors(truths, members, never)


SPEC = metric_spec(ArrivalError, ArrivalParams, "mean absolute difference of growth maps")
