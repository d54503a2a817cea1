"""Diagonal Gaussians over latents: samples, densities, KL, free bits."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Gaussian(NamedTuple):
    """N(mean, diag scale²), independent over every axis after the first (the batch)."""

    mean: Tensor
    scale: Tensor

    def sample(self, generator: torch.Generator) -> Tensor:
        """A sample mean + scale·ε; gradients pass through it (Kingma & Welling 2014)."""
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device)
        return self.mean + self.scale * noise

    def log_density(self, z: Tensor) -> Tensor:
        """The log-density log N(z; mean, diag scale²), float64[b], summed over the latents."""
        mean, scale, z = self.mean.double(), self.scale.double(), z.double()
        density = -0.5 * ((z - mean) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)
        return density.flatten(1).sum(1)

    def repeated(self, times: int) -> Gaussian:
        """The Gaussian with each element of its batch `times` times in a row."""
        return Gaussian(self.mean.repeat_interleave(times, 0), self.scale.repeat_interleave(times, 0))


def positive_gaussian(features: Tensor, floor: float = 1e-5) -> Gaussian:
    """A Gaussian from features [b, 2·d, ...]: the mean, and by softplus the scale, bounded away from 0."""
    mean, raw = features.float().chunk(2, dim=1)
    return Gaussian(mean, F.softplus(raw) + floor)


def standard_gaussian(shape: tuple[int, ...], device: torch.device) -> Gaussian:
    """The Gaussian N(0, 1), independent over all axes."""
    return Gaussian(torch.zeros(shape, device=device), torch.ones(shape, device=device))


def kl_divergence(q: Gaussian, p: Gaussian) -> Tensor:
    """The KL(q ‖ p) of each latent, [b, d, ...], nats: log(σp/σq) + (σq² + (μq − μp)²)/(2σp²) − ½."""
    ratio = q.scale / p.scale
    shift = (q.mean - p.mean) / p.scale
    return 0.5 * (ratio**2 + shift**2 - 1) - ratio.log()


def free_bits(kl: Tensor, nats: float) -> Tensor:
    """The KL with no gradient in the latents whose mean over the batch is below `nats`.

    kl: [b, d, ...]. Latents are free up to `nats` (Kingma et al. 2016, arXiv 1606.04934), by
    detaching instead of clamping: the value stays the true KL.
    """
    if nats <= 0:
        return kl
    return torch.where(kl.detach().mean(0) < nats, kl.detach(), kl)
