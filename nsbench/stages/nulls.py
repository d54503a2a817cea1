"""Null models: what a score is for knowing nothing. They need no simulator, only the truth.

persistence   nothing happens: every rollout stays in its start state.
climatology   any case's truth, whatever the parameters: each rollout is the truth of another ensemble, drawn
              at random. Its distribution over all cases is right, and it ignores what it is asked for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Null
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import alike


def null_evidence(null: Null, reference: Trajectories, members: int, rng: np.random.Generator) -> Evidence | None:
    """The evidence that a null model would leave, without likelihood and cost; None where it has no meaning."""
    rollouts = persistence(reference, members) if null == "persistence" else climatology(reference, members, rng)
    return None if rollouts is None else Evidence(rollouts, members)


def persistence(reference: Trajectories, members: int) -> Trajectories:
    """Rollouts that end where they start."""
    return reference.start().select(np.repeat(np.arange(len(reference)), members))


def climatology(reference: Trajectories, members: int, rng: np.random.Generator) -> Trajectories | None:
    """Rollouts that are other ensembles' truths, under the parameters of their case.

    Within an ensemble no truth is drawn twice while there are enough of them. None for a reference of one
    ensemble: there is no other to draw from.
    """
    groups = alike(reference)
    if len(groups) == 1:
        return None
    drawn = np.empty((len(reference), members), dtype=np.int64)
    for own in groups:
        others = np.setdiff1d(np.arange(len(reference)), own)
        count = len(own) * members
        drawn[own] = rng.choice(others, count, replace=count > len(others)).reshape(-1, members)
    rollouts = reference.select(drawn.ravel())
    return replace(rollouts, params=np.repeat(reference.params, members, axis=0))
