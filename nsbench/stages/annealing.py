"""A tighter bound on a simulator's likelihood than by importance sampling alone, where a suite asks for it.

A simulator gives it through a method of its own,

    def annealed_likelihood(self, x, x_next, params, distributions, rng) -> float64[m] | None

with arguments as of ``log_likelihood``; or it is a ``NeuralSimulator`` whose model is a ``LatentModel``.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from nsbench.components.simulator import Simulator


def annealed_likelihood(
    simulator: Simulator,
    x: NDArray[np.float32],
    x_next: NDArray[np.float32],
    params: NDArray[np.float64],
    distributions: int,
    rng: np.random.Generator,
) -> NDArray[np.float64] | None:
    """The bound of each transition, float64[m], nats; None for a simulator without latents.

    distributions: the number of intermediate ones.
    """
    method = getattr(simulator, "annealed_likelihood", None)
    if method is not None:
        answer: NDArray[np.float64] | None = method(x, x_next, params, distributions, rng)
        return answer
    # A LatentModel can exist only once its module is imported; a run without one must not pay for torch.
    if "nsbench.neural.model" not in sys.modules:
        return None
    from nsbench.neural.annealing import neural_annealed_likelihood

    return neural_annealed_likelihood(simulator, x, x_next, params, distributions, rng)
