"""A number in [0, 1], a time or the level of a noise, and the parameters y as one vector that modulates a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nsbench.neural.networks.layers import concatenate, perceptron

OCTAVES = 5
"""The number of waves, of wave lengths 2, 1, …, 1/8, in which a number is shown to a network."""


def waves(t: Tensor, octaves: int = OCTAVES) -> Tensor:
    """The cosines and sines of π·2^k·t, k < octaves, float32[b, 2·octaves], of t, float32[b] in [0, 1].

    Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, with octaves for their wave lengths.
    """
    angles = t[:, None] * (math.pi * 2.0 ** torch.arange(octaves, device=t.device))
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Embedding(nn.Module):
    """A perceptron from t [b] and y [b, P] to a vector [b, outputs]."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layers = perceptron([2 * OCTAVES + inputs, hidden, outputs])

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        vector: Tensor = self.layers(concatenate(waves(t), y))
        return vector
