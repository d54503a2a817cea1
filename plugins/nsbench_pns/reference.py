"""The networks of PNS as its authors built them for cellular dynamics: a wide residual UNet with attention.

Minartz et al. 2023 (arXiv 2305.14286), after Gupta & Brandstetter 2022 (arXiv 2209.15616). At the reference's sizes the
UNet has 122,499,584 weights, and in the authors' release 1,024 more, of a norm that is built and never applied.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, positive_gaussian
from nsbench.neural.networks.layers import GroupNorm, concatenate
from nsbench.neural.networks.padding import Convolution
from nsbench.neural.networks.resampling import DoublingConvolution, HalvingConvolution
from nsbench_pns.network import Decoder
from nsbench_pns.params import PNSParams

LAST_GROUPS = 8
"""Groups of the norm before the UNet's last convolution, at most."""


def level_channels(params: PNSParams) -> list[int]:
    """Channels of each resolution: twice those before at the first two, then as many."""
    channels = [2 * params.width, 4 * params.width]
    return (channels + [channels[-1]] * params.levels)[: params.levels]


class PreActivation(nn.Module):
    """The map x → conv(relu(N(conv(relu(N(x)))))) + P·x; P is the identity at equal channels. N: one group."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first_norm, self.first = GroupNorm(1, inputs), Convolution(inputs, outputs)
        self.second_norm, self.second = GroupNorm(1, outputs), Convolution(outputs, outputs)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.first(F.relu(self.first_norm(x)))
        out: Tensor = self.second(F.relu(self.second_norm(inner))) + self.shortcut(x)
        return out


class SelfAttention(nn.Module):
    """Attention of each site to all others, one head, added to what it attends to; no norm.

    As in the release, the weights with which all sites attend to one sum to 1, not those with which one attends to all.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        sites = x.flatten(2).transpose(1, 2)  # [b, H·W, C]
        query, key, value = self.project(sites).chunk(3, dim=2)
        weights = (query @ key.transpose(1, 2) * x.shape[1] ** -0.5).softmax(dim=1)
        attended: Tensor = self.out(weights @ value) + sites
        return attended.transpose(1, 2).reshape(x.shape)


class WideUNet(nn.Module):
    """A UNet of residual blocks: strided convolutions down, transposed ones up, attention in the middle.

    Each block of the way up has a skip of its own, from a block or a strided convolution of the way down; the last
    block of a level goes to the channels of the finer one.
    """

    def __init__(self, params: PNSParams) -> None:
        super().__init__()
        channels, blocks = level_channels(params), params.blocks
        finer = [params.width, *channels[:-1]]
        self.down = nn.ModuleList(
            nn.ModuleList(PreActivation(before if k == 0 else here, here) for k in range(blocks))
            for before, here in zip(finer, channels, strict=True)
        )
        self.halvings = nn.ModuleList(HalvingConvolution(c) for c in channels[:-1])
        deep = channels[-1]
        self.middle = nn.Sequential(PreActivation(deep, deep), SelfAttention(deep), PreActivation(deep, deep))
        self.up = nn.ModuleList(
            nn.ModuleList([*(PreActivation(2 * here, here) for _ in range(blocks)), PreActivation(here + after, after)])
            for after, here in zip(reversed(finer), reversed(channels), strict=True)
        )
        self.doublings = nn.ModuleList(DoublingConvolution(c) for c in reversed(channels[:-1]))
        groups = next(g for g in range(LAST_GROUPS, 0, -1) if params.width % g == 0)
        self.last_norm, self.last = GroupNorm(groups, params.width), nn.Conv2d(params.width, params.width, 1)

    def forward(self, features: Tensor) -> Tensor:
        skips = [features]
        for level, blocks in enumerate(self.down):
            if level > 0:
                features = self.halvings[level - 1](features)
                skips.append(features)
            for block in cast(nn.ModuleList, blocks):
                features = block(features)
                skips.append(features)
        features = self.middle(features)
        for level, blocks in enumerate(self.up):
            if level > 0:
                features = self.doublings[level - 1](features)
            for block in cast(nn.ModuleList, blocks):
                features = block(concatenate(features, skips.pop()))
        out: Tensor = self.last(F.relu(self.last_norm(features)))
        return out


class ValidLatentEncoder(nn.Module):
    """An encoder of maps to a Gaussian over a vector: convolutions without padding, max-pools, global mean, perceptron.

    A pool follows every convolution but the first.
    """

    def __init__(self, inputs: int, params: PNSParams) -> None:
        super().__init__()
        w = params.width
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs if k == 0 else w, w, 3) for k in range(params.encoder_layers)
        )
        self.hidden, self.head = nn.Linear(w, w), nn.Linear(w, 2 * params.latents)

    def forward(self, maps: Tensor) -> Gaussian:
        for k, convolution in enumerate(self.convolutions):
            maps = F.relu(convolution(maps))
            maps = maps if k == 0 else F.max_pool2d(maps, 2)
        return positive_gaussian(self.head(F.relu(self.hidden(maps.mean((2, 3))))))


def least_side(layers: int) -> int:
    """The shortest side of a lattice that leaves ValidLatentEncoder one site."""
    side = 1
    for _ in range(layers - 1):
        side = 2 * side + 2
    return side + 2


class RectifiedDecoder(Decoder):
    """The decoder with a ReLU after its last convolution too."""

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        return torch.relu(super().forward(h, z))
