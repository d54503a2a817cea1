"""Persistence: a simulator in which nothing grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nsbench.components.simulator import Simulator
from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories


class Persistence(Simulator):
    """A simulator whose states stay as they are, for as many frames as are asked for.

    It has no likelihood: whatever grows has probability 0.
    """

    def rollout(self, start: Trajectories, steps: int, rng: np.random.Generator) -> Trajectories:
        lengths = np.full(len(start), steps + 1, np.int32)
        if isinstance(start, FieldTrajectories):
            return replace(start, lengths=lengths, values=np.repeat(start.values[:, :1], steps + 1, axis=1))
        return replace(start, lengths=lengths)
