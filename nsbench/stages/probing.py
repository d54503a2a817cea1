"""Asking a simulator what its latents do, on a random part of the test transitions.

A simulator answers through a method of its own,

    def latent_use(self, x, x_next, params, trajectory, rng) -> LatentUse | None

with x, x_next float32[m, C, H, W], params float64[m, P], trajectory int64[m]; or it is a ``NeuralSimulator`` whose
model is a ``LatentGrowth``, which is asked from outside, through its prior, posterior and decoder.
"""

from __future__ import annotations

import sys

import numpy as np

from nsbench.components.evidence import LatentUse
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories

TRANSITIONS = 256
"""Test transitions that are asked about, at most."""


def latent_use(simulator: Simulator, test: Trajectories, rng: np.random.Generator) -> LatentUse | None:
    """What the latents do in up to TRANSITIONS transitions; None for a simulator without latents."""
    index, t = test.transitions()
    if not len(index):
        return None
    chosen = rng.permutation(len(index))[:TRANSITIONS]
    index, t = index[chosen], t[chosen]
    x, x_next, params = test.at(index, t), test.at(index, t + 1), test.params[index]
    own = getattr(simulator, "latent_use", None)
    if own is not None:
        answer: LatentUse | None = own(x, x_next, params, index, rng)
        return answer
    # Where no model of growth has been imported this is none of them: a run without one does not pay for torch.
    if "nsbench.neural.model" not in sys.modules:
        return None
    from nsbench.neural.probing import neural_latent_use

    return neural_latent_use(simulator, x, x_next, params, index, rng)
