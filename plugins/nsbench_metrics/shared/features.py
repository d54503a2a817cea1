"""Trajectories as vectors, in which distributions are compared."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence
from nsbench.trajectories.base import Trajectories
from nsbench_metrics.shared.comparison import channel_deviations
from nsbench_metrics.shared.descriptors import describe
from nsbench_metrics.shared.lead_times import last_lead, observed
from nsbench_metrics.shared.states import as_vectors

Array = NDArray[np.float64]
Space = Literal["observables", "curves", "descriptors", "fields"]


def feature_pair(evidence: Evidence, reference: Trajectories, space: Space) -> tuple[Array, Array]:
    """The features of truths float64[n, d] and of rollouts float64[n · members, d].

    All are divided by their standard deviation over all truths, so that they have no unit; a feature that is the same
    for all truths is left as it is. Of final states each channel of fields has one, over truths and sites; growth and
    labels have none.
    """
    truth, simulated = (_features(t, space, last_lead(reference)) for t in (reference, evidence.rollouts))
    domain = reference.domain
    if space == "fields":
        if domain.states != "fields":
            return truth, simulated
        scale = channel_deviations([truth.reshape(len(truth), len(domain.channels), *domain.shape)]).repeat(
            domain.sites
        )
    else:
        scale = deviations(truth)
    return truth / scale, simulated / scale


def deviations(truth: Array) -> Array:
    """Standard deviations float64[d] of features float64[n, d], 1 where there is none."""
    scale = truth.std(axis=0)
    return np.where(scale > 1e-12 * np.abs(truth).max(axis=0, initial=0), scale, 1.0)


def _features(trajectories: Trajectories, space: Space, last: int) -> Array:
    domain = trajectories.domain
    if space == "observables":
        return domain.observe(trajectories.final())
    if space == "curves":
        return observed(trajectories, last, domain.observables).reshape(len(trajectories), -1)
    if space == "descriptors":
        return describe(trajectories)
    return as_vectors(trajectories.final().astype(np.float64), domain).reshape(len(trajectories), -1)
