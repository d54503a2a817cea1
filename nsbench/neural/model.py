"""The base class of networks of growth, and latent-variable models in four methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, kl_divergence
from nsbench.neural.likelihood import growth_log_likelihood, site_cross_entropy

Context = TypeVar("Context")


@dataclass(frozen=True)
class StepLoss:
    """The loss of one step of training.

    total  the loss, a mean over the batch.
    guided logits of the next state, given a latent that has seen the true next state; an unrolled training goes on
           from the state that they decode to.
    terms  means over the batch by name, for the curves.
    """

    total: Tensor
    guided: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class GrowthModel(nn.Module, ABC):
    """A network that draws the next state of growth.

    x, x_next: float32[b, 1, H, W], 0 or 1. y: float32[b, P], standardised. Logits: [b, 1, H, W], of each
    site being attached in the next state. frozen: attached sites stay attached, whatever the logits.
    """

    frozen: bool = True

    @abstractmethod
    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss of transitions x -> x_next when that fraction of the budget is spent."""

    @abstractmethod
    def logits(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Logits of the next state, given one draw of the network's latents, if it has any."""

    @abstractmethod
    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Log-weights ℓ, float64[samples, b]: the mean of exp ℓ estimates p(x_next | x, y) without bias.

        An exact likelihood returns float64[1, b].
        """

    def latent_kl(self, x: Tensor, x_next: Tensor, y: Tensor) -> Tensor | None:
        """The KL of the posterior from the prior, [b, latents], nats; None without latents."""
        return None


class LatentGrowth(GrowthModel, Generic[Context]):
    """A conditional VAE: prior p(z | x, y), posterior q(z | x', x, y), decoder p(x' | x, z, y).

    The context is the part of (x, y) that all three need: computed once a transition, shared by all samples.
    """

    @abstractmethod
    def context(self, x: Tensor, y: Tensor) -> Context: ...

    @abstractmethod
    def prior(self, context: Context) -> Gaussian: ...

    @abstractmethod
    def posterior(self, context: Context, x_next: Tensor) -> Gaussian: ...

    @abstractmethod
    def decode(self, context: Context, z: Tensor) -> Tensor:
        """Logits [b, 1, H, W], of the next state given z."""

    @abstractmethod
    def repeat(self, context: Context, times: int) -> Context:
        """The context with each element of the batch `times` times in a row."""

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss −ELBO, nats a transition, of a model that defines no loss of its own."""
        context = self.context(x, y)
        prior, posterior = self.prior(context), self.posterior(context, x_next)
        logits = self.decode(context, posterior.sample(generator))
        losses = site_cross_entropy(logits, x_next)
        error = (losses * (1 - x) if self.frozen else losses).flatten(1).sum(1).mean()
        kl = kl_divergence(posterior, prior).flatten(1).sum(1).mean()
        return StepLoss(error + kl, logits, {"error": error.detach(), "kl": kl.detach()})

    def logits(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        context = self.context(x, y)
        return self.decode(context, self.prior(context).sample(generator))

    def latent_kl(self, x: Tensor, x_next: Tensor, y: Tensor) -> Tensor | None:
        context = self.context(x, y)
        return kl_divergence(self.posterior(context, x_next), self.prior(context)).flatten(1)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        context = self.context(x, y)
        prior, posterior = self.prior(context), self.posterior(context, x_next)
        prior, posterior = prior.repeated(samples), posterior.repeated(samples)
        z = posterior.sample(generator)
        logits = self.decode(self.repeat(context, samples), z)
        x, x_next = x.repeat_interleave(samples, 0), x_next.repeat_interleave(samples, 0)
        seen = growth_log_likelihood(logits, x, x_next, frozen=self.frozen)
        weights = seen + prior.log_density(z) - posterior.log_density(z)
        return weights.view(-1, samples).T
