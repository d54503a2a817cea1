"""A network with injected noise as a simulator of fields."""

from __future__ import annotations

from typing import cast

from nsbench.neural.drawing import OneDecoding
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.fields import Fields
from nsbench.neural.states.space import StateSpace
from nsbench_crps.model import CRPSModel
from nsbench_crps.params import CRPSParams


class CRPS(OneDecoding, NeuralSimulator):
    """Fields drawn by one evaluation of a network of noise, which is what is random under either decoding.

    Growth and labels are refused: a state that was drawn or thresholded has no gradient, and a score of probabilities
    is best where they are all 0 or 1.
    """

    likelihood = None
    params: CRPSParams
    decode = "mode"

    def build(self, space: StateSpace, inputs: int) -> CRPSModel:
        return CRPSModel(self.params, cast(Fields, space), inputs)

    def space(self, states: StateFacts) -> StateSpace:
        if states.states != "fields" or states.space:
            kind = states.space or states.states
            raise ValueError(f"crps learns fields, whose numbers have gradients, and these states are {kind}")
        return super().space(states)

    def lattice_multiple(self) -> int:
        return MULTIPLE
