"""What a simulator's latents do: how much they know of the next state, and how much it depends on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsbench.components.component import Evidence

Array = NDArray[np.float64]


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
class ProbedEvidence(Evidence):
    """Evidence with what the simulator's latents do; None for a simulator without latents."""

    latent_use: LatentUse | None = None
