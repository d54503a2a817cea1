"""CGNE's distribution of the next state, and its loss.

    prior p(z | x, y), posterior q(z | x', x, y), decoder p(x' | x, z): independent over sites given z

Timmer et al. 2024 (arXiv 2405.16608).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, free_bits, kl_divergence, standard_gaussian
from nsbench.neural.model import LatentModel, StepLoss
from nsbench.neural.networks.layers import broadcast, concatenate, perceptron
from nsbench.neural.schedules import linear_annealing
from nsbench.neural.states.space import StateSpace
from nsbench_cgne.network import Decoder, LatentEncoder, Regressor
from nsbench_cgne.params import CGNEParams


class Present(NamedTuple):
    """The present, which is known before a step: the encoded state x [b, C, H, W] and the parameters y [b, P]."""

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


class CGNEModel(LatentModel[Present]):
    """The networks of CGNE put together, for states of that space and `inputs` conditioning parameters."""

    def __init__(self, params: CGNEParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        self.params = params
        self.posterior_encoder = ConditionalEncoder(2 * space.inputs, inputs, params)
        self.prior_encoder = ConditionalEncoder(space.inputs, inputs, params) if params.conditional_prior else None
        self.decoder_embed = None
        if params.condition_decoder:
            self.decoder_embed = perceptron([inputs, params.embedding_width, params.embedding])
        seen = space.inputs + (params.embedding if params.condition_decoder else 0)
        self.decoder = Decoder(seen, space.outputs, params)
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
        out: Tensor = self.decoder(seen, z)
        return out

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss: error on open sites + w_a · on settled ones + β·KL + w_y · |ŷ(z) − y|², each a mean.

        The errors are means over all sites, the KL over sites or latents: see ``CGNEParams``. Settled are the attached
        sites of growth. Samplewise decoder dropout: the decoder, and only it, sees zeros in some of the samples.
        """
        return self.guided_loss(x, x, x_next, y, fraction, generator)

    def guided_loss(
        self, truth: Tensor, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator
    ) -> StepLoss:
        """The loss of a step from x; `unroll_mask` says in which state sites are settled, the truth or x.

        By the truth, a model that grew too early pays for it at full weight, and one that catches up on sites that it
        missed pays w_a.
        """
        p = self.params
        context, prior, posterior = self.inferred(x, x_next, y)
        z = posterior.sample(generator)
        out = self.decode(context._replace(x=self.drop_out(context.x, fraction, generator)), z)

        error = self.space.site_loss(out, x, x_next)
        settled = self.space.settled(truth if p.unroll_mask == "truth" else x)
        opened, closed = (error * (1 - settled)).mean(), (error * settled).mean()
        kl = kl_divergence(posterior, prior)
        each = 1 if p.kl_mean == "latents" else kl[0].numel() / error[0].numel()
        charged = free_bits(kl, p.free_bits).mean() * each
        beta = p.kl_weight * linear_annealing(fraction, p.kl_annealing)
        total = opened + (p.attached_weight if self.space.frozen else 1) * closed + beta * charged
        terms = {"error": opened * error[0].numel(), "kl": kl.flatten(1).sum(1).mean()}
        if self.regressor is not None:
            regression = F.mse_loss(self.regressor(z).float(), y)
            total = total + p.auxiliary_weight * regression
            terms["regression"] = regression
        return StepLoss(total, out, {name: term.detach() for name, term in terms.items()})

    def drop_out(self, x: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
        """The states x, those of a random part of the samples set to 0."""
        schedule = self.params.decoder_dropout
        if schedule is None or (probability := schedule.at(fraction)) <= 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) >= probability
        return x * kept
