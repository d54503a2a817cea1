"""Spinodal decomposition as a simulator: the floor, and, without its noise, the deterministic reference."""

from __future__ import annotations

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_spinodal.dataset import separated
from nsbench_spinodal.params import SimulatorParams


class SpinodalSimulator(Simulator):
    """The law itself, which goes on from the start's first frame with noise drawn anew."""

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> FieldTrajectories:
        if start.domain.stride is None:
            raise ValueError("a rollout needs framed trajectories: the start's domain has no stride")
        return separated(start.frame(0), start.params, start.domain, rng, frames=steps, noise=self.params.noise)
