"""The interpolant as a simulator of growth, labels and fields."""

from __future__ import annotations

from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.relaxed import Relaxed, relaxed_space
from nsbench.neural.states.space import StateSpace
from nsbench_interpolant.model import InterpolantModel
from nsbench_interpolant.params import InterpolantParams


class Interpolant(NeuralSimulator):
    """A stochastic interpolant from frame to frame (Chen et al. 2024, arXiv 2403.13724). It always draws.

    It has no likelihood. That of the flow of an "ode" would be one of relaxed states, in the limit of many evaluations,
    and not of the states that rollouts hold.
    """

    likelihood = None
    params: InterpolantParams

    def build(self, space: StateSpace, inputs: int) -> InterpolantModel:
        assert isinstance(space, Relaxed)
        return InterpolantModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        return relaxed_space(states, type(self).__name__)

    def lattice_multiple(self) -> int:
        return MULTIPLE
