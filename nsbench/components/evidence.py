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
    """Teacher-forced likelihoods of m test transitions, nats.

    nats         float64[m], exact, or the tightest bound.
    transitions  int64[m], their places among all test transitions, ascending; None for all of them.
    bounds       K -> float64[m], the bound with K importance samples, the largest K's being `nats`; empty for
                 likelihoods of other kinds, and where K = 1 alone was evaluated.
    latents      float64[latents], the KL of each latent over some of them; None without latents.
    truth        float64[m], the exact log-likelihood that the ground truth has; None where it has none.
    annealed     float64[a], by annealed importance sampling; None where it was not done.
    annealed_of  int64[a], the places of those among the m.
    guided       float64[f], the bound along guided unrolls by frame, a site (nsbench/stages/guided.py); None where it
                 was not evaluated.
    """

    kind: LikelihoodKind
    nats: Array
    transitions: NDArray[np.int64] | None = None
    bounds: dict[int, Array] = field(default_factory=dict)
    latents: Array | None = None
    truth: Array | None = None
    annealed: Array | None = None
    annealed_of: NDArray[np.int64] | None = None
    guided: Array | None = None

    @property
    def label(self) -> str:
        """The words that must stand beside the number: "exact", "L_64", "vlb"."""
        return f"L_{max(self.bounds, default=1)}" if self.kind == "elbo" else self.kind


@dataclass(frozen=True)
class Cost:
    """The time, memory and size of a simulator, measured by the harness after warm-up; None where not known.

    ms_per_trajectory: with `batch` rollouts at a time. truth_ms_per_trajectory: the ground truth's under the same
    conditions, measured in turn with it. peak_bytes: the memory of the process while simulating. parallel: the number
    of trials that the run had going at once while times were measured; 1 where nothing else of the run was at work.
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
