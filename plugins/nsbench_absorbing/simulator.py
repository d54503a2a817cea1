"""Masked discrete diffusion as a simulator of growth and of labels."""

from __future__ import annotations

from pydantic import BaseModel

from nsbench.neural.drawing import DrawnSites
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench_absorbing.model import AbsorbingModel
from nsbench_absorbing.params import AbsorbingParams


class Absorbing(DrawnSites, NeuralSimulator):
    """Sites of the next state drawn in random order, in rounds. Sites are always drawn: they are what is random.

    likelihood: "exact" with one round, where no order matters; else an importance-weighted bound over orders, of the
    very process that rollouts follow.
    """

    params: AbsorbingParams

    def __init__(self, params: BaseModel | None = None) -> None:
        super().__init__(params)
        self.likelihood = "exact" if self.params.evaluations == 1 else "elbo"

    def build(self, space: StateSpace, inputs: int) -> AbsorbingModel:
        return AbsorbingModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        if states.states == "fields" or states.space:
            kind = states.space or states.states
            raise ValueError(f"absorbing masks sites of growth and of labels, and these states are {kind}")
        return super().space(states)

    def lattice_multiple(self) -> int:
        return MULTIPLE
