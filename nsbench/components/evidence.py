"""Evidence: what the simulate stage leaves for metrics."""

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
    """What a simulator took, measured by the harness after warm-up; None where not known.

    ms_per_trajectory at `batch` rollouts together; truth_ms_per_trajectory is the ground truth's under
    the same conditions, measured in turn with it. peak_bytes: the process while simulating. jobs: how many
    trials the run had going at once while this was measured.
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
    jobs: int = 1


@dataclass(frozen=True, eq=False)
class LatentUse:
    """Latents asked about m test transitions x -> x', teacher-forced.

    Changes are of the next state, each site taking its likelier state: sites that decide otherwise, and, beside
    them, Σ |π − π'| over sites, π their probabilities. Sites that growth has frozen count for nothing.

    trajectory              int64[m], which test trajectory each transition is of.
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
    """What the simulate stage leaves for metrics.

    rollouts    cases × members trajectories, the members of a case side by side.
    cost        None where nothing was measured: of null models, and of rollouts whose maker declares none.
    latent_use  what the simulator's latents do; None for a simulator without latents.
    declared    whether the rollouts were made elsewhere, so that likelihoods and costs are their maker's words.
    """

    rollouts: Trajectories
    members: int
    cost: Cost | None = None
    likelihood: Likelihood | None = None
    latent_use: LatentUse | None = None
    declared: bool = False
