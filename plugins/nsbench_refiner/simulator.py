"""The refiner as a simulator of fields."""

from __future__ import annotations

from nsbench.neural.networks.fourier import least_side, require_periodic
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.simulator import NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.relaxed import Relaxed, relaxed_space
from nsbench.neural.states.space import StateSpace
from nsbench_refiner.model import RefinerModel
from nsbench_refiner.params import RefinerParams


class Refiner(NeuralSimulator):
    """PDE-Refiner (Lippe et al. 2023, arXiv 2308.05732). It draws if it refines; it has no likelihood."""

    likelihood = None
    params: RefinerParams

    def build(self, space: StateSpace, inputs: int) -> RefinerModel:
        assert isinstance(space, Relaxed)
        return RefinerModel(self.params, space, inputs)

    def space(self, states: StateFacts) -> StateSpace:
        if states.states != "fields":
            raise ValueError(
                f"Refiner learns fields, and these states are {states.states}: its steps start from a mean and end at "
                "one, so that a site which changes with probability 0.2 would change less often (docs/simulators.md)"
            )
        if self.params.backbone == "fno":
            require_periodic(states.boundaries, "backbone fno of Refiner")
        return relaxed_space(states, "Refiner")

    def lattice_multiple(self) -> int:
        return 1 if self.params.backbone == "fno" else MULTIPLE

    def least_side(self) -> int:
        return least_side(self.params.modes) if self.params.backbone == "fno" else 1
