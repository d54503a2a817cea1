"""The base class of networks that draw the next state, and latent-variable models in four methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, kl_divergence
from nsbench.neural.states.space import StateSpace

Context = TypeVar("Context")


@dataclass(frozen=True)
class StepLoss:
    """The loss of one step of training.

    total  the loss, a mean over the batch.
    guided output for the next state, given a latent that has seen the true next state; an unrolled training goes on
           from the state that it decodes to.
    terms  means over the batch by name, for the curves.
    """

    total: Tensor
    guided: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)


class TransitionModel(nn.Module, ABC):
    """A network that draws the next state.

    space: what its states are. x, x_next: float32[b, C, H, W]. y: float32[b, P], standardised. Output:
    [b, space.outputs, H, W], which the space turns into a distribution of the next state.
    """

    space: StateSpace

    def __init__(self, space: StateSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss of transitions x -> x_next when that fraction of the budget is spent."""

    def guided_loss(
        self, truth: Tensor, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator
    ) -> StepLoss:
        """The loss in an unroll, where the model goes on from a state x that it made itself, in place of `truth`."""
        return self.loss(x, x_next, y, fraction, generator)

    @abstractmethod
    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """The output for the next state, given one draw of the network's latents, if it has any."""

    @abstractmethod
    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Log-weights ℓ, float64[samples, b]: the mean of exp ℓ estimates p(x_next | x, y) without bias.

        An exact likelihood returns float64[1, b].
        """

    def latent_kl(self, x: Tensor, x_next: Tensor, y: Tensor) -> Tensor | None:
        """The KL of the posterior from the prior, [b, latents], nats; None without latents."""
        return None


class LatentModel(TransitionModel, Generic[Context]):
    """A conditional VAE: prior p(z | x, y), posterior q(z | x', x, y), decoder p(x' | x, z, y).

    All four methods below see states as the space encodes them: x as ``encode`` does, the next one as ``encode_next``.
    The context is the part of (x, y) that prior, posterior and decoder need: computed once a transition, shared by all
    samples.
    """

    @abstractmethod
    def context(self, x: Tensor, y: Tensor) -> Context: ...

    @abstractmethod
    def prior(self, context: Context) -> Gaussian: ...

    @abstractmethod
    def posterior(self, context: Context, x_next: Tensor) -> Gaussian: ...

    @abstractmethod
    def decode(self, context: Context, z: Tensor) -> Tensor:
        """The output for the next state, given z."""

    @abstractmethod
    def repeat(self, context: Context, times: int) -> Context:
        """The context with each element of the batch `times` times in a row."""

    def inferred(self, x: Tensor, x_next: Tensor, y: Tensor) -> tuple[Context, Gaussian, Gaussian]:
        """The context, the prior and the posterior of transitions."""
        context = self.context(self.space.encode(x), y)
        return context, self.prior(context), self.posterior(context, self.space.encode_next(x, x_next))

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss −ELBO, nats a transition up to a constant, of a model that defines no loss of its own."""
        context, prior, posterior = self.inferred(x, x_next, y)
        out = self.decode(context, posterior.sample(generator))
        error = self.error(out, x, x_next).mean()
        kl = kl_divergence(posterior, prior).flatten(1).sum(1).mean()
        return StepLoss(error + kl, out, {"error": error.detach(), "kl": kl.detach()})

    def error(self, out: Tensor, x: Tensor, x_next: Tensor) -> Tensor:
        """−log p(x_next | x, z, y), float32[b], nats up to a constant; settled sites of frozen states count nothing."""
        losses = self.space.site_loss(out, x, x_next)
        return (losses * (1 - self.space.settled(x)) if self.space.frozen else losses).flatten(1).sum(1)

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        context = self.context(self.space.encode(x), y)
        return self.decode(context, self.prior(context).sample(generator))

    def latent_kl(self, x: Tensor, x_next: Tensor, y: Tensor) -> Tensor | None:
        _, prior, posterior = self.inferred(x, x_next, y)
        return kl_divergence(posterior, prior).flatten(1)

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        context, prior, posterior = self.inferred(x, x_next, y)
        prior, posterior = prior.repeated(samples), posterior.repeated(samples)
        z = posterior.sample(generator)
        out = self.decode(self.repeat(context, samples), z)
        x, x_next = x.repeat_interleave(samples, 0), x_next.repeat_interleave(samples, 0)
        seen = self.space.log_density(out, x, x_next)
        weights = seen + prior.log_density(z) - posterior.log_density(z)
        return weights.view(-1, samples).T
