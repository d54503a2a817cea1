"""CGNE with one vector of latents for the whole lattice, as PNS has it, instead of a lattice of them.

The weights are those of CGNE, one by one: the encoders' features are averaged over the lattice before they become
a Gaussian, and z is the same at every place of the lattice that the decoder and the regressor expect.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, standard_gaussian
from nsbench.neural.states.space import StateSpace
from nsbench_ablations.variants import Variant
from nsbench_cgne.model import CGNEModel, ConditionalEncoder, Present
from nsbench_cgne.network import Regressor
from nsbench_cgne.params import CGNEParams


class LatticeMean(nn.Module):
    """The mean over the lattice, [b, C, H, W] -> [b, C, 1, 1]."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3), keepdim=True)


class VectorRegressor(Regressor):
    """CGNE's regressor, on a lattice of four by four equal latents."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.expand(-1, -1, 4, 4))


class VectorModel(CGNEModel):
    """CGNE's model with latents [b, dz, 1, 1]."""

    def __init__(self, params: CGNEParams, space: StateSpace, inputs: int) -> None:
        super().__init__(params, space, inputs)
        for encoder in (self.posterior_encoder, self.prior_encoder):
            if isinstance(encoder, ConditionalEncoder):
                encoder.encode.layers.append(LatticeMean())
        if self.regressor is not None:
            self.regressor = VectorRegressor(inputs, params)
            self.regressor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def prior(self, context: Present) -> Gaussian:
        if self.prior_encoder is None:
            return standard_gaussian((len(context.x), self.params.latent_channels, 1, 1), context.x.device)
        return super().prior(context)

    def decode(self, context: Present, z: Tensor) -> Tensor:
        height, width = (side >> self.params.latent_halvings for side in context.x.shape[-2:])
        return super().decode(context, z.expand(-1, -1, height, width))


class VectorZ(Variant):
    """CGNE with one latent for each of its channels of latents, the same at every place of the lattice."""

    def build(self, space: StateSpace, inputs: int) -> VectorModel:
        return VectorModel(self.params, space, inputs)
