"""Masked discrete diffusion as a simulator of growth and of labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from pydantic import BaseModel

from nsbench.neural.devices import autocast
from nsbench.neural.drawing import DrawnSites
from nsbench.neural.networks.unet import MULTIPLE
from nsbench.neural.randomness import generator
from nsbench.neural.simulator import DECODED_SITES, VALIDATION_TRANSITIONS, NeuralSimulator
from nsbench.neural.states.facts import StateFacts
from nsbench.neural.states.space import StateSpace
from nsbench.trajectories.base import Trajectories
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

    def _validation(self, val: Trajectories, seed: int) -> Callable[[], float] | None:
        """A function () -> the bound of any-order autoregression on a fixed subset of the validation transitions.

        By one evaluation a transition, and the same draws each time: a fit and its curves depend on no rounds.
        """
        index, t = val.transitions()
        if not len(index):
            return None
        chosen = np.random.default_rng([seed, 0, 2]).permutation(len(index))[:VALIDATION_TRANSITIONS]
        index, t = index[chosen], t[chosen]
        rows = max(1, DECODED_SITES // (val.domain.shape[0] * val.domain.shape[1]))

        def bound() -> float:
            network, device = self._trained(), self._device()
            model, noise = cast(AbsorbingModel, network.model), generator(device, seed, 0, 2)
            nats: list[torch.Tensor] = []
            training = network.training
            network.eval()
            with torch.inference_mode(), autocast(self.conditions):
                for first in range(0, len(index), rows):
                    i, at = index[first : first + rows], t[first : first + rows]
                    x, x_next = (torch.from_numpy(val.at(i, at + later)).to(device) for later in (0, 1))
                    y = self._standardised(val.params[i][:, list(self.columns)])
                    nats.append(model.any_order_bound(x, x_next, y, 0.0, noise)[0].double().cpu())
            network.train(training)
            return float(torch.cat(nats).mean())

        return bound
