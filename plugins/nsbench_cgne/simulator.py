"""CGNE as a simulator."""

from __future__ import annotations

import numpy as np

from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.choice import space_of
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench_cgne.model import CGNEModel
from nsbench_cgne.params import CGNEParams


class CGNE(NeuralSimulator):
    """The Crystal Growth Neural Emulator (Timmer et al. 2024, arXiv 2405.16608)."""

    params: CGNEParams

    def build(self, space: StateSpace, inputs: int) -> CGNEModel:
        return CGNEModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        return space_of(states, frozen=self.params.frozen_state)

    def lattice_multiple(self) -> int:
        return 8

    def unroll_length(self, fraction: float, longest: int, rng: np.random.Generator) -> int:
        return 1 if fraction < self.params.unroll_from else int(rng.integers(1, self.params.unroll + 1))
