"""Answers of latents, as the evidence holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nsbench.components.evidence import Evidence, LatentUse
from nsbench.components.metric import NotApplicable
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.ensembles import ensemble_of
from nsbench_metrics.shared.bootstrap import Interval, bootstrap_mean


def latent_use(evidence: Evidence) -> LatentUse:
    """The answers of a simulator's latents, by test transition. Raises NotApplicable where it has none."""
    if evidence.latent_use is None:
        raise NotApplicable("the simulator has no latents")
    return evidence.latent_use


def interval_of_mean(
    values: NDArray[np.float64], use: LatentUse, reference: Trajectories, resamples: int, rng: np.random.Generator
) -> Interval | None:
    """95 % interval of the mean of a number of each transition, float64[m], resampling ensembles of test cases."""
    return bootstrap_mean(values, ensemble_of(reference)[use.trajectory], resamples, rng)
