"""The networks of PNS: forward model, latent encoders, decoder.

Minartz et al. 2023 (arXiv 2305.14286). All maps have `width` channels at every resolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.gaussian import Gaussian, positive_gaussian
from nsbench.neural.layers import ResidualBlock, beside, broadcast
from nsbench.neural.resampling import double, halve
from nsbench_pns.params import PNSParams


def residual_blocks(inputs: int, params: PNSParams) -> nn.Sequential:
    """The residual blocks of one level, from `inputs` channels to `width`."""
    channels = [inputs] + [params.width] * (params.blocks - 1)
    return nn.Sequential(*(ResidualBlock(c, params.width, params.norm_groups) for c in channels))


class UNet(nn.Module):
    """Residual blocks at each level on the way down (max-pool 2) and up (nearest neighbour), with skips."""

    def __init__(self, params: PNSParams) -> None:
        super().__init__()
        w = params.width
        self.down = nn.ModuleList(residual_blocks(w, params) for _ in range(params.levels))
        self.up = nn.ModuleList(residual_blocks(2 * w, params) for _ in range(params.levels - 1))

    def forward(self, features: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            features = blocks(features if level == 0 else halve(features))
            skips.append(features)
        skips.pop()
        for blocks in self.up:
            features = blocks(beside(double(features), skips.pop()))
        return features


class LatentEncoder(nn.Module):
    """Maps [b, C, H, W] to a Gaussian over a vector: convolutions and max-pools, global mean, linear."""

    def __init__(self, inputs: int, params: PNSParams) -> None:
        super().__init__()
        channels = [inputs] + [params.width] * (params.encoder_layers - 1)
        self.convolutions = nn.ModuleList(nn.Conv2d(c, params.width, 3, padding=1) for c in channels)
        self.head = nn.Linear(params.width, 2 * params.latents)

    def forward(self, maps: Tensor) -> Gaussian:
        for convolution in self.convolutions:
            maps = F.max_pool2d(F.relu(convolution(maps)), 2, ceil_mode=True)
        return positive_gaussian(self.head(maps.mean((2, 3))))


class Decoder(nn.Module):
    """z broadcast beside h; a wide convolution and further 3×3 ones, ReLU between; a map of `width`."""

    def __init__(self, params: PNSParams) -> None:
        super().__init__()
        w, kernel = params.width, params.decoder_kernel
        wide = nn.Conv2d(w + params.latents, w, kernel, padding=kernel // 2)
        further = (nn.Conv2d(w, w, 3, padding=1) for _ in range(params.decoder_layers))
        self.convolutions = nn.ModuleList([wide, *further])

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        features = beside(h, broadcast(z.to(h.dtype), like=h))
        for position, convolution in enumerate(self.convolutions):
            features = convolution(features if position == 0 else F.relu(features))
        return features
