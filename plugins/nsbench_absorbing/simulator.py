"""Masked discrete diffusion as a simulator of growth and of labels."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from nsbench.neural.drawing import DrawnSites
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.randomness import generator
from nsbench.neural.simulator import DECODED_SITES, NeuralSimulator
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

    def validation_nats(
        self, x: NDArray[np.float32], x_next: NDArray[np.float32], params: NDArray[np.float64], seed: int
    ) -> NDArray[np.float64]:
        """The bound of any-order autoregression, by one evaluation a transition and the same draws each time.

        So a fit's curves depend on no rounds.
        """
        model, noise = cast(AbsorbingModel, self._trained().model), generator(self._device(), seed, 0, 2)

        def bound(x: Tensor, x_next: Tensor, y: Tensor) -> Tensor:
            return model.any_order_bound(x, x_next, y, 0.0, noise)[0].double()

        return self._nats(bound, x, x_next, params, max(1, DECODED_SITES // (x.shape[-2] * x.shape[-1])))
