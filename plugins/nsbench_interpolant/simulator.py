"""The interpolant as a simulator of growth, labels and fields."""

from __future__ import annotations

from typing import Any

from nsbench.components.sampling import sampling_fields
from nsbench.components.simulator import FitContext
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.relaxed import Relaxed, relaxed_space
from nsbench.neural.states.space import StateSpace
from nsbench.trajectories.base import Trajectories
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

    def _identity(self, train: Trajectories, ctx: FitContext, seed: int) -> dict[str, Any]:
        """The facts that two trainings share; other parameters of sampling make no other training."""
        identity = super()._identity(train, ctx, seed)
        unread = sampling_fields(type(self.params))
        params = {name: value for name, value in identity["params"].items() if name not in unread}
        return identity | {"params": params}
