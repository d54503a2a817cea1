"""Null models: forecasts without knowledge of the case, made from the truth alone. Their scores are what a score is
for knowing nothing.

persistence   nothing happens: every rollout stays in its start state.
climatology   any case's truth, whatever the parameters: each rollout is a truth of another ensemble, drawn at random.
              The distribution over all cases is right, and the parameters of the case are ignored.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.evidence import Evidence
from nsbench.components.metric import Null
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import alike


def null_evidence(null: Null, reference: Trajectories, members: int, rng: np.random.Generator) -> Evidence | None:
    """The evidence of a null model, without likelihood and cost; None where it is undefined, see climatology."""
    rollouts = persistence(reference, members) if null == "persistence" else climatology(reference, members, rng)
    return None if rollouts is None else Evidence(rollouts, members)


def persistence(reference: Trajectories, members: int) -> Trajectories:
    """Rollouts that end where they start."""
    return reference.start().select(np.repeat(np.arange(len(reference)), members))


def climatology(reference: Trajectories, members: int, rng: np.random.Generator) -> Trajectories | None:
    """Rollouts drawn from the truths of other ensembles, with the parameters of the case that they stand for.

    Within an ensemble no truth is drawn twice while there are enough of them. None for a reference of one
    ensemble: there is no other to draw from.
    """
    groups = alike(reference)
    if len(groups) == 1:
        return None
    sources = np.empty((len(reference), members), dtype=np.int64)
    for group in groups:
        outside = np.setdiff1d(np.arange(len(reference)), group)
        count = len(group) * members
        sources[group] = rng.choice(outside, count, replace=count > len(outside)).reshape(-1, members)
    rollouts = reference.select(sources.ravel())
    return replace(rollouts, params=np.repeat(reference.params, members, axis=0))
