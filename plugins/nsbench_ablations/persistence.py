"""Persistence: a simulator in which nothing changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.dense import DenseTrajectories


class Persistence(Simulator):
    """A simulator whose states stay as they are, for as many frames as are asked for.

    It has no likelihood: whatever changes has probability 0.
    """

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        lengths = np.full(len(start), steps + 1, np.int32)
        changes: dict[str, Any] = {"lengths": lengths}
        if isinstance(start, DenseTrajectories):
            changes[start.held] = np.repeat(start.frames[:, :1], steps + 1, axis=1)
        return replace(start, **changes)
