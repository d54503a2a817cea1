"""A stochastic neural cellular automaton: one small local rule, applied several times, then a draw at each site.

After Mordvintsev, Randazzo, Niklasson & Levin 2020, "Growing Neural Cellular Automata", Distill,
doi 10.23915/distill.00023. There the randomness is in which sites update; here the updates within a step are
deterministic and the step ends with a draw, so that the likelihood of the next state is exact.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nsbench.neural.drawing import DrawnSites
from nsbench.neural.networks.layers import broadcast, concatenate, perceptron
from nsbench.neural.networks.padding import Convolution
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.space import StateSpace
from nsbench_ablations.factorised import Factorised
from nsbench_ablations.null_params import StochasticNCAParams


class NCAModel(Factorised):
    """The rule h = 0, then `updates` times h ← h + U·gelu(3×3 convolution of (h, x, y)); output = L·h.

    The same rule at every site and in every update; no normalisation over the lattice, so that a site knows of
    nothing that is farther away than `updates` sites.
    """

    def __init__(self, params: StochasticNCAParams, space: StateSpace, inputs: int) -> None:
        super().__init__(space)
        self.updates, self.channels = params.updates, params.channels
        self.embed = perceptron([inputs, params.embedding_width, params.embedding])
        self.perceive = Convolution(params.channels + space.inputs + params.embedding, params.hidden)
        self.update = nn.Conv2d(params.hidden, params.channels, 1)
        self.logit = nn.Conv2d(params.channels, space.outputs, 1)
        # Otherwise gradients of some bfloat16 weights take ten times as long on a CPU: see docs/tuning.md.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def sites(self, x: Tensor, y: Tensor) -> Tensor:
        present = concatenate(x, broadcast(self.embed(y), like=x))
        h = x.new_zeros(len(x), self.channels, *x.shape[-2:])
        for _ in range(self.updates):
            h = h + self.update(F.gelu(self.perceive(concatenate(h, present))))
        out: Tensor = self.logit(h)
        return out


class StochasticNCA(DrawnSites, NeuralSimulator):
    """A local rule and independent draws. Sites are always drawn: thresholded it would be deterministic."""

    likelihood = "exact"
    params: StochasticNCAParams

    def build(self, space: StateSpace, inputs: int) -> NCAModel:
        return NCAModel(self.params, space, inputs)
