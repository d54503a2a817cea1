"""A bound on the likelihood by annealed importance sampling, which the posterior's faults hardly loosen.

Between the posterior q(z) and the true one lie π_β ∝ q(z) · r(z)^β, r(z) = p(x' | x, z, y) p(z | x, y) / q(z). A chain
starts from q and moves by a kernel that leaves π_β as it is, at 0 = β_0 < … < β_{N+1} = 1; its weight

    log w = Σ_n (β_{n+1} − β_n) log r(z_n)

is that of one importance sample in a larger space: E w = p(x' | x, y), so that E log w is a lower bound. Here
β_n = (n / (N + 1))², as log r rises fastest at first. N = 0 is the ELBO. Neal 2001, doi 10.1023/A:1008923215028; of
decoders, from the prior on: Wu et al. 2017, arXiv 1611.04273.

The kernel is a walk that is reversible in q, z' = μ + √(1 − s²) (z − μ) + s σ ε, accepted with probability
min(1, (r(z') / r(z))^β): no gradients, one network evaluation a move. Cotter et al. 2013, doi 10.1214/13-STS421.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nsbench.components.simulator import Simulator
from nsbench.neural.devices import autocast
from nsbench.neural.gaussian import Gaussian
from nsbench.neural.model import LatentModel
from nsbench.neural.probing import probe

CHAINS = 16
"""The number of chains of a transition; the bound is the logarithm of their weights' mean."""

DECODED_SITES = 512 * 32 * 32
"""The number of sites that are decoded at once at most: bounds memory."""

STEPS = (0.1, 0.3, 0.9)
"""The sizes s of moves, in turn: which of them is apt depends on how far the posterior is from the true one."""


def annealed_weights(
    log_ratio: Callable[[Tensor], Tensor], q: Gaussian, distributions: int, noise: torch.Generator
) -> Tensor:
    """The log-weights log w, float64[n], of a chain for each row of q.

    log_ratio: z [n, d, ...] -> log r, float64[n]. distributions: N, the number of intermediate ones.
    """
    beta = [(n / (distributions + 1)) ** 2 for n in range(distributions + 2)]
    z = q.sample(noise)
    ratio = log_ratio(z)
    weights = ratio * beta[1]
    for n in range(1, distributions + 1):
        step = STEPS[n % len(STEPS)]
        moved = q.mean + math.sqrt(1 - step**2) * (z - q.mean) + step * (q.sample(noise) - q.mean)
        moved_ratio = log_ratio(moved)
        chance = torch.rand(ratio.shape, generator=noise, device=ratio.device, dtype=ratio.dtype).log()
        accepted = chance < beta[n] * (moved_ratio - ratio)
        z = torch.where(accepted.view(-1, *[1] * (z.ndim - 1)), moved, z)
        ratio = torch.where(accepted, moved_ratio, ratio)
        weights = weights + ratio * (beta[n + 1] - beta[n])
    return weights


def annealed_bound(
    model: LatentModel[Any], x: Tensor, x_next: Tensor, y: Tensor, distributions: int, noise: torch.Generator
) -> Tensor:
    """The bound of each transition, float64[b]."""
    context, prior, posterior = model.inferred(x, x_next, y)
    context = model.repeat(context, CHAINS)
    prior, posterior = prior.repeated(CHAINS), posterior.repeated(CHAINS)
    x, x_next = x.repeat_interleave(CHAINS, 0), x_next.repeat_interleave(CHAINS, 0)

    def log_ratio(z: Tensor) -> Tensor:
        seen = model.space.log_density(model.decode(context, z), x, x_next)
        return seen + prior.log_density(z) - posterior.log_density(z)

    weights = annealed_weights(log_ratio, posterior, distributions, noise).view(-1, CHAINS)
    return torch.logsumexp(weights, dim=1) - math.log(CHAINS)


def neural_annealed_likelihood(
    simulator: Simulator,
    x: NDArray[np.float32],
    x_next: NDArray[np.float32],
    params: NDArray[np.float64],
    distributions: int,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """The bound of each transition, float64[m]; None for a simulator that is not neural with a LatentModel model."""
    asking = probe(simulator, rng)
    if asking is None:
        return None
    rows = max(1, DECODED_SITES // (CHAINS * x.shape[-2] * x.shape[-1]))
    bounds = [np.empty(0)]
    with torch.inference_mode(), autocast(asking.simulator.conditions):
        for first in range(0, len(x), rows):
            part = slice(first, first + rows)
            before, after = asking.states(x[part], x_next[part])
            y = asking.standardised(params[part])
            bounds.append(annealed_bound(asking.model, before, after, y, distributions, asking.noise).cpu().numpy())
    return np.concatenate(bounds)
