"""Rollouts of states that may melt, a frame at a time: trajectories that met the stop rule are not computed further."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nsbench.trajectories.base import Trajectories
from nsbench.trajectories.fields import FieldTrajectories

Rollout = Callable[[Trajectories, int, np.random.Generator], Trajectories]
"""A function like ``Simulator.rollout``."""


def frame_by_frame(rollout: Rollout, start: Trajectories, steps: int, rng: np.random.Generator) -> FieldTrajectories:
    """Trajectories of `steps` frames, fewer where the stop rule holds; each frame is a rollout of one step."""
    stop, first = start.domain.stop_sites(), start.frame(0)
    values = np.zeros((len(start), steps + 1, *first.shape[1:]), np.float32)  # [n, T, C, H, W]
    values[:, 0] = first
    lengths, alive = np.ones(len(start), np.int32), np.arange(len(start))
    for t in range(1, steps + 1):
        stopped = (values[alive, t - 1][:, :, stop] > 0.5).any(axis=(1, 2))
        alive = alive[~stopped]
        if not len(alive):
            break
        now = FieldTrajectories(
            start.params[alive], np.ones(len(alive), np.int32), start.domain, values[alive, t - 1 : t]
        )
        values[alive, t] = rollout(now, 1, rng).frame(1)
        lengths[alive] = t + 1
    return FieldTrajectories(start.params, lengths, start.domain, values[:, : int(lengths.max(initial=1))])
