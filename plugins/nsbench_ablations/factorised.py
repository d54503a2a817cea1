"""Networks without latents: the sites of the next state are independent given the present."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from nsbench.neural.model import StepLoss, TransitionModel


class Factorised(TransitionModel):
    """A network with p(x' | x, y) = Π over sites of p(x'_s; π(x, y)), so that the likelihood is exact."""

    @abstractmethod
    def sites(self, x: Tensor, y: Tensor) -> Tensor:
        """The output for the next state; x: encoded."""

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss −log p(x' | x, y) a site, weighted as CGNE's error is."""
        out = self.output(x, y, generator)
        losses = self.space.site_loss(out, x, x_next)
        total = (losses * (1 - self.space.settled(x))).mean()
        return StepLoss(total, out, {"error": total.detach() * losses[0].numel()})

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return self.sites(self.space.encode(x), y)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        return self.space.log_density(self.output(x, y, generator), x, x_next)[None]
