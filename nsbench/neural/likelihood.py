"""The likelihood of growth, and bounds on it by importance sampling.

With U the sites that are unattached in x, π the probabilities that a latent z gives, and z ~ q:

    ℓ = Σ_{s ∈ U} log Bern(x'_s; π_s(x, z, y)) + log p(z | x, y) − log q(z | x', x, y)
    L_K = E[logsumexp_{k ≤ K} ℓ_k − log K],   L_1 = ELBO ≤ L_K ≤ log p(x' | x, y)

Burda, Grosse & Salakhutdinov 2016 (arXiv 1509.00519). An attached site stays attached with certainty
where growth is hard-wired: it contributes exactly 0.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Weigh(Protocol):
    """A function that draws that many samples and returns their log-weights ℓ, float64[samples, b]."""

    def __call__(self, *, samples: int) -> Tensor: ...


def site_cross_entropy(logits: Tensor, x_next: Tensor) -> Tensor:
    """The loss −log Bern(x'_s; sigmoid(logit_s)) of each site, float32 [b, 1, H, W], nats."""
    return F.binary_cross_entropy_with_logits(logits.float(), x_next, reduction="none")


def growth_log_likelihood(logits: Tensor, x: Tensor, x_next: Tensor, *, frozen: bool = True) -> Tensor:
    """The log-likelihood Σ_U log Bern(x'), float64[b], nats. Not frozen: Σ goes over all sites, attached ones too.

    Where growth is frozen and a site of x is not attached in x_next, the likelihood is 0: −inf.
    """
    terms = -site_cross_entropy(logits, x_next).double()
    if frozen:
        attached = x > 0.5
        detached = torch.where(x_next > 0.5, 0.0, -torch.inf)
        terms = torch.where(attached, detached.double(), terms)
    return terms.flatten(1).sum(1)


def importance_bound(weigh: Weigh, samples: int, at_once: int) -> Tensor:
    """The bound logsumexp_k ℓ_k − log K, float64[b], from K samples, at most `at_once` of them a call."""
    if samples < 1:
        raise ValueError(f"samples must be >= 1, got {samples}")
    parts, drawn = [], 0
    for first in range(0, samples, at_once):
        weights = weigh(samples=min(at_once, samples - first))
        parts.append(torch.logsumexp(weights, dim=0))
        drawn += len(weights)
    return torch.logsumexp(torch.stack(parts), dim=0) - math.log(drawn)
