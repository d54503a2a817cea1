"""The LCA from open starts as a simulator: the floor, and, without its noise, the deterministic reference."""

from __future__ import annotations

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.open_dataset import continue_growth
from nsbench_lca.params import SimulatorParams
from nsbench_lca.simulator import frame_growth


class OpenSimulator(Simulator):
    """The LCA, which makes the start of each history again, with its masses, and goes on with noise drawn anew.

    Without noise (sigma 0) a start is still the one that noise has made. It grows on the CPU, also where networks run
    on a GPU. Raises ValueError for a start that its history does not give.
    """

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        growth = continue_growth(start, rng, self.params.sigma)
        return frame_growth(start, growth.arrival, growth.steps, steps)
