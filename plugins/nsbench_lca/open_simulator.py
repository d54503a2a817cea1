"""The LCA from open starts as a simulator: the floor, and, without its noise, the deterministic reference."""

from __future__ import annotations

import numpy as np

from nsbench.components.component import Unavailable
from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.open_dataset import continue_growth
from nsbench_lca.params import SimulatorParams
from nsbench_lca.simulator import frame_growth


class OpenSimulator(Simulator):
    """The LCA, which makes the start of each history again, with its masses, and goes on with noise drawn anew.

    Without noise (sigma 0) a start is still the one that noise has made. Raises ValueError for a start that its history
    does not give, Unavailable on a GPU.
    """

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        if self.conditions.device != "cpu":
            raise Unavailable("open starts grow on the CPU alone: set compute.device to cpu for lca-open")
        growth = continue_growth(start, rng, self.params.sigma)
        return frame_growth(start, growth.arrival, growth.steps, steps)
