"""Along the way: when sites attach, and for how long the truth is followed. Neither is proper; read the floors.

Shapes: E ensembles, g truths and M simulated members each, L lead times, S sites and channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Metric, Score
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import Ensembles
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_metrics.leads import (
    averaged,
    chunk_size,
    groups,
    last_lead,
    members_range,
    state_at,
    states,
    truth_counts,
)
from nsbench_metrics.norms import flat, squared_distances
from nsbench_metrics.params import ArrivalParams, DivergenceParams

Array = NDArray[np.float64]


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
    error = np.stack([np.abs(a - own[:, None]).sum(axis=2) for own in np.swapaxes(b, 0, 1)], axis=2)  # [E, g, M]
    among = np.stack([np.abs(b - own[:, None]).sum(axis=2) for own in np.swapaxes(b, 0, 1)], axis=2)  # [E, M, M]
    pairs = max(b.shape[1] * (b.shape[1] - 1), 1)
    return error.mean(axis=(1, 2)) / sites, among.sum(axis=(1, 2)) / pairs / sites


class ArrivalError(Metric):
    """Mean absolute difference of arrival times between truths and members, frames a site that attaches.

    A site that never attaches is put to the frame after the last of its ensemble's longest truth. Truths differ
    among themselves, which is the floor; a deterministic simulator in their middle lies below it, so the fair
    CRPS of arrival times, which is proper, stands beside it. Extras: crps (with two members at least), members.
    Items: by ensemble.
    """

    direction = "min"
    unit = "frames"
    zero = "climatology"
    items_by = "ensemble"
    columns = (("crps", "fair CRPS"),)
    params: ArrivalParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, last = groups(evidence, reference, members=1), last_lead(reference)
        sides = [
            self._errors(evidence, reference, chunk, last)
            for group in found
            for chunk in group.chunks(chunk_size(reference.domain, group))
        ]
        error, spread = (np.concatenate(side) for side in zip(*sides, strict=True))
        weights, members = truth_counts(found), members_range(found)
        extras = {"members": float(members[0])}
        if members[0] > 1:
            extras["crps"] = float(np.average(error - spread / 2, weights=weights))
        return averaged(error, weights, members, self.params.resamples, rng, extras)

    def _errors(self, evidence: Evidence, reference: Trajectories, chunk: Ensembles, last: int) -> tuple[Array, Array]:
        never = reference.lengths[chunk.cases].max(axis=1).astype(np.float64)
        own = arrival_maps(reference, chunk.cases, last, self.params.threshold)
        others = arrival_maps(evidence.rollouts, chunk.rollouts, last, self.params.threshold)
        return arrival_errors(own, others, never)


def divergence_times(squares: Sequence[Array], tolerance: float) -> Array:
    """First lead time at which a relative squared distance exceeds the tolerance, L + 1 if none.

    squares: L arrays float64[...], ‖x − y‖² / ‖y‖² at lead times 1 to L. Returns float64[...].
    """
    apart = np.stack([s > tolerance for s in squares])
    return np.where(apart.any(axis=0), apart.argmax(axis=0) + 1.0, len(squares) + 1.0)


class Divergence(Metric):
    """First lead time at which a member has left the truth: ‖x − y‖² > tolerance · ‖y‖². Later is better.

    For growth the share of sites that differ, of those that the truth has attached. The mean over pairs of a
    truth and a member; a pair that stays together counts L + 1. Truths leave each other too, which is the floor;
    a deterministic simulator in their middle may stay longer. Items: by ensemble.
    """

    direction = "max"
    unit = "frames"
    zero = "climatology"
    items_by = "ensemble"
    params: DivergenceParams

    def score(self, evidence: Evidence, reference: Trajectories, rng: np.random.Generator) -> Score:
        found, leads = groups(evidence, reference, members=1), range(1, last_lead(reference) + 1)
        parts = [
            divergence_times(
                [_relative(x, y) for x, y in states(evidence, reference, chunk, leads)], self.params.tolerance
            ).mean(axis=(1, 2))
            for group in found
            for chunk in group.chunks(chunk_size(reference.domain, group))
        ]
        members = members_range(found)
        extras = {"members": float(members[0])}
        return averaged(np.concatenate(parts), truth_counts(found), members, self.params.resamples, rng, extras)


def _relative(truths: Array, members: Array) -> Array:
    """‖x − y‖² / ‖y‖², float64[E, g, M]."""
    y, x = flat(truths), flat(members)
    return squared_distances(y, x) / np.maximum((y**2).sum(axis=2), 1e-12)[:, :, None]
