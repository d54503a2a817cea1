"""Bounds on the likelihood by importance sampling.

With p(x' | x, z, y) the density of the next state given a latent z, and z ~ q:

    ℓ = log p(x' | x, z, y) + log p(z | x, y) − log q(z | x', x, y)
    L_K = E[logsumexp_{k ≤ K} ℓ_k − log K],   L_1 = ELBO ≤ L_K ≤ log p(x' | x, y)

Burda, Grosse & Salakhutdinov 2016 (arXiv 1509.00519).
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class Weigh(Protocol):
    """A function that draws that many samples and returns their log-weights ℓ, float64[samples, b]."""

    def __call__(self, *, samples: int) -> Tensor: ...


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
