"""The law of growth in gusts of wind as a simulator: the floor, and the best without common cause or noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_gusts.dataset import grow_cases
from nsbench_gusts.likelihood import factorised_log_likelihood, log_likelihood
from nsbench_gusts.params import SimulatorParams


class GustsSimulator(Simulator):
    """Growth from the start's own state and parameters, with winds drawn anew.

    The likelihood is exact, and of one step. Without noise there is none, nor of frames that are several steps apart,
    of which a rollout tells.
    """

    params: SimulatorParams

    def __init__(self, params: SimulatorParams) -> None:
        super().__init__(params)
        self.likelihood = None if params.noise == "none" else "exact"

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        stride = start.domain.stride
        if stride is None:
            raise ValueError("a rollout needs framed trajectories: the start's domain has no stride")
        if stride > 1:
            self.likelihood = None
        record = grow_cases(start, steps * stride, rng, noise=self.params.noise)
        return replace(record.framed(stride, steps), domain=start.domain)

    def log_likelihood(
        self,
        x: NDArray[np.float32],
        x_next: NDArray[np.float32],
        params: NDArray[np.float64],
        samples: int,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """The log p(x_next | x, params), exactly; −inf for what cannot happen in a step.

        params: columns λ and s, as in the dataset's domain.
        """
        if self.params.noise == "none":
            return super().log_likelihood(x, x_next, params, samples, rng)
        law = log_likelihood if self.params.noise == "gusts" else factorised_log_likelihood
        return law(x[:, 0] > 0.5, x_next[:, 0] > 0.5, params[:, 0], params[:, 1])
