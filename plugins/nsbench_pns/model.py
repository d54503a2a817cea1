"""PNS's distribution of the next state, and its loss.

    e = P·(x, y),  h = e + UNet(e),  p(z | h),  q(z | h, x'),  output = L·(e + decoder(h, z))

Minartz et al. 2023 (arXiv 2305.14286).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, free_bits, kl_divergence
from nsbench.neural.model import LatentModel, StepLoss
from nsbench.neural.networks.layers import broadcast, concatenate
from nsbench.neural.schedules import linear_annealing
from nsbench.neural.states.space import StateSpace
from nsbench_pns.network import Decoder, LatentEncoder, UNet
from nsbench_pns.params import PNSParams
from nsbench_pns.reference import RectifiedDecoder, ValidLatentEncoder, WideUNet

NETWORKS: dict[str, tuple[type[UNet | WideUNet], type[LatentEncoder | ValidLatentEncoder], type[Decoder]]] = {
    "pooled": (UNet, LatentEncoder, Decoder),
    "reference": (WideUNet, ValidLatentEncoder, RectifiedDecoder),
}
"""The forward model, the latent encoders and the decoder of each architecture."""


class Forwarded(NamedTuple):
    """The embedding e of the present, and the features h that the forward model makes of it: [b, width, H, W]."""

    embedded: Tensor
    h: Tensor


class PNSModel(LatentModel[Forwarded]):
    """The networks of PNS put together, for states of that space and `inputs` conditioning parameters."""

    def __init__(self, params: PNSParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        self.params = params
        self.embed = nn.Conv2d(space.inputs + inputs, params.width, 1)
        unet, encoder, decoder = NETWORKS[params.architecture]
        self.forward_model = unet(params)
        self.prior_encoder = encoder(params.width, params)
        self.posterior_encoder = encoder(params.width + space.inputs, params)
        self.decoder = decoder(params)
        self.logit = nn.Conv2d(params.width, space.outputs, 1)
        # Otherwise gradients of bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def context(self, x: Tensor, y: Tensor) -> Forwarded:
        embedded = self.embed(concatenate(x, broadcast(y, like=x)))
        return Forwarded(embedded, embedded + self.forward_model(embedded))

    def repeat(self, context: Forwarded, times: int) -> Forwarded:
        return Forwarded(*(part.repeat_interleave(times, 0) for part in context))

    def prior(self, context: Forwarded) -> Gaussian:
        gaussian: Gaussian = self.prior_encoder(context.h)
        return gaussian

    def posterior(self, context: Forwarded, x_next: Tensor) -> Gaussian:
        gaussian: Gaussian = self.posterior_encoder(concatenate(context.h, x_next.to(context.h.dtype)))
        return gaussian

    def decode(self, context: Forwarded, z: Tensor) -> Tensor:
        out: Tensor = self.logit(context.embedded + self.decoder(context.h, z))
        return out

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The loss: error + β·KL, nats a transition or of the batch; latents below their free bits weigh nothing."""
        p = self.params
        context, prior, posterior = self.inferred(x, x_next, y)
        out = self.decode(context, posterior.sample(generator))
        error = self.error(out, x, x_next).mean()
        kl = kl_divergence(posterior, prior)
        charged = free_bits(kl, p.free_bits).sum(1).mean()
        total = error + p.kl_weight * linear_annealing(fraction, p.kl_annealing) * charged
        if p.reduction == "sum":
            total = total * len(x)
        return StepLoss(total, out, {"error": error.detach(), "kl": kl.detach().sum(1).mean()})
