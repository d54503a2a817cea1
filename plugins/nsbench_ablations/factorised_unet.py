"""CGNE's decoder with y and without z: the part of CGNE that remains when its latents do nothing."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from nsbench.neural.networks.layers import broadcast, concatenate, perceptron
from nsbench.neural.networks.unet import MULTIPLE, UNet
from nsbench.neural.params import UNetParams
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench.trajectories.domain import States
from nsbench_ablations.factorised import Factorised


class UNetModel(Factorised):
    """A UNet of (x, embedded y), whose output is that of the sites."""

    def __init__(self, params: UNetParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.unet = UNet(space.inputs + params.embedding, space.outputs, params.width, params.norm_groups)

    def sites(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.unet(concatenate(x, broadcast(self.embed(y), like=x)))
        return out


class FactorisedUNet(NeuralSimulator):
    """Independent sites from a UNet. Decoded by their mode it is deterministic; ``decode: sample`` draws them.

    states_of: the states that a simulator of this name takes.
    """

    likelihood = "exact"
    states_of: ClassVar[States]
    params: UNetParams

    def build(self, space: StateSpace, inputs: int) -> UNetModel:
        return UNetModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        if states.states != self.states_of:
            raise ValueError(f"{type(self).__name__} learns {self.states_of}, and these states are {states.states}")
        return super().space(states)

    def lattice_multiple(self) -> int:
        return MULTIPLE


class BernoulliUNet(FactorisedUNet):
    """Independent sites of growth, each attached with a probability."""

    states_of = "growth"


class CategoricalUNet(FactorisedUNet):
    """Independent sites of labels, each with a distribution over them."""

    states_of = "labels"


class GaussianUNet(FactorisedUNet):
    """Independent sites of fields, each with a normal distribution of its increment."""

    states_of = "fields"
