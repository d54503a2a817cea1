"""The Potts model as a simulator: the floor, and, at temperature 0, the deterministic reference."""

from __future__ import annotations

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.labels import LabelTrajectories
from nsbench_grains.kernel import LAWS, coarsen
from nsbench_grains.params import SimulatorParams


class GrainsSimulator(Simulator):
    """The Potts model, from the start's own state and parameters, with noise drawn anew."""

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> LabelTrajectories:
        domain = start.domain
        if domain.stride is None:
            raise ValueError("a rollout needs framed trajectories: the start's domain has no stride")
        if domain.lattice != "square" or domain.boundaries != ("periodic", "periodic"):
            raise ValueError(
                f"grains live on a square lattice that is periodic on both axes, not on a {domain.lattice} one with "
                f"boundaries {' and '.join(domain.boundaries)}"
            )
        laws = start.params[:, [domain.column(name) for name in LAWS]]
        if self.params.temperature is not None:
            laws[:, 0] = self.params.temperature
        labels = start.frame(0)[:, 0].astype(np.uint8)
        seed, sweeps = int(rng.integers(2**63)), steps * domain.stride
        frames = coarsen(labels, laws, q=domain.labels, sweeps=sweeps, seed=seed, every=domain.stride)
        return LabelTrajectories(start.params, np.full(len(frames), steps + 1, np.int32), domain, frames)
