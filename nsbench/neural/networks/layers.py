"""Layers that the networks share. Maps are [b, C, H, W]."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.networks.padding import Convolution
from nsbench.neural.networks.resampling import double, doubled_convolution, halve


def group_norm(channels: int, most: int = 32) -> nn.GroupNorm:
    """GroupNorm in at most `most` groups of at least two channels.

    A group of one channel would take away the channel's mean, and with it how much of the lattice is
    covered; at the reference's widths this gives its 32 groups.
    """
    groups = next(g for g in range(max(1, min(most, channels // 2)), 0, -1) if channels % g == 0)
    return GroupNorm(groups, channels)


class GroupNorm(nn.GroupNorm):
    """Group norm that computes on contiguous maps, whatever the layout of its input.

    torch's CPU kernel for bfloat16 in channels-last takes ten times as long as the two copies that this costs. See
    docs/tuning.md.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or x.is_contiguous():
            return super().forward(x)
        return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)


class ResidualBlock(nn.Module):
    """The map x → gelu(N(conv(gelu(N(conv(x))))) + P·x): 3×3 convolutions, group norm N, a 1×1 convolution P.

    Timmer et al. 2024 (arXiv 2405.16608), appendix.
    """

    def __init__(self, inputs: int, outputs: int, groups: int = 32) -> None:
        super().__init__()
        self.first = Convolution(inputs, outputs)
        self.first_norm = group_norm(outputs, groups)
        self.second = Convolution(outputs, outputs)
        self.second_norm = group_norm(outputs, groups)
        self.project = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.first_norm(self.first(x)))
        return F.gelu(self.second_norm(self.second(inner)) + self.project(x))


class Down(ResidualBlock):
    """A residual block after halving the resolution (max-pool 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(halve(x))


class Up(ResidualBlock):
    """A residual block after doubling the resolution (nearest neighbour).

    The first convolution is computed without making the upsampled maps: see ``doubled_convolution``.
    """

    def forward(self, x: Tensor) -> Tensor:
        inner = F.gelu(self.first_norm(doubled_convolution(x, self.first)))
        return F.gelu(self.second_norm(self.second(inner)) + double(self.project(x)))


def perceptron(sizes: list[int], activation: Callable[[], nn.Module] = nn.GELU) -> nn.Sequential:
    """Linear layers of those sizes, the activation between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def broadcast(vector: Tensor, like: Tensor) -> Tensor:
    """A vector [b, C] as a constant map [b, C, H, W] over the sites of `like`."""
    return vector[:, :, None, None].expand(-1, -1, *like.shape[-2:])


def concatenate(*maps: Tensor) -> Tensor:
    """The maps concatenated, channel after channel."""
    return torch.cat(maps, dim=1)
