"""Answers of latents, as the evidence holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence, LatentUse
from nsbench.components.metric import NotApplicable
from nsbench_metrics.shared.bootstrap import Interval, bootstrap_mean


def latent_use(evidence: Evidence) -> LatentUse:
    """The answers of a simulator's latents, by test transition. Raises NotApplicable where it has none."""
    if evidence.latent_use is None:
        raise NotApplicable("the simulator has no latents")
    return evidence.latent_use


def interval_of_mean(
    values: NDArray[np.float64], use: LatentUse, resamples: int, rng: np.random.Generator
) -> Interval | None:
    """95 % interval of the mean of a number of each transition, float64[m], resampling test trajectories."""
    group = np.unique(use.trajectory, return_inverse=True)[1]
    return bootstrap_mean(values, group.astype(np.int64), resamples, rng)
