"""Kobayashi's phase field as a simulator: the floor, and, without noise, the deterministic reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories
from nsbench_dendrite.kernel import LAWS, grow, keys_of
from nsbench_dendrite.params import SimulatorParams
from nsbench_dendrite.starts import columns, grid_of, require_shown, starts


class DendriteSimulator(Simulator):
    """Kobayashi's phase field, from the fine state that the start's parameters make, with noise drawn anew."""

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> FieldTrajectories:
        domain = start.domain
        if domain.stride is None:
            raise ValueError("a rollout needs framed trajectories: the start's domain has no stride")
        p, u = starts(start.params, domain)
        require_shown(p, u, start.frame(0))
        laws, grid = columns(start.params, domain, LAWS), grid_of(domain)
        if self.params.noise is not None:
            laws[:, LAWS.index("noise")] = self.params.noise
        keys = keys_of(int(rng.integers(2**63)), 0, len(laws))
        frames = grow(p, u, laws, replace(grid, steps=grid.steps * domain.stride), keys=keys, ticks=steps)
        return FieldTrajectories(start.params, np.full(len(frames), steps + 1, np.int32), domain, frames)
