"""The bound that CGNE's authors publish, where a suite asks for it: for the paper's table alone.

Of sequences that begin at frames 0, longest − 1, 2 (longest − 1), … of each test trajectory and are unrolled for a
random number of frames, 1 to `longest`, each from the state that the model made of the one before, z from q:

    − (mean over sites of −log p(x' | x, z) + mean over latents of KL(q ‖ p)),  sites attached by the true x left out

one sample, all frames alike. Timmer et al. 2024 (arXiv 2405.16608).
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories


def guided_bound(
    simulator: Simulator, test: Trajectories, longest: int, rng: np.random.Generator
) -> NDArray[np.float64] | None:
    """The bound of each frame, float64[f]; None for a simulator that is not neural with a ``LatentModel``."""
    # A LatentModel can exist only once its module is imported; a run without one must not pay for torch.
    if "nsbench.neural.model" not in sys.modules:
        return None
    from nsbench.neural.guided import neural_guided_bound

    return neural_guided_bound(simulator, test, longest, rng)
