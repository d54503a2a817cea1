"""CGNE's decoder with y and without z: the part of CGNE that remains when its latents do nothing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nsbench.neural.layers import Down, ResidualBlock, Up, broadcast, concatenate, perceptron
from nsbench.neural.simulator import NeuralSimulator
from nsbench_ablations.factorised import FactorisedGrowth
from nsbench_ablations.null_params import BernoulliUNetParams


class UNetModel(FactorisedGrowth):
    """A UNet of (x, embedded y): block w; down 2w, 4w, 4w; up 4w, 2w, w; block w; conv to a logit a site.

    The layers of ``nsbench_cgne.network.Decoder`` without the channels of z.
    """

    def __init__(self, params: BernoulliUNetParams, inputs: int) -> None:
        super().__init__()
        w, groups = params.width, params.norm_groups
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.enter = ResidualBlock(1 + params.embedding, w, groups)
        self.down1 = Down(w, 2 * w, groups)
        self.down2 = Down(2 * w, 4 * w, groups)
        self.down3 = Down(4 * w, 4 * w, groups)
        self.up3 = Up(4 * w, 4 * w, groups)
        self.up2 = Up(4 * w + 4 * w, 2 * w, groups)
        self.up1 = Up(2 * w + 2 * w, w, groups)
        self.leave = ResidualBlock(w + w, w, groups)
        self.logit = nn.Conv2d(w, 1, 3, padding=1)
        # Otherwise gradients of some bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def site_logits(self, x: Tensor, y: Tensor) -> Tensor:
        at_full = self.enter(concatenate(x, broadcast(self.embed(y), like=x)))
        at_half = self.down1(at_full)
        at_quarter = self.down2(at_half)
        features = self.up3(self.down3(at_quarter))
        features = self.up2(concatenate(features, at_quarter))
        features = self.up1(concatenate(features, at_half))
        logits: Tensor = self.logit(self.leave(concatenate(features, at_full)))
        return logits


class BernoulliUNet(NeuralSimulator):
    """Independent sites from a UNet. Decoded by their mode it is deterministic; ``decode: sample`` draws them."""

    likelihood = "exact"
    params: BernoulliUNetParams

    def build(self, inputs: int) -> UNetModel:
        return UNetModel(self.params, inputs)

    def lattice_multiple(self) -> int:
        return 8
