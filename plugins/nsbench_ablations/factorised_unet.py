"""CGNE's decoder with y and without z: the part of CGNE that remains when its latents do nothing."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nsbench.neural.layers import Down, ResidualBlock, Up, broadcast, concatenate, perceptron
from nsbench.neural.padding import Convolution
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench.trajectories.domain import States
from nsbench_ablations.factorised import Factorised
from nsbench_ablations.null_params import FactorisedUNetParams


class UNetModel(Factorised):
    """A UNet of (x, embedded y): block w; down 2w, 4w, 4w; up 4w, 2w, w; block w; conv to the output.

    The layers of ``nsbench_cgne.network.Decoder`` without the channels of z.
    """

    def __init__(self, params: FactorisedUNetParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        w, groups = params.width, params.norm_groups
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.enter = ResidualBlock(space.inputs + params.embedding, w, groups)
        self.down1 = Down(w, 2 * w, groups)
        self.down2 = Down(2 * w, 4 * w, groups)
        self.down3 = Down(4 * w, 4 * w, groups)
        self.up3 = Up(4 * w, 4 * w, groups)
        self.up2 = Up(4 * w + 4 * w, 2 * w, groups)
        self.up1 = Up(2 * w + 2 * w, w, groups)
        self.leave = ResidualBlock(w + w, w, groups)
        self.logit = Convolution(w, space.outputs)
        # Otherwise gradients of some bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def sites(self, x: Tensor, y: Tensor) -> Tensor:
        at_full = self.enter(concatenate(x, broadcast(self.embed(y), like=x)))
        at_half = self.down1(at_full)
        at_quarter = self.down2(at_half)
        features = self.up3(self.down3(at_quarter))
        features = self.up2(concatenate(features, at_quarter))
        features = self.up1(concatenate(features, at_half))
        out: Tensor = self.logit(self.leave(concatenate(features, at_full)))
        return out


class FactorisedUNet(NeuralSimulator):
    """Independent sites from a UNet. Decoded by their mode it is deterministic; ``decode: sample`` draws them.

    states_of: the states that a simulator of this name takes.
    """

    likelihood = "exact"
    states_of: ClassVar[States]
    params: FactorisedUNetParams

    def build(self, space: StateSpace, inputs: int) -> UNetModel:
        return UNetModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        if states.states != self.states_of:
            raise ValueError(f"{type(self).__name__} learns {self.states_of}, and these states are {states.states}")
        return super().space(states)

    def lattice_multiple(self) -> int:
        return 8


class BernoulliUNet(FactorisedUNet):
    """Independent sites of growth, each attached with a probability."""

    states_of = "growth"


class CategoricalUNet(FactorisedUNet):
    """Independent sites of labels, each with a distribution over them."""

    states_of = "labels"


class GaussianUNet(FactorisedUNet):
    """Independent sites of fields, each with a normal distribution of its increment."""

    states_of = "fields"
