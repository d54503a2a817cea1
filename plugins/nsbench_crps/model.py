"""A network of a state and of noise, whose output is a draw of the next state.

    x' = x + drift + spread · f_θ(x, y, ε),   ε ~ N(0, 1)

Sites and channels are drawn together, by one evaluation; there is no density. The noise modulates the maps after each
block of the UNet, as in Alet et al. 2025 (arXiv 2506.10772) and Lang et al. 2024 (arXiv 2412.15832).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nsbench.neural.model import StepLoss, TransitionModel
from nsbench.neural.networks.layers import broadcast, concatenate, perceptron
from nsbench.neural.networks.unet import UNet
from nsbench.neural.states.fields import Fields
from nsbench_crps.params import CRPSParams
from nsbench_crps.scores import absolute, almost_fair, root_mean_square

NO_SCALE = -1e4
"""The output of a standard deviation that is not used: states are taken by their mean, which is the draw."""


class CRPSModel(TransitionModel):
    """A UNet of x, y and noise, for fields."""

    space: Fields

    def __init__(self, params: CRPSParams, space: Fields, inputs: int) -> None:
        super().__init__(space)
        self.params = params
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        seen = space.inputs + params.embedding + params.noise_maps
        self.unet = UNet(seen, space.inputs, params.width, params.norm_groups, vector=params.noise)

    def increments(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """A draw of the increments in units of the training set's, float32[b, C, H, W]."""
        vector = torch.randn((len(x), self.params.noise), generator=generator, device=x.device)
        maps = torch.randn((len(x), self.params.noise_maps, *x.shape[-2:]), generator=generator, device=x.device)
        seen = concatenate(self.space.encode(x), broadcast(self.embed(y), like=x), maps)
        out: Tensor = self.unet(seen, vector)
        return out.float()

    def loss(self, x: Tensor, x_next: Tensor, y: Tensor, fraction: float, generator: torch.Generator) -> StepLoss:
        """The almost fair score of the members' increments, those of channels that move, a mean over the batch."""
        m, moves = self.params.members, self.space.moves
        drawn = self.increments(x.repeat(m, 1, 1, 1), y.repeat(m, 1), generator)
        members = (drawn * moves).view(m, *x.shape)
        distance = absolute if self.params.score == "crps" else root_mean_square
        score = almost_fair(members, self.space.encode_next(x, x_next), self.params.fair, distance).mean()
        spread = members.detach().var(0).mean().sqrt()
        return StepLoss(score, self._certain(drawn[: len(x)]), {"score": score.detach(), "spread": spread})

    def output(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        return self._certain(self.increments(x, y, generator))

    def _certain(self, increments: Tensor) -> Tensor:
        """The space's output whose mean is those increments."""
        return concatenate(increments, torch.full_like(increments, NO_SCALE))

    def log_weights(self, x: Tensor, x_next: Tensor, y: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        raise TypeError("a network that draws the next state from noise has no likelihood")
