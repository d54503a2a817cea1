"""A simulator's use of its latents, on a random part of the test transitions.

A simulator reports it through a method of its own,

    def latent_use(self, x, x_next, params, trajectory, rng) -> LatentUse | None

with x, x_next float32[m, C, H, W], params float64[m, P], trajectory int64[m]; or it is a ``NeuralSimulator`` whose
model is a ``LatentModel``, whose prior, posterior and decoder are then evaluated.
"""

from __future__ import annotations

import sys

import numpy as np

from nsbench.components.evidence import LatentUse
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories

TRANSITIONS = 256
"""The largest number of test transitions that are evaluated."""


def latent_use(simulator: Simulator, test: Trajectories, rng: np.random.Generator) -> LatentUse | None:
    """The use of the latents in up to TRANSITIONS test transitions; None for a simulator without latents."""
    index, t = test.transitions()
    if not len(index):
        return None
    subset = rng.permutation(len(index))[:TRANSITIONS]
    index, t = index[subset], t[subset]
    x, x_next, params = test.at(index, t), test.at(index, t + 1), test.params[index]
    method = getattr(simulator, "latent_use", None)
    if method is not None:
        answer: LatentUse | None = method(x, x_next, params, index, rng)
        return answer
    # A LatentModel can exist only once its module is imported; a run without one must not pay for torch.
    if "nsbench.neural.model" not in sys.modules:
        return None
    from nsbench.neural.probing import neural_latent_use

    return neural_latent_use(simulator, x, x_next, params, index, rng)
