"""CGNE's distribution of the next state, and its loss.

    prior p(z | x, y), posterior q(z | x', x, y), decoder p(x' | x, z): Bernoulli, independent over sites

Timmer et al. 2024 (arXiv 2405.16608).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, free_bits, kl_divergence, standard_gaussian
from nsbench.neural.layers import broadcast, concatenate, perceptron
from nsbench.neural.likelihood import site_cross_entropy
from nsbench.neural.model import LatentGrowth, StepLoss
from nsbench.neural.schedules import linear_annealing
from nsbench_cgne.network import Decoder, LatentEncoder, Regressor
from nsbench_cgne.params import CGNEParams


class Present(NamedTuple):
    """The present, which is known before a step: the state x [b, 1, H, W] and the parameters y [b, P]."""

    x: Tensor
    y: Tensor


class ConditionalEncoder(nn.Module):
    """An encoder of maps and the broadcast embedding of y to a Gaussian over latents."""

    def __init__(self, maps: int, inputs: int, params: CGNEParams) -> None:
        super().__init__()
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.encode = LatentEncoder(maps + params.embedding, params)

    def forward(self, y: Tensor, *maps: Tensor) -> Gaussian:
        gaussian: Gaussian = self.encode(concatenate(*maps, broadcast(self.embed(y), like=maps[0])))
        return gaussian


class CGNEModel(LatentGrowth[Present]):
    """The networks of CGNE put together, for `inputs` conditioning parameters."""

    def __init__(self, params: CGNEParams, inputs: int) -> None:
        super().__init__()
        self.params, self.frozen = params, params.frozen_state
        self.posterior_encoder = ConditionalEncoder(2, inputs, params)
        self.prior_encoder = ConditionalEncoder(1, inputs, params) if params.conditional_prior else None
        self.decoder_embed = None
        if params.condition_decoder:
            self.decoder_embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.decoder = Decoder(1 + (params.embedding if params.condition_decoder else 0), params)
        self.regressor = Regressor(inputs, params) if params.auxiliary_weight > 0 else None
        # Otherwise gradients of some bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def context(self, x: Tensor, y: Tensor) -> Present:
        return Present(x, y)

    def repeat(self, context: Present, times: int) -> Present:
        return Present(*(part.repeat_interleave(times, 0) for part in context))

    def prior(self, context: Present) -> Gaussian:
        if self.prior_encoder is None:
            batch, _, height, width = context.x.shape
            sides = (side >> self.params.latent_halvings for side in (height, width))
            return standard_gaussian((batch, self.params.latent_channels, *sides), context.x.device)
        gaussian: Gaussian = self.prior_encoder(context.y, context.x)
        return gaussian

    def posterior(self, context: Present, x_next: Tensor) -> Gaussian:
        gaussian: Gaussian = self.posterior_encoder(context.y, x_next, context.x)
        return gaussian

    def decode(self, context: Present, z: Tensor) -> Tensor:
        seen = context.x
        if self.decoder_embed is not None:
            seen = concatenate(seen, broadcast(self.decoder_embed(context.y), like=seen))
        logits: Tensor = self.decoder(seen, z)
        return logits

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss: error on unattached sites + w_a · on attached ones + β·KL + w_y · |ŷ(z) − y|², each a mean.

        The errors are means over all sites, the KL over sites or latents: see ``CGNEParams``. Samplewise
        decoder dropout: the decoder, and only it, sees no crystal in some of the samples.
        """
        p = self.params
        context = self.context(x, y)
        prior, posterior = self.prior(context), self.posterior(context, x_next)
        z = posterior.sample(generator)
        logits = self.decode(context._replace(x=self.drop_out(x, fraction, generator)), z)

        error = site_cross_entropy(logits, x_next)
        growth, attached = (error * (1 - x)).mean(), (error * x).mean()
        kl = kl_divergence(posterior, prior)
        charged = free_bits(kl, p.free_bits).mean() * (1 if p.kl_mean == "latents" else kl[0].numel() / x[0].numel())
        beta = p.kl_weight * linear_annealing(fraction, p.kl_annealing)
        if p.frozen_state:
            total = growth + p.attached_weight * attached + beta * charged
        else:
            total = growth + attached + beta * charged
        terms = {"error": growth * x[0].numel(), "kl": kl.flatten(1).sum(1).mean()}
        if self.regressor is not None:
            regression = F.mse_loss(self.regressor(z).float(), y)
            total = total + p.auxiliary_weight * regression
            terms["regression"] = regression
        return StepLoss(total, logits, {name: term.detach() for name, term in terms.items()})

    def drop_out(self, x: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
        """The states x, those of a random part of the samples set to 0."""
        schedule = self.params.decoder_dropout
        if schedule is None or (probability := schedule.at(fraction)) <= 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) >= probability
        return x * kept
