"""PNS as a simulator."""

from __future__ import annotations

import math

import numpy as np

from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.choice import space_of
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench_pns.model import PNSModel
from nsbench_pns.params import PNSParams
from nsbench_pns.reference import least_side


class PNS(NeuralSimulator):
    """Probabilistic Neural Simulation (Minartz et al. 2023, arXiv 2305.14286)."""

    params: PNSParams

    def build(self, space: StateSpace, inputs: int) -> PNSModel:
        return PNSModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        return space_of(states, frozen=self.params.frozen_state)

    def lattice_multiple(self) -> int:
        return int(2 ** (self.params.levels - 1))

    def least_side(self) -> int:
        p = self.params
        return least_side(p.encoder_layers) if p.architecture == "reference" else 1

    def unroll_length(self, fraction: float, longest: int, rng: np.random.Generator) -> int:
        """The steps of an unroll: 1 at first, then growing with the fraction spent, up to a third of a trajectory."""
        p = self.params
        grown = 0 if fraction < p.unroll_from else 1 + math.floor((fraction - p.unroll_from) / p.unroll_every)
        return min(1 + grown, p.unroll or max(1, longest // 3))
