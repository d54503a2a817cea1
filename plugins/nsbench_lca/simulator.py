"""The LCA as a simulator: the floor, and, without its noise, the deterministic reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.growth import GrowthTrajectories
from nsbench_lca.dataset import grow_cases
from nsbench_lca.params import SimulatorParams


class LCASimulator(Simulator):
    """The LCA, which grows crystals of the start's parameters from their seeds, with noise drawn anew."""

    params: SimulatorParams

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> GrowthTrajectories:
        params = start.params.copy()
        if self.params.sigma is not None:
            params[:, start.domain.column("sigma")] = self.params.sigma
        record = grow_cases(params, start.domain, rng, device=self.conditions.device)
        return frame_growth(start, record.arrival, record.steps, steps)


def frame_growth(start: Trajectories, arrival: np.ndarray, grown_steps: np.ndarray, frames: int) -> GrowthTrajectories:
    """The record of growth as frames of the start's clock and stride, with the start's own parameters."""
    stride = start.domain.stride
    if stride is None:
        raise ValueError("a rollout needs framed trajectories: the start's domain has no stride")
    domain = replace(start.domain, stride=None)
    record = GrowthTrajectories(start.params, grown_steps + np.int32(1), domain, arrival)
    return record.framed(stride, frames)
