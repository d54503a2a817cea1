"""A UNet of three halvings, which a vector may modulate: a time, a noise level, the noise itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsbench.neural.networks.layers import Down, ResidualBlock, Up, concatenate
from nsbench.neural.networks.padding import Convolution

MULTIPLE = 8
"""The number by which the sides of its lattices must be divisible: 2 for each halving."""


class Modulation(nn.Module):
    """The map h → h·(1 + a) + b, with a and b linear in a vector [b, M], one each a channel.

    Perez et al. 2018 (arXiv 1709.07871). a = b = 0 before training: the vector changes nothing at first.
    """

    def __init__(self, vector: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(vector, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor, vector: Tensor) -> Tensor:
        scale, shift = self.linear(vector)[:, :, None, None].chunk(2, dim=1)
        return h * (1 + scale) + shift


class UNet(nn.Module):
    """A network from maps [b, inputs, H, W] to maps [b, outputs, H, W]; H and W are multiples of 8.

    Block w; down 2w, 4w, 4w; up 4w, 2w, w; block w; conv to the output: the decoder of arXiv 2405.16608 without its
    latents. vector: the length of a vector that modulates the maps after each block; 0: none is given.
    """

    def __init__(self, inputs: int, outputs: int, width: int, groups: int = 32, vector: int = 0) -> None:
        super().__init__()
        w = width
        self.enter = ResidualBlock(inputs, w, groups)
        self.down1 = Down(w, 2 * w, groups)
        self.down2 = Down(2 * w, 4 * w, groups)
        self.down3 = Down(4 * w, 4 * w, groups)
        self.up3 = Up(4 * w, 4 * w, groups)
        self.up2 = Up(4 * w + 4 * w, 2 * w, groups)
        self.up1 = Up(2 * w + 2 * w, w, groups)
        self.leave = ResidualBlock(w + w, w, groups)
        self.out = Convolution(w, outputs)
        channels = [w, 2 * w, 4 * w, 4 * w, 4 * w, 2 * w, w, w] if vector else []
        self.modulations = nn.ModuleList(Modulation(vector, c) for c in channels)
        # Otherwise gradients of some bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, maps: Tensor, vector: Tensor | None = None) -> Tensor:
        """The output. vector: float[b, M]; it is given if and only if the network has modulations."""
        at_full = self._modulated(0, self.enter(maps), vector)
        at_half = self._modulated(1, self.down1(at_full), vector)
        at_quarter = self._modulated(2, self.down2(at_half), vector)
        at_eighth = self._modulated(3, self.down3(at_quarter), vector)
        features = self._modulated(4, self.up3(at_eighth), vector)
        features = self._modulated(5, self.up2(concatenate(features, at_quarter)), vector)
        features = self._modulated(6, self.up1(concatenate(features, at_half)), vector)
        features = self._modulated(7, self.leave(concatenate(features, at_full)), vector)
        out: Tensor = self.out(features)
        return out

    def _modulated(self, block: int, h: Tensor, vector: Tensor | None) -> Tensor:
        if not self.modulations:
            return h
        if vector is None:
            raise ValueError("this network is modulated by a vector, and none is given")
        modulated: Tensor = self.modulations[block](h, vector)
        return modulated
