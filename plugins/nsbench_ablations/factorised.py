"""Networks without latents: the sites of the next state are independent given the present."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from nsbench.neural.likelihood import growth_log_likelihood, site_cross_entropy
from nsbench.neural.model import GrowthModel, StepLoss


class FactorisedGrowth(GrowthModel):
    """A network with p(x' | x, y) = Π over unattached sites of Bern(π(x, y)), so that the likelihood is exact."""

    @abstractmethod
    def site_logits(self, x: Tensor, y: Tensor) -> Tensor:
        """Logits of the next state, [b, 1, H, W]."""

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss −log p(x' | x, y) a site, weighted as CGNE's error is."""
        logits = self.site_logits(x, y)
        total = (site_cross_entropy(logits, x_next) * (1 - x)).mean()
        return StepLoss(total, logits, {"error": total.detach() * x[0].numel()})

    def logits(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return self.site_logits(x, y)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        return growth_log_likelihood(self.site_logits(x, y), x, x_next)[None]
