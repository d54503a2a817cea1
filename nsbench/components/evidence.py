"""Evidence: the rollouts, likelihoods and costs that the simulate stage leaves for metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nsbench.components.protocol import Device, LikelihoodKind
from nsbench.trajectories.base import Trajectories

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Likelihood:
    """Teacher-forced likelihoods of test transitions.

    nats    float64[b], one sample each (K = 1), all test transitions.
    bounds  K -> float64[m], a fixed random subset of the transitions with K importance samples, K = 1
            among them; empty for exact likelihoods.
    latents float64[latents], the KL of each latent over that subset; None without latents.
    """

    kind: LikelihoodKind
    nats: NDArray[np.float64]
    bounds: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    latents: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Cost:
    """The time, memory and size of a simulator, measured by the harness after warm-up; None where not known.

    ms_per_trajectory: with `batch` rollouts at a time. truth_ms_per_trajectory: the ground truth's under the same
    conditions, measured in turn with it. peak_bytes: the memory of the process while simulating. parallel: the number
    of trials that the run had going at once while this was measured.
    """

    ms_per_trajectory: float
    batch: int
    ms_per_trajectory_alone: float
    threads: int
    device: Device
    fit_seconds: float | None = None
    truth_ms_per_trajectory: float | None = None
    parameters: int | None = None
    flops_per_trajectory: float | None = None
    peak_bytes: int | None = None
    parallel: int = 1


@dataclass(frozen=True, eq=False)
class LatentUse:
    """The use that a simulator makes of its latents, measured on m test transitions x -> x', teacher-forced.

    Changes are differences between two next states: the number of sites whose likelier state differs, and, in
    probabilities π, Σ |π − π'| over sites. Sites that growth has frozen do not count.

    trajectory              int64[m], the test trajectory of each transition.
    kl                      float64[m], KL(q ‖ p), nats: an upper bound, in the mean, on the mutual information of
                            latents and next state given x and y.
    latents                 float64[d], the same by latent, mean over transitions.
    spread                  float64[d], variance over transitions of (E_q z − E_p z) / σ_p: with a standard normal
                            prior, the variance of the posterior's mean.
    redrawn                 float64[m], sites changed between two draws of z from the prior.
    redrawn_probability     float64[m], the same in probabilities.
    shuffled                float64[m], sites changed when z is that of another transition.
    shuffled_probability    float64[m], the same in probabilities.
    changed                 float64[m], sites that truly change in the transition.
    """

    trajectory: NDArray[np.int64]
    kl: Array
    latents: Array
    spread: Array
    redrawn: Array
    redrawn_probability: Array
    shuffled: Array
    shuffled_probability: Array
    changed: Array


@dataclass(frozen=True)
class Evidence:
    """The rollouts, likelihoods and costs of a simulator, which metrics score.

    rollouts    cases × members trajectories, the members of a case side by side.
    cost        None where nothing was measured: for null models, and for submissions whose maker declares none.
    latent_use  the effect of the simulator's latents; None for a simulator without latents.
    drawn_elsewhere  whether its likelihood is that of the same fit with drawn sites, and is measured there.
    declared    whether this is a submission (rollouts made elsewhere), whose maker declares likelihoods and costs.
    """

    rollouts: Trajectories
    members: int
    cost: Cost | None = None
    likelihood: Likelihood | None = None
    latent_use: LatentUse | None = None
    declared: bool = False
    drawn_elsewhere: bool = False
